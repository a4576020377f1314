"""Check what a sensor's partition has come to: windows, profiles and late samples, files, snapshots, topic rows."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from hydrodask.audit.differences import Comparison, nonempty, outside
from hydrodask.audit.finding import Result, Results
from hydrodask.audit.ledger import Ledger, digest
from hydrodask.audit.mending import DERIVED, aside
from hydrodask.audit.part import Part
from hydrodask.audit.replay import KEYS, Done, Operators, in_force, split
from hydrodask.audit.snapshots import Snapshot
from hydrodask.nodes.outgoing import cycle_rows, older, window_rows
from hydrodask.protocol import snapshot
from hydrodask.protocol.incarnation import Seam
from hydrodask.records import Outgoing, Samples
from hydrodask.window.cycles import LATER

COMPUTED = ("windows", "cycles", "late")
"""Folders whose rows follow from raw rows."""

_COUNTS = ("kept", "late", "left", "short", "lacking", "lacks")
"""Of the operators' states, what counts all records since the group began."""


def check_computed(part: Part, results: Results, wanted: dict[str, Ledger], place: int) -> None:
    """Compute everything anew and compare with files and snapshots.

    Rows that have to be on the topics go to `wanted`, by the check that looks for them.
    """
    operators = Operators(part.source, part.sensor, part.geometries, part.history)
    comparisons = {folder: _comparison(part, folder) for folder in COMPUTED}
    made = {"windows": 0, "cycles": 0}
    # That raw/ is damaged or not there is said once, with the windows that can't be computed for it.
    for samples in _cut(part, results["windows"]):
        if isinstance(samples, Snapshot):
            _check_state(part, samples, operators, results["snapshots"])
            _check_made(part, samples, made, results["snapshots"])
            continue
        for done in operators.cross(samples) if isinstance(samples, Seam) else operators.consume(samples):
            made["windows"] += len(done.windows)
            made["cycles"] += len(done.profiles)
            for folder, table in operators.tables(done).items():
                comparisons[folder].expect(outside(table, KEYS[folder][0], part.holes))
            _want(part, done, wanted, place)
    for folder in COMPUTED:
        _conclude(part, comparisons[folder], results[folder])
    _check_geometry(part, results["windows"])


def _check_geometry(part: Part, result: Result) -> None:
    """Say which file calls its windows other ones than they are."""
    for link in part.chains.get("windows", []):
        if link.usable and link.windows is not None and link.end is not None:
            want = in_force(part.geometries, link.end - 1)
            if link.windows != want.encoded:
                what = f"it says that its windows are {link.windows.decode()}, want {want}"
                result.found(link.path, what, mend=DERIVED)


def _comparison(part: Part, folder: str) -> Comparison:
    limit = part.stored_to(folder)
    return Comparison(nonempty(part.stored(folder, limit)), KEYS[folder], limit)


def _conclude(part: Part, comparison: Comparison, result: Result) -> None:
    """Say what differs. Where the raw rows stop early, stored rows behind them are not extra."""
    found = comparison.finish() if part.covered >= comparison.limit else comparison.found
    result.count(rows=found.equal, waiting=found.waiting)
    if found.wrong:
        mend = part.mend_of(result.check, found.at, DERIVED)
        result.found(part.name, f"{result.check}/ is not what raw/ gives: {found.what}", found.first, mend=mend)


def _cut(part: Part, why: Result) -> Iterator[Samples | Snapshot | Seam]:
    """Yield samples, and each snapshot and seam between the samples below its offset and the others."""
    seams: list[tuple[int, Snapshot | Seam]] = [(seam.base, seam) for seam in part.seams]
    kept = [one for one in part.snapshots if not any(start < one.offset < end for start, end in part.holes)]
    left = sorted([*seams, *((one.offset, one) for one in kept)], key=lambda pair: pair[0])  # a seam comes first
    for run in part.samples(why):
        samples = run
        while left and len(samples) and int(samples.offset[-1]) >= left[0][0]:
            before, samples = split(samples, left[0][0])
            yield before
            yield left.pop(0)[1]
        yield samples
    newest = part.newest.offset if part.newest else 0
    yield from (one for at, one in left if at <= (max(part.covered, newest) if isinstance(one, Seam) else part.covered))


def _check_state(part: Part, taken: Snapshot, operators: Operators, result: Result) -> None:
    """Say which operator's state in a snapshot is not what the raw rows give.

    Counts go on over logs, so they are not judged where records of an earlier one are in no file.
    """
    operators.reach(taken.offset)
    nodes: dict[str, Any] = taken.state.get("nodes", {})
    counts = _COUNTS if any(end <= taken.offset for _, end in part.holes) else ()
    for name, state in operators.states().items():
        if name == "rigs" and counts:
            continue  # who was there before is not known either
        stored = {key: value for key, value in nodes.get(name, {}).items() if key in state or name != "rigs"}
        # One that went on from a state of an older release counts some things from there on only.
        later = LATER if stored.get("since") != state.get("since") else ()
        stored, implied = ({k: v for k, v in one.items() if k not in (*counts, *later)} for one in (stored, state))
        if name not in nodes or _older(stored):
            result.skip(f"{taken.path}: its state of {name} was laid out by an older release")
        elif snapshot.encode(stored) != snapshot.encode(implied):
            what = f"its state of {name} is not what the raw rows below offset {taken.offset} give"
            result.found(taken.path, what, mend=aside(taken.path))
    result.count(states=len(nodes))


def _check_made(part: Part, taken: Snapshot, made: dict[str, int], result: Result) -> None:
    """Say which snapshot counts other final windows and cycles than there were; over lost records nobody can tell."""
    totals = taken.state.get("totals", {})
    for name, count in made.items():
        if not part.seams and totals.get(name, 0) != count:
            what = f"it counts {totals.get(name, 0)} {name}, and the raw rows below its offset make {count}"
            result.found(taken.path, what, mend=aside(taken.path))


def _older(state: dict[str, Any]) -> bool:
    """Say whether an older release made this state: it forgot no rigs. That of rigs it did not have at all."""
    return "ages" not in state


def _want(part: Part, done: Done, wanted: dict[str, Ledger], place: int) -> None:
    """Take note of the rows that have to be on the topics, byte for byte."""
    if "analytics" in wanted and len(done.windows):
        starts = done.windows.start_us.tolist()
        revisions = done.windows.revision.tolist()
        rows = window_rows(done.windows, done.length_us, part.source[1])
        for (key, value), start_us, revision in zip(rows, starts, revisions, strict=True):
            if revision >= part.sound:
                break
            which = row_digest(key, part.sensor, start_us, revision)
            record = partial(Outgoing, part.settings.topic("analytics"), key, value)
            wanted["analytics"].want((which, digest(key, value), place, revision, digest(key, older(value))), record)
    if "profiles" in wanted and len(done.profiles):
        cycles = done.profiles.cycle.tolist()
        revisions = done.profiles.revision.tolist()
        for (key, value), cycle, revision in zip(cycle_rows(done.profiles), cycles, revisions, strict=True):
            if revision >= part.sound:
                break
            which = row_digest(key, part.sensor, cycle, revision)
            record = partial(Outgoing, part.settings.topic("cycles"), key, value)
            wanted["profiles"].want((which, digest(key, value), place, revision, digest(key, older(value))), record)


def row_digest(rig: bytes, sensor: str, number: int, revision: int) -> int:
    """Return what says which row it is: `number` is a window's start (µs) or a cycle."""
    return digest(rig, sensor.encode(), b"%d" % number, b"%d" % revision)
