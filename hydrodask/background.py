"""Calls that nobody waits for, or not for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_background(*calls: Callable[[], object]) -> None:
    """Make `calls`, one after the other, in a thread of their own.

    For what ends a client: one that has lost its cluster may take for ever.
    """

    def work() -> None:
        for call in calls:
            call()

    threading.Thread(target=work, name="background", daemon=True).start()


def in_time(call: Callable[[], T], seconds: float) -> T:
    """Make `call` in a thread of its own, wait for its end and return what it returns. Raises what it raises.

    Raises TimeoutError after `seconds`: the call goes on, and whoever it belongs to must be given up. A process can end
    with the call unanswered.

    >>> in_time(lambda: 7, 1.0)
    7
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # whatever it is, it belongs to who has asked
            answer.set_exception(error)

    threading.Thread(target=work, name="in time", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {seconds:g} s") from error
