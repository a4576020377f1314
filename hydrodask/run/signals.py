"""SIGINT and SIGTERM: the first stops a run cleanly, a second one, which is not ours any more, ends the process."""

import asyncio
import signal
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
        if stopping.is_set():
            return
        stopping.set()
        note(STOPPING)
        for name in _SIGNALS:
            loop.call_later(SAME_SIGNAL_S, loop.remove_signal_handler, name)

    for name in _SIGNALS:
        loop.add_signal_handler(name, heard)
