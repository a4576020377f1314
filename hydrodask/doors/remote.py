"""A client of a Dask cluster of others, which knows us by our login.

The scheduler is asked who it is before there is a client: one that has not come in leaves tasks behind, and traces.
"""

import asyncio
from typing import Any

from distributed import Client
from distributed.comm import connect
from distributed.security import Security

from hydrodask.doors.login import connecting, dask_settings
from hydrodask.errors import ConfigError
from hydrodask.settings.model import Cluster

CONNECT_S = 20.0
"""How long a scheduler is waited for."""


def client(settings: Cluster, **options: Any) -> Client:
    """Return a client of the scheduler at `settings.address`, for use after `workers` and inside of `connecting`."""
    return Client(settings.address, security=Security(**dask_settings(settings)), timeout=CONNECT_S, **options)


async def workers(settings: Cluster, *, timeout_s: float = CONNECT_S) -> int:
    """Return how many workers the scheduler has. Raises ConfigError and UnreachableError, with a sentence."""
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
