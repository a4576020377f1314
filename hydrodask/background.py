"""Calls that nobody waits for, or not for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import Future


def in_background(*calls: Callable[[], object]) -> None:
    """Make `calls`, one after the other, in a thread of their own.

    For what ends a client: one that has lost its cluster may take for ever.
    """

    def work() -> None:
        for call in calls:
            call()

    threading.Thread(target=work, name="background", daemon=True).start()


def in_time(call: Callable[[], object], seconds: float) -> None:
    """Make `call` in a thread of its own and wait for its end. Raises what it raises.

    Raises TimeoutError after `seconds`: the call goes on, and whoever it belongs to must be given up.

    >>> in_time(lambda: None, 1.0)
    """
    ended: Future[None] = Future()

    def work() -> None:
        try:
            call()
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=work, name="in time", daemon=True).start()
    ended.result(seconds)
