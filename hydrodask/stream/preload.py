"""The former name of `hydrodask.worker.preload`, for workers of others that are still started with it."""

import logging

from hydrodask.worker.preload import dask_setup, dask_teardown

__all__ = ["dask_setup", "dask_teardown"]

logging.getLogger(__name__).warning(
    "--preload hydrodask.stream.preload is hydrodask.worker.preload now; this name goes with a later release"
)
