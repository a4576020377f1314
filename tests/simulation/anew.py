"""What must be so in a life in which topics were deleted and made anew, whatever else went wrong."""

from bisect import bisect_right
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from hydrodask.audit.differences import below, from_on
from hydrodask.audit.finding import Result
from hydrodask.audit.part import known_logs
from hydrodask.audit.replay import Operators
from hydrodask.audit.snapshots import load_snapshots
from hydrodask.blobs import Blobs
from hydrodask.decode import Decoder
from hydrodask.keys import Terms
from hydrodask.protocol.geometries import GeometryChange
from hydrodask.protocol.incarnation import Incarnation
from hydrodask.records import Messages, PartitionId
from hydrodask.store.schemas import samples_of, samples_table
from hydrodask.testing.simulation.fakelogs import FakePartition
from hydrodask.window.geometry import Geometry
from tests.simulation.check import FOLDERS, WrongError, _check_provisional, _dead, _folder, _rows, _want, _window
from tests.simulation.input import PREFIX, SENSORS
from tests.simulation.platform import FLOW_OF, Platform
from tests.simulation.schedule import Schedule


def check_anew(schedule: Schedule) -> Platform:
    """Live a schedule, and hold what was delivered against the logs that there were. Raises WrongError."""
    platform = Platform(schedule)
    platform.run()
    compare_anew(platform)
    return platform


def compare_anew(platform: Platform) -> None:
    """Hold what a life has delivered against the logs that there were. Raises WrongError."""
    tables = {folder: _folder(platform, folder) for folder in FOLDERS}
    _dead(platform)  # each once
    known: dict[PartitionId, list[Incarnation]] = {}
    for source in sorted(s for s in platform.broker.logs if FLOW_OF.get(s[0]) in ("monitor", "labels")):
        files, doubts = platform.disk.at(platform.settings.snapshots_url), Result("snapshots", "")
        known[source] = known_logs(files, source, load_snapshots(files, source, doubts, None), None)
        _want(platform.nemesis.done or not doubts.wrong, f"{source}: {doubts.findings}")
        now = f"cluster/{source[0]}@cluster.{platform.broker.logs[source].number}"
        _want(known[source][-1].log == now, f"{source}: {known[source]}, and there is {now}")
        if FLOW_OF[source[0]] == "monitor":
            _check_source(platform, source, known[source], {f: _of(t, source) for f, t in tables.items()})
    _check_topics(platform, known, tables)


def _of(table: pa.Table, source: PartitionId) -> pa.Table:
    """Return a source's rows, as the lake has them."""
    if not table.num_rows:
        return table
    mine = table.filter(pa.compute.equal(table["source"], f"{source[0]}-{source[1]}"))
    return mine.drop_columns(["source"])


def _check_source(
    platform: Platform, source: PartitionId, known: list[Incarnation], stored: dict[str, pa.Table]
) -> None:
    """Fail unless raw/ has the records of each log as far as they go, and what is computed follows from them."""
    logs = {log.number: log for log in (*platform.broker.ended.get(source, []), platform.broker.logs[source])}
    bounds = [*(one.base for one in known[1:]), 1 << 62]
    for one, end in zip(known, bounds, strict=True):
        log = logs[int(one.log.rpartition(".")[2])]
        raw = below(from_on(stored["raw"], "offset", one.base), "offset", end) if stored["raw"].num_rows else None
        want = _decoded(platform, source, log, one.base)
        last = end == bounds[-1] and "windows changed" not in platform.nemesis.done  # whose geometries `verify` knows
        count = 0 if raw is None else raw.num_rows
        _want(
            count == want.num_rows if end == bounds[-1] else count <= want.num_rows,
            f"{source} {one}: {count} of {want.num_rows}",
        )
        if raw is not None and count:
            _want(raw.equals(want.slice(0, count)), f"{source} {one}: raw/ is not the beginning of the log")
        if last:
            _check_computed(platform, source, want, one.base, stored)


