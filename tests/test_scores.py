"""History of components: a row a cycle in `scores/`, a document a change, and health that remembers."""

import json
import re
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from hydrodask import health
from hydrodask.audit.finding import Result
from hydrodask.audit.scores import Scores, odd_rows
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.cli.main import app
from hydrodask.clock import US_PER_S, iso
from hydrodask.console.live import Live
from hydrodask.console.sight import Sight
from hydrodask.health import history, level
from hydrodask.learn.score.verdicts import ComponentStates, Unknown, Verdict
from hydrodask.nodes.scoring import Score
from hydrodask.records import Change, Float64, Messages, Upsert
from hydrodask.reports import UNUSUAL_CYCLES, Component
from hydrodask.settings import load
from hydrodask.settings.model import Health
from hydrodask.store.documents.sqlite import SqliteDocuments
from hydrodask.store.history import History
from hydrodask.store.lake import Lake
from hydrodask.store.schemas import scores_table
from hydrodask.testing import messages_of
from tests.running import Life

SETTINGS = load(sets=["detect.usual.learn=3"], environ={})[0]
START_US = 1_796_011_200 * US_PER_S
CYCLE_US = 60 * US_PER_S
CYCLES = 8


def profiles() -> Messages:
    """Return eight cycles of a rig; in two in a row, from the sixth on, PS1 is far from what it was."""
    values: list[bytes | None] = []
    for cycle in range(CYCLES):
        for number, sensor in enumerate(SENSORS):
            middle = (CHANNELS[sensor].low + CHANNELS[sensor].high) / 2
            curve = middle + 0.001 * np.sin(np.arange(60) + number + cycle)
            curve = curve * (3.0 if sensor == "PS1" and cycle >= 5 else 1.0)
            row: dict[str, object] = {"rig": "rig-1", "sensor": sensor, "cycle": cycle, "complete": True}
            row |= {"cycle_start": iso(START_US + cycle * CYCLE_US), "revision": len(values), "sampling_rate_hz": 1.0}
            row |= {"n": [1] * 60, "m2": [0.0] * 60}
            row |= {name: curve.tolist() for name in ("mean", "min", "max")}
            values.append(json.dumps(row).encode())
    return messages_of(values, topic="hydraulic-cycles", stamp_ms=START_US // 1000)


def run(*cuts: int, crash_at: int | None = None) -> Life:
    """Run the profiles through the score flow in batches that end at `cuts`, with a restart from a snapshot at one."""
    return Life(SETTINGS, topic="hydraulic-cycles", flow="score").through(profiles(), *cuts, crash_at=crash_at)


@pytest.mark.parametrize(("cuts", "crash_at"), [((1, 18, 90), None), ((70,), 70)])
def test_scores_are_those_of_the_cycles_however_they_were_cut(cuts: tuple[int, ...], crash_at: int | None) -> None:
    """One row a cycle, by the offset that completed it; what has changed is a document each, and stays."""
    whole, cut = run(), run(*cuts, crash_at=crash_at)
    rows = whole.table("scores")
    said = [(row["cycle"], row["verdict"], row["severity"]) for row in rows.to_pylist()]
    changes = [c.body for c in whole.changes if isinstance(c, Upsert) and c.collection == "component_changes"]

    assert cut.table("scores").equals(rows)
    assert cut.state() == whole.state()
    assert [verdict for _, verdict, _ in said] == ["learning"] * 3 + ["unknown", "usual"] + ["unusual"] * 3
    assert [severity for *_, severity in said][:6] == [""] * 6
    assert said[7][2] in ("warning", "critical")
    assert rows["revision"].to_pylist() == [17 * (cycle + 1) - 1 for cycle in range(CYCLES)]
    assert [(one["before"], one["state"]) for one in changes] == [
        (None, "learning"),
        ("learning", "usual"),
        ("usual", "unusual"),
    ]


def test_a_snapshot_of_a_release_without_scores_is_gone_on_from() -> None:
    """They begin where it was taken."""
    life, every = Life(SETTINGS, topic="hydraulic-cycles", flow="score"), profiles()
    life.feed(every.take(slice(0, 68)))
    life.commit()
    del life.partition.ctx.files["scores"]
    life.save()
    assert life.restart() == 68
    life.feed(every.take(slice(68, None)))
    life.end()

    assert life.table("scores")["cycle"].to_pylist() == [4, 5, 6, 7]


def told(states: list[int | None]) -> tuple[list[Change], list[dict[str, object]]]:
    """Return the changes, and the rows of scores/, of a cooler that shows these states; None: nothing was measured."""
    tracks, changes, rows = ComponentStates(confirm=2), list[Change](), []
    for cycle, state in enumerate(states):
        where = ("rig-1", "cooler", cycle, START_US + cycle * CYCLE_US)
        if state is None:
            unknown = Unknown(*where, "not measured: CE", "hydrodask-cooler", 2)
            changes += tracks.unknown(unknown, cycle)
            rows.append(tracks.scored(unknown, cycle))
        else:
            verdict = Verdict(*where, state, 0.9, "hydrodask-cooler", 2, (), ("CE in second 5 is 3 % below",))
            changes += tracks.update(verdict, cycle)
            rows.append(tracks.scored(verdict, cycle))
    return changes, scores_table(rows, partition=0).to_pylist()


def test_each_change_of_a_component_is_kept() -> None:
    """One document a settled state, by when it began; a cycle that nothing confirms changes nothing."""
    changes, rows = told([100, 100, 3, 100, 3, None, 3, 20, 20, 100, 100])
    kept = [c for c in changes if isinstance(c, Upsert) and c.collection == "component_changes"]
    names = ("before", "state", "verdict", "severity", "at", "confirmed_at")

    assert [tuple(c.body[name] for name in names) for c in kept] == [
        (None, 100, "nominal", "", iso(START_US + CYCLE_US), iso(START_US + 2 * CYCLE_US)),
        (100, 3, "fault", "critical", iso(START_US + 5 * CYCLE_US), iso(START_US + 7 * CYCLE_US)),
        (3, 20, "fault", "warning", iso(START_US + 8 * CYCLE_US), iso(START_US + 9 * CYCLE_US)),
        (20, 100, "nominal", "", iso(START_US + 10 * CYCLE_US), iso(START_US + 11 * CYCLE_US)),
    ]
    assert len({c.id for c in kept}) == 4
    assert [row["severity"] for row in rows] == [""] * 6 + ["critical"] * 2 + ["warning"] * 2 + [""]
    assert [row["verdict"] for row in rows][4:7] == ["fault", "unknown", "fault"]
    assert (rows[5]["why"], rows[5]["state"], rows[5]["settled"]) == ("not measured: CE", None, 100)
    assert (rows[0]["why"], rows[2]["why"], rows[2]["unit"]) == (None, "CE in second 5 is 3 % below", "%")


def test_a_cooler_near_failure_is_no_good_health() -> None:
    """What a model says counts as its incident does, and is shown as critical, not as 90 in green."""
    changes, _ = told([3, 3])
    incidents = [c.body for c in changes if isinstance(c, Upsert) and c.collection == "incidents"]
    limits = Health()

    assert health.of_rig(incidents) == 80.0
    assert [level(worth, limits) for worth in (None, 100.0, 90.0, 80.0, 70.0)] == ["", "", "warning", *["critical"] * 2]


def test_what_was_said_of_a_component_ends_when_its_champion_is_gone() -> None:
    """In reports it is unknown then, not both: a champion that can't score may have none before it."""
    life = Life(SETTINGS, topic="hydraulic-cycles", flow="score")
    score = next(node for node in life.partition.ctx.nodes if isinstance(node, Score))
    score.newest["rig-1", "valve"] = Component(100, 0.9, 1, iso(START_US))
    score._unknown(Unknown("rig-1", "valve", 1, START_US, "nobody scores it"), 0)
    report = life.partition.report(0)

    assert (report.components, report.unknown) == ({}, [("rig-1", "valve")])


def test_health_remembers_the_worst_of_an_hour_and_of_a_day() -> None:
    """From incidents alone: when it changed, to what, and the least between two times."""
    hour_us = 3_600 * US_PER_S
    spans = [("CE", "critical", 1.0, 2.0), ("CE", "warning", 1.5, 3.0), ("valve", "warning", 20.0, None)]
    incidents = [
        {
            "sensor": sensor,
            "rule": "some",
            "severity": severity,
            "opened_at": iso(START_US + round(began * hour_us)),
            "resolved_at": None if ended is None else iso(START_US + round(ended * hour_us)),
        }
        for sensor, severity, began, ended in spans
    ]
    now_us = START_US + 21 * hour_us
    found = history(incidents, START_US, now_us)

    assert [((at - START_US) / hour_us, worth) for at, worth in found] == [
        *((0.0, 100.0), (1.0, 80.0), (1.5, 70.0), (2.0, 90.0), (3.0, 100.0), (20.0, 90.0))
    ]
    assert health.worst(incidents, now_us - hour_us, now_us) == 90.0
    assert health.worst(incidents, now_us - 24 * hour_us, now_us) == 70.0


def test_health_of_thousands_of_incidents_takes_no_longer_than_reading_them() -> None:
    """It says what looking at each moment says, in a fraction of a second: the page asks in the driver's process."""
    rng = np.random.default_rng(1)
    began = START_US + rng.integers(-3_600, 86_400, 5_000) * US_PER_S
    ended = began + rng.integers(0, 30, 5_000) * US_PER_S
    end_us = START_US + 86_400 * US_PER_S
    parts = [("CE", "x"), ("PS1", "x"), ("cooler", "component_state"), ("*", "rig_silent"), ("*", UNUSUAL_CYCLES)]
    kinds = [(*part, severity) for part in parts for severity in ("warning", "critical")]
    incidents = [
        {"sensor": sensor, "rule": rule, "severity": severity, "opened_at": iso(one), "resolved_at": iso(other)}
        for one, other in zip(began, ended, strict=True)
        for sensor, rule, severity in [kinds[rng.integers(len(kinds))]]
    ]
    took_s = []
    for _ in range(3):  # other work beside it makes caches cold
        before_s = time.process_time()
        found = history(incidents, START_US, end_us)
        took_s.append(time.process_time() - before_s)
    edges = np.unique(np.concatenate([[START_US], began, ended]))
    plain = [
        (int(at), health.of_rig([incidents[n] for n in np.flatnonzero((began <= at) & (at < ended))]))
        for at in edges[(edges >= START_US) & (edges < end_us)]
    ]

    assert found == [one for n, one in enumerate(plain) if n == 0 or plain[n - 1][1] != one[1]]
    assert len(found) > 1_000
    assert min(took_s) < 1.0


def test_health_of_a_tile_is_that_of_the_worst_of_live_values_and_open_incidents(tmp_path: Path) -> None:
    """What the run says of some parts of a rig hides no incident of the others."""
    ours = [{"status": "open", "sensor": "CE", "rule": name, "severity": "critical"} for name in ("ce_low", "failing")]
    over = [one | {"status": "resolved"} for one in ours]
    live = Live(60.0)
    sight = Sight(SqliteDocuments(tmp_path / "d.sqlite", timeout_s=5.0), History(Lake(str(tmp_path))), live, Health())
    live.health = {("rig-1", "cycle"): 100.0, ("rig-1", "valve"): 80.0, ("rig-2", "CE"): 0.0}

    assert [sight.health("rig-1", each) for each in (ours, over, [])] == [60.0, 80.0, 80.0]
    assert sight.health("rig-3", ours) == 60.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": 47}, "state is 47"),
        ({"probability": 1.5}, "probability is"),
        ({"verdict": "nominal"}, "verdict 'nominal'"),
        ({"model": None}, "no version of a model"),
        ({"component": "pipe"}, "there is no such component"),
    ],
)
def test_verify_knows_a_row_that_nobody_can_have_said(change: dict[str, object], says: str) -> None:
    """And none of those that were said."""
    _, rows = told([100, 100, 3, 3])
    schema = scores_table([], partition=0).schema

    assert list(odd_rows(pa.Table.from_pylist(rows, schema))) == []
    rows[2] |= change
    assert [why for _, why in odd_rows(pa.Table.from_pylist(rows, schema)) if says in why]


