"""Check the documents: replay the detector over the window rows, and compare what follows with what is stored."""

import contextlib
from collections.abc import Iterable, Iterator
from math import inf
from typing import Any

from hydrodask.audit.files import rows_of
from hydrodask.audit.finding import Result
from hydrodask.audit.mending import aside
from hydrodask.audit.part import Part
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.decode.rows import decode_row
from hydrodask.detect import Criteria, Detector
from hydrodask.detect.arrivals import Arrival, Row, arrivals
from hydrodask.detect.detector import NEVER_US, VERSION, since_of
from hydrodask.records import Change, Messages, Upsert, WindowRecord
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.stream import editions, snapshot

COLLECTIONS = ("anomalies", "incidents")
"""What windows imply; components follow from models, and status from the run."""

DOCUMENTS_MAX = 200_000
"""Documents of one sensor and collection that are looked at."""

Id = tuple[str, str]
Body = dict[str, Any]


class Implied:
    """What the window rows so far imply: documents by (collection, id), with their revisions.

    It holds them all: some 500 bytes a document.
    """

    def __init__(self) -> None:
        self.documents: dict[Id, tuple[int, Body]] = {}
        self.committed: dict[str, int] = {}
        """What the partition of each rig's rows had committed: documents of later revisions are ahead of it."""
        self.coming: dict[Id, dict[int, Body]] = {}
        """What the rows past the commit change: documents are written before it."""
        self.known: set[str] = set()
        """Digests of the criteria by which documents can be judged."""
        self.before_us: dict[tuple[str, str], int] = {}
        """The start of the newest window of each rig's sensor that was judged by criteria that are not known here."""
        self.lone: set[tuple[str, str]] = set()
        """Rigs' sensors of which what was known then depends on others, whose rows are not here in their order."""
        self._final_us: dict[tuple[str, str], tuple[int, int]] = {}
        self._revisions: dict[Id, int] = {}

    def take(self, row: Row | None, changes: Iterable[Change], committed: int | None = None) -> None:
        """Apply what one row changes, as a store does it: of one revision only the first change of an id counts.

        `committed` is what its partition had committed; `row` None: time has passed.
        """
        if row is not None and committed is not None:
            self.committed[row.rig] = max(committed, self.committed.get(row.rig, 0))
        if isinstance(row, WindowRecord) and row.final:
            key = (row.rig, row.sensor)
            span = (parse_iso(row.window_start), parse_iso(row.window_end))
            self._final_us[key] = max(span, self._final_us.get(key, span))
        for change in changes:
            name = (change.collection, change.id)
            if self._revisions.get(name, -1) >= change.revision:
                continue
            self._revisions[name] = change.revision
            if isinstance(change, Upsert):
                self.documents[name] = (change.revision, change.body)
            else:
                self.documents.pop(name, None)

    def foresee(self, changes: Iterable[Change]) -> None:
        """Take note of what a row past the commit changes."""
        for change in changes:
            if isinstance(change, Upsert):
                self.coming.setdefault((change.collection, change.id), {}).setdefault(change.revision, change.body)

    def doubt(self, row: Row | None) -> None:
        """Take note that a row was judged by criteria that are not known."""
        if isinstance(row, WindowRecord) and row.final:
            self.before_us[row.rig, row.sensor] = parse_iso(row.window_start)

    def judgeable(self, body: Body) -> bool:
        """Say whether what has made a document is known: its criteria, and those of its first window."""
        start = parse_iso(str(body.get("window_start") or body.get("first_window")))
        before_us = self.before_us.get((str(body.get("rig")), str(body.get("sensor"))))
        return body.get("rules") in self.known and (before_us is None or start > before_us)

    def told(self, body: Body) -> bool:
        """Say whether the rows here suffice to tell what a document says."""
        return (str(body.get("rig")), str(body.get("sensor"))) not in self.lone

    def settled(self) -> None:
        """Forget the revisions of documents that are gone: no row of an earlier one comes any more."""
        self._revisions = {name: revision for name, (revision, _) in self.documents.items()}

    def over(self, body: Body) -> bool:
        """Say whether the window that a provisional document is about is final."""
        newest = self._newest(body)
        start = str(body.get("window_start") or body.get("first_window"))
        return newest is not None and parse_iso(start) <= newest[0]

    def newer(self, body: Body) -> bool:
        """Say whether a document tells of a window that has not been replayed."""
        newest = self._newest(body)
        start = str(body.get("window_start") or body.get("last_window"))
        ended = body.get("resolved_at")
        return newest is None or parse_iso(start) > newest[0] or (bool(ended) and parse_iso(str(ended)) > newest[1])

    def _newest(self, body: Body) -> tuple[int, int] | None:
        return self._final_us.get((str(body.get("rig")), str(body.get("sensor"))))


