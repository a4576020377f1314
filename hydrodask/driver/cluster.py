"""The Dask cluster of a run: workers by address, and steps that run on them."""

import asyncio
import contextlib
import logging
import os
import pkgutil
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import dask
from distributed import Client, KilledWorker, SpecCluster
from distributed.client import FutureCancelledError

from hydrodask.doors import remote
from hydrodask.doors.local import local_cluster
from hydrodask.doors.login import connecting
from hydrodask.driver.leaving import Leaving
from hydrodask.driver.memories import Memories
from hydrodask.errors import (
    ConfigError,
    FatalError,
    RetryableError,
    UnreachableError,
    WorkerLostError,
    kind_and_sentence,
    sentence,
)
from hydrodask.protocol.order import Order
from hydrodask.reports import StepReport
from hydrodask.settings.model import Cluster
from hydrodask.worker.nanny import ENDED
from hydrodask.worker.step import step

CONFIG: Mapping[str, object] = {
    "distributed.scheduler.allowed-failures": 0,  # a dead worker's step comes back at once, as KilledWorker
    "distributed.scheduler.work-stealing": False,  # steps are pinned
    # Heartbeats are told by the system's clock: a jump of it would take every worker for dead. Steps have a limit.
    "distributed.scheduler.worker-ttl": None,
    "distributed.worker.profile.enabled": False,  # samples stacks 100 times a second
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.worker.memory.monitor-interval": "1s",  # ten looks a second cost more than the steps' messages
    "distributed.comm.timeouts.connect": "30s",
    # What a step needs is not Dask's to spill, and a worker that is paused starts no step and says nothing.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # 15 s after a worker died Dask gives up its nanny if the next one has died too, and nobody starts a third.
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.worker.preload": ["hydrodask.worker.preload"],  # Ctrl-C is for the driver
}
"""What a cluster that is started here differs in from Dask's defaults, and why."""

_RESTART_S = 30.0
"""How long a restarted worker is waited for."""

_STARTS = 3
"""Attempts to start a cluster: one in which a worker is killed before it is there ends as a whole."""

_TALKATIVE = ("distributed", "distributed.client", "bokeh", "tornado")
"""Loggers that Dask sets to INFO."""

log = logging.getLogger(__name__)

T = TypeVar("T")

_ORDER = "hydrodask", "protocol/order.py"
"""What drivers and workers have to agree in."""

_ASK_S = 5.0
"""Limit of a question to the scheduler: it may be there, and stand still."""

_AGAIN, _AGAIN_S = 10, 0.1
"""A worker's death is known here before its nanny could tell why: so often it is asked again, so long after."""