def _decoded(platform: Platform, source: PartitionId, log: FakePartition, base: int) -> pa.Table:
    """Return the rows that raw/ should have of a log."""
    entries = [(i, entry) for i, entry in enumerate(log.entries) if entry.visible]
    messages = Messages(
        *source,
        Blobs.of([entry.value for _, entry in entries]),
        Blobs.of([entry.key for _, entry in entries]),
        np.array([i + base for i, _ in entries], np.int64),
        np.array([entry.stamp_ms for _, entry in entries], np.int64),
    )
    sensor = source[0].removeprefix(PREFIX)
    return samples_table(Decoder.of(platform.settings, sensor).decode(messages)[0])


def _check_computed(
    platform: Platform, source: PartitionId, raw: pa.Table, base: int, stored: dict[str, pa.Table]
) -> None:
    """Fail unless windows, profiles and late samples of the newest log are those of a state that knew nothing else."""
    sensor = source[0].removeprefix(PREFIX)
    geometries = [GeometryChange(0, Geometry.of(platform.settings.window))]
    operators = Operators(source, sensor, geometries, [(0, Terms.of(platform.settings.limits))])
    done = next(operators.consume(samples_of(raw, sensor, source)), None)
    if done is None:
        return  # the new log is empty
    tables = operators.tables(done)
    for folder, column in (("windows", "revision"), ("cycles", "revision"), ("late", "offset")):
        found = from_on(stored[folder], column, base) if stored[folder].num_rows else stored[folder]
        names = [column, "rig", *(n for n in ("window_start", "cycle") if n in tables[folder].column_names)]
        want = tables[folder].sort_by([(name, "ascending") for name in names])
        same = found.num_rows == want.num_rows and (not want.num_rows or found.equals(want))
        _want(
            same,
            f"{source} {folder}/: {found.num_rows} rows of the new log, not the {want.num_rows} that follow from it",
        )


def _check_topics(platform: Platform, known: dict[PartitionId, list[Incarnation]], tables: dict[str, pa.Table]) -> None:
    """Fail unless each final row and profile is on its topic once for each log, and all of the newest are there."""
    finals = [row for row in _rows(platform, "analytics") if row["final"]]
    profiles = _rows(platform, "cycles")
    for rows, key, folder in ((finals, _span, "windows"), (profiles, _cycle, "cycles")):
        sources = {source for source in known if source[0].removeprefix(PREFIX) in SENSORS}
        bases = {
            s[0].removeprefix(PREFIX): [[o.base for o in known[t]] for t in sources if t[0] == s[0]] for s in sources
        }
        counts = Counter((key(row), _number(row, bases)) for row in rows)
        twice = [one for one, count in counts.items() if count > 1]
        _want(not twice, f"{folder}: {len(twice)} were published more than once, such as {twice[:1]}")
        for source in sources:
            sensor, base, stored = source[0].removeprefix(PREFIX), known[source][-1].base, _of(tables[folder], source)
            of_now = from_on(stored, "revision", base).to_pylist() if stored.num_rows else []
            wanted = sorted((row["rig"], row["revision"]) for row in of_now)
            rigs = {rig for rig, _ in wanted}
            mine = [(row["rig"], row["revision"]) for row in rows if row["sensor"] == sensor and row["rig"] in rigs]
            there = sorted(one for one in mine if one[1] >= base)
            _want(
                wanted == there,
                f"{folder} {source}: {len(there)} rows of the newest log on the topic, not {len(wanted)}",
            )
    final = {_window(row) for row in finals}
    for collection in ("anomalies", "incidents"):
        for one in platform.documents.find(collection, {}, limit=10_000):
            _check_provisional(one, final)


def _span(row: dict[str, Any]) -> tuple[Any, ...]:
    return *_window(row), row["window_end"]


def _cycle(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["rig"], row["sensor"], row["cycle"]


def _number(row: dict[str, Any], bases: dict[str, list[list[int]]]) -> int:
    """Return of which log a row is; a rig has one partition, so one of these lists is right, and finer is stricter."""
    return max(bisect_right(of, row["revision"]) for of in bases[row["sensor"]])


__all__ = ["WrongError", "check_anew", "compare_anew"]
