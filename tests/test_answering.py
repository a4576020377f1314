"""Answers from the command line: ids that people see and type, what holds, and names that there are not."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hydrodask.answers import ANSWERS
from hydrodask.cli.main import app
from hydrodask.cli.naming import short
from hydrodask.cli.services import _all_of, _services
from hydrodask.observe.example import incident
from hydrodask.records import Upsert
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents

FAILING = "rig-1/CE/cooler_failing/2026-01-01T00:02:30Z"
LEAKING = "rig-2/FS1/pump_leakage/2026-01-01T09:00:00Z"


class Place:
    """A data folder with incidents, and commands that look at it."""

    def __init__(self, folder: Path) -> None:
        self.of = ["--set", f"data_dir={folder}"]
        self.documents = open_documents(Settings(data_dir=folder))
        self.put(incident("cooler_failing", windows=3))
        self.put(incident("cooler_degraded", opened_at="2026-01-01T00:02:00Z", severity="warning", windows=5))
        self.put(
            incident(
                "pump_leakage", rig="rig-2", sensor="FS1", opened_at="2026-01-01T09:00:00Z", windows=1, _id=LEAKING
            )
        )

    def put(self, document: dict[str, object]) -> None:
        """Store an incident."""
        body = {name: value for name, value in document.items() if name not in ("_id", "revision")}
        self.documents.write([Upsert("incidents", str(document["_id"]), 1, body)])

    def run(self, *words: str, fails: bool = False) -> str:
        """Return what a command prints and complains of."""
        done = CliRunner().invoke(app, [*words, *self.of], terminal_width=200, env={"COLUMNS": "200"})
        text = f"{done.output}{done.exception or ''}"
        assert bool(done.exit_code) is fails, text
        return text

    def answers(self) -> list[dict[str, object]]:
        """Return what is stored of answers."""
        return self.documents.find(ANSWERS, {}, limit=100, newest_first="at")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place of its own."""
    return Place(tmp_path)


def test_an_incident_is_answered_by_the_id_that_is_shown(place: Place) -> None:
    """The list has its short id; once that is acknowledged, list and JSON say by whom, of its whole episode."""
    shown = place.run("incidents")
    assert short(FAILING) in shown
    assert "acknowledged" not in shown

    assert f"ack of {FAILING}, by anna" in place.run("incidents", "ack", short(FAILING), "--by", "anna")
    place.run("incidents", "note", short(FAILING)[:5], "fan replaced", "--by", "ben")

    shown = place.run("incidents", "--rig", "rig-1")
    assert shown.count("acknowledged by anna") == 2, "of both incidents of the episode"
    assert "note by ben" in shown
    assert "│ open" not in shown
    assert "│ open" in place.run("incidents", "--rig", "rig-2")
    found = {one["_id"]: one for one in json.loads(place.run("incidents", "--json"))}
    assert [(one["kind"], one["by"]) for one in found[FAILING]["answers"]] == [("ack", "anna"), ("note", "ben")]
    assert [one["acknowledged"] for one in (found[FAILING], found[LEAKING])] == [True, False]
    assert found[LEAKING]["answers"] == []
    assert found[FAILING]["short_id"] == short(FAILING)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("rig-1/CE/cooler_f", f"ack of {FAILING}"),
        ("rig-1/CE", "may mean 2 incidents"),
        ("rig-9/CE", "there is no incident 'rig-9/CE'; `hydrodask incidents` shows their ids"),
        ("", "there is no incident ''"),
    ],
)
def test_the_beginning_of_an_id_is_enough_if_it_is_of_one(place: Place, given: str, said: str) -> None:
    """Of several the sentence names each, of none it says where ids are; nothing is stored then."""
    fails = not said.startswith("ack")

    text = place.run("incidents", "ack", given, fails=fails)

    assert said in text
    assert (short(FAILING) in text) == ("2 incidents" in said)
    assert len(place.answers()) == (not fails)


