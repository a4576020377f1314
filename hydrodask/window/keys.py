"""Slots of state for rigs, in the order in which the partition showed them first."""

import numpy as np

from hydrodask.records import Int32, Int64
from hydrodask.rigs import RIGS, RigTable


class Keys:
    """Maps the process's rig codes to this state's slots: 0, 1, 2 and so on.

    >>> table, = [RigTable()]; keys = Keys(table)
    >>> keys.slots(np.array([table.code("b"), table.code("a"), table.code("b")], np.int32)).tolist()
    [0, 1, 0]
    >>> keys.names
    ['b', 'a']
    """

    def __init__(self, rigs: RigTable = RIGS) -> None:
        self._rigs = rigs
        self._slot_of: Int64 = np.full(16, -1, np.int64)
        self._codes: list[int] = []

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def names(self) -> list[str]:
        """Names in slot order: what a snapshot keeps."""
        return [self._rigs.name(code) for code in self._codes]

    def slots(self, rig: Int32) -> Int64:
        """Return the slot of each code, giving new ones in order of first appearance."""
        if len(rig) and int(rig.max()) >= len(self._slot_of):
            room = np.full(max(2 * len(self._slot_of), len(self._rigs)), -1, np.int64)
            room[: len(self._slot_of)] = self._slot_of
            self._slot_of = room
        slots = self._slot_of[rig]
        if (slots < 0).any():
            unknown = rig[slots < 0]
            _, first = np.unique(unknown, return_index=True)
            for place in np.sort(first):
                self._add(int(unknown[place]))
            slots = self._slot_of[rig]
        return slots

    def codes(self, slots: Int64) -> Int32:
        """Return the codes of slots."""
        return np.array(self._codes, np.int32)[slots]

    def restore(self, names: list[str]) -> None:
        """Forget all and take `names` as slots 0, 1, 2 and so on."""
        self._slot_of, self._codes = np.full(max(16, len(self._rigs)), -1, np.int64), []
        for name in names:
            code = self._rigs.code(name)
            if code >= len(self._slot_of):
                self._slot_of = np.concatenate([self._slot_of, np.full_like(self._slot_of, -1)])
            self._add(code)

    def _add(self, code: int) -> None:
        self._slot_of[code] = len(self._codes)
        self._codes.append(code)
