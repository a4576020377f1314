"""The Dask cluster that trains and scores batches."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

import dask
from distributed import Client, KilledWorker, SpecCluster, wait

from hydrodask import clock
from hydrodask.doors import remote
from hydrodask.doors.local import local_cluster, no_import_of_a_worker, why_no_start
from hydrodask.doors.login import connecting
from hydrodask.doors.remote import CONNECT_S
from hydrodask.errors import UnreachableError
from hydrodask.settings import Settings

CONFIG = {
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.comm.timeouts.tcp": "10 minutes",  # on a machine with too much to do nobody reads for half a minute
    # What is busy is not dead; and one that dies is started again, however long that takes: see `driver.cluster`.
    "distributed.scheduler.worker-ttl": None,
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.scheduler.allowed-failures": 3,  # a stream's cluster in this process wants none
    "distributed.worker.memory.terminate": 0.95,
    "distributed.admin.large-graph-warning-threshold": "512MiB",  # cycles are shared as tasks: see `shared`
}

GONE_S = 300.0
"""How long a training waits for a worker when there is none."""

LOOK_EVERY_S = 10.0

CLOSE_S = 60.0
"""How long a cluster that was started here may take to end."""


@contextmanager
def training_cluster(settings: Settings) -> Iterator[Client]:
    """Connect to `cluster.address`, or start `learn.workers` processes here.

    Raises UnreachableError, and ConfigError for a login that can't be right.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for name in ("distributed", "distributed.client", "bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with dask.config.set(CONFIG):
        cluster = None
        if settings.cluster.address is None:
            cluster = _local(settings)
            client = Client(cluster, timeout=CONNECT_S)
        else:
            asyncio.run(remote.wait(settings.cluster, settings.step.patience))
            found = asyncio.run(remote.find(settings.cluster))
            with connecting(found):
                client = remote.client(found)
        try:
            yield client
        finally:
            with suppress(TimeoutError):  # a slow machine has slow ends; what was trained is trained
                client.close()
            # Dask's own end of the process tries it once more. Of a worker that is just being started again it says
            # AssertionError, or RuntimeError.
            with suppress(TimeoutError, AssertionError, RuntimeError):
                if cluster is not None:
                    cluster.close(timeout=CLOSE_S)


def _local(settings: Settings) -> SpecCluster:
    no_import_of_a_worker("a training")
    workers = settings.learn.workers
    try:
        return local_cluster(settings.cluster, workers=workers, silence_logs=logging.CRITICAL)
    except (OSError, TimeoutError, RuntimeError) as error:
        raise UnreachableError(f"could not start a Dask cluster to train on: {why_no_start(error)}") from error


def workers_of(client: Client) -> tuple[str, ...]:
    """Return the addresses of the workers."""
    # What `scheduler_info` remembers can be empty.
    return tuple(sorted(client.sync(client.scheduler.identity, n_workers=-1)["workers"]))


def run_all(client: Client, tasks: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[Any]:
    """Run tasks on the cluster and return their results in order. Raises what a task raises, and as `in_turn`."""
    return list(in_turn(client, tasks))


def in_turn(client: Client, tasks: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]]) -> Iterator[Any]:
    """Run tasks on the cluster and give their results in order; of those there is one here at a time.

    Raises UnreachableError when there is no worker for `GONE_S`: Dask itself would wait for one for ever.
    """
    futures = [client.submit(function, *arguments, pure=False) for function, arguments in tasks]
    for number, future in enumerate(futures):
        yield _result(client, future)
        futures[number] = None
        future.release()


def _result(client: Client, future: Any) -> Any:
    """Return a task's result, or raise its error. Raises UnreachableError when the cluster can't give either.

    It waits before it fetches: a fetch that Dask gives up, because it took too long, takes others along.
    """
    there_s = clock.monotonic_s()
    while not future.done():
        with client.as_current(), suppress(TimeoutError, CancelledError):
            wait(future, timeout=min(LOOK_EVERY_S, GONE_S))
            continue
        now_s = clock.monotonic_s()
        there_s = now_s if workers_of(client) else there_s
        if now_s - there_s > GONE_S:
            raise UnreachableError(
                f"the workers that train have been gone for {GONE_S:.0f} s; look at their memory, and train again"
            )
    if future.status == "error":
        try:
            return future.result()
        except KilledWorker as error:
            raise UnreachableError(
                f"each worker that was given the task {error.task} died of it; look at their memory, and train again"
            ) from error
    try:
        return future.result(timeout=GONE_S)
    except CancelledError as error:
        raise UnreachableError(
            "the Dask cluster has forgotten what it was to compute: its scheduler was lost or started anew; "
            "look at its log, and train again"
        ) from error
    except TimeoutError as error:
        raise UnreachableError(
            f"the workers that train did not send what they computed within {GONE_S:.0f} s; look at them, train again"
        ) from error


def shared(client: Client, value: object) -> Any:
    """Return `value` as a future for tasks of the workers.

    It is a task's result, and not scattered: what is scattered is gone with its worker, and all that needs it is
    cancelled. A task is done again.
    """
    return client.submit(_itself, value, pure=False)


def _itself(value: object) -> object:
    return value
