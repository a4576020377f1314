"""What people tell of components becomes labels of cycles: by command, by file, and as answers to incidents."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hydrodask.answers import Answer, Answers
from hydrodask.audit.plausible import odd_answer
from hydrodask.cli.main import app
from hydrodask.clock import iso, parse_iso
from hydrodask.errors import UsageError
from hydrodask.learn import told
from hydrodask.learn.data import labelling
from hydrodask.learn.data.catalogue import Catalogue
from hydrodask.learn.train.plans import ViewSpec
from hydrodask.learn.train.validation import folds, groups_of
from hydrodask.records import Upsert
from hydrodask.settings import Settings, Url
from hydrodask.store.documents import open_documents
from hydrodask.store.profiles import LABELS
from tests.learned import write_lake

START_US = parse_iso("2026-01-01T00:00:00Z")
MINUTE_US = 60_000_000
NOMINAL = (100.0, 100.0, 0.0, 130.0, 0.0)


def at(minute: float) -> str:
    """Return the time so many minutes after the start."""
    return iso(START_US + round(minute * MINUTE_US))


def cycles(count: int = 10, rig: str = "rig-1") -> Catalogue:
    """Return cycles that the stream has labelled as nominal, but for the last two."""
    labels = np.tile(NOMINAL, (count, 1))
    labels[-2:] = np.nan
    start_us = START_US + np.arange(count) * MINUTE_US
    none = np.full((count, 17), -1, np.int32)
    return Catalogue(
        Url("file:///nowhere"), [[]] * 17, np.full(count, rig, object), np.arange(count), start_us, none, none, labels
    )


def incident(worst: int | None = 80) -> dict[str, Any]:
    """Return an incident of the valve in cycles 3 to 5."""
    return {
        "rig": "rig-1", "sensor": "valve", "rule": "component_state", "severity": "warning", "status": "open",
        "statistic": "state", "opened_at": at(5), "resolved_at": None, "first_window": at(3), "last_window": at(5),
        "windows": 3, "worst": worst, "threshold": 100, "message": "valve is at 80 %", "provisional": False,
    }  # fmt: skip


def answered(minute: int, **fields: Any) -> Answer:
    """Return an answer to the incident, or a label, given so many minutes after the start."""
    whole = told.about(fields, incident() if fields["kind"] != "label" else None)
    return Answer.made(whole, by="anna", now_us=START_US + minute * MINUTE_US)


def test_the_newest_word_on_a_component_counts() -> None:
    """A cycle belongs to an answer by its middle; one component at a time; `unknown` takes back the stream's, too."""
    given = [
        answered(1, kind="label", rig="rig-1", start=at(1.6), end=at(8.4), states={"cooler": 20}),
        replace(answered(1, kind="label", rig="rig-1", start=at(6), end=at(8), states={"cooler": 20}), by="bert"),
        answered(2, kind="right", incident="x"),
        answered(3, kind="false_alarm", incident="x"),
        answered(4, kind="found", incident="x", text="seal", states={"pump": 1}),
        answered(5, kind="label", rig="rig-1", start=at(4), end=at(5), states={"valve": None}),
        answered(6, kind="label", rig="rig-2", start=at(0), end=at(9), states={"cooler": 3}),
    ]
    found = labelling.told(cycles(), given)
    labels = found.cycles.labels

    assert labels[:8, 0].tolist() == [100, 100, *[20] * 6]
    assert np.isnan(labels[8:]).all()
    assert labels[3:6, 1].tolist()[::2] == [100, 100]
    assert np.isnan(labels[4, 1])
    assert labels[3:6, 2].tolist() == [1, 1, 1]
    assert found.says() == "2 false alarm by 1 person, 3 found by 1 person, 6 label by 2 people"
    weights = np.where(found.cycles.cycle == 3, 11.0, 1.0)
    assert [(one.name, one.labels, one.people, one.share) for one in found.origins(["valve"], weights)] == [
        ("lake", 5, 0, 5 / 17), ("false-alarm", 2, 1, 12 / 17),
    ]  # fmt: skip  # cycle 4 was taken back, the last two nobody labelled
    assert found.says(["cooler"]) == "6 label by 2 people"
    assert found.says(["stable"]) == "none"
    assert (
        found.take(found.cycles.cycle < 4).says(["valve", "cooler"]) == "1 false alarm by 1 person, 2 label by 1 person"
    )
    assert labelling.told(cycles(), given[:3]).cycles.labels[3:6, 1].tolist() == [80, 80, 80]


