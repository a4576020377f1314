"""A client of a Dask cluster of others, which knows us by our login.

The scheduler is asked who it is before there is a client: one that has not come in leaves tasks behind, and traces.
"""

import asyncio
import contextlib
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from distributed import Client, versions
from distributed.comm import connect
from distributed.security import Security

from hydrodask import clock
from hydrodask.doors.daskclusters import located, named
from hydrodask.doors.login import connecting, dask_settings, encrypted
from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.settings.model import Cluster

CONNECT_S = 20.0
"""How long one that is there may take to let us in, and how long one is waited for unless somebody has said."""

ATTEMPT_S = 5.0
"""How long one attempt may take; Dask tries less and less often within it."""

EVERY_S = 1.0

log = logging.getLogger(__name__)


async def find(settings: Cluster) -> Cluster:
    """Return the settings with the address of the scheduler, also of one that they only name; see `daskclusters`.

    Raises ConfigError and UnreachableError.
    """
    if settings.address is None or named(settings.address) is None:
        return settings
    scheme = "tls" if encrypted(settings) else "tcp"
    address = await asyncio.to_thread(located, settings.address, scheme)
    return settings.model_copy(update={"address": address})


def client(settings: Cluster, **options: Any) -> Client:
    """Return a client of the scheduler at `settings.address`, for use after `workers` and inside of `connecting`."""
    # Whose versions differ, and whether that matters, a run and `doctor` say in a sentence; Dask prints a table.
    warnings.simplefilter("ignore", versions.VersionMismatchWarning)
    return Client(settings.address, security=Security(**dask_settings(settings)), timeout=CONNECT_S, **options)


async def workers(settings: Cluster, *, timeout_s: float = CONNECT_S) -> int:
    """Return how many workers the scheduler has. Raises ConfigError and UnreachableError, with a sentence."""
    settings = await find(settings)
    login = Security(**dask_settings(settings)).get_connection_args("client")
    with connecting(settings):
        comm = await connect(settings.address, timeout=timeout_s, **login)
        try:
            await comm.write({"op": "identity", "reply": True})
            identity = await asyncio.wait_for(comm.read(), timeout_s)
        finally:
            comm.abort()
        if identity.get("type") != "Scheduler":
            raise ConfigError(
                f"cluster.address has value {settings.address!r}: there is a {identity.get('type')}, no Scheduler"
            )
        return len(identity["workers"])


@asynccontextmanager
async def visiting(settings: Cluster) -> AsyncIterator[Client]:
    """Give a client for a few questions. Raises ConfigError and UnreachableError, with a sentence."""
    settings = await find(settings)
    await workers(settings)
    with connecting(settings):
        visitor = await client(settings, asynchronous=True, set_as_default=False)
    try:
        yield visitor
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            await visitor.close(timeout=ATTEMPT_S)


def version(package: str) -> str:
    """Return the version of one of Dask's packages here, as it tells it to others."""
    return str(versions.get_package_info([package])[package])


async def wait(settings: Cluster, patience_s: float = CONNECT_S, *, for_worker: bool = False) -> None:
    """Wait until the scheduler answers, and has a worker if one is needed; say once what is waited for.

    Raises ConfigError at once, and UnreachableError once patience is over.
    """
    end_s, said = clock.monotonic_s() + patience_s, False
    while True:
        missing = UnreachableError(f"the Dask cluster at {settings.address} has no worker")
        try:
            if await workers(settings, timeout_s=min(ATTEMPT_S, patience_s)) or not for_worker:
                return
        except UnreachableError as error:
            missing = error
        if clock.monotonic_s() >= end_s:
            raise UnreachableError(f"gave up after {patience_s:.0f} s (step.patience): {missing}") from missing
        if not said:
            log.warning("%s; it is waited for, for %.0f s at most (step.patience)", missing, patience_s)
        said = True
        await asyncio.sleep(EVERY_S)