def test_the_command_shows_the_timeline_of_a_rig(tmp_path: Path) -> None:
    """Newest first, in words; as JSON each change; without a rig what is so now."""
    changes, _ = told([100, 100, 3, 3])
    documents = SqliteDocuments(tmp_path / "documents.sqlite", timeout_s=5.0)
    documents.write(changes)
    documents.close()
    where = ["--set", f"data_dir={tmp_path}"]
    shown, as_json, now = (
        CliRunner().invoke(app, ["components", *args, *where]).stdout for args in (["rig-1"], ["rig-1", "--json"], [])
    )

    assert shown.index("100 % → 3 %, critical") < shown.index("unknown → 100 %")
    assert [one["state"] for one in json.loads(as_json)] == [3, 100]
    assert "3 %, 90% sure" in now


def test_states_are_told_apart_without_colour_vision_in_light_and_dark() -> None:
    """Good, warning and critical differ by 20 in CIELAB for each kind of it; marks beside them say the same."""
    for theme in themes():
        for kind in KINDS.values():
            seen = [lab(kind @ linear(theme[name])) for name in ("good", "warning", "critical")]
            apart = [float(np.linalg.norm(a - b)) for n, a in enumerate(seen) for b in seen[:n]]
            assert min(apart) > 20, (theme, apart)


