"""Hold the log of labels against labels/ and the dead letters."""

import msgspec
import numpy as np
import pyarrow as pa

from hydrodask import clock
from hydrodask.audit.differences import Comparison, from_on, nonempty
from hydrodask.audit.finding import Result, Results
from hydrodask.audit.kept import want_dead
from hydrodask.audit.ledger import Ledger
from hydrodask.audit.mending import LOST, RECORDS, aside
from hydrodask.audit.part import Part
from hydrodask.audit.replay import KEYS
from hydrodask.decode import decode_label
from hydrodask.decode.manner import Manner, manner_at
from hydrodask.records import LabelRecord, Messages, Reject
from hydrodask.store.schemas import labels_table

_SHOWN = ("cooler", "valve", "pump", "accumulator", "stable")


def check_newest(part: Part, result: Result) -> None:
    """Say where the newest snapshot names other newest labels than labels/ holds, file by file."""
    taken = part.newest
    if taken is None or not part.chains.get("labels"):
        return
    newest: dict[str, list[float]] = {}
    for _path, rows in part.stored("labels", taken.offset):
        for row in rows.select(["rig", *_SHOWN]).to_pylist():
            newest[row["rig"]] = [float(row[name]) for name in _SHOWN]
    for rig, values in taken.state.get("nodes", {}).get("labels", {}).get("newest", {}).items():
        if newest.get(rig) != values:
            what = f"its newest labels of rig {rig!r} are {values}, want {newest.get(rig)}"
            result.found(taken.path, what, mend=aside(taken.path))


def check_labels(part: Part, results: Results, dead: Ledger, place: int) -> None:
    """Decode what the log still has of a partition of the labels, and compare."""
    result = results["labels"]
    check_newest(part, results["snapshots"])
    if part.log is None:
        result.skip("no topic to compare labels/ with: the log is gone, or the broker was an embedded one")
        return
    low, high = part.bounds
    start, end = max(low, part.begin), min(high, part.reach)
    if low > part.begin:
        result.skip(f"{part.name} below offset {low}: the log does not have them any more (retention)")
    limit = min(part.stored_to("labels"), max(end, start))
    stored = ((path, from_on(rows, "revision", start)) for path, rows in part.stored("labels", max(end, start)))
    comparison = Comparison(nonempty(stored), KEYS["labels"], limit)
    taken = 0
    for messages in part.log.messages(part.source, start, end):
        taken += _taken(part, messages)
        table, rejects = expected(part, messages)
        comparison.expect(table)
        result.count(records=messages.values.full, dead=len(rejects))
        for reject in rejects:
            want_dead(part, reject, dead, place, older=older_reason(reject.value))
    _check_beginning(part, taken, result)
    found = comparison.finish()
    result.count(rows=found.equal, waiting=found.waiting)
    if found.wrong:
        mend = part.mend_of("labels", found.at, RECORDS)
        result.found(part.name, f"labels/ is not what the log says: {found.what}", found.first, mend=mend)


def _taken(part: Part, messages: Messages) -> int:
    """Return how many of these records the newest snapshot has counted."""
    end = part.newest.offset if part.newest is not None else 0
    return int(messages.take(slice(0, int(np.searchsorted(messages.offsets, end)))).values.full)


def _check_beginning(part: Part, taken: int, result: Result) -> None:
    """Say if more records were taken than there are from the first file on: nothing else tells where labels began."""
    counted = int(part.newest.state.get("consumed", 0)) if part.newest is not None else 0
    if counted > taken and not part.base and part.bounds[0] <= part.begin:
        what = f"labels/ begins at offset {part.begin}, and {counted - taken} records were taken before: its first file"
        result.found(part.name, f"{what} is missing", mend=LOST)


def older_reason(value: bytes | None) -> str:
    """Return why a release without rules of its own for labels would have refused one.

    >>> older_reason(b"[]")
    'not what this topic holds: Expected `object`, got `array`'
    """
    try:
        msgspec.json.decode(value or b"", type=LabelRecord)
    except (ValueError, RecursionError) as error:
        return f"not what this topic holds: {error}"
    return ""


def expected(part: Part, messages: Messages) -> tuple[pa.Table, list[Reject]]:
    """Return the rows and the rejects of a run of messages."""
    rows, times_us, offsets, rejects = [], [], [], []
    manners = part.manners
    for place, value in enumerate(messages.values):
        if value is None:
            continue
        offset = int(messages.offsets[place])
        try:
            label = decode_label(value, messages.keys[place], manner_at(manners, offset) or Manner.of(part.settings))
        except ValueError as error:
            rejects.append(Reject(*part.source, offset, messages.keys[place], value, str(error)))
            continue
        times_us.append(clock.parse_iso(label.timestamp))
        rows.append(label)
        offsets.append(offset)
    return labels_table(rows, times_us, partition=part.source[1], offsets=offsets), rejects
