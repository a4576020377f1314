"""The Dask cluster that trains and scores batches: with `stream/cluster`, the only importer of distributed."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster

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
    """Connect to `cluster.address`, or start `learn.workers` processes here. Raises UnreachableError."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for name in ("distributed", "distributed.client", "bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with dask.config.set(CONFIG):
        cluster = None
        try:
            if settings.cluster.address is None:
                cluster = LocalCluster(
                    n_workers=settings.learn.workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    memory_limit=settings.cluster.memory_limit,
                    silence_logs=logging.CRITICAL,
                )
            client = Client(cluster or settings.cluster.address, timeout=20)
        except (OSError, TimeoutError, ValueError) as error:
            raise UnreachableError(f"could not reach a Dask cluster to train on: {sentence(error)}") from error
        try:
            yield client
        finally:
            client.close()
            if cluster is not None:
                cluster.close(timeout=10)


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
