"""Plain lines instead of the live view: for pipes, logs and services.

A line every five seconds says how things are; an incident that opens or resolves is a line at once, and so is a
note of the engine.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from hydrodask import clock, logs
from hydrodask.background import Aside
from hydrodask.clock import Zone
from hydrodask.episodes import DocumentFinder
from hydrodask.observe.beginning import beginning
from hydrodask.observe.figures import Figures, Newest
from hydrodask.observe.news import DocumentWatch
from hydrodask.observe.styled import plain
from hydrodask.observe.wording import amount, reasons_text, span
from hydrodask.records import PartitionId
from hydrodask.reports import Overview, kind_of
from hydrodask.settings import Settings

POLL_S = 1.0
LINE_EVERY = 5
"""A line of figures comes with each so many polls."""

CLOSE_S_MAX = 5.0
TROUBLED_MAX = 4
"""Partitions in trouble that get a line, each time their state changes."""

log = logging.getLogger(__name__)


class Lines:
    """Writes lines until the block ends.

    `write` takes one line without its end; the default is stdout. A reader who has gone away ends
    the lines, not the run, see `Aside`. `kernels`: how many of how many kernels workers have compiled, if they do.
    """

    def __init__(
        self,
        overview: Callable[[], Overview],
        documents: DocumentFinder,
        settings: Settings,
        *,
        write: Callable[[str], None] | None = None,
        now_us: Callable[[], int] = clock.now_us,
        next_steps: Mapping[str, str] = MappingProxyType({}),
        kernels: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._newest = Newest(overview, settings.topics.prefix, settings.observe.rigs_max)
        self._watch, self._zone = DocumentWatch(documents), Zone(settings.observe.timezone)
        self._write = write or (logs.say if logs.are_json() else to_stdout)
        self._now_us = now_us
        self._ticks = 0
        self._next_steps = next_steps
        self._kernels = kernels
        self._states: dict[PartitionId, str] = {}
        self._noted: list[str] = []
        self._kinds: set[str] = set()
        self._stop = threading.Event()
        self.thread = Aside("plain lines", self._run, self._stop)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self.thread.join(CLOSE_S_MAX)
        self._ticks = 0
        try:
            self.tick()
            told = "; ".join(f"{what}: {command}" for what, command in self._next_steps.items())
            self._write(plain(f"{'stopped' if error is None else 'failed'}. {told}".strip()))
        except Exception as late:  # how the run has ended matters more than its last line
            log.info("the last line could not be written: %s", late)

    def tick(self) -> None:
        """Write what is new, and the figures if it is time."""
        for news in self._watch.poll():
            self._write(plain(news.said(self._zone)))
        for text in self._changes():
            self._write(plain(text))
        if self._ticks % LINE_EVERY == 0:
            self._figures(self._newest(), self._now_us())
        for text in (*self._notes(), *self._reasons()):
            self._write(plain(text))
        self._ticks += 1

    def _figures(self, figures: Figures, now_us: int) -> None:
        line = beginning(figures.overview, None if self._kernels is None else self._kernels())
        line = line or figures_line(figures, self._watch.open_count, now_us)
        if self._write is logs.say:
            logs.say(line, figures_fields(figures, now_us))
        else:
            self._write(line)

    def _notes(self) -> list[str]:
        """Return the notes that are new: what was ignored at a start, which slot was lost."""
        before, self._noted = self._noted, self._newest().overview.notes
        return [note for note in self._noted if note not in before]

    def _reasons(self) -> list[str]:
        """Return a line with the commonest reasons of dead letters, when they are others than before."""
        before, self._kinds = self._kinds, {kind_of(reason) for reason, _ in self._newest().reasons}
        return [f"dead letters: {reasons_text(self._newest().reasons)}"] if self._kinds - before else []

    def _changes(self) -> list[str]:
        """Return a line for each partition whose trouble is new or over."""
        before, troubled = self._states, self._newest().troubled
        self._states = {(part.topic, part.partition): part.state for part in troubled}
        fresh = [p for p in troubled if before.get((p.topic, p.partition)) != p.state]
        texts = [f"{p.topic}/{p.partition} {p.state}: {p.advice}" for p in fresh[:TROUBLED_MAX]]
        if len(fresh) > TROUBLED_MAX:
            texts.append(f"{len(fresh) - TROUBLED_MAX} more partitions in trouble: hydrodask status")
        if before and not self._states:
            texts.append("all partitions work again")
        return texts

    def _run(self) -> None:
        while not self._stop.is_set():
            self.tick()
            self._stop.wait(POLL_S)


def figures_line(figures: Figures, open_count: str, now_us: int) -> str:
    """Return one line that says how things are."""
    overview = figures.overview
    progress = "" if overview.progress is None else f", {overview.progress:.0%} of the source"
    return (
        f"{plain(overview.state)}: {amount(overview.records)} records, "
        f"{amount(overview.records_per_s)}/s, lag {amount(figures.lag)} "
        f"({span(figures.lag_s(now_us))}), watermark -{span(figures.delay_s)}, "
        f"late {amount(overview.total('late'))}, dead {amount(overview.total('dead'))}, "
        f"{open_count} open incidents, {len(overview.workers)} workers{progress}"
    )


def figures_fields(figures: Figures, now_us: int) -> dict[str, object]:
    """Return the same for programs."""
    overview = figures.overview
    return {
        "state": overview.state,
        "records": overview.records,
        "records_per_s": overview.records_per_s,
        "lag_records": figures.lag,
        "lag_s": figures.lag_s(now_us),
        "late": overview.total("late"),
        "dead": overview.total("dead"),
        "workers": len(overview.workers),
    }


def to_stdout(line: str) -> None:
    """Write one line to stdout at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
