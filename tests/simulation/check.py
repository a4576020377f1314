"""What a simulated life has delivered, and what must be so whatever went wrong in it."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hydrodask.audit.differences import RATE
from hydrodask.records import PartitionId
from tests.simulation.input import PREFIX
from tests.simulation.platform import FLOW_OF, Platform
from tests.simulation.schedule import Schedule

FOLDERS = ("raw", "windows", "cycles", "late", "labels")
_MOVED = {"restore state", "more analytics"}
"""A state without any rig, nor over how many partitions they are spread: they begin anew, on all that there are now."""

COUNTS = ("consumed", "kept", "late", "dead", "windows", "cycles", "anomalies", "incidents")


class WrongError(AssertionError):
    """Something was delivered twice, not at all, or differently."""


@dataclass
class Delivered:
    """What there is in the end, without what may depend on timing."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    """Folder → rows in the order of their keys."""
    finals: dict[Any, Any] = field(default_factory=dict)
    newest: dict[Any, Any] = field(default_factory=dict)
    profiles: dict[Any, Any] = field(default_factory=dict)
    dead: list[Any] = field(default_factory=list)
    anomalies: dict[str, Any] = field(default_factory=dict)
    incidents: dict[str, Any] = field(default_factory=dict)
    totals: dict[PartitionId, dict[str, int]] = field(default_factory=dict)


@lru_cache(maxsize=5000)
def _read(data: bytes) -> tuple[int, int, pa.Table]:
    """Return first, end and rows of a file."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        _want({"offset", "revision"} & set(table.column_names), f"a file has columns {table.column_names}")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise WrongError(f"a file can't be read: {error}") from error
    metadata = table.schema.metadata
    return int(metadata[b"hydrodask.first"]), int(metadata[b"hydrodask.end"]), table.replace_schema_metadata(None)


