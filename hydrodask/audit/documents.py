"""Check the documents: replay the detector over the window rows, and compare what follows with what is stored."""

import contextlib
from collections.abc import Iterable
from typing import Any

from hydrodask.audit.bands import Bands
from hydrodask.audit.finding import Result, Results
from hydrodask.audit.mending import aside
from hydrodask.audit.part import Part
from hydrodask.clock import parse_iso
from hydrodask.decode.windowrows import decode_row
from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import Arrival, Row, arrivals
from hydrodask.detect.detector import VERSION
from hydrodask.nodes import editions
from hydrodask.protocol import snapshot
from hydrodask.records import Change, Messages, Upsert, WindowRecord
from hydrodask.reports import STANDING
from hydrodask.store.files import Files

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
        self.rigs: set[str] = set()
        """Every rig of which something is known."""
        self.digests: set[str] = set()
        """Digests of all criteria that have ever judged, if that is `sure`."""
        self.sure = False
        self.replayed = False
        """Whether the rows are those of the topic, all of them: then provisional documents are implied, too."""
        self.revisions_end = 0
        """No record has this offset yet, nor a larger one."""
        self.judged_end = 0
        """The offset up to which the newest snapshots have judged, where the lake stands in for the topic."""
        self.ended = False
        """Whether those snapshots are the last word of a run that was stopped."""
        self.judged_us: dict[tuple[str, str], tuple[int, int]] = {}
        """The newest final window, start and end, of each rig's sensor of which those snapshots know."""
        self.provisional: dict[tuple[str, str, str], tuple[dict[int, float], int | None]] = {}
        """What those snapshots know of each rule on a sensor of a rig: values by window, start of an open incident."""
        self.standing: set[tuple[str, str, str]] = set()
        """Incidents that no window makes, and that are open as those snapshots know, if it `stands`."""
        self.stands = False
        self._final_us: dict[tuple[str, str], tuple[int, int]] = {}
        self._revisions: dict[Id, int] = {}

    def take(self, row: Row | None, changes: Iterable[Change], committed: int | None = None) -> None:
        """Apply what one row changes, as a store does it: of one revision only the first change of an id counts.

        `committed` is what its partition had committed; `row` None: time has passed.
        """
        if row is not None:
            self.rigs.add(row.rig)
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

    def foresee(self, row: Row | None, changes: Iterable[Change]) -> None:
        """Take note of what a row past the commit changes."""
        self.rigs |= set() if row is None else {row.rig}
        for change in changes:
            if isinstance(change, Upsert):
                self.coming.setdefault((change.collection, change.id), {}).setdefault(change.revision, change.body)

    def doubt(self, row: Row | None) -> None:
        """Take note that a row was judged by criteria that are not known."""
        self.rigs |= set() if row is None else {row.rig}
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

    def contradicted(self, revision: int, collection: str, body: Body) -> str:
        """Return why the newest snapshots can't have made a document that tells of what the lake does not have yet."""
        if revision >= self.judged_end:
            return ""  # it came after them
        names = (str(body.get("rig")), str(body.get("sensor")), str(body.get("rule")))
        if names[2] in STANDING:
            gone = self.stands and body.get("status") == "open" and names not in self.standing
            return "it is open, and the newest snapshot says that it is over" if gone else ""
        if not body.get("provisional"):
            # Its rig was forgotten since, and what was judged of it; or the row was, and went with the broker: what is
            # published of a sensor's records may be judged before any file or snapshot has them.
            if not _behind(body, self.judged_us.get(names[:2])):
                return ""
            return f"its window is not final, and its revision {revision} was judged"
        values, open_us = self.provisional.get(names, ({}, None))
        start_us = parse_iso(str(body.get("window_start") or body.get("first_window")))
        there = start_us == open_us if collection == "incidents" else values.get(start_us) == body.get("value")
        return "" if there else "the newest snapshot knows nothing of it, or another value"

    @property
    def unheard(self) -> bool:
        """Whether there may be rigs of which nothing is known: those of rows that came after the newest snapshots."""
        return not self.replayed and not self.ended

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
        return newest is None or _behind(body, newest)

    def _newest(self, body: Body) -> tuple[int, int] | None:
        return self._final_us.get((str(body.get("rig")), str(body.get("sensor"))))


def _behind(body: Body, newest: tuple[int, int] | None) -> bool:
    """Say whether a document tells of a later window than `newest`, start and end."""
    if newest is None:
        return False
    start, ended = str(body.get("window_start") or body.get("last_window")), body.get("resolved_at")
    return parse_iso(start) > newest[0] or (bool(ended) and parse_iso(str(ended)) > newest[1])


def replay_topic(part: Part, implied: Implied, results: Results) -> None:
    """Replay a partition of the analytics topic; compare the states in its snapshots, and its bands, on the way."""
    assert part.log is not None  # noqa: S101 - the caller has looked
    there = editions_of(part)
    implied.known |= editions.digests(there)
    implied.revisions_end = max(implied.revisions_end, part.bounds[1])
    judging, known_from = editions.Judging(there), editions.known_from(there)
    bands, result = Bands(part, results["bands"]), results["snapshots"]
    position, committed = part.bounds[0], part.committed or 0
    # A state that goes back to criteria that are not known can't be computed.
    left = list(part.snapshots) if known_from <= part.bounds[0] else []
    for messages in part.log.messages(part.source, *part.log.bounds(part.source)):
        for one in arrivals_of(messages):
            while left and left[0].offset <= one.offset:
                _check_state(left.pop(0), judging, result)
            position = one.offset + 1
            changes = judging.take(one)
            bands.take(judging.bands)
            if one.offset < known_from:
                implied.doubt(one.row)
            elif one.offset < committed:
                implied.take(one.row, changes, committed)
            else:
                implied.foresee(one.row, changes)
        implied.settled()
    if known_from <= part.bounds[0]:
        bands.finish()
    else:
        results["bands"].skip("bands by rules that are not known here, or not any more")
    for taken in left:
        if position <= taken.offset <= committed:
            _check_state(taken, judging, result)


def editions_of(part: Part) -> list[editions.Edition]:
    """Return the editions of the criteria of a partition; where none is kept, the configuration's stand in."""
    there = editions.load(Files(part.settings.snapshots_url), part.source)
    known = any(edition.criteria is not None for edition in there)
    return there if known else [*there, editions.Edition(part.reach, Criteria.of(part.settings))]


def learn_editions(judging: list[Part], implied: Implied) -> None:
    """Take note of all criteria that have judged: all there were if each partition has kept them from its beginning."""
    there = [editions.load(Files(part.settings.snapshots_url), part.source) for part in judging]
    implied.sure = bool(there) and all(kept and not kept[0].offset and editions.known_from(kept) == 0 for kept in there)
    implied.digests = implied.known.union(*map(editions.digests, there))


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


def arrivals_of(messages: Messages) -> list[Arrival]:
    """Return a batch of the topic as the detector takes it."""
    rows = []
    for offset, value in zip(messages.offsets.tolist(), messages.values, strict=True):
        with contextlib.suppress(ValueError):  # a dead letter, if the flow was there
            rows += [] if value is None else [(offset, decode_row(value))]
    return arrivals(messages, rows)
