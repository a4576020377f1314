"""Keys of the live view: what was pressed, and what one looks at since. Ctrl-C stays the terminal's."""

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

TABS = ("all", "incidents", "anomalies", "components", "notes")
SORTS = ("order", "health", "late")

HELP = (
    ("n p", "next and previous rig; also the arrows"),
    ("w", "the worst rig again, whichever it is"),
    ("tab", "all, incidents, anomalies, components, notes"),
    ("s", "sensors in their order, worst first, most late first"),
    ("space", "hold the picture, and go on"),
    ("?", "this help, and away with it"),
    ("Ctrl-C", "stop the run cleanly"),
)

_ARROWS = {"\x1b[C": "n", "\x1b[B": "n", "\x1b[D": "p", "\x1b[A": "p", "\x1b[Z": "\t", "h": "?"}


@dataclass(slots=True)
class Choice:
    """What one looks at: a rig (None: the worst), a tab, an order of sensors; whether the picture is held."""

    rig: str | None = None
    tab: str = TABS[0]
    sort: str = SORTS[0]
    held: bool = False
    help: bool = False

    def press(self, key: str, rigs: Sequence[str], shown: str | None) -> None:
        """Take a key; `rigs` are those that there are, `shown` the one in the picture.

        >>> choice = Choice()
        >>> choice.press("n", ["a", "b"], "a"), choice.press("s", [], None), choice.rig, choice.sort
        (None, None, 'b', 'health')
        """
        key = _ARROWS.get(key, key)
        if key in ("n", "p") and rigs:
            place = rigs.index(shown) if shown in rigs else -1
            self.rig = rigs[(place + (1 if key == "n" else -1)) % len(rigs)]
        elif key == "w":
            self.rig = None
        elif key == "\t":
            self.tab = _after(TABS, self.tab)
        elif key == "s":
            self.sort = _after(SORTS, self.sort)
        elif key == " ":
            self.held = not self.held
        elif key == "?":
            self.help = not self.help


def _after(names: Sequence[str], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]


class Keyboard:
    """The terminal's keys while the block lasts, one at a time and without echo; none where there is no terminal."""

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stdin if stream is None else stream
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        self._take()
        return self

    def _take(self) -> bool:
        """Say whether keys are ours, and let them come one at a time: `fg` brings echo back, and need not say so."""
        try:
            fd = self._stream.fileno()
            if not os.isatty(fd) or not _in_front(fd):
                return False
            mode = termios.tcgetattr(fd)
            self._before = self._before or mode
            if mode[3] & (termios.ECHO | termios.ICANON):
                tty.setcbreak(fd, termios.TCSANOW)
        except (OSError, ValueError, AttributeError, termios.error):
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            with contextlib.suppress(OSError, ValueError, termios.error):  # it has gone away
                if _in_front(fd := self._stream.fileno()):
                    termios.tcsetattr(fd, termios.TCSANOW, self._before)
            self._before = None

    def wait(self, seconds: float, stop: threading.Event) -> str:
        """Return the key that is pressed within so many seconds, nothing if none is. Returns late after a stop."""
        if not self._take():
            return _idle(stop, seconds)
        fd = self._stream.fileno()
        ready, _, _ = select.select([fd], [], [], seconds)
        if not ready or not _in_front(fd):
            return "" if not ready else _idle(stop, seconds)
        text = os.read(fd, 8).decode(errors="replace")
        return text if text.startswith("\x1b") else text[:1] or _idle(stop, seconds)


def _in_front(fd: int) -> bool:
    """Say whether the terminal is this job's: it is stopped when it sets or reads it from the background."""
    return os.tcgetpgrp(fd) == os.getpgrp()


def _idle(stop: threading.Event, seconds: float) -> str:
    """Wait instead of turning in circles: it was put into the background, or its terminal has ended."""
    stop.wait(seconds)
    return ""
