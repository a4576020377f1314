"""What the log says of those who knock in vain: the first at once, then a line a minute with their number.

Dask and Tornado write two lines for each connection that is no TLS or has no certificate, and one for each refused
page: whoever reaches a port could fill a disk with them.
"""

import logging
import threading

from hydrodask import clock

EVERY_S = 60.0
"""So often is it said at most that somebody knocks."""

_LOGGERS = ("distributed.comm.tcp", "tornado.general", "tornado.access")
_HANDSHAKE = "TLS handshake failed"
_SAME = "SSL Error on"
"""How Tornado says what Dask says, too."""


class Knocks(logging.Filter):
    """Lets one record of a failed handshake through each `EVERY_S`, with how many there were, and none of pages."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._said_s = -EVERY_S
        self._unsaid = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is to be written; adds to its text how many were not."""
        text = record.getMessage()
        if record.name == "tornado.access":
            return record.levelno >= logging.ERROR
        if record.name == "tornado.general":
            return not text.startswith(_SAME)
        if _HANDSHAKE not in text:
            return True
        with self._lock:
            if clock.monotonic_s() - self._said_s < EVERY_S:
                self._unsaid += 1
                return False
            more, self._unsaid, self._said_s = self._unsaid, 0, clock.monotonic_s()
        record.msg = f"somebody who is not of this run was refused: {text}" + (f"; {more} more since" if more else "")
        record.args = ()
        return True


_knocks = Knocks()


def say_little() -> None:
    """Count in this process what would fill the log. May be called twice."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_knocks)
