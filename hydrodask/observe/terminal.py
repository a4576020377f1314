"""The live terminal view: a picture a second on the terminal's other screen, the last one kept.

Takes the overview and the documents from a thread of its own; nothing waits for it. While it is
shown, log messages appear in it; they are repeated on stderr when it closes.
"""

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType, TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.clock import Zone
from hydrodask.episodes import DocumentFinder
from hydrodask.observe.figures import Newest
from hydrodask.observe.keyboard import Choice, Keyboard
from hydrodask.observe.news import DocumentWatch
from hydrodask.observe.screen import TREND_WIDTH, Scene, picture
from hydrodask.observe.status import places_of
from hydrodask.observe.styled import ASCII, Row
from hydrodask.redaction import redacted
from hydrodask.reports import Overview
from hydrodask.settings import Settings

REFRESH_S = 1.0
POLL_EVERY = 2
"""Documents are read at each so many refreshes."""

CLOSE_S_MAX = 5.0
MESSAGES_MAX = 200
"""Log messages that are kept until the view closes."""

log = logging.getLogger(__name__)


class Frame:
    """Rows as a renderable of rich, without measuring or wrapping."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments."""
        narrow = options.ascii_only
        for row in self._rows:
            for text, style in row:
                yield Segment(text.translate(ASCII) if narrow else text, parsed(style))
            yield Segment.line()


@lru_cache(maxsize=64)
def parsed(style: str) -> Style:
    """Return the style of that name."""
    return Style.parse(style)


class Trends:
    """The last means of each rig and sensor, one for each new window."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], deque[float]] = {}
        self._ends: dict[tuple[str, str], int] = {}

    def add(self, newest: Newest) -> None:
        """Take the newest readings in; rigs that are not shown any more are forgotten."""
        readings = newest().readings
        for key, reading in readings.items():
            if self._ends.get(key) != reading.end_us:
                self._ends[key] = reading.end_us
                self.values.setdefault(key, deque(maxlen=TREND_WIDTH)).append(reading.avg)
        for key in self.values.keys() - readings.keys():
            del self.values[key], self._ends[key]


class LiveView:
    """Shows the platform until the block ends. `links` are addresses by name, `kernels` as for `Lines`.

    Notes
    -----
    Errors end the view; they never stop the run, see `Aside`.
    """

    def __init__(
        self,
        overview: Callable[[], Overview],
        documents: DocumentFinder,
        settings: Settings,
        links: Mapping[str, str],
        *,
        console: Console | None = None,
        next_steps: Mapping[str, str] = MappingProxyType({}),
        kernels: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._newest = Newest(overview, settings.topics.prefix, settings.observe.rigs_max)
        self._watch = DocumentWatch(documents)
        self._links = links
        self._places = places_of(settings)
        self._console = console or Console()
        self._trends = Trends()
        self._choice, self._zone = Choice(), Zone(settings.observe.timezone)
        self._window_s, self._limits = settings.window.length, settings.observe.health
        self._next_steps, self._ended = next_steps, ""
        self._kernels = kernels
        self._keyboard = Keyboard()
        self._ticks = 0
        self._logs = HeldLogs()
        self._stop = threading.Event()
        self.thread = Aside("live view", self._run, self._stop)
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._logs.hold()
        self._live.start()
        self._keyboard.__enter__()
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
        self._keyboard.__exit__(None, None, None)
        self._ended = "stopped" if error is None else "failed"
        self._safely(self._live.stop)
        self._logs.let_go()
        self._safely(self._leave)

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the picture of this moment."""
        return picture(self._scene(), width, height)

    def _scene(self) -> Scene:
        return Scene(
            self._newest(),
            self._watch,
            clock.now_us(),
            self._links,
            self._places,
            self._trends.values,
            list(self._logs.texts),
            self._choice,
            self._zone,
            self._window_s,
            self._ended,
            self._next_steps,
            self._limits,
            None if self._kernels is None else self._kernels(),
        )

    def refresh(self) -> None:
        """Look and draw once."""
        self._trends.add(self._newest)
        if self._choice.held and not self._choice.help:
            return
        if self._ticks % POLL_EVERY == 0:
            self._watch.poll()
        self._ticks += 1
        self._draw()

    def _draw(self) -> None:
        width, height = self._console.size
        self._live.update(Frame(self.rows(width, height)), refresh=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.refresh()
            key = self._keyboard.wait(REFRESH_S, self._stop)
            if key and not self._stop.is_set():
                self.press(key)

    def press(self, key: str) -> None:
        """Take a key, and draw what it has changed at once: also a picture that is held from now on."""
        scene = self._scene()
        self._choice.press(key, scene.figures.rigs, scene.rig)
        self._draw()

    def _leave(self) -> None:
        """Print the last picture on the normal screen, where people can read it."""
        self._watch.poll()
        self._choice = Choice()
        width, height = self._console.size
        self._console.print(Frame(self.rows(width, height - 1)), end="")

    def _safely(self, act: Callable[[], object]) -> bool:
        """Return whether `act` worked: a picture is no reason to end a run."""
        try:
            act()
        except Exception:
            # A terminal that went away, or a bug here.
            log.exception("the live view has ended; the run goes on")
            return False
        return True


class HeldLogs(logging.Handler):
    """Keeps log messages off the terminal while the view is on it, and repeats them afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: deque[str] = deque(maxlen=2)
        self._records: deque[logging.LogRecord] = deque(maxlen=MESSAGES_MAX)
        self._moved: list[logging.Handler] = []

    def hold(self) -> None:
        """Take the place of the root logger's handlers that write to a terminal."""
        root = logging.getLogger()
        self._moved = [handler for handler in root.handlers if on_terminal(handler)]
        for handler in self._moved:
            root.removeHandler(handler)
        root.addHandler(self)

    def let_go(self) -> None:
        """Put the handlers back and give them what was kept."""
        root = logging.getLogger()
        root.removeHandler(self)
        for handler in self._moved:
            root.addHandler(handler)
            for record in self._records:
                if record.levelno >= handler.level:
                    handler.handle(record)
        self._moved = []
        self._records.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self._records.append(record)
        if record.levelno >= logging.WARNING:
            self.texts.append(redacted(record.getMessage()))


def on_terminal(handler: logging.Handler) -> bool:
    """Return whether a handler writes to a terminal."""
    stream = getattr(handler, "stream", None)
    return stream is not None and (
        stream in (sys.stderr, sys.stdout) or (hasattr(stream, "fileno") and _is_tty(stream))
    )


def _is_tty(stream: object) -> bool:
    try:
        return os.isatty(stream.fileno())  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return False