def test_labels_can_be_left_out_by_where_they_are_from() -> None:
    """By kind of answer, as it is written, by file, or by who gave them; then what was there before counts again."""
    named = {"kind": "label", "rig": "rig-1", "start": at(0), "end": at(4)}
    given = [
        answered(1, **named, states={"pump": 1}),
        replace(answered(2, **named, states={"pump": 2}), source="labels.csv", by="ben"),
        answered(3, kind="false_alarm", incident="x"),
    ]

    def left(*without: str) -> list[str]:
        return [told.origin(one) for one in told.trusted(given, without)]

    assert left() == ["label", "file", "false-alarm"]
    assert left("file", "false-alarm") == ["label"]
    assert left("by=anna") == ["file"]
    for wrong in ("file.csv", "false_alarm", "anna"):
        with pytest.raises(UsageError, match="want one of right, false-alarm, found, label, file, or by=NAME"):
            left(wrong)
    assert labelling.told(cycles(), given).cycles.labels[:4, 2].tolist() == [2, 2, 2, 2]
    assert labelling.told(cycles(), told.trusted(given, ["file"])).cycles.labels[:4, 2].tolist() == [1, 1, 1, 1]


def test_a_label_of_one_component_is_enough() -> None:
    """What is not known is negative, by run; a run is a group of its own, and on neither side of a level left out."""
    labels = np.array([NOMINAL] * 6 + [(20, 100, 0, 130, 0)] * 6 + [(np.nan,) * 5] * 6)
    some = replace(cycles(18), labels=labels)
    given = [
        answered(1, kind="label", rig="rig-1", start=at(12), end=at(14), states={"valve": 73}),
        answered(1, kind="label", rig="rig-1", start=at(16), end=at(18), states={"valve": 73, "cooler": 3}),
    ]
    known = labelling.filled(labelling.told(some, given).cycles)
    levels = known.labels[:, :4]

    assert known.cycle.tolist() == [*range(14), 16, 17]
    assert (known.target("valve") >= 0).all()
    assert (known.target("pump") < 0).sum() == 4
    assert len(np.unique(levels, axis=0)) == 4
    for train, test in folds("leave-cooler", known.target("valve"), levels):
        assert (levels[np.concatenate([train, test]), 0] >= 0).all()
    assert sum(len(test) for _, test in folds("grouped", known.target("valve"), levels)) == len(known)
    assert (ViewSpec(("PS1",), 0, 2, 1.0, parts=("pump", "valve")).part_of(levels) >= 0).all()


def of_one_condition() -> Catalogue:
    """Return 40 cycles of two conditions, whose valve was told; of one cycle the cooler, too, of some nothing."""
    labels = np.full((40, 5), np.nan)
    labels[:, 1] = np.where(np.arange(40) < 20, 73, 100)
    labels[[5, 12, 25, 33], 1] = np.nan
    labels[10, 0] = 100
    return replace(cycles(40), labels=labels)


def test_one_condition_is_one_group() -> None:
    """However much is known of each of its cycles: no fold learns from some of them and is judged on others."""
    known = labelling.filled(of_one_condition())
    levels = labelling.levels(known)
    first = np.flatnonzero(known.cycle < 20)

    assert len(np.unique(known.labels[:, :4], axis=0)) == 4
    assert len(np.unique(groups_of(levels))) == 2
    for train, test in folds("grouped", known.target("valve"), levels):
        assert not (set(train) & set(first) and set(test) & set(first))


