"""Check scores/: each row says what a model, or the watch over load cycles, can say; the newest what documents say.

What a model said can't be asked again: which version judged is in the row, and which one was champion then nobody
knows. So rows are held against what can be said at all, and against the documents of the same cycles.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hydrodask.audit.finding import Result
from hydrodask.audit.mending import SAID
from hydrodask.audit.part import Part
from hydrodask.detect.usual.telling import LEARNING, UNKNOWN, UNUSUAL, USUAL
from hydrodask.detect.usual.telling import NAME as CYCLE
from hydrodask.health import PENALTY
from hydrodask.learn.score.story import verdict_of
from hydrodask.learn.targets import TARGETS

Row = dict[str, Any]
Key = tuple[str, str]
"""Rig and component."""

_KIND = ["component", "verdict", "severity", "state", "settled", "unit"]
_ROW = ["revision", "cycle_start", "component"]
_EXTREMES = [("probability", "min"), ("probability", "max"), ("probability", "count"), ("score", "min")]
_COUNTS = [("model", "count"), ("model_version", "count"), ("revision", "min"), ("rig", "count")]

_SAME = ("state", "settled", "probability", "model")
"""Columns that a component's document of the same cycle has, too."""

_CALLED = {"settled": "settled_state"}


@dataclass(slots=True)
class Scores:
    """Looks at the rows of the scoring partitions, and remembers the newest of each component."""

    result: Result
    newest: dict[Key, Row] = field(default_factory=dict)

    def take(self, part: Part) -> None:
        """Look at what a partition has stored."""
        limit = min(part.stored_to("scores"), part.committed or 0)
        for path, rows in part.stored("scores", limit):
            self.result.count(rows=rows.num_rows)
            for at, why in odd_rows(rows):
                what = "it holds rows of scores/ that nobody can have said"
                self.result.found(path, what, why, mend=part.mend_of("scores", at, SAID))
            if rows.num_rows:
                self._remember(rows)

    def contradicted(self, body: Row, revision: int) -> str:
        """Return how a document, whose revision is the start of its cycle, contradicts its row; nothing if not."""
        row = self.newest.get((str(body.get("rig")), str(body.get("component"))))
        if row is None or row["cycle_start"] > revision:
            return "" if row is None else f"scores/ has a newer cycle, {row['cycle']}"
        # Judged again after a crash, a cycle may have got another champion; its document stays as it was written.
        if row["cycle_start"] < revision or row["model_version"] != body.get("model_version"):
            return ""
        for name in ("score",) if row["component"] == CYCLE else _SAME:
            want, said = row[name], body.get(_CALLED.get(name, name))
            if want != said:
                return f"{_CALLED.get(name, name)} is {said!r}, and scores/ says {want!r}"
        return ""

    def _remember(self, rows: pa.Table) -> None:
        """Take note of the newest row of each component."""
        rows = rows.set_column(rows.column_names.index("cycle_start"), "cycle_start", rows["cycle_start"].cast("int64"))
        last = rows.group_by(["rig", "component"]).aggregate([("cycle_start", "max")])
        found = rows.join(last, ["rig", "component", "cycle_start"], ["rig", "component", "cycle_start_max"], "inner")
        for row in found.to_pylist():
            key = (row["rig"], row["component"])
            if key not in self.newest or self.newest[key]["cycle_start"] <= row["cycle_start"]:
                self.newest[key] = row


def odd_rows(rows: pa.Table) -> Iterator[tuple[int, str]]:
    """Give what no row can say, and the offset of the first: by kind of row, of which there are few."""
    for kind in rows.group_by(_KIND).aggregate([*_EXTREMES, *_COUNTS]).to_pylist():
        why = _of_cycle(kind) if kind["component"] == CYCLE else _of_component(kind)
        if why:
            yield kind["revision_min"], f"{kind['rig_count']} rows of {kind['component']}: {why}"
    twice = rows.group_by(_ROW).aggregate([("rig", "count")])
    twice = twice.filter(pc.greater(twice["rig_count"], 1))
    if twice.num_rows:
        yield twice["revision"][0].as_py(), f"{twice.num_rows} rows are there twice"


def _of_component(kind: Row) -> str:
    target = TARGETS.get(kind["component"])
    if target is None:
        return "there is no such component"
    count, state = kind["rig_count"], kind["state"]
    if kind["verdict"] != verdict_of(target, state) or kind["severity"] not in ("", *PENALTY):
        return f"verdict {kind['verdict']!r} and severity {kind['severity']!r} at state {state}"
    if state is not None and state not in target.classes:
        return f"state is {state}"
    if kind["settled"] is not None and kind["settled"] not in target.classes:
        return f"settled is {kind['settled']}"
    if kind["unit"] != target.unit:
        return f"unit is {kind['unit']!r}, want {target.unit!r}"
    if state is None:
        return "they have a probability, and nothing was said" if kind["probability_count"] else ""
    if kind["probability_count"] != count or not 0 <= kind["probability_min"] <= kind["probability_max"] <= 1:
        return f"probability is {kind['probability_min']} to {kind['probability_max']}"
    return "" if kind["model_count"] == kind["model_version_count"] == count else "some name no version of a model"


def _of_cycle(kind: Row) -> str:
    if kind["verdict"] not in (LEARNING, USUAL, UNUSUAL, UNKNOWN):
        return f"verdict is {kind['verdict']!r}"
    if kind["severity"] not in ("", *PENALTY):
        return f"severity is {kind['severity']!r}"
    return f"score is {kind['score_min']}" if kind["score_min"] is not None and kind["score_min"] < 0 else ""