def replay_topic(part: Part, implied: Implied, result: Result) -> None:
    """Replay a partition of the analytics topic; compare the states in its snapshots on the way."""
    assert part.log is not None  # noqa: S101 - the caller has looked
    there = editions_of(part)
    implied.known |= editions.digests(there)
    judging, known_from = editions.Judging(there), editions.known_from(there)
    position, committed = part.bounds[0], part.committed or 0
    # A state that goes back to criteria that are not known can't be computed.
    left = list(part.snapshots) if known_from <= part.bounds[0] else []
    for messages in part.log.messages(part.source, *part.log.bounds(part.source)):
        for one in _arrivals(messages):
            while left and left[0].offset <= one.offset:
                _check_state(left.pop(0), judging, result)
            position = one.offset + 1
            changes = judging.take(one)
            if one.offset < known_from:
                implied.doubt(one.row)
            elif one.offset < committed:
                implied.take(one.row, changes, committed)
            else:
                implied.foresee(changes)
        implied.settled()
    for taken in left:
        if position <= taken.offset <= committed:
            _check_state(taken, judging, result)


def editions_of(part: Part) -> list[editions.Edition]:
    """Return the editions of the criteria of a partition; where none is kept, the configuration's stand in."""
    there = editions.load(Files(part.settings.snapshots_url), part.source)
    known = any(edition.criteria is not None for edition in there)
    return there if known else [*there, editions.Edition(part.reach, Criteria.of(part.settings))]


def _check_state(taken: Any, judging: editions.Judging, result: Result) -> None:
    node = taken.state.get("nodes", {}).get("detector", {})
    if node.get("detector", {}).get("version", VERSION) != VERSION:
        result.skip(f"{taken.path}: its state of the detector is of another release")
        return
    ours = {name: part for name, part in judging.snapshot().items() if name in node}  # older ones had less
    if taken.offset and snapshot.encode({name: node[name] for name in ours}) != snapshot.encode(ours):
        what = f"its state of the detector is not what the rows below offset {taken.offset} give"
        result.found(taken.path, what, mend=aside(taken.path))
    result.count(states=1)


def _stored(taken: Any) -> Body:
    """Return the detector's state in a snapshot, empty in one of a group that had just begun."""
    found: Body = taken.state.get("nodes", {}).get("detector", {}).get("detector", {})
    return found


def replay_lake(parts: list[Part], judging: list[Part], settings: Settings, implied: Implied) -> None:
    """Replay the final windows of the lake, key by key in their order, as far as the newest snapshots have judged them.

    By the criteria of those snapshots: what earlier ones have judged is not looked at.
    """
    judged_us: dict[tuple[str, str], int] = {}
    criteria = {}
    for part in judging:
        state = {} if part.newest is None else _stored(part.newest)
        there = editions_of(part)
        since = since_of(state)
        now = next((e.criteria for e in reversed(there) if e.criteria is not None and e.offset <= max(since, 0)), None)
        now = now or Criteria.of(settings)
        criteria[now.digest] = now
        for rig, sensor, last_us, *_, before_us in state.get("keys", []):
            judged_us[rig, sensor] = max(last_us, judged_us.get((rig, sensor), last_us))
            if state.get("version") == VERSION and before_us > NEVER_US:
                implied.before_us[rig, sensor] = max(before_us, implied.before_us.get((rig, sensor), before_us))
    implied.known |= set(list(criteria)[:1])
    detector, number = Detector.by(next(iter(criteria.values()), Criteria.of(settings))), 0
    forgotten_us = (detector.criteria.forgotten_after_s or inf) * US_PER_S
    before: dict[tuple[str, str], tuple[int, int]] = {}
    for part in parts:
        for row in _final_rows(part):
            number += 1
            key, here = (row.rig, row.sensor), (part.source[1], parse_iso(row.window_start))
            partition, start_us = before.get(key, here)
            before[key] = here
            if here[0] != partition or here[1] - start_us >= forgotten_us:
                implied.lone.add(key)  # it may have been forgotten meanwhile, or had parts of windows on both
            if parse_iso(row.window_start) <= judged_us.get((row.rig, row.sensor), NEVER_US):
                implied.take(row, detector.update(row, number))


def _final_rows(part: Part) -> Iterator[WindowRecord]:
    for link in part.chains.get("windows", []):
        if not link.usable:
            continue
        for row in rows_of(part.lake, link).to_pylist():
            start, end = (iso(_us(row.pop(name))) for name in ("window_start", "window_end"))
            del row["partition"]
            yield WindowRecord(sensor=part.sensor, window_start=start, window_end=end, final=True, **row)


def _us(moment: Any) -> int:
    return parse_iso(moment.isoformat())


def _arrivals(messages: Messages) -> list[Arrival]:
    """Return a batch of the topic as the detector takes it."""
    rows = []
    for offset, value in zip(messages.offsets.tolist(), messages.values, strict=True):
        with contextlib.suppress(ValueError):  # a dead letter, if the flow was there
            rows += [] if value is None else [(offset, decode_row(value))]
    return arrivals(messages, rows)