def test_what_is_muted_is_listed_with_what_ends_it(place: Place) -> None:
    """Mutes and maintenance that hold, each with its command; given, it ends that, and nothing that does not hold."""
    place.run("incidents", "mute", "--rig", "rig-1", "--rule", "cooler_failing", "--for", "8h", "--by", "anna")
    place.run("incidents", "maintenance", "rig-2", "--for", "4h", "--note", "new pump", "--by", "ben")
    place.run("incidents", "cause", short(LEAKING), "seal")

    assert "open, muted" in place.run("incidents", "--rule", "cooler_failing")
    held = place.run("incidents", "answers", "--holding")
    assert "hydrodask incidents mute --rig rig-1 --rule cooler_failing --for 0" in held
    assert "in maintenance by ben" in held
    assert "seal" not in held
    every = CliRunner().invoke(app, ["incidents", "answers", *place.of], env={"COLUMNS": "60"}).stdout
    assert "seal" in every
    assert "…" not in every, "an id is whole, in a narrow terminal, too"
    assert "seal" in place.run("incidents", "answers", short(LEAKING))
    assert "seal" not in place.run("incidents", "answers", "--rig", "rig-1")
    assert "hydrodask incidents maintenance rig-2 --for 0" in place.run(
        "incidents", "mute", "--rig", "rig-1", "--for", "0", fails=True
    )

    place.run("incidents", "mute", "--rig", "rig-1", "--rule", "cooler_failing", "--for", "0")
    place.run("incidents", "maintenance", "rig-2", "--for", "0")

    assert "Nothing is muted" in place.run("incidents", "answers", "--holding")
    printed = json.loads(place.run("incidents", "answers", "--json"))
    assert [one["kind"] for one in printed] == ["maintenance", "mute", "cause", "maintenance", "mute"]
    assert not any(one["holds"] for one in printed)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mute", "--rig", "rig-001", "--for", "1h"], "did you mean rig-1?"),
        (["mute", "--rule", "cooler failling", "--for", "1h"], "did you mean cooler_failing?"),
        (["mute", "--sensor", "PS11", "--for", "1h"], "did you mean PS1?"),
        (["maintenance", "press", "--for", "1h"], "RIG has value 'press', and there is no such rig"),
    ],
)
def test_what_there_is_not_is_muted_by_force_only(place: Place, words: list[str], said: str) -> None:
    """A mute under a misspelt name would leave the real rig paging; --force is for a rig that is still to come."""
    assert said in place.run("incidents", *words, fails=True)
    assert place.answers() == []

    place.run("incidents", *words, "--force")

    assert len(place.answers()) == 1


@pytest.mark.parametrize("rule", ["baseline:avg_value", "component_state", "rig_silent", "drift", "oil_warm"])
def test_rules_without_incidents_can_be_muted(place: Place, rule: str) -> None:
    """Those of the file, of baselines, of components, of silence: before they have ever been broken."""
    place.run("incidents", "mute", "--rule", rule, "--for", "1h")

    assert place.answers()[0]["rule"] == rule


def test_where_nothing_is_known_that_is_said(tmp_path: Path) -> None:
    """A rig may be put into maintenance before the first run; it may also be another run's place."""
    of = ["--set", f"data_dir={tmp_path}"]
    done = CliRunner().invoke(app, ["incidents", "maintenance", "rig-1", "--for", "1h", *of])

    assert done.exit_code == 0
    assert "is it the place of the run?" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mute", "--rig", "rig-1", "--for", "100000h"], "--for has value '100000h'; want at most 366 days"),
        (["mute", "--for", "1h"], "want --rig, --sensor, --rule"),
        (["maintenance", "", "--for", "1h"], "nothing says which rig"),
        (["note", FAILING, " "], "TEXT has value ' '; want some text"),
        (["ack", FAILING, "--by", ""], "--by has value ''; want a name"),
        (["ack", FAILING, "--note", "x" * 3000], "--note has value"),
        (["found", FAILING], "want states such as pump=1"),
    ],
)
def test_a_wrong_value_is_named_as_it_was_typed(place: Place, words: list[str], said: str) -> None:
    """And by no field of a document."""
    text = place.run("incidents", *words, fails=True)

    assert said in text
    assert "of an answer" not in text
    assert place.answers() == []


def test_a_label_of_a_rig_that_nobody_knows_is_stored_with_a_warning(place: Place) -> None:
    """Its cycles may be imported later; a wrong value is named as it was typed."""
    times = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:10:00Z"]

    assert "did you mean rig-1?" in place.run("label", "rig-001", "cooler=20", *times)
    assert "nothing is known" not in place.run("label", "rig-1", "cooler=20", *times)
    assert len(place.answers()) == 2
    assert "No labels of rig 'rig-11'" in place.run("label", "rig-11")
    text = place.run("label", "rig-1", "cooler=20", *times[:2], "--to", "2025-01-01T00:00:00Z", fails=True)
    assert "--to has value '2025-01-01T00:00:00Z'; want a time after its start" in text
    assert "--by has value ' '" in place.run("label", "rig-1", "cooler=20", *times, "--by", " ", fails=True)


def test_where_there_are_no_models_that_place_is_named(place: Place) -> None:
    """It may be the wrong one; a target that is misspelt is guessed."""
    assert "No models in sqlite:" in place.run("models")
    assert "did you mean cooler?" in place.run("models", "add", "a.onnx", "--target", "coler", fails=True)


def test_services_without_names_says_what_it_starts(tmp_path: Path) -> None:
    """All seven, where they listen, and how to start fewer."""
    said = _all_of(_services(None, Settings(data_dir=tmp_path)))

    assert said.startswith("no service is named, so all 7 start")
    assert "mongodb on 127.0.0.1:27017" in said
    assert "`hydrodask services up kafka mongodb`" in said