def _want(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


def _folder(platform: Platform, folder: str) -> pa.Table:
    """Return the rows of a folder. Fails when a chain of files has a gap, or names and contents differ."""
    chains: dict[tuple[str, str], list[tuple[int, int, pa.Table]]] = {}
    prefix = f"fake://lake/{folder}/"
    for path, data in platform.disk.data.items():
        name = path.rsplit("/", 1)[-1]
        if path.startswith(prefix) and not name.startswith("."):
            source, _, began = name.removesuffix(".parquet").rpartition("-")
            found = _read(data)
            _want(found[0] == int(began), f"{path} begins at {found[0]}")
            chains.setdefault((path.split("/")[4], source), []).append(found)
    tables = []
    column = "offset" if folder in {"raw", "late"} else "revision"
    for (_, source), files in sorted(chains.items()):
        files.sort(key=lambda f: f[0])
        for before, after in pairwise(files):
            _want(before[1] == after[0], f"{folder}: {source} has a file up to {before[1]} and one from {after[0]}")
        for first, end, table in files:
            places = table[column].to_pylist()
            _want(places == sorted(places), f"{folder}: {source} {first} is out of order")
            _want(first <= places[0] and places[-1] < end, f"{folder}: {source} {first} to {end} holds {places}")
            tables.append(table.append_column("source", pa.array([source] * len(table))))
    if not tables:
        return pa.table({})
    rows = pa.concat_tables(tables, promote_options="default")  # the previous release had a column less
    return rows.sort_by([(name, "ascending") for name in ("source", column, "rig", *_more(rows))])


def _more(rows: pa.Table) -> list[str]:
    return [name for name in ("window_start", "cycle") if name in rows.column_names]


def _once(pairs: list[tuple[Any, Any]], what: str, *, lost: bool) -> dict[Any, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    _want(not twice or lost, f"{what}: {len(twice)} were published more than once, such as {twice[:1]}")
    return dict(sorted(pairs, key=lambda pair: str(pair[0])))


def _rows(platform: Platform, topic: str) -> list[dict[str, Any]]:
    """Return the rows that read-committed readers see of a topic, partition by partition."""
    logs = [log for (name, _), log in sorted(platform.broker.logs.items()) if name == PREFIX + topic]
    return [json.loads(entry.value) for log in logs for _, entry in log.committed() if entry.value is not None]


def _window(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["rig"], row["sensor"], row["window_start"]


def collect(platform: Platform) -> Delivered:
    """Return what a life has delivered. Fails when something of it is there twice, or contradicts itself."""
    # Others tell of whose samples are refused.
    rows = [row for row in _rows(platform, "analytics") if "avg_value" in row]
    lost = platform.overview.total("lost") > 0  # then what was published before a crash may come again, with less in it
    found = Delivered(
        tables={folder: _folder(platform, folder) for folder in FOLDERS},
        finals=_once(
            [((*_window(row), row["window_end"]), row) for row in rows if row["final"]], "final windows", lost=lost
        ),
        newest={_window(row): row | {"revision": 0} for row in rows},
        profiles=_once(
            [((r["rig"], r["sensor"], r["cycle"]), r) for r in _rows(platform, "cycles")], "profiles", lost=lost
        ),
        dead=_dead(platform),
    )
    final = {window[:3] for window in found.finals}
    for collection in ("anomalies", "incidents"):
        documents = platform.documents.find(collection, {}, limit=10_000)
        for one in documents:
            _check_provisional(one, final)
        setattr(
            found,
            collection,
            {d["_id"]: {k: v for k, v in d.items() if k != "revision"} for d in documents if not d["provisional"]},
        )
    for source, part in platform.overview.partitions.items():
        counts = {name: part.totals[name] for name in COUNTS if name in part.totals}
        # How many open rows the alert flow has read depends on timing.
        timing = {"consumed", "kept"} if FLOW_OF[source[0]] == "alert" else set()
        found.totals[source] = {name: count for name, count in counts.items() if name not in timing}
        if FLOW_OF[source[0]] == "monitor":
            _want(counts["consumed"] == counts["kept"] + counts["late"] + counts.get("dead", 0), f"{source}: {counts}")
    return found


def _dead(platform: Platform) -> list[Any]:
    entries = [
        e
        for (name, _), log in sorted(platform.broker.logs.items())
        if name == PREFIX + "dead-letter"
        for _, e in log.committed()
    ]
    found = [(*(dict(e.headers)[name] for name in ("topic", "partition", "offset")), e.value) for e in entries]
    _want(len(set(found)) == len(found), f"dead letters: some are there twice: {found}")
    return sorted(found)


def _check_provisional(document: dict[str, Any], final: set[Any]) -> None:
    """Fail when something provisional is left of a window that is final."""
    if document["provisional"]:
        start = document.get("window_start") or document["first_window"]
        _want(
            (document["rig"], document["sensor"], start) not in final,
            f"provisional, and its window is final: {document}",
        )


@cache
def reference(kind: int) -> Delivered:
    """Return what a life without a fault delivers of an input."""
    platform = Platform(Schedule(0, kind=kind))
    platform.run()
    found = collect(platform)
    sent = sum(len(log.entries) for (topic, _), log in platform.broker.logs.items() if FLOW_OF.get(topic) == "monitor")
    dead = [one for one in found.dead if not one[0].endswith(b"labels")]
    assert len(found.tables["raw"]) + len(dead) == sent - 1 > 100  # one is a tombstone
    assert found.anomalies
    assert found.incidents
    assert len(found.finals) == len(found.tables["windows"]) > 30
    return found


def compare(found: Delivered, wanted: Delivered) -> None:
    """Fail, naming what differs, unless both are equal to the last bit."""
    for folder, table in wanted.tables.items():
        ours = found.tables[folder]
        if ours.num_rows != table.num_rows:
            raise WrongError(f"{folder}: {ours.num_rows} rows, not {table.num_rows}: {_twice(ours)}")
        if not ours.equals(table):
            raise WrongError(f"{folder}: rows differ: {_first_difference(ours, table)}")
    for name in ("finals", "newest", "profiles", "dead", "anomalies", "incidents", "totals"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        if ours != theirs:
            raise WrongError(f"{name}: missing or other {_only(theirs, ours)}; extra or other {_only(ours, theirs)}")


def _without_rates(found: Delivered) -> Delivered:
    """Return what was delivered without what the previous release did not say yet."""

    def without(table: pa.Table) -> pa.Table:
        return table.drop_columns([RATE]) if RATE in table.column_names else table

    def rows(keyed: dict[Any, Any]) -> dict[Any, Any]:
        return {key: {k: v for k, v in row.items() if k not in (RATE, "partition")} for key, row in keyed.items()}

    return replace(
        found,
        tables={name: without(table) for name, table in found.tables.items()},
        finals=rows(found.finals),
        newest=rows(found.newest),
        profiles=rows(found.profiles),
    )


def _only(one: Any, other: Any) -> Any:
    """Return the first few of what only one has."""
    if isinstance(one, dict):
        return [(k, v) for k, v in one.items() if other.get(k) != v][:2]
    return [v for v in one if v not in other][:2]


def _twice(rows: pa.Table) -> str:
    names = [
        name for name in ("source", "offset", "revision", "rig", "window_start", "cycle") if name in rows.column_names
    ]
    counts = rows.group_by(names).aggregate([([], "count_all")])
    again = counts.filter(pc.greater(counts["count_all"], 1))
    return f"{again.num_rows} are there more than once, such as {again.slice(0, 1).to_pylist()}"


def _first_difference(ours: pa.Table, theirs: pa.Table) -> str:
    if ours.schema != theirs.schema:
        return f"{ours.schema} is not {theirs.schema}"
    pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
    return str(next(((a, b) for a, b in pairs if a != b), "NaN, or the encoding"))


def _noted(platform: Platform, source: PartitionId) -> bool:
    """Say whether a note names lost dead letters: who dies before its next snapshot takes the count along."""
    name = f"{source[0]}-{source[1]}: "
    return any(name in note and "went with the log, and are not in raw/" in note for note in platform.notes)


def account(platform: Platform, found: Delivered) -> bool:
    """Fail unless each record is in raw/ or a dead letter, once, or has gone with the log's beginning and is counted.

    Say whether none is missing.
    """
    complete = True
    for source, log in platform.broker.logs.items():
        if FLOW_OF.get(source[0]) != "monitor" or source[0] == PREFIX + "labels":
            continue
        rows = found.tables["raw"]
        stored = rows.filter(pc.equal(rows["source"], f"{source[0]}-{source[1]}"))["offset"].to_pylist()
        stored += [int(one[2]) for one in found.dead if (one[0].decode(), int(one[1])) == source]
        _want(len(set(stored)) == len(stored), f"{source}: stored twice")
        sent = {offset for offset, entry in log.committed() if entry.value is not None}
        missing = sent - set(stored)
        _want(
            all(offset < log.low for offset in missing), f"{source}: {missing} are missing, the log begins at {log.low}"
        )
        totals = platform.overview.partitions[source].totals
        lost = totals.get("lost", 0)
        # A group that begins after a loss has lost nothing; rows that waited for their file may have been counted.
        counted = {offset for offset in missing if offset > min(stored, default=log.low)}
        said = len(counted) <= lost or totals["consumed"] + lost >= len(sent) or _noted(platform, source)
        _want(said, f"{source}: {len(counted)} are missing, {lost} are said to be lost, {totals['consumed']} were read")
        complete = complete and not missing and not lost
    return complete


def check(schedule: Schedule) -> Platform:
    """Live a schedule, and compare with a life without faults; after a loss, account for all records.

    Raises AssertionError, of which WrongError says what.
    """
    platform = Platform(schedule)
    platform.run()
    compare_all(platform)
    return platform


def compare_all(platform: Platform, *, but: frozenset[str] = frozenset()) -> bool:
    """Compare what a life has delivered with what one without faults does, `but` some things; say if nothing is lost.

    After a loss account for all records. Raises WrongError.
    """
    found = collect(platform)
    complete = account(platform, found)
    if complete:
        if set(platform.schedule.harms) >= _MOVED:
            but |= {"totals", "newest"}
        else:
            added = PREFIX + "analytics", 2  # which stays empty, as rigs stay where their state is
            _want(not any(found.totals.pop(added, {}).values()), f"{added}: {found.totals}")
        wanted = reference(platform.schedule.kind)
        if any(log.low for log in platform.broker.logs.values()):  # dead letters that are not in raw/ are counted once
            wanted = replace(wanted, totals=found.totals)
        if platform.schedule.previous is not None:
            found, wanted = _without_rates(found), _without_rates(wanted)
        kept = {name: table for name, table in found.tables.items() if name in but}
        others = {name: getattr(found, name) for name in but - kept.keys()}
        compare(found, replace(wanted, tables=wanted.tables | kept, **others))
    return complete
