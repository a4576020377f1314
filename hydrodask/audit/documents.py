"""Check the documents: replay the detector over the window rows, and compare what follows with what is stored."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hydrodask.audit.files import rows_of
from hydrodask.audit.finding import Result
from hydrodask.audit.part import Part
from hydrodask.channels import SENSORS
from hydrodask.clock import iso, parse_iso
from hydrodask.detect import Detector, load_rules
from hydrodask.records import Change, Upsert, WindowRecord
from hydrodask.settings import Settings
from hydrodask.store.documents import Documents
from hydrodask.stream import snapshot

COLLECTIONS = ("anomalies", "incidents")
"""What windows imply; components follow from models, and status from the run."""

DOCUMENTS_MAX = 200_000
"""Documents of one sensor and collection that are looked at."""

_decode = msgspec.json.Decoder(WindowRecord).decode
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
        self._final_us: dict[tuple[str, str], tuple[int, int]] = {}
        self._revisions: dict[Id, int] = {}

    def take(self, row: WindowRecord, changes: Iterable[Change]) -> None:
        """Apply what one row changes, as a store does it: of one revision only the first change of an id counts."""
        if row.final:
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


def detector_of(settings: Settings) -> Detector:
    """Return the detector as the flow has it."""
    detect = settings.detect
    return Detector(
        load_rules(detect.rules),
        baseline=detect.baseline,
        coverage_min=detect.coverage_min,
        window_s=settings.window.length,
    )


def replay_topic(part: Part, implied: Implied, result: Result) -> None:
    """Replay a partition of the analytics topic; compare the states in its snapshots on the way."""
    assert part.log is not None  # noqa: S101 - the caller has looked
    detector, position, committed = detector_of(part.settings), part.bounds[0], part.committed or 0
    left = list(part.snapshots)
    for messages in part.log.messages(part.source, *part.log.bounds(part.source)):
        for offset, value in zip(messages.offsets.tolist(), messages.values, strict=True):
            while left and left[0].offset <= offset:
                _check_state(left.pop(0), detector, result)
            position = offset + 1
            row = None if value is None else _row(value)
            if row is not None and offset < committed:
                implied.committed[row.rig] = max(committed, implied.committed.get(row.rig, 0))
                implied.take(row, detector.update(row, offset))
            elif row is not None:
                implied.foresee(detector.update(row, offset))
        implied.settled()
    for taken in left:
        if position <= taken.offset <= committed:
            _check_state(taken, detector, result)


def _check_state(taken: Any, detector: Detector, result: Result) -> None:
    stored = taken.state.get("nodes", {}).get("detector", {}).get("detector", {})
    if taken.offset and snapshot.encode({"detector": stored}) != snapshot.encode({"detector": detector.snapshot()}):
        result.found(taken.path, f"its state of the detector is not what the rows below offset {taken.offset} give")
    result.count(states=1)


def replay_lake(parts: list[Part], judged_us: dict[tuple[str, str], int], settings: Settings, implied: Implied) -> None:
    """Replay the final windows of the lake, key by key in their order; `judged_us` says up to which start of each."""
    detector, number = detector_of(settings), 0
    for part in parts:
        for row in _final_rows(part):
            number += 1
            if parse_iso(row.window_start) <= judged_us.get((row.rig, row.sensor), -(1 << 62)):
                implied.take(row, detector.update(row, number))


def judged(parts: list[Part]) -> dict[tuple[str, str], int]:
    """Return the start of the newest window that was judged of each rig's sensor, as the newest snapshots say."""
    found: dict[tuple[str, str], int] = {}
    for part in parts:
        newest = part.newest
        keys = [] if newest is None else newest.state.get("nodes", {}).get("detector", {}).get("detector", {})["keys"]
        for rig, sensor, last_us, *_ in keys:
            found[rig, sensor] = max(last_us, found.get((rig, sensor), last_us))
    return found


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


def _row(value: bytes) -> WindowRecord | None:
    try:
        row = _decode(value)
        parse_iso(row.window_start)
    except (ValueError, RecursionError):
        return None  # a dead letter, if the flow was there
    return row


@dataclass(slots=True)
class Comparing:
    """Compares stored documents with the implied ones; provisional ones of windows that are open yet are left out.

    `moving` says whether the group has committed more since the audit began: then documents of later rows are fine.
    `expire` says that documents go with time, so that one that is missing means nothing.
    """

    implied: Implied
    result: Result
    moving: Callable[[], bool]
    expire: bool
    _left: dict[Id, tuple[int, Body]] = field(default_factory=dict)

    def run(self, store: Documents) -> None:
        """Look at every document, and then for those that are missing."""
        self._left = {name: one for name, one in self.implied.documents.items() if not one[1]["provisional"]}
        for collection in COLLECTIONS:
            for sensor in SENSORS:
                found = store.find(collection, {"sensor": sensor}, limit=DOCUMENTS_MAX)
                for body in found:
                    self._one(collection, body)
                if len(found) == DOCUMENTS_MAX:
                    self._forget(collection, sensor)
        if self.expire:
            self.result.skip(f"{len(self._left):,} documents that are not there: documents.keep lets them go with time")
            return
        for (collection, name), (revision, body) in self._left.items():
            self._found(collection, name, "the document is missing", f"want revision {revision}, {_said(body)}")

    def _one(self, collection: str, body: Body) -> None:
        """Compare one stored document with what is implied under its id."""
        self.result.count(documents=1)
        name, revision = str(body.pop("_id")), int(body.pop("revision", -1))
        want = self._left.pop((collection, name), None)
        committed = self.implied.committed.get(str(body.get("rig")))
        if revision >= committed if committed is not None else self.implied.newer(body):
            self._ahead(collection, name, revision, body, known=committed is not None)
        elif want is None:
            if not body.get("provisional") or self.implied.over(body):
                self._found(collection, name, "no final window implies this document", _said(body))
        elif differing := [key for key in sorted(want[1].keys() | body.keys()) if want[1].get(key) != body.get(key)]:
            first = f"{differing[0]} is {body.get(differing[0])!r}, want {want[1].get(differing[0])!r}"
            self._found(collection, name, "the document differs", first)
        elif committed is not None and revision != want[0]:
            self._found(collection, name, "the document differs", f"revision is {revision}, want {want[0]}")

    def _ahead(self, collection: str, name: str, revision: int, body: Body, *, known: bool) -> None:
        """Take a document that was written before the commit of the rows that it follows from."""
        self.result.count(ahead=1)
        coming = self.implied.coming.get((collection, name), {}).get(revision)
        if known and coming != body and not self.moving():
            self._found(collection, name, f"no row of the topic implies this document of revision {revision}", "")

    def _forget(self, collection: str, sensor: str) -> None:
        """Expect no more of what was not looked at."""
        self.result.skip(f"{collection} of {sensor} beyond the first {DOCUMENTS_MAX:,}")
        self._left = {n: one for n, one in self._left.items() if n[0] != collection or one[1]["sensor"] != sensor}

    def _found(self, collection: str, name: str, what: str, first: str) -> None:
        self.result.found(f"{collection} {name}", what, first)


def _said(body: Body) -> str:
    return ", ".join(f"{key} {body[key]!r}" for key in ("severity", "value", "worst", "status") if key in body)
