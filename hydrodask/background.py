"""Calls that nobody waits for."""

import threading
from collections.abc import Callable


def in_background(*calls: Callable[[], object]) -> None:
    """Make `calls`, one after the other, in a thread of their own.

    For what ends a client: one that has lost its cluster may take for ever.
    """

    def work() -> None:
        for call in calls:
            call()

    threading.Thread(target=work, name="background", daemon=True).start()
