"""A plant with a history: hours of a few rigs, as a platform leaves them, made at once.

The simulator's samples, windows of them, and what the real detector and the real states of components make of these;
stored in a lake and documents. Nothing ran: what is tested with it reads what a run has left.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hydrodask.channels import CHANNELS, CYCLE_S
from hydrodask.clock import US_PER_S, iso
from hydrodask.detect import Criteria, Detector
from hydrodask.detect.usual.telling import NAME as CYCLE
from hydrodask.ingest.simulator import FaultPlan
from hydrodask.ingest.simulator.rig import SimulatedRig
from hydrodask.ingest.simulator.shapes import load_shapes
from hydrodask.learn.score.verdicts import ComponentStates, Verdict
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Change, Float64, Samples, Upsert, WindowRecord, Windows
from hydrodask.reports import Band, Scored
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings, load
from hydrodask.store.documents import open_documents
from hydrodask.store.lake import Lake
from hydrodask.store.schemas import bands_table, first_date, samples_table, scores_table, windows_table
from hydrodask.window.geometry import METADATA, Geometry

START_US = 1_796_011_200 * US_PER_S
"""Of the history: 2026-11-30T04:00:00Z."""

PANE_S, PANES = 10, 6
FILE_WINDOWS = 30

FAULTS = [
    {"component": "cooler", "to": 3, "at": "20m", "for": "9m", "ramp": "2m", "rig": "rig-0002"},
    {"component": "cooler", "to": 20, "at": "50m", "for": "5m", "ramp": "1m", "rig": "rig-0002"},
    {"component": "accumulator", "to": 90, "at": "43m", "for": "20m", "ramp": "2m", "rig": "rig-0002"},
    {"sensor": "PS1", "kind": "spike", "at": "69m", "for": "2m", "size": 60, "rig": "rig-0002"},
    {"component": "pump", "to": 2, "at": "60m", "ramp": "10m", "rig": "rig-0003"},
    {"component": "cooler", "to": 3, "at": "72m", "ramp": "5m", "rig": "rig-0007"},
    {"component": "cooler", "to": 20, "at": "76m", "ramp": "2m", "rig": "rig-0005"},
    {"component": "valve", "to": 73, "at": "30m", "for": "25m", "ramp": "5m", "rig": "rig-0009"},
]


@dataclass
class Plant:
    """What has been left; `end_us` is the end of its newest window."""

    settings: Settings
    rigs: list[str]
    minutes: int
    bands: list[Band] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)

    @property
    def end_us(self) -> int:
        """When it ends."""
        return START_US + self.minutes * 60 * US_PER_S


def made(folder: Path, *, rigs: int = 12, minutes: int = 80, sets: tuple[str, ...] = ()) -> Plant:
    """Make a plant's history in `folder`."""
    plan = FaultPlan.parse({"faults": FAULTS})
    names = [f"rig-{number + 1:04d}" for number in range(rigs)]
    chosen = [f"data_dir={folder / 'data'}", "cluster.dashboard=null", "observe.metrics=null", *sets]
    plant = Plant(load(sets=chosen, environ={})[0], names, minutes)
    rows: list[tuple[str, Windows]] = []
    states = ComponentStates(confirm=2)
    for index, name in enumerate(names):
        rig = SimulatedRig(name, index=index, seed=7, plan=plan)
        values: dict[str, list[Float64]] = {sensor: [] for sensor in CHANNELS}
        for number in range(minutes):
            cycle = rig.cycle(number)
            for sensor in CHANNELS:
                values[sensor].append(cycle.counts[sensor] / 10.0 ** load_shapes()[sensor].decimals)
            _judge(plant, states, name, number, cycle.states)
        for sensor, parts in values.items():
            curve = np.concatenate(parts)
            for fault in plan.sensors:
                if fault.sensor == sensor and fault.concerns(name):
                    rate_hz, at = CHANNELS[sensor].rate_hz, int(fault.at)
                    curve[at * rate_hz : (at + int(fault.lasts or 0)) * rate_hz] += fault.size or 0.0
            rows.append((sensor, windows_of(sensor, name, curve)))
            if name == names[min(1, rigs - 1)] and sensor in ("CE", "PS1"):
                _keep_raw(plant, sensor, name, curve)
    _store(plant, rows)
    return plant


def windows_of(sensor: str, rig: str, curve: Float64) -> Windows:
    """Return the full windows of a rig's sensor from the plant's start on."""
    rate_hz = CHANNELS[sensor].rate_hz
    panes = curve.reshape(-1, PANE_S * rate_hz)
    mean, low, high = panes.mean(axis=1), panes.min(axis=1), panes.max(axis=1)
    m2 = ((panes - mean[:, None]) ** 2).sum(axis=1)

    def over(column: Float64) -> Float64:
        return np.lib.stride_tricks.sliding_window_view(column, PANES)

    means = over(mean).mean(axis=1)
    between = panes.shape[1] * ((over(mean) - means[:, None]) ** 2).sum(axis=1)
    count = len(means)
    starts = START_US + np.arange(count, dtype=np.int64) * PANE_S * US_PER_S
    return Windows(
        sensor,
        np.full(count, RIGS.code(rig), np.int32),
        starts,
        np.full(count, PANES * panes.shape[1], np.int64),
        means,
        np.sqrt((over(m2).sum(axis=1) + between) / (PANES * panes.shape[1] - 1)),
        over(low).min(axis=1),
        over(high).max(axis=1),
        np.ones(count, np.bool_),
        np.zeros(count, np.int64),
        np.full(count, float(rate_hz)),
    )