def test_groups_of_several_rigs_do_not_mix() -> None:
    """Rigs that run at the same time each have conditions of their own, unless all of a combination is known."""
    some = of_one_condition()
    both = replace(some.take(np.repeat(np.arange(40), 2)), rig=np.tile(np.array(["a", "b"], object), 40))
    known = labelling.filled(both)
    groups = groups_of(labelling.levels(known))

    assert known.rig[:4].tolist() == ["a", "b", "a", "b"]
    assert len(np.unique(groups)) == 4
    assert not set(groups[known.rig == "a"]) & set(groups[known.rig == "b"])
    both.labels[both.cycle == 3, :4] = (100, 73, 0, 130)  # all of it is known of one cycle of each
    assert len(np.unique(groups_of(labelling.levels(labelling.filled(both))))) == 3


def test_complete_labels_have_the_groups_they_had(uci: Path) -> None:
    """The archive's: every fold of every split, also of a part of it, is what equal labels make it."""
    table = pq.read_table(uci / "profile.parquet")
    labels = np.stack([table[name].to_numpy() for name in LABELS], axis=1).astype(np.float64)
    found = labelling.levels(labelling.filled(replace(cycles(len(labels)), labels=labels)))

    assert (found[:, :4] == labels[:, :4]).all()
    for rows in (np.arange(len(labels)), np.flatnonzero(labels[:, 0] != 20)):
        for split in ("grouped", "leave-cooler"):
            for numbers in (labels[rows, 3].astype(int), labels[rows, 1].astype(int)):
                now, before = folds(split, numbers, found[rows]), folds(split, numbers, labels[rows, :4])
                assert [[part.tolist() for part in fold] for fold in now] == [[p.tolist() for p in f] for f in before]


def test_what_is_not_known_is_no_state() -> None:
    """A pump that nobody looked at shares no centre with one that leaks, whatever run its cycles are of."""
    look = ViewSpec(("PS1",), 0, 2, 1.0, parts=("pump", "valve"))
    levels = np.array(
        [(100, 100, pump, 130) for pump in (0, 1, 2, -998, -999, -3)] + [(100, valve, 2, 130) for valve in (-998, 73)]
    )
    found = look.part_of(levels.astype(np.float64)).tolist()

    assert len(set(found[:3])) == 3
    assert len(set(found[3:6])) == 1
    assert not set(found[3:6]) & {*found[:3], *found[6:]}
    assert len({found[2], *found[6:]}) == 3


def test_an_answer_names_states_and_time_itself() -> None:
    """So it is training data when the incident is gone; verify knows it, and an answer of before has no states."""
    one = answered(2, kind="right", incident="x")
    document = {"_id": "a", "revision": 0, **one.change().body}

    assert (one.rig, dict(one.states), one.start, one.end) == ("rig-1", {"valve": 80}, at(3), at(6))
    assert odd_answer(document) == ""
    assert "states" in odd_answer(document | {"states": {"valve": "worn"}})
    assert "end" in odd_answer(document | {"end": at(2)})
    assert Answers([document]).to("x").judged == one
    older = {name: value for name, value in document.items() if name not in ("states", "start", "end")}
    assert odd_answer(older | {"kind": "ack"}) == ""
    assert dict(answered(2, kind="found", incident="x", text="dirt").states) == {}
    assert told.about({"kind": "right", "incident": "x"}, incident(worst=None)) == {"kind": "right", "incident": "x"}
    typed = told.about({"kind": "found", "incident": "x", "states": " cooler=20, valve=unknown "}, incident())
    assert (typed["states"], typed["text"]) == ({"cooler": 20, "valve": None}, "cooler=20 valve=unknown")


@pytest.mark.parametrize(
    "states", [{"valve": 85}, {"motor": 1}, {"valve": True}, ["valve=80"], "cooler=20%", "pump=", "pump", "pump=0.0"]
)
def test_what_no_model_could_learn_is_refused(states: Any) -> None:
    """A state that a component does not have would stop each training."""
    with pytest.raises(UsageError, match="state"):
        told.about({"kind": "found", "incident": "x", "states": states}, incident())


