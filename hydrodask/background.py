"""Calls that nobody waits for, or not for ever."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from hydrodask.errors import kind_and_sentence

T = TypeVar("T")

log = logging.getLogger(__name__)


def in_background(*calls: Callable[[], object]) -> None:
    """Make `calls`, one after the other, in a thread of their own; one that fails keeps none of the others from it.

    For what ends a client: one that has lost its cluster may take for ever.
    """

    def work() -> None:
        for call in calls:
            try:
                call()
            except Exception as error:
                log.warning("could not let go of something: %s: %s", type(error).__name__, error)

    threading.Thread(target=work, name="background", daemon=True).start()


class Aside(threading.Thread):
    """A thread of views and the like, which works until `stop` is set. `trouble` says what has ended it before."""

    def __init__(self, name: str, work: Callable[[], object], stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.trouble = ""
        self._work, self._stop_asked = work, stop

    def run(self) -> None:
        """Work; an error of a picture is no reason to end a process, and none to be silent either."""
        try:
            self._work()
        except Exception as error:
            log.debug("%s has ended", self.name, exc_info=True)
            self.trouble = f"has ended: {kind_and_sentence(error)}"
        else:
            self.trouble = "" if self._stop_asked.is_set() else "has ended; the log says why"


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
