"""Names of rigs as small integers, one table a process.

Batches carry codes instead of strings. A code means nothing outside its process: state that is stored and records that
are published hold names. The same table is kept as arrays too, so that a kernel (`decode/rigcodes.py`) can look up
names.
"""

import numpy as np
from numpy.typing import NDArray

NO_RIG = -1
"""The code for «not known yet»."""


class RigTable:
    """Append-only table of rig names. Not thread-safe: a worker runs one step at a time.

    >>> table = RigTable()
    >>> table.code("rig-1"), table.code("rig-2"), table.code("rig-1"), table.name(1)
    (0, 1, 0, 'rig-2')
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}
        self.pool: NDArray[np.uint8] = np.zeros(1024, np.uint8)
        self.spans: NDArray[np.int64] = np.zeros((16, 2), np.int64)
        self.slots: NDArray[np.int32] = np.full(64, NO_RIG, np.int32)
        self._pool_used = 0

    def __len__(self) -> int:
        return len(self.names)

    def code(self, name: str) -> int:
        """Return the code of `name`, a new one if it has none."""
        known = self._codes.get(name)
        return self._add(name) if known is None else known

    def known(self, name: str) -> int | None:
        """Return the code of `name`, None if it has none."""
        return self._codes.get(name)

    def name(self, code: int) -> str:
        """Return the name of `code`."""
        return self.names[code]

    def _add(self, name: str) -> int:
        code = self._codes[name] = len(self.names)
        self.names.append(name)
        raw = np.frombuffer(name.encode(), np.uint8)
        self._make_room(len(raw))
        start = self._pool_used
        self.pool[start : start + len(raw)] = raw
        self._pool_used = start + len(raw)
        self.spans[code] = start, start + len(raw)
        self._place(code)
        return code

    def _make_room(self, size: int) -> None:
        while self._pool_used + size > len(self.pool):
            self.pool = np.concatenate([self.pool, np.zeros_like(self.pool)])
        if len(self.names) > len(self.spans):
            self.spans = np.concatenate([self.spans, np.zeros_like(self.spans)])
        if 2 * len(self.names) > len(self.slots):
            self.slots = np.full(2 * len(self.slots), NO_RIG, np.int32)
            for code in range(len(self.names) - 1):
                self._place(code)

    def _place(self, code: int) -> None:
        start, end = self.spans[code]
        mask = len(self.slots) - 1
        at = fnv1a(self.pool[start:end].tobytes()) & mask
        while self.slots[at] != NO_RIG:
            at = (at + 1) & mask
        self.slots[at] = code


def fnv1a(raw: bytes) -> int:
    """Return the 32-bit FNV-1a hash of `raw`; `decode/rigcodes.py` computes the same.

    >>> hex(fnv1a(b"a"))
    '0xe40c292c'
    """
    value = 0x811C9DC5
    for byte in raw:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


RIGS = RigTable()
"""The table of this process."""
