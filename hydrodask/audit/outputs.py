"""Check the topics that we publish: final window rows, cycle profiles and dead letters, each there exactly once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from hydrodask import clock
from hydrodask.audit.finding import Result
from hydrodask.audit.ledger import Balance, Ledger, balance, digest
from hydrodask.audit.letters import Letter, letters
from hydrodask.audit.log import Log, Source
from hydrodask.audit.part import Part
from hydrodask.audit.sensors import row_digest
from hydrodask.records import CycleRecord, WindowRecord

_decode_window = msgspec.json.Decoder(WindowRecord).decode
_decode_cycle = msgspec.json.Decoder(CycleRecord).decode

Row = tuple[int, bytes | None, bytes]
"""Offset, key and value."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ours: its partitions, and the partitions whose records its rows follow from.

    `wanted` names those by number. `committed` is what they have committed by now: rows past the commits of the audit's
    beginning may have come since, but none past these.
    """

    log: Log
    sources: list[Source]
    parts: list[Part]
    wanted: Ledger
    committed: Mapping[Source, int] = field(default_factory=dict)

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


def check_outputs(topic: Topic, result: Result) -> None:
    """Compare the rows on a topic of ours with those that have to be there."""
    found = Ledger()
    oldest: dict[str, int] = {}
    known = _Known(topic)
    for place, source in enumerate(topic.sources):
        low, high = topic.log.bounds(source)
        for offset, key, value in _rows(topic.log, source, low, high):
            row = _parse(result.check, value)
            if row is None:
                result.found(f"{source[0]}-{source[1]}", f"the record at offset {offset} is no row of ours")
                continue
            sensor, number, revision = row
            if number is None:
                result.count(updates=1)
                continue
            which = row_digest(key or b"", sensor, number, revision)
            known.note(which, sensor, revision)
            found.add(which, digest(key, value), place, offset)
            if low:
                oldest[sensor] = min(revision, oldest.get(sensor, revision))
        if low:
            result.skip(f"{source[0]}-{source[1]} below offset {low}: the log does not have them any more (retention)")
    result.count(rows=len(found))
    _compare(topic, found, known, oldest, result)


class _Known:
    """Which rows may be on a topic although the audit does not know of them."""

    def __init__(self, topic: Topic) -> None:
        self._from: dict[str, int] = {}
        self._later: set[int] = set()
        for part in topic.parts:
            known = min(part.committed or 0, part.covered)
            # What can't be computed can't be judged, nor what was committed while the audit ran.
            if topic.committed.get(part.source, 0) > known or part.covered < part.reach:
                self._from[part.sensor] = min(known, self._from.get(part.sensor, known))

    def note(self, which: int, sensor: str, revision: int) -> None:
        """Take note of a row on a topic."""
        if revision >= self._from.get(sensor, revision + 1):
            self._later.add(which)

    def later(self, which: int) -> bool:
        """Say whether a row may be newer than the audit."""
        return which in self._later


def _compare(topic: Topic, found: Ledger, known: _Known, oldest: Mapping[str, int], result: Result) -> None:
    """Say what is missing, extra, double or different."""
    balanced = balance(topic.wanted, found)
    which = found.names()
    missing = []
    for row in balanced.missing:
        part, revision = topic.part_of(row)
        # What has become final past the commit is not published yet, and what is old the log may have lost.
        if oldest.get(part.sensor, 0) <= revision < (part.committed or 0):
            missing.append(row)
    extra = [row for row in balanced.extra if not known.later(which[row])]
    _say_all(topic, found, replace(balanced, missing=missing, extra=extra), "rows", result)


def _say_all(topic: Topic, found: Ledger, balanced: Balance, what: str, result: Result) -> None:
    """Say each kind of difference with its first case."""
    _say(result, topic.title, f"{what} are missing", [topic.of(row) for row in balanced.missing])
    strange = f"{what} follow from no record" if what == "rows" else f"{what} are of no record that was refused"
    _say(result, topic.title, strange, [topic.at(found, row) for row in balanced.extra])
    twice = [f"{topic.at(found, a)} and {topic.at(found, b)}" for a, b in balanced.double]
    _say(result, topic.title, f"{what} are there twice", twice)
    changed = [f"{topic.of(a)}, at {topic.at(found, b)}" for a, b in balanced.different]
    _say(result, topic.title, f"{what} differ from what they follow from", changed)


def _say(result: Result, title: str, what: str, rows: list[str]) -> None:
    if rows:
        result.found(title, f"{len(rows):,} {what}", f"first: {rows[0]}")


def _rows(log: Log, source: Source, low: int, high: int) -> Iterator[Row]:
    for batch in log.read(source, low, high):
        for message in batch:
            value = message.value()
            if value is not None:
                yield int(message.offset() or 0), _bytes(message.key()), _bytes(value) or b""


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _parse(check: str, value: bytes) -> tuple[str, int | None, int] | None:
    """Return sensor, window start or cycle (None: an open window), and revision; None when it is no row."""
    try:
        if check == "profiles":
            cycle = _decode_cycle(value)
            return cycle.sensor, cycle.cycle, cycle.revision
        window = _decode_window(value)
        return window.sensor, clock.parse_iso(window.window_start) if window.final else None, window.revision
    except (ValueError, RecursionError):
        return None


def check_dead(topic: Topic, result: Result) -> None:
    """Compare the dead letters with the records that were refused."""
    found = Ledger()
    by_source = {part.source: part for part in topic.parts}
    strange, lost = [], False
    for place, source in enumerate(topic.sources):
        low, high = topic.log.bounds(source)
        lost = lost or low > 0
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


def _judged(part: Part, letter: Letter) -> bool:
    """Say whether the log still has the record of a letter, and the audit has looked at it."""
    return max(part.bounds[0], part.begin) <= letter.offset < (part.committed or 0)


def _which(letter: Letter) -> int:
    return digest(letter.source[0].encode(), b"%d" % letter.source[1], b"%d" % letter.offset)
