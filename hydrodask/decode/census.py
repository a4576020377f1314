"""Which rigs a partition has: a name beyond `limits.rigs` is refused, and gets no code in the process's table."""

from typing import Any

import numpy as np

from hydrodask.decode.manner import UNKNOWN, Manner, Manners, encoded, going_on, manners_of
from hydrodask.keys import Keys, Terms
from hydrodask.records import Int32, Int64, Samples
from hydrodask.rigs import RIGS, RigTable


class Census:
    """Who is there: a function of the samples that were taken, which are those of `raw/`.

    `terms` are those of now; `history` says since which offset each were in force, so that an audit judges each record
    by those of its time, and `manners` in which manner records were read. `unsettled`: since it was last cleared
    somebody was refused or has gone, so that what was decided earlier can't be decided again.
    """

    def __init__(self, terms: Terms, rigs: RigTable = RIGS, *, manner: Manner | None = None) -> None:
        self.next_offset = 0
        self.refused = 0
        self.unsettled = False
        self.history: list[tuple[int, Terms]] = [(0, terms)]
        self.manners: Manners = [(0, manner)]
        self._seen = 0
        self._rigs = rigs
        self._keys = Keys(rigs, terms)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def rigs_max(self) -> int:
        """How many rigs there is room for."""
        return self._keys.terms.rigs_max

    def admit(self, codes: Int32, names: list[str], time_us: Int64, offsets: Int64) -> list[int]:
        """Return the places of samples of rigs that are too many; the others' codes are filled in.

        A code of -2 or less stands for a name that has none yet: -2 − its place in `names`. Samples that were taken
        already are taken as they were.
        """
        if not len(offsets):
            return []
        old = 0 if offsets[0] >= self.next_offset else int(np.searchsorted(offsets, self.next_offset))
        for place in np.flatnonzero(codes[:old] < 0).tolist():
            codes[place] = self._rigs.code(names[-2 - codes[place]])
        refused = [old + place for place in self._admit(codes[old:], names, time_us[old:])]
        self.refused += len(refused)
        taken = np.delete(offsets[old:], np.array(refused, np.int64) - old) if refused else offsets[old:]
        self.next_offset = max(self.next_offset, int(taken[-1]) + 1) if len(taken) else self.next_offset
        self._seen = max(self._seen, int(offsets[-1]) + 1)
        self.unsettled = self.unsettled or bool(refused)
        return refused

    def take(self, samples: Samples) -> None:
        """Take samples that were taken once before."""
        samples = samples.after(self.next_offset)
        for _step in self._keys.follow(samples.rig, samples.time_us):
            pass
        if len(samples):
            self.next_offset = int(samples.offset[-1]) + 1

    def reach(self, offset: int) -> None:
        """Take note that every record below `offset` was read, also those that are no samples."""
        self._seen = max(self._seen, offset)

    def end(self, revision: int) -> None:
        """Know no rig any more, for the log has ended; counts stay."""
        self._keys.forget()
        self.next_offset = revision + 1

    def comply(self, terms: Terms) -> None:
        """Go by other terms from the next record on."""
        self._keys.terms = terms

    def snapshot(self) -> dict[str, Any]:
        """Return the state after `next_offset`: equal records give equal bytes."""
        history = [[since, *terms] for since, terms in self.history]
        state = self.there() | {"seen": self._seen, "refused": self.refused, "history": history}
        return state if self.manners == list(UNKNOWN) else state | {"manners": encoded(self.manners)}

    def there(self) -> dict[str, Any]:
        """Return the part of the state that follows from the samples that were taken."""
        return {"next_offset": self.next_offset, **self._keys.snapshot()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot; by other terms from here on if they are others now."""
        self.next_offset, self.refused, self._seen = state["next_offset"], state["refused"], state["seen"]
        self._keys.restore(state)
        self.history = history_of(state)
        if self.history[-1][1] != self._keys.terms:
            self.history.append((self._seen, self._keys.terms))
        self.manners = going_on(manners_of(state), self._seen, self.manners[-1][1])

    @staticmethod
    def of_before(nodes: dict[str, Any]) -> dict[str, Any]:
        """Return what to restore from a snapshot of a release that took every rig and forgot none."""
        windows = nodes["windows"]
        seen = windows["next_offset"]
        return {"next_offset": seen, "rigs": windows["rigs"], "seen": seen, "refused": 0, "history": [[0, 0, 0]]}

    def _admit(self, codes: Int32, names: list[str], time_us: Int64) -> list[int]:
        keys, refused, start = self._keys, [], 0
        slots = np.empty(len(codes), np.int64)
        while start < len(codes):
            if time_us[start] >= keys.border:
                time = int(time_us[start])
                crossing = keys.crossing(self._slot(codes, names, start), time)
                if crossing is None:
                    refused.append(start)
                    start += 1
                    continue
                keys.cross(time, *crossing)
                self.unsettled = self.unsettled or len(crossing[0]) > 0
            end, lacking = keys.run(codes, time_us, start, slots)
            if lacking:
                places = start + np.flatnonzero(slots[start:end] < 0)
                refused += self._welcome_all(codes, names, slots, places)
                keys.hear(slots[places][slots[places] >= 0])
            start = end
        return refused

    def _slot(self, codes: Int32, names: list[str], place: int) -> int:
        """Return the slot of a sample's rig, -1 for a new one."""
        code = int(codes[place])
        known = self._rigs.known(names[-2 - code]) if code < 0 else code
        return -1 if known is None else int(self._keys.known(np.array([known], np.int32))[0])

    def _welcome_all(self, codes: Int32, names: list[str], slots: Int64, places: Int64) -> list[int]:
        """Give slots to rigs in the order of their first samples; return the places of those that got none."""
        _, first, which = np.unique(codes[places], return_index=True, return_inverse=True)
        found = np.zeros((len(first), 2), np.int64)
        for number in np.argsort(first).tolist():
            found[number] = self._welcome(codes, names, int(places[first[number]]))
        codes[places], slots[places] = found[which, 0], found[which, 1]
        return [int(place) for place in places[slots[places] < 0]]

    def _welcome(self, codes: Int32, names: list[str], place: int) -> tuple[int, int]:
        """Return code and slot of a sample's rig, new ones if there is room; else the slot is -1."""
        code = int(codes[place])
        if self._slot(codes, names, place) < 0 and self._keys.full:
            return code, -1
        code = self._rigs.code(names[-2 - code]) if code < 0 else code
        return code, self._keys.add(code)


def history_of(state: dict[str, Any]) -> list[tuple[int, Terms]]:
    """Return since which offset which terms were in force, as a snapshot says."""
    return [(since, Terms(rigs_max, silence_us)) for since, rigs_max, silence_us in state["history"]]
