"""SIGINT and SIGTERM: the first stops a run cleanly, a second one, which is not ours any more, ends the process.

SIGHUP is the terminal, which somebody has closed: it stops a run cleanly, too, however often it comes. `nohup` ignores
it, and so do we then.
"""

import asyncio
import errno
import os
import signal
import termios
import threading
from collections.abc import Callable

STOPPING = "stopping; once more to abandon what is not committed"
"""What a first signal is answered with."""

SAME_SIGNAL_S = 1.0
"""Signals that follow the first one so soon are the same wish: `timeout` sends two, a terminal one to each process."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listen(stopping: asyncio.Event, note: Callable[[str], None]) -> None:
    """Let a first signal set `stopping`, and tell people by a `note`. To be called in a running loop."""
    if threading.current_thread() is not threading.main_thread():
        return  # a script's or a notebook's, which has its own way with them
    loop = asyncio.get_running_loop()

    def heard() -> None:
        let_go()
        if stopping.is_set():
            return
        stopping.set()
        note(STOPPING)
        for name in _SIGNALS:
            loop.call_later(SAME_SIGNAL_S, loop.remove_signal_handler, name)

    for name in _SIGNALS:
        loop.add_signal_handler(name, heard)
    if hangs_up():
        loop.add_signal_handler(signal.SIGHUP, heard)  # for good: it must not end what is stopping


def hangs_up() -> bool:
    """Say whether the end of the terminal concerns this process; with `nohup` it does not."""
    return signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def let_go() -> None:
    """Put nothing in the place of a terminal that is gone: what is shown on the way out must not be an error."""
    for fd in (0, 1, 2):
        try:
            termios.tcgetattr(fd)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # else it is a file or a pipe
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, fd)
                os.close(null)
