"""The Dask cluster that trains and scores batches."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, SpecCluster

from hydrodask.doors import remote
from hydrodask.doors.local import local_cluster
from hydrodask.doors.login import connecting
from hydrodask.doors.remote import CONNECT_S
from hydrodask.errors import UnreachableError, sentence
from hydrodask.settings import Settings

CONFIG = {
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.worker.memory.terminate": 0.95,
    "distributed.admin.large-graph-warning-threshold": "64MiB",
}


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
            client.close()
            if cluster is not None:
                cluster.close(timeout=10)


def _local(settings: Settings) -> SpecCluster:
    workers = settings.learn.workers
    try:
        return local_cluster(settings.cluster, workers=workers, silence_logs=logging.CRITICAL)
    except (OSError, TimeoutError, RuntimeError) as error:
        raise UnreachableError(f"could not start a Dask cluster to train on: {sentence(error)}") from error


def workers_of(client: Client) -> tuple[str, ...]:
    """Return the addresses of the workers."""
    # What `scheduler_info` remembers can be empty.
    return tuple(sorted(client.sync(client.scheduler.identity, n_workers=-1)["workers"]))


def run_all(client: Client, tasks: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[Any]:
    """Run tasks on the cluster and return their results in order. Raises what a task raises."""
    futures = [client.submit(function, *arguments, pure=False) for function, arguments in tasks]
    return list(client.gather(futures))


def scattered(client: Client, value: object) -> Any:
    """Return `value` as a future that every worker has."""
    return client.scatter(value, broadcast=True)
