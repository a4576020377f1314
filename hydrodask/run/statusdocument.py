"""The status document of a run, kept fresh beside it; and whoever else works beside it, so that none ends unheard."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from hydrodask import clock
from hydrodask.errors import HydrodaskError, kind_and_sentence
from hydrodask.observe.status import outdated, places_of, status_document
from hydrodask.records import Upsert

if TYPE_CHECKING:
    from hydrodask.run.platform import Platform

STATUS_EVERY_S = 2.0

log = logging.getLogger(__name__)


class Beside(Protocol):
    """Something without which the run goes on, by the name that people know it by."""

    @property
    def name(self) -> str:
        """What it is."""

    @property
    def trouble(self) -> str:
        """What has ended it, or keeps it from working; nothing while it works, and after it was told to stop."""


class Minder:
    """Looks after those beside a run. `note` gets a sentence for each new trouble."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._told: dict[str, str] = {}

    def look(self, beside: Sequence[Beside]) -> None:
        """Say what is wrong now and was not at the last look."""
        for one in beside:
            if one.trouble and one.trouble != self._told.get(one.name):
                log.warning("%s: %s", one.name, one.trouble)
                self._note(f"{one.name}: {one.trouble}; the run goes on")
            self._told[one.name] = one.trouble


class Teller:
    """Writes the status document of a platform. A store that refuses, or a bug here, must not stop the run."""

    name = "status document"

    def __init__(self, platform: "Platform") -> None:
        self.trouble = ""
        self._platform = platform
        self._slots = 0
        self._turn = threading.Lock()
        self._over = False
        self._written_us = 0

    async def run(self) -> None:
        """Write every `STATUS_EVERY_S`, until it is cancelled."""
        await asyncio.to_thread(self._safely, self._forget_runs)
        while True:
            begun_s = clock.monotonic_s()
            await asyncio.to_thread(self.write, None)
            await asyncio.sleep(begun_s + STATUS_EVERY_S - clock.monotonic_s())

    def write(self, state: str | None) -> None:
        """Write once; the last time with how the run has ended."""
        with self._turn:  # a slow thread of `run` may begin or write last, and must not win over the end
            if state is None and self._over:
                return
            self._over = state is not None
            now_us = self._written_us = max(clock.now_us(), self._written_us + 1)  # the clock may be set back
        self._safely(lambda: self._write(state, now_us))
        if state is not None and self.trouble:
            log.warning("%s: %s", self.name, self.trouble)  # nobody looks after it any more

    def _write(self, state: str | None, now_us: int) -> None:
        platform = self._platform
        overview = platform.coordinator.tracker.overview
        shown = overview if state is None else replace(overview, state=state)
        body = status_document(shown, now_us=now_us, links=platform.links, places=places_of(platform.settings))
        self._slots = max([self._slots, *(slot + 1 for slot in overview.workers.values())])
        body |= {"group": platform.settings.kafka.group, "slots": self._slots}
        platform.documents.write([Upsert("status", platform.run_id, now_us, body)])

    def _forget_runs(self) -> None:
        """Remove what long-gone runs of this group have left; their slots are fenced by now, see `Platform.started`."""
        documents = self._platform.documents
        documents.write(outdated(documents, self._platform.settings.kafka.group))

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except HydrodaskError as error:
            self.trouble = f"could not be written: {error}"
        except Exception as error:
            log.debug("a bug", exc_info=True)
            self.trouble = f"could not be written: {kind_and_sentence(error)}"
        else:
            self.trouble = ""
