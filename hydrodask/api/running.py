"""A platform that runs beside a script or a notebook, in a thread with an event loop of its own."""

import asyncio
import contextlib
import threading
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from hydrodask.doctor import free_ports, go_on, named, places
from hydrodask.doors.local import no_import_of_a_worker
from hydrodask.errors import ConfigError, FatalError, UsageError
from hydrodask.reports import Overview
from hydrodask.run.datadir import DataDir
from hydrodask.run.platform import Platform
from hydrodask.run.views import notifying, serving
from hydrodask.settings import Settings

STOP_S = 120.0
_ANY_PORT = "127.0.0.1:0"
_HERE = ("tcp://127.", "tls://127.", "tcp://localhost", "inproc://")
"""How addresses of clusters on this machine begin."""

_USE = "use it as `with opened.running() as run:`"


class Running:
    """A platform from the beginning of its block to the end, where it is stopped cleanly. `notes` are what it said."""

    def __init__(self, settings: Settings, client: Any, *, seconds: float | None, until_idle: bool) -> None:
        _check(client, seconds, until_idle)
        if client is not None and settings.kafka.embedded and not client.scheduler.address.startswith(_HERE):
            raise ConfigError(
                f"kafka.embedded is true, and the client's cluster is at {client.scheduler.address}: the embedded "
                "broker is of this machine; set kafka__embedded=False and kafka__bootstrap"
            )
        if client is not None:  # which has, or has not, a dashboard of its own
            settings = settings.model_copy(
                update={"cluster": settings.cluster.model_copy(update={"dashboard": _ANY_PORT})}
            )
        self.settings = settings
        self.notes: list[str] = []
        self._client, self._seconds, self._until_idle = client, seconds, until_idle
        self._platform: Platform | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._unwanted = False
        self._there = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="hydrodask", daemon=True)

    @property
    def overview(self) -> Overview:
        """Everything that is known by now; of one that has ended, what was known then."""
        if self._platform is None:
            raise UsageError(f"the platform does not run: {_USE}")
        overview = self._platform.overview
        if self._thread.is_alive():
            return overview
        return replace(overview, state="stopped" if self._error is None else "failed")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended by itself, see `seconds` and `until_idle`; say whether it has. Raises its error."""
        if self._thread.ident is None:
            raise UsageError(f"the platform does not run: {_USE}")
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        no_import_of_a_worker("a platform's start")
        if self._thread.ident is not None:
            raise UsageError("a platform runs once: begin another one with `opened.running()`")
        try:
            self._thread.start()
            self._there.wait()
        except BaseException as error:  # Ctrl-C: no block begins, so nobody else would stop it
            self._stop(error)
            raise
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop(error)
        if self._error is not None and error is None:
            raise self._error

    def _stop(self, error: BaseException | None) -> None:
        """Stop it and wait for its end. Raises FatalError when that takes too long; an `error` gets a note of it."""
        self._unwanted = True  # a thread that has not begun ends by itself
        if self._thread.ident is None:
            return
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._end)
        limit_s = STOP_S + 2 * self.settings.step.time_max
        self._thread.join(limit_s)
        if not self._thread.is_alive():
            return
        said = f"the platform did not stop within {limit_s:g} s, and ends with this process"
        if error is None:
            raise FatalError(f"{said}; what is not committed is done again by the next run")
        error.add_note(said)

    def _end(self) -> None:
        """Let a platform that runs commit and stop, and give up one that still starts. To be called in its loop."""
        if self._there.is_set() and self._platform is not None:
            self._platform.stopping.set()
        elif self._task is not None:
            self._task.cancel()

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._error = error
        finally:
            self._there.set()

    async def _run(self) -> None:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        if self._unwanted:
            return
        go_on(named(self.settings), self.notes.append)
        with DataDir(self.settings.data_dir):
            platform = Platform(self.settings, client=self._client)
            go_on(free_ports(self.settings), self.notes.append)
            with serving(platform):
                await asyncio.to_thread(go_on, places(self.settings, at_run=True), self.notes.append)
                async with platform.started(self.notes.append):
                    self._platform = platform
                    self._there.set()
                    with notifying(platform):
                        await platform.run(seconds=self._seconds, until_idle=self._until_idle)


def _check(client: object, seconds: object, until_idle: object) -> None:
    """Raise UsageError for what can't be meant, before anything is started."""
    if client is not None and not isinstance(getattr(getattr(client, "scheduler", None), "address", None), str):
        raise UsageError(
            f"client has value {client!r}; want a dask.distributed.Client that is connected, or the scheduler's "
            "address as setting cluster__address"
        )
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and seconds > 0):  # type: ignore[operator]
        raise UsageError(f"seconds has value {seconds!r}; want a number above 0, or None")
    if not isinstance(until_idle, bool):
        raise UsageError(f"until_idle has value {until_idle!r}; want True or False")