def test_an_answer_that_teaches_nothing_says_so(tmp_path: Path) -> None:
    """A component that is unknown is in no state, whether that was a false alarm or not; nor is an unusual cycle."""
    of = ["--set", f"data_dir={tmp_path}", "--by", "anna"]
    documents = open_documents(Settings(data_dir=tmp_path))
    documents.write([Upsert("incidents", "i1", 1, incident(worst=None))])
    unusual = incident() | {"rule": "unusual_cycles", "sensor": "*", "worst": 7.0}
    documents.write([Upsert("incidents", "i2", 1, unusual), Upsert("incidents", "i3", 1, incident())])

    for kind in ("right", "false-alarm"):
        for name in ("i1", "i2"):
            said = CliRunner().invoke(app, ["incidents", kind, name, *of]).output
            assert "training learns nothing of it" in said
            assert "`hydrodask incidents found ID valve=100`" in said
        assert "for training: rig-1 valve=" in CliRunner().invoke(app, ["incidents", kind, "i3", *of]).output
    assert [dict(one.states) for one in told.answers(documents)] == [{"valve": 80}, {"valve": 100}]
    documents.close()


def test_a_label_says_of_how_many_cycles_it_is(tmp_path: Path) -> None:
    """By their middles, as training takes them; 0 of a rig, a span or a year that has none, and none is hidden."""
    folder, file = tmp_path / "data", tmp_path / "labels.csv"
    write_lake(folder, np.ones((5, 1020)), np.tile(NOMINAL, (5, 1)))
    file.write_text(f"rig,from,to,valve\nrig-1,{at(0)},{at(2)},73\nrig-2,{at(0)},{at(9)},73\n", encoding="utf-8")

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["label", *words, "--by", "anna", "--set", f"data_dir={folder}"])
        return " ".join(done.output.split())

    def span(start: float, end: float) -> list[str]:
        return ["cooler=20", "--from", at(start), "--to", at(end)]

    assert "`hydrodask train` takes its 3 cycles" in said("rig-1", *span(0.6, 4))
    assert "`hydrodask train` takes its 1 cycle" in said("rig-1", *span(4, 5))
    for none in (said("rig-7", *span(0, 9)), said("rig-1", *span(1, 1.3)), said("rig-1", *span(9e6, 9.1e6))):
        assert "stored, by anna" in none
        assert "0 cycles of the lake are in it" in none
    assert "2 labels stored" in (both := said("--file", str(file)))
    assert "`hydrodask train` takes its 2 cycles; 1 of these labels has none" in both
    assert "0 cycles of the lake are in it" in CliRunner().invoke(
        app, ["label", "rig-1", *span(0, 9), "--by", "anna", "--set", f"data_dir={tmp_path / 'empty'}"]
    ).output.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rig-1", "cooler=20", "cooler=3", "--from", at(0), "--to", at(1)], "cooler is given twice"),
        (["rig-1", "cooler=3", "--from", "2026-10-25T02:30", "--to", "2026-10-25T04:00"], "--from .*two moments"),
        (["rig-1", "cooler=3", "--from", "2026-03-29T01:30", "--to", "2026-03-29 02:30"], "--to .*two moments"),
        (["--file", "twice.csv"], "two columns 'pump'"),
        (["--file", "clocks.csv"], "line 2: --from .*two moments"),
    ],
)
def test_a_label_that_says_two_things_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    """Two states of one component, and a time that Berlin's clocks show twice, or never; with an offset it is one."""
    monkeypatch.chdir(tmp_path)
    Path("twice.csv").write_text(f"rig,from,to,pump, pump\nrig-1,{at(0)},{at(2)},1,2\n", encoding="utf-8")
    Path("clocks.csv").write_text("rig,from,to,pump\nrig-1,2026-10-25T02:30,2026-10-25T04:30,1\n", encoding="utf-8")
    of = ["--set", f"data_dir={tmp_path}", "--set", "observe.timezone=Europe/Berlin"]

    with pytest.raises(UsageError, match=says):
        raise CliRunner().invoke(app, ["label", *words, *of]).exception or AssertionError
    fine = ["rig-1", "cooler=3", "--from", "2026-10-25T02:30+02:00", "--to", "2026-10-25T02:30+01:00"]
    assert "stored" in CliRunner().invoke(app, ["label", *fine, *of]).output