def _judge(plant: Plant, states: ComponentStates, rig: str, number: int, truth: dict[str, float]) -> None:
    """Keep what a model that is always right would say of a cycle."""
    for name, value in truth.items():
        target = TARGETS[name]
        state = min(target.classes, key=lambda one: abs(one - value))
        start_us = START_US + number * CYCLE_S * US_PER_S
        said = Verdict(rig, name, number, start_us, state, 0.97, f"hydrodask-{name}", 1)
        plant.changes += states.update(said, number)
        plant.scores.append(states.scored(said, number))
    start_us = START_US + number * CYCLE_S * US_PER_S
    verdict = "learning" if number < 5 else "usual"
    plant.scores.append(Scored(rig, CYCLE, number, start_us, verdict, "", number))
    body: dict[str, object] = {"rig": rig, "component": CYCLE, "state": verdict, "nominal": verdict == "usual"}
    plant.changes.append(Upsert("components", f"{rig}/{CYCLE}", start_us, body))


def _keep_raw(plant: Plant, sensor: str, rig: str, curve: Float64) -> None:
    """Store the raw samples of one sensor."""
    rate_hz, count = CHANNELS[sensor].rate_hz, len(curve)
    number = np.arange(count, dtype=np.int64)
    table = samples_table(
        Samples(
            sensor,
            f"hydraulic-{sensor}",
            0,
            np.full(count, RIGS.code(rig), np.int32),
            number // (rate_hz * CYCLE_S),
            number % (rate_hz * CYCLE_S),
            curve,
            START_US + number * (US_PER_S // rate_hz),
            np.full(count, float(rate_hz)),
            number,
        )
    )
    folder = f"raw/sensor={sensor}/date={first_date(table)}"
    Lake(plant.settings.lake_url).put(folder, (f"hydraulic-{sensor}", 0), 0, count, table)


def _store(plant: Plant, rows: list[tuple[str, Windows]]) -> None:
    """Store windows, and what the detector makes of them, in the order of time."""
    lake, geometry = Lake(plant.settings.lake_url), {METADATA: Geometry.of(plant.settings.window).encoded}
    by_sensor: dict[str, list[Windows]] = {}
    for sensor, windows in rows:
        by_sensor.setdefault(sensor, []).append(windows)
    for sensor, ours in by_sensor.items():
        first = 0
        for start in range(0, len(ours[0]), FILE_WINDOWS):
            parts = [_slice(one, start, start + FILE_WINDOWS) for one in ours]
            joined = Windows(sensor, *(np.concatenate([getattr(p, n) for p in parts]) for n in _COLUMNS))
            order = np.argsort(joined.start_us, kind="stable")
            joined = Windows(sensor, *(getattr(joined, name)[order] for name in _COLUMNS))
            joined.revision[:] = first + np.arange(len(joined))
            end = first + len(joined)
            table = windows_table(joined, partition=0, length_us=60 * US_PER_S)
            lake.put(f"windows/sensor={sensor}", (f"hydraulic-{sensor}", 0), first, end, table, metadata=geometry)
            first = end
    detector = Detector.by(Criteria.of(plant.settings))
    for revision, row in enumerate(_records(rows)):
        plant.changes += detector.update(row, revision)
        plant.bands += detector.bands
    table = bands_table(plant.bands, partition=0)
    lake.put("bands", ("hydraulic-analytics", 0), 0, len(rows) * len(rows[0][1]), table)
    scores = scores_table(plant.scores, partition=0).sort_by([("revision", "ascending"), ("component", "ascending")])
    lake.put("scores", ("hydraulic-cycles", 0), 0, plant.minutes, scores)
    documents = open_documents(plant.settings)
    documents.write(plant.changes)
    documents.close()


def _records(rows: list[tuple[str, Windows]]) -> Iterator[WindowRecord]:
    columns = [
        (
            RIGS.name(int(w.rig[0])),
            sensor,
            *(getattr(w, n).tolist() for n in ("mean", "high", "low", "stddev", "count")),
        )
        for sensor, w in rows
    ]
    for place, start_us in enumerate(rows[0][1].start_us.tolist()):
        start, end = iso(start_us), iso(start_us + 60 * US_PER_S)
        for rig, sensor, mean, high, low, stddev, count in columns:
            yield WindowRecord(
                rig, sensor, start, end, mean[place], high[place], low[place], stddev[place], high[place] - low[place],
                count[place], final=True, revision=0, sampling_rate_hz=float(CHANNELS[sensor].rate_hz),
            )  # fmt: skip


_COLUMNS = ("rig", "start_us", "count", "mean", "stddev", "low", "high", "final", "revision", "rate_hz")


def _slice(windows: Windows, start: int, end: int) -> Windows:
    return Windows(windows.sensor, *(getattr(windows, name)[start:end].copy() for name in _COLUMNS))
