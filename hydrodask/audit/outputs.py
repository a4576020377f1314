"""Check the topics that we publish: final window rows, cycle profiles and dead letters, each there exactly once."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hydrodask import clock
from hydrodask.audit.derived import row_digest
from hydrodask.audit.finding import Result
from hydrodask.audit.kept import want_dead
from hydrodask.audit.ledger import Balance, Ledger, balance, digest
from hydrodask.audit.letters import Letter, letters
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.mending import TOPICS, Mend, renewed
from hydrodask.audit.part import Part
from hydrodask.decode.windowrows import decode_row
from hydrodask.nodes.judging import decoder_of
from hydrodask.records import CycleRecord, PartitionId, RefusedRecord, Reject, WindowRecord
from hydrodask.settings import Settings

_of_cycle = decoder_of(CycleRecord, Settings())

Row = tuple[int, bytes | None, bytes]
"""Offset, key and value."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ours: its partitions, and the partitions whose records its rows follow from.

    `wanted` names those by number.
    """

    log: BrokerLog
    sources: list[PartitionId]
    parts: list[Part]
    wanted: Ledger

    @property
    def title(self) -> str:
        """The topic's name."""
        return self.sources[0][0] if self.sources else "a topic that is not there"

    def at(self, found: Ledger, row: int) -> str:
        """Say where a row was found."""
        place, offset = found.where(row)
        return f"{self.sources[place][0]}-{self.sources[place][1]} offset {offset}"

    def of(self, row: int) -> str:
        """Say which offset of which partition a wanted row follows from."""
        place, offset = self.wanted.where(row)
        return f"that of {self.parts[place].name} offset {offset}"

    def part_of(self, row: int) -> tuple[Part, int]:
        """Return the partition and the offset that a wanted row follows from."""
        place, offset = self.wanted.where(row)
        return self.parts[place], offset


class Refused:
    """Records on topics of ours that a flow can't use: it has to have sent them to the dead letters, `dead`.

    `everyone` are the partitions by whose numbers `dead` knows them.
    """

    def __init__(self, everyone: list[Part], dead: Ledger) -> None:
        self._places = {part.source: (place, part) for place, part in enumerate(everyone)}
        self._dead = dead

    def take(self, reject: Reject) -> bool:
        """Take note of a record, if there is a flow that has read it, or will."""
        place, part = self._places.get((reject.topic, reject.partition), (0, None))
        if part is None or part.committed is None:
            return False
        want_dead(part, reject, self._dead, place)
        return True


def check_outputs(topic: Topic, result: Result, refused: Refused) -> set[int]:
    """Compare the rows on a topic of ours with those that have to be there; return which are missing."""
    found = _Rows()
    rows_are_cycles = result.check != "analytics"
    for place, source in enumerate(topic.sources):
        low, high = topic.log.bounds(source)
        cut = low > topic.log.base(source)
        for offset, key, value in _rows(topic.log, source, low, high):
            try:
                row = _of_cycle(value, key) if rows_are_cycles else decode_row(value)
            except ValueError as error:
                if refused.take(Reject(*source, offset + topic.log.base(source), key, value, str(error))):
                    result.count(refused=1)
                    continue
                what = f"the record at offset {offset} is no row of ours"
                result.found(f"{source[0]}-{source[1]}", what, mend=renewed(result.check))
                continue
            if isinstance(row, RefusedRecord):
                result.count(refusals=1)  # it follows from broker timestamps, which only the log has
                continue
            sensor, number, revision = row.sensor, _number(row), row.revision
            if number is None:
                result.count(updates=1)
                continue
            which = row_digest(key or b"", sensor, number, revision)
            found.add(which, digest(key, value), place, offset, (sensor, revision))
            if cut:
                found.oldest[sensor] = min(revision, found.oldest.get(sensor, revision))
        if cut:
            result.skip(f"{source[0]}-{source[1]} below offset {low}: the log does not have them any more (retention)")
    result.count(rows=len(found.ledger))
    return _compare(topic, found, result)


class _Rows:
    """Rows that were found on a topic: of which sensor each is, and its revision."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.oldest: dict[str, int] = {}
        """The smallest revision of each sensor on partitions whose beginning the log has lost."""
        self._sensors: list[str] = []
        self._sensor = array("i")
        self._revision = array("q")

    def add(self, which: int, what: int, place: int, offset: int, of: PartitionId) -> None:
        """Take a row of a sensor and revision."""
        if of[0] not in self._sensors:
            self._sensors.append(of[0])
        self.ledger.add(which, what, place, offset)
        self._sensor.append(self._sensors.index(of[0]))
        self._revision.append(of[1])

    def of(self, row: int) -> PartitionId:
        """Return a row's sensor and revision."""
        return self._sensors[self._sensor[row]], self._revision[row]