KINDS = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""What is seen of linear RGB: Machado, Oliveira and Fernandes, 2009, at full severity."""


def themes() -> list[dict[str, str]]:
    """Return the colours of the style sheet by name, those of light and of dark: each is there once."""
    text = (resources.files("hydrodask.console") / "static" / "app.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root[^{]*\{([^}]*)\}", text)
    assert len(blocks) == 2
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]


def linear(colour: str) -> Float64:
    """Return a colour in linear RGB."""
    part = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb: Float64) -> Float64:
    """Return linear RGB in CIELAB, for white D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_verify_holds_documents_against_the_rows_of_their_cycles() -> None:
    """Equal of the newest cycle; changed, or older than what is stored, they are said."""
    changes, rows = told([100, 3])
    bodies = [c.body for c in changes if isinstance(c, Upsert) and c.collection == "components"]
    scores = Scores(Result("scores", ""))
    scores.newest["rig-1", "cooler"] = rows[1] | {"cycle_start": START_US + CYCLE_US}

    assert scores.contradicted(bodies[1], START_US + CYCLE_US) == ""
    assert scores.contradicted(bodies[1] | {"state": 20}, START_US + CYCLE_US) == "state is 20, and scores/ says 3"
    assert scores.contradicted(bodies[0], START_US) == "scores/ has a newer cycle, 1"
    assert scores.contradicted(bodies[1] | {"state": 20, "model_version": 3}, START_US + CYCLE_US) == ""
