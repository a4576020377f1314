"""Rows of files that somebody has looked at, kept for the next look: within a limit of bytes, the last used stay.

Safe for threads.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

ENTRY_BYTES = 2_000
"""What is kept of a table besides its rows."""


class Sized(Protocol):
    """What can be kept: it says how large it is."""

    @property
    def nbytes(self) -> int:
        """What its rows take in memory."""
        ...


Table = TypeVar("Table", bound=Sized)


class Recent(Generic[Table]):
    """Tables by key, each with a stamp that says of which state of a file it is."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max, self._bytes = bytes_max, 0
        self._tables: OrderedDict[Hashable, tuple[object, Table]] = OrderedDict()
        self._lock = threading.Lock()

    def size(self, key: Hashable) -> int:
        """Return how many bytes are kept of a key, of whatever state; 0: none."""
        with self._lock:
            return _size(self._tables[key][1]) if key in self._tables else 0

    def get(self, key: Hashable, stamp: object) -> Table | None:
        """Return what was kept, None if it is not there or of another state."""
        with self._lock:
            stamped, table = self._tables.get(key, (None, None))
            if table is None or stamped != stamp:
                return None
            self._tables.move_to_end(key)
            return table

    def put(self, key: Hashable, stamp: object, table: Table) -> None:
        """Keep a table, unless it is larger than all that may be kept."""
        with self._lock:
            if key in self._tables:
                self._bytes -= _size(self._tables.pop(key)[1])
            if (size := _size(table)) > self._bytes_max:
                return
            self._tables[key] = stamp, table
            self._bytes += size
            while self._bytes > self._bytes_max:
                self._bytes -= _size(self._tables.popitem(last=False)[1][1])


def _size(table: Sized) -> int:
    return int(table.nbytes) + ENTRY_BYTES
