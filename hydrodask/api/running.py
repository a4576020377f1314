"""A platform that runs beside a script or a notebook, in a thread with an event loop of its own."""

import asyncio
import multiprocessing
import threading
from types import TracebackType
from typing import Any, Self

from hydrodask.doctor import free_ports, go_on, named, places
from hydrodask.errors import ConfigError, UsageError
from hydrodask.reports import Overview
from hydrodask.run.datadir import DataDir
from hydrodask.run.platform import Platform
from hydrodask.run.views import notifying, serving
from hydrodask.settings import Settings

STOP_S = 120.0
_ANY_PORT = "127.0.0.1:0"
_HERE = ("tcp://127.", "tls://127.", "tcp://localhost", "inproc://")
"""How addresses of clusters on this machine begin."""


class Running:
    """A platform from the beginning of its block to the end, where it is stopped cleanly. `notes` are what it said."""

    def __init__(self, settings: Settings, client: Any, *, seconds: float | None, until_idle: bool) -> None:
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
        self._there = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="hydrodask", daemon=True)

    @property
    def overview(self) -> Overview:
        """Everything that is known by now."""
        if self._platform is None:
            raise UsageError("the platform does not run: use it as `with opened.running() as run:`")
        return self._platform.overview

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended by itself, see `seconds` and `until_idle`; say whether it has. Raises its error."""
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself tells it
            raise UsageError(
                "a worker process imports the script that has started it, and came to a platform's start there: put "
                'what the script does below `if __name__ == "__main__":`'
            )
        self._thread.start()
        self._there.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._platform is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._platform.stopping.set)
        self._thread.join(STOP_S + 2 * self.settings.step.time_max)
        if self._error is not None and error is None:
            raise self._error

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._error = error
        finally:
            self._there.set()

    async def _run(self) -> None:
        go_on(named(self.settings), self.notes.append)
        with DataDir(self.settings.data_dir):
            platform = Platform(self.settings, client=self._client)
            go_on(free_ports(self.settings), self.notes.append)
            with serving(platform):
                await asyncio.to_thread(go_on, places(self.settings, at_run=True), self.notes.append)
                async with platform.started(self.notes.append):
                    self._platform, self._loop = platform, asyncio.get_running_loop()
                    self._there.set()
                    with notifying(platform):
                        await platform.run(seconds=self._seconds, until_idle=self._until_idle)