def test_labels_by_command_and_by_file(tmp_path: Path) -> None:
    """Both are stored as answers with who and when, and shown; an incident is answered by id; mistakes are said."""
    folder = tmp_path / "data"
    of = ["--set", f"data_dir={folder}"]
    documents = open_documents(Settings(data_dir=folder))
    documents.write([Upsert("incidents", "i1", 1, incident())])
    file = tmp_path / "labels.csv"
    file.write_text(f"rig,from,to,valve,pump\nrig-1,{at(0)},{at(2)},73,\nrig-2,{at(0)},{at(9)},,2\n", encoding="utf-8")
    run = CliRunner().invoke

    first = run(app, ["label", "rig-1", "cooler=20", "--from", at(1), "--to", at(3), "--by", "anna", *of])
    assert "cooler=20 of rig-1 stored, by anna" in first.output
    assert "2 labels stored" in run(app, ["label", "--file", str(file), "--by", "ben", *of]).output
    assert "for training: rig-1 valve=80" in run(app, ["incidents", "right", "i1", "--by", "ben", *of]).output
    found = run(app, ["incidents", "found", "i1", "pump=1", "--by", "ben", *of])
    assert "found of i1, by ben; for training: rig-1 pump=1" in found.output
    shown = json.loads(run(app, ["label", "rig-1", "--json", *of]).output)
    assert [one["states"] for one in shown] == [{"cooler": 20}, {"valve": 73}, {"valve": 80}, {"pump": 1}]
    assert [answer.by for answer in told.answers(documents)] == ["anna", "ben", "ben", "ben", "ben"]
    origins = ["label", "file", "file", "right", "found"]
    assert [told.origin(answer) for answer in told.answers(documents)] == origins
    span = ["--from", at(1), "--to", at(3)]
    for wrong in (
        ["rig-1", "valve=85", *span],
        ["rig-1", "valve=80"],
        ["cooler=20", *span],
        ["rig-1", *span],
        ["cooler=20"],
        ["rig-1", "valve=80", "--from", "yesterday", "--to", at(3)],
        ["rig-1", "valve=80", *span, "--file", str(file)],
        ["--file", str(file), *span],
    ):
        assert isinstance(run(app, ["label", *wrong, *of]).exception, UsageError), wrong
    assert len(told.answers(documents)) == 5
    documents.close()


def test_times_of_labels_are_in_the_zone_that_is_shown(tmp_path: Path) -> None:
    """As `incidents` shows them they can be pasted; those with an offset mean it. Said back with the zone."""
    of = ["--set", f"data_dir={tmp_path}", "--set", "observe.timezone=Asia/Kolkata"]
    file = tmp_path / "labels.csv"
    file.write_text("rig,from,to,pump\nrig-1,2026-01-01 05:35,2026-01-01T00:10:00Z,2\n", encoding="utf-8")
    run = CliRunner().invoke

    words = ["label", "rig-1", "cooler=20", "--from", "2026-01-01 05:35:00", "--to", "2026-01-01T05:40:00", *of]
    said = run(app, words).output
    run(app, ["label", "--file", str(file), *of])

    assert "from 2026-01-01 05:35:00 to 2026-01-01 05:40:00 IST" in said
    spans = [(one["start"], one["end"]) for one in json.loads(run(app, ["label", "--json", *of]).output)]
    assert spans == [
        ("2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"),
        ("2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"),
    ]
