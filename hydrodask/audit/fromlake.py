"""Tell from the lake and the newest snapshots what documents there should be, where the topic of rows is not there."""

from collections.abc import Iterator
from itertools import chain
from math import inf
from typing import Any

from hydrodask.audit.chain import usable_part
from hydrodask.audit.documents import Body, Implied, editions_of
from hydrodask.audit.finding import Result, Results
from hydrodask.audit.links import rows_of
from hydrodask.audit.mending import LOST, aside
from hydrodask.audit.part import Part
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.detect import Criteria, Detector
from hydrodask.detect.detector import VERSION, since_of
from hydrodask.detect.keystate import NEVER_US
from hydrodask.nodes import editions
from hydrodask.protocol import snapshot
from hydrodask.protocol.incarnation import base_above
from hydrodask.records import WindowRecord
from hydrodask.settings import Settings

Key = tuple[str, str]

RIGS_SHOWN = 5
"""Rigs that a finding names."""


def replay_lake(parts: list[Part], judging: list[Part], settings: Settings, implied: Implied, results: Results) -> None:
    """Replay the final windows of the lake, key by key in their order, as far as the newest snapshots have judged them.

    By the criteria of those snapshots: what earlier ones have judged is not looked at. What they have judged and the
    lake has not is said in `results`.
    """
    judged_us: dict[Key, int] = {}
    criteria = {}
    for part in judging:
        state = _taken(part, implied, judged_us)
        there = editions_of(part)
        since = since_of(state)
        now = next((e.criteria for e in reversed(there) if e.criteria is not None and e.offset <= max(since, 0)), None)
        now = now or Criteria.of(settings)
        criteria[now.digest] = now
    offsets = [part.newest.offset for part in judging if part.newest is not None]
    implied.judged_end = min(offsets, default=0)
    implied.ended = all(part.newest is not None and bool(part.newest.state.get("ended")) for part in judging)
    implied.revisions_end = base_above(max(offsets, default=0) + 1)
    implied.known |= set(list(criteria)[:1])
    detector, number = Detector.by(next(iter(criteria.values()), Criteria.of(settings))), 0
    forgotten_us = (detector.criteria.forgotten_after_s or inf) * US_PER_S
    before: dict[Key, tuple[int, int]] = {}
    implied.rigs |= {rig for rig, _ in judged_us}
    window_us = round(detector.criteria.window_s * US_PER_S)
    implied.judged_us = {key: (start_us, start_us + window_us) for key, start_us in judged_us.items()}
    for part in parts:
        implied.rigs |= part.rigs
        for row in _final_rows(part):
            number += 1
            key, here = (row.rig, row.sensor), (part.source[1], parse_iso(row.window_start))
            partition, start_us = before.get(key, here)
            before[key] = here
            if here[0] != partition or here[1] - start_us >= forgotten_us:
                implied.lone.add(key)  # it may have been forgotten meanwhile, or had parts of windows on both
            if parse_iso(row.window_start) <= judged_us.get((row.rig, row.sensor), NEVER_US):
                implied.take(row, detector.update(row, number))
    _say_lost(parts, judged_us, results["documents"])
    if not implied.lone and _all_filed(parts):
        _check_detector(judging, detector, results["snapshots"])


def _taken(part: Part, implied: Implied, judged_us: dict[Key, int]) -> Body:
    """Return the detector's state in the newest snapshot, empty without one; take what it knows."""
    node: Body = {} if part.newest is None else part.newest.state.get("nodes", {}).get("detector", {})
    state: Body = node.get("detector", {})
    current = state.get("version") == VERSION
    for rig, sensor, last_us, _steady, _baselines, tracks, *before_us in state.get("keys", []):
        judged_us[rig, sensor] = max(last_us, judged_us.get((rig, sensor), last_us))
        if current and before_us and before_us[0] > NEVER_US:
            implied.before_us[rig, sensor] = max(before_us[0], implied.before_us.get((rig, sensor), before_us[0]))
        for rule, (_run, _first, _body, values, open_us) in tracks.items():
            implied.provisional[rig, sensor, rule] = (dict(values), open_us)
    if current and part.newest is not None:
        judge = editions.Judging(editions_of(part), since=since_of(state))
        judge.restore(node)
        implied.standing |= set(judge.alarms())
        implied.stands = True
    return state


def _final_rows(part: Part) -> Iterator[WindowRecord]:
    """Yield the final windows of a partition: those of files, then those that wait for one in the newest snapshot."""
    filed = (rows_of(part.lake, link) for link in part.chains.get("windows", []) if link.usable)
    for table in chain(filed, [part.waiting("windows")]):
        for row in table.to_pylist():
            start, end = (iso(_us(row.pop(name))) for name in ("window_start", "window_end"))
            del row["partition"]
            yield WindowRecord(sensor=part.sensor, window_start=start, window_end=end, final=True, **row)


def _say_lost(parts: list[Part], judged_us: dict[Key, int], result: Result) -> None:
    """Say of which sensors windows were judged, and neither files nor snapshots are there."""
    there = {part.sensor for part in parts}
    for sensor in sorted({sensor for _, sensor in judged_us} - there):
        rigs = ", ".join(sorted({rig for rig, of in judged_us if of == sensor})[:RIGS_SHOWN])
        what = f"windows of {rigs} were judged, and there is nothing of {sensor}: no file, and no snapshot"
        result.found(f"sensor {sensor}", what, mend=LOST)


def _all_filed(parts: list[Part]) -> bool:
    """Say whether every final window is in a file that can be used."""
    for part in parts:
        links = part.chains.get("windows", [])
        waits = part.newest is not None and part.newest.state.get("files", {}).get("windows", {}).get("waiting")
        if waits or len(usable_part(links)) < len(links):
            return False
    return True


def _check_detector(judging: list[Part], detector: Detector, result: Result) -> None:
    """Say where the last word of the only partition that judges is not what all final windows give.

    What is provisional follows from rows that only the topic had.
    """
    taken = judging[0].newest if len(judging) == 1 else None
    if taken is None or not taken.state.get("ended"):
        return
    state = taken.state.get("nodes", {}).get("detector", {}).get("detector", {})
    want = detector.snapshot()
    if state.get("version") != VERSION or since_of(state) > 0 or state["criteria"][0] != want["criteria"][0]:
        return
    if state["totals"] != want["totals"] or _settled(state["keys"]) != _settled(want["keys"]):
        what = "its state of the detector is not what the final windows give"
        result.found(taken.path, what, mend=aside(taken.path))


def _settled(keys: list[Any]) -> bytes:
    """Return the part of the detector's state that follows from final windows; a track without any says nothing."""
    found = []
    for rig, sensor, last_us, steady, baselines, tracks, *_before in keys:
        if last_us > NEVER_US:
            settled = {rule: track[:3] for rule, track in tracks.items() if track[0] or track[2] is not None}
            found.append([rig, sensor, last_us, steady, baselines, settled])
    return snapshot.encode({"keys": found})


def _us(moment: Any) -> int:
    return parse_iso(moment.isoformat())