def _unknown_from(topic: Topic) -> dict[str, int]:
    """Return the revisions of each sensor from which on rows may be there that the audit does not know of.

    What can't be computed can't be judged, nor what was committed while the audit ran.
    """
    committed = topic.log.committed([part.source for part in topic.parts])
    unknown: dict[str, int] = {}
    for part in topic.parts:
        known = min(part.committed or 0, part.covered, part.sound)
        if committed.get(part.source, 0) > known or min(part.covered, part.sound) < part.reach:
            unknown[part.sensor] = min(known, unknown.get(part.sensor, known))
    return unknown


def _compare(topic: Topic, found: _Rows, result: Result) -> set[int]:
    """Say what is missing, extra, double or different; return which are missing."""
    balanced = balance(topic.wanted, found.ledger)
    anew = any(topic.log.base(source) for source in topic.sources)
    missing = []
    for row in balanced.missing:
        part, revision = topic.part_of(row)
        # A later log of ours need not have what follows from an earlier one of a sensor's: that was another broker's.
        oldest = max(found.oldest.get(part.sensor, 0), topic.log.base(part.source) if anew else 0)
        # What has become final past the commit is not published yet, and what is old the log may have lost.
        if oldest <= revision < (part.committed or 0):
            missing.append(row)
    # Asked only now that the topic has been read: whoever has committed nothing since has published nothing since.
    unknown = _unknown_from(topic)
    holes = [(part.sensor, *hole) for part in topic.parts for hole in part.holes]
    extra = []
    for row in balanced.extra:
        sensor, revision = found.of(row)
        gone = any(sensor == of and start <= revision < end for of, start, end in holes)
        if revision < unknown.get(sensor, revision + 1) and not gone:
            extra.append(row)
    _say_all(topic, found.ledger, replace(balanced, missing=missing, extra=extra), "rows", result)
    return {topic.wanted.which(row) for row in missing}


def _say_all(topic: Topic, found: Ledger, balanced: Balance, what: str, result: Result) -> None:
    """Say each kind of difference with its first case."""
    missing = f"{what} are missing (was the topic made anew?)"
    _say(result, topic.title, missing, [topic.of(row) for row in balanced.missing], TOPICS)
    strange = f"{what} follow from no record" if what == "rows" else f"{what} are of no record that was refused"
    _say(result, topic.title, strange, [topic.at(found, row) for row in balanced.extra])
    twice = [f"{topic.at(found, a)} and {topic.at(found, b)}" for a, b in balanced.double]
    _say(result, topic.title, f"{what} are there twice", twice)
    changed = [f"{topic.of(a)}, at {topic.at(found, b)}" for a, b in balanced.different]
    _say(result, topic.title, f"{what} differ from what they follow from", changed)


def _say(result: Result, title: str, what: str, rows: list[str], mend: Mend | None = None) -> None:
    if rows:
        result.found(title, f"{len(rows):,} {what}", f"first: {rows[0]}", mend=mend or renewed(result.check))


def _rows(log: BrokerLog, source: PartitionId, low: int, high: int) -> Iterator[Row]:
    for batch in log.read(source, low, high):
        for message in batch:
            value = message.value()
            if value is not None:
                yield int(message.offset() or 0), _bytes(message.key()), _bytes(value) or b""


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _number(row: CycleRecord | WindowRecord) -> int | None:
    """Return a row's cycle, or its window's start; None: an open window."""
    if isinstance(row, CycleRecord):
        return row.cycle
    return clock.parse_iso(row.window_start) if row.final else None


def check_dead(topic: Topic, result: Result) -> set[int]:
    """Compare the dead letters with the records that were refused; return which are missing."""
    found = Ledger()
    by_source = {part.source: part for part in topic.parts}
    strange, lost = [], False
    for place, source in enumerate(topic.sources):
        low, high = topic.log.bounds(source)
        lost = lost or low > topic.log.base(source)
        for letter in letters(topic.log, source, low, high):
            if letter.mark is not None:
                continue  # it says that another was published again
            result.count(letters=1)
            part = by_source.get(letter.source)
            if part is None:
                strange.append(f"{letter.place} says {letter.source[0]}-{letter.source[1]}")
            elif _judged(part, letter):
                found.add(_which(letter), digest(letter.key, letter.value, letter.reason.encode()), place, letter.at)
    _say(result, topic.title, "letters name a partition that no flow reads", strange)
    balanced = balance(topic.wanted, found)
    if lost:
        result.skip(f"{topic.title}: the log has lost its beginning (retention), so missing letters are not named")
        balanced = replace(balanced, missing=[])
    _say_all(topic, found, balanced, "letters", result)
    return {topic.wanted.which(row) for row in balanced.missing}


def _judged(part: Part, letter: Letter) -> bool:
    """Say whether the log still has the record of a letter, and the audit has looked at it."""
    return max(part.bounds[0], part.begin) <= letter.offset < (part.committed or 0)


def _which(letter: Letter) -> int:
    return digest(letter.source[0].encode(), b"%d" % letter.source[1], b"%d" % letter.offset)
