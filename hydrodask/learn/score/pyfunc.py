"""A registered model as MLflow's `pyfunc`: profiles in, one verdict a cycle out.

No pickle: MLflow calls `_load_pyfunc`.

    import mlflow, pandas
    model = mlflow.pyfunc.load_model("models:/hydrodask-valve@champion")
    model.predict(pandas.DataFrame(profiles))     # records of `hydraulic-cycles`, or rows of the lake's `cycles/`

A row is one sensor's cycle; those of one cycle may come in any order, and sensors may be missing. What comes back has
`rig`, `cycle`, `cycle_start`, `state` (None where it is unknown), `probability`, `why` (one is unknown) and `because`.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hydrodask.channels import SENSORS
from hydrodask.clock import parse_iso
from hydrodask.learn.features import SEGMENTS, Cycles
from hydrodask.learn.score.asking import score, tried
from hydrodask.learn.score.joining import SAME_CYCLE_US, curves_of
from hydrodask.records import CycleRecord

if TYPE_CHECKING:
    from hydrodask.learn.score.committee import Committee
    from hydrodask.learn.score.inference import Model

WANTED = ("rig", "sensor", "cycle", "cycle_start", "n", "mean", "min", "max")
"""The columns that a profile needs, as the stream and the lake call them."""


class Profiled:
    """What MLflow holds: a model that takes profiles."""

    def __init__(self, model: "Committee | Model") -> None:
        self.model = model

    def predict(self, profiles: Any, _params: Mapping[str, object] | None = None) -> Any:
        """Return a frame with one row a cycle, of the kind that came in. Raises ValueError for what is no profile."""
        if lost := [name for name in WANTED if name not in profiles.columns]:
            raise ValueError(f"a profile has no {', '.join(lost)}; want {', '.join(WANTED)}")
        starts, cycles = joined(profiles.to_dict("records"))
        said = score({self.model.name: self.model}, cycles)[self.model.name]
        rows = []
        for row, known in enumerate(said.usable.tolist()):
            odds = None if said.odds is None else said.odds[row]
            one = cycles.take(slice(row, row + 1))
            rows.append({
                "rig": cycles.rig[row], "cycle": int(cycles.cycle[row]), "cycle_start": starts[row],
                "state": int(said.label[row]) if known else None, "probability": float(said.probability[row].max()),
                "why": said.error or said.why[row],
                "because": self.model.because(one, int(said.label[row]), odds) if known else [],
            })  # fmt: skip
        return type(profiles)(rows)


def joined(records: Iterable[Mapping[str, Any]]) -> tuple[list[str], Cycles]:
    """Return the cycles that profiles make up, in order of their first ones, and when each began."""
    places: dict[tuple[str, int], list[tuple[int, int]]] = {}
    starts: list[str] = []
    found: list[tuple[str, int, int]] = []
    curves: list[Any] = []
    for record in records:
        one = _record(record)
        start_us, key = parse_iso(one.cycle_start), (one.rig, one.cycle)
        same = [at for began_us, at in places.get(key, ()) if abs(began_us - start_us) < SAME_CYCLE_US]
        if not same:
            same = [len(found)]
            places.setdefault(key, []).append((start_us, len(found)))
            found.append((*key, start_us))
            starts.append(one.cycle_start)
            curves.append(np.full((len(SENSORS), 3, SEGMENTS), np.nan))
        curves[same[0]][SENSORS.index(one.sensor)] = curves_of(one)
    rig, cycle, start = ([row[i] for row in found] for i in range(3))
    stacked = np.stack(curves) if curves else np.zeros((0, len(SENSORS), 3, SEGMENTS))
    return starts, Cycles(np.array(rig, object), np.array(cycle, np.int64), np.array(start, np.int64), stacked)


def _record(row: Mapping[str, Any]) -> CycleRecord:
    """Return a profile from a row of a frame. Raises ValueError when it is none."""
    lists = {name: [] if row[name] is None else list(row[name]) for name in ("n", "mean", "min", "max")}
    start, rate = row["cycle_start"], _number(row.get("sampling_rate_hz"))
    return CycleRecord(
        str(row["rig"]), str(row["sensor"]), int(row["cycle"]),
        start if isinstance(start, str) else start.isoformat(), complete=True, revision=0,
        n=[int(_number(v) or 0) for v in lists.pop("n")], m2=[], sampling_rate_hz=rate,
        **{name: [_number(v) for v in values] for name, values in lists.items()},
    )  # fmt: skip


def _number(value: float | None) -> float | None:
    """Return a number, None for NaN: frames have that where something is missing."""
    return None if value is None or math.isnan(value) else float(value)


def _load_pyfunc(path: str) -> Profiled:
    """Return the model in a file; MLflow calls this."""
    file = Path(path)
    return Profiled(tried(file.read_bytes(), name=file.stem, version=0))