class DaskCluster:
    """A cluster, ours or somebody's, as the coordinator sees it."""

    def __init__(self, client: Client, cluster: SpecCluster | None, settings: Cluster | None = None) -> None:
        self._client, self._cluster = client, cluster
        self._leaving = Leaving()
        self._settings = settings
        """How a cluster of others is reached."""
        self._memories = Memories()

    @classmethod
    async def start(
        cls,
        settings: Cluster,
        names: Sequence[str] = (),
        *,
        patience_s: float = remote.CONNECT_S,
        client: Client | None = None,
    ) -> Self:
        """Connect to `settings.address`, or start a cluster on loopback, its dashboard known by `names`, too.

        With somebody's `client` it is the cluster of that, reached as that reaches it.

        Raises UnreachableError, for a scheduler of others once `patience_s` is over, and ConfigError for a login that
        can't be right.
        """
        if client is not None:
            address, security = client.scheduler.address, client.security
            mine = await Client(address, security=security, asynchronous=True, set_as_default=False)
            return cls(mine, None, settings.model_copy(update={"address": address}))
        if settings.address is not None:
            await remote.wait(settings, patience_s)
            return await cls.connect(settings)
        dask.config.set(CONFIG)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        # Numerical libraries must not start threads of their own in each worker.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        cluster = await _local(settings, names)
        return cls(await Client(cluster, asynchronous=True, set_as_default=False), cluster)

    @classmethod
    async def connect(cls, settings: Cluster) -> Self:
        """Connect to the scheduler at `settings.address`."""
        return cls(await _client(settings), None, settings)

    @property
    def dashboard(self) -> str:
        """Return the address of the dashboard, or nothing when there is none."""
        return str(self._client.dashboard_link or "")

    async def workers(self) -> list[str]:
        """Return the addresses of the workers that are there, or about to leave. Raises UnreachableError."""
        if self._cluster is not None:
            known = self._cluster.scheduler.identity()["workers"]  # in this process: no message
            return await self._leaving.beside(self._memories.see(known))
        if self._client.status != "running":
            await self._come_back()
        try:
            identity = await asyncio.wait_for(self._client.scheduler.identity(n_workers=-1), _ASK_S)
        except (OSError, TimeoutError) as error:
            raise UnreachableError(f"the Dask scheduler does not answer: {sentence(error)}") from error
        return await self._leaving.beside(self._memories.see(identity["workers"]))

    async def _come_back(self) -> None:
        """Connect anew to a scheduler that was lost. Raises UnreachableError.

        Dask's client tries less and less often, and gives up for good. What it had in flight is lost either way.
        """
        assert self._settings is not None  # noqa: S101  # one of ours lives in this process
        with contextlib.suppress(OSError, TimeoutError):
            await self._client.close(timeout=1)
        try:
            self._client = await _client(self._settings, timeout_s=_ASK_S)
        except ConfigError as error:  # a login that has been right before: it is on its way down, or up
            raise UnreachableError(f"the Dask scheduler was lost: {error}") from error
        log.warning("the Dask scheduler at %s was lost, and is there again", self._settings.address)

    def paused(self) -> Mapping[str, str]:
        """Return who of the workers starts no step for want of memory, and what to do about it."""
        return self._memories.paused()

    async def memory(self, worker: str, *, died: bool = False) -> str:
        """Say what is wrong with a worker's memory, also of one that `died`; nothing if all is well. Never raises."""
        if died and self._cluster is None and self._client.status == "running":  # nannies of ours tell nothing late
            for _ in range(_AGAIN):
                if said := await self._memory(worker):
                    return said
                await asyncio.sleep(_AGAIN_S)
        return await self._memory(worker)

    async def _memory(self, worker: str) -> str:
        ended: Sequence[tuple[float, Mapping[str, Any]]] = ()
        with contextlib.suppress(Exception):  # what is not known is not said; a client that was closed has no scheduler
            ended = await asyncio.wait_for(self._client.get_events(ENDED), _ASK_S)
        return self._memories.of(worker, [event for _, event in ended])

    async def step(self, worker: str, order: Order) -> StepReport:
        """Run one step on `worker`. Raises WorkerLostError when it goes away, or what the step raises.

        Raises FatalError for a worker of another release, when it is to greet.
        """
        if order.mode == "greet":
            await self._know(worker)
        return await self._run(worker, told_apart, step, order)  # type: ignore[no-any-return]

    async def _know(self, worker: str) -> None:
        """Look whether a worker has this release: one that can't read an order closes without an answer.

        Asked is a function of Python's own, which a worker of any release can call.
        """
        try:
            theirs = await self._run(worker, pkgutil.get_data, *_ORDER)
        except (ImportError, FileNotFoundError):
            theirs = None
        if theirs != pkgutil.get_data(*_ORDER):
            raise FatalError(
                f"worker {worker} has another release of hydrodask than this driver, or none, and can't take its "
                "orders; install this one there, start that worker again, then this run"
            )

    async def _run(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Any:
        key = f"step-{uuid.uuid4().hex}"  # `name-hash`: other patterns grow the scheduler's table of prefixes
        future = self._client.submit(
            function, *arguments, key=key, workers=[worker], allow_other_workers=False, pure=False, retries=0
        )
        # Dask fetches results of several steps together, and whoever is cancelled meanwhile would cancel that for all.
        waiting = asyncio.ensure_future(future)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else looks at it then
        try:
            return await asyncio.shield(waiting)
        except FileNotFoundError:
            raise
        except KilledWorker as error:  # whose text is for people who start tasks by hand
            raise WorkerLostError(f"worker {worker} died during a step") from error
        except (FutureCancelledError, OSError) as error:
            raise WorkerLostError(f"worker {worker} went away during a step: {sentence(error)}") from error
        finally:
            future.release()

    async def each(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> AsyncIterator[Any]:
        """Yield what `function` returns for each of `arguments`, in their order, computed on all workers.

        Raises what it raises, and WorkerLostError when workers went away more than twice with one of them.
        """
        name = f"each-{uuid.uuid4().hex}"
        futures = [
            self._client.submit(told_apart, function, *given, key=(name, place), pure=False, retries=2)
            for place, given in enumerate(arguments)
        ]
        try:
            for future in futures:
                yield await future
        except (KilledWorker, FutureCancelledError, OSError) as error:
            raise WorkerLostError(f"a worker went away with {function.__name__}: {sentence(error)}") from error
        finally:
            for future in futures:
                future.release()

    async def restart(self, worker: str) -> None:
        """End a worker that does not come back from a step; its nanny, if it has one, starts another. Never raises."""
        # It may be gone, have no nanny, or take too long: each is another error of Dask's, and none is one of ours.
        with contextlib.suppress(Exception):
            await self._client.restart_workers([worker], timeout=_RESTART_S, raise_for_error=False)

    async def log_event(self, topic: str, message: dict[str, Any]) -> None:
        """Leave a message with the scheduler, for pages; `topic` comes from a fixed set."""
        with contextlib.suppress(OSError, TimeoutError):
            await self._client.log_event(topic, message)

    async def close(self) -> None:
        """Let go of the cluster, and stop it if it is ours. Never raises."""
        # All is committed. Of a worker that is just being started again Dask says AssertionError, or RuntimeError.
        with contextlib.suppress(Exception):
            await self._client.close(timeout=5)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                await self._cluster.close(timeout=10)


async def _client(settings: Cluster, *, timeout_s: float = remote.CONNECT_S) -> Client:
    """Return a client of a scheduler of others. Raises UnreachableError and ConfigError."""
    settings = await remote.find(settings)
    await remote.workers(settings, timeout_s=timeout_s)
    with connecting(settings):
        return await remote.client(settings, asynchronous=True, set_as_default=False)


def told_apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function on a worker. Raises RetryableError for an OSError of its own: that of a connection is Dask's."""
    try:
        return function(*arguments)
    except OSError as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{function.__name__} failed in {where.filename.rpartition('/')[2]}:{where.lineno}"
        raise RetryableError(f"{what}: {kind_and_sentence(error)}") from error


async def _local(settings: Cluster, names: Sequence[str]) -> SpecCluster:
    """Start a cluster on loopback, again if a worker dies meanwhile. Raises UnreachableError."""
    attempt = 1
    while True:
        cluster = local_cluster(
            settings,
            workers=settings.workers,
            dashboard=settings.dashboard,
            names=names,
            asynchronous=True,
            silence_logs=logging.ERROR,
        )
        try:
            return await cluster
        except (OSError, TimeoutError, RuntimeError) as error:
            await cluster.close()
            what = f"could not start a Dask cluster here (attempt {attempt} of {_STARTS}): {sentence(error)}"
            if attempt == _STARTS:
                raise UnreachableError(what) from error
            log.warning("%s", what)
            attempt += 1
