"""Byte strings as columns: what a batch of Kafka records is, before anybody has looked into it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Blobs:
    """Byte strings of any length, some perhaps absent: `data[bounds[i]:bounds[i + 1]]` if `present[i]`, else None.

    `data` is uint8, `bounds` has shape (n + 1,), `present` (n,). Slices share the data.

    >>> blobs = Blobs.of([b"ab", None, b"c"])
    >>> blobs[0], blobs[1], list(blobs[1:])
    (b'ab', None, [None, b'c'])
    """

    data: NDArray[np.uint8]
    bounds: NDArray[np.int64]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> "Blobs":
        """Return `values` as columns."""
        present = np.array([v is not None for v in values], np.bool_)
        full = [v or b"" for v in values]
        bounds = np.zeros(len(full) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, full), np.int64, len(full)), out=bounds[1:])
        # Writable as what comes from Kafka is: numba compiles each kernel once more for arrays that are not.
        return cls(np.frombuffer(bytearray(b"".join(full)), np.uint8), bounds, present)

    @classmethod
    def empty(cls, count: int, size: int) -> "Blobs":
        """Return room for `count` strings of `size` bytes together, not filled in."""
        return cls(np.empty(size, np.uint8), np.empty(count + 1, np.int64), np.empty(count, np.bool_))

    def __len__(self) -> int:
        return len(self.present)

    @property
    def full(self) -> int:
        """How many are there, those that are absent left out."""
        return int(np.count_nonzero(self.present))

    @overload
    def __getitem__(self, which: int) -> bytes | None: ...

    @overload
    def __getitem__(self, which: slice) -> "Blobs": ...

    def __getitem__(self, which: "int | slice") -> "bytes | Blobs | None":
        if isinstance(which, slice):
            start, end, _ = which.indices(len(self))
            return Blobs(self.data, self.bounds[start : max(start, end) + 1], self.present[start:end])
        if not self.present[which]:
            return None
        return self.data[self.bounds[which] : self.bounds[which + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes | None]:
        first = int(self.bounds[0])
        data = self.data[first : self.bounds[-1]].tobytes()
        ends = (self.bounds - first).tolist()
        texts = map(data.__getitem__, map(slice, ends[:-1], ends[1:]))  # half the time of a loop
        if self.present.all():
            return texts
        return (text if there else None for text, there in zip(texts, self.present.tolist(), strict=True))
