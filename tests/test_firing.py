"""Alerts of an Alertmanager on the page: what fires, within limits, and why nobody knows when it does not answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hydrodask import clock
from hydrodask.console import firing
from hydrodask.console.firing import Fires, Firing, told
from hydrodask.errors import ConfigError
from hydrodask.services.ports import LOOPBACK, free_port
from hydrodask.settings import load
from hydrodask.settings.model import Observe
from tests.alertmanagers import ALERTS, managing


@pytest.fixture
def manager() -> Iterator[Any]:
    """Run a server that answers as it is told to."""
    with managing() as server:
        yield server


def asking(server: Any, **more: Any) -> Firing:
    """Return who asks a server, and asks nothing by itself any more."""
    made = Firing(Observe.model_validate({"alertmanager": f"http://{LOOPBACK}:{server.server_address[1]}", **more}))
    made.close()
    server.asked.clear()
    return made


def test_what_fires_is_told_worst_first(manager: Any) -> None:
    """With severity, since, rig and what to do; our own messages are episodes already; only a web address is a link."""
    found = asking(manager).look()

    assert [one["name"] for one in found.alerts] == ["HydraulicSensorCritical", "HydrodaskSlow", "Odd"]
    assert [one["severity"] for one in found.alerts] == ["critical", "warning", ""]
    assert [one["link"] for one in found.alerts] == [True, False, False]
    assert (found.alerts[0]["rig"], found.alerts[0]["since"]) == ("rig-1", 1795913940)
    assert (found.more, found.trouble) == (0, "")
    assert manager.asked == [(firing.PATH, None)]


def test_a_password_is_sent_where_it_belongs_and_nowhere_else(manager: Any, tmp_path: Path) -> None:
    """From its file, when it is there; a redirect is not followed; a wrong one is told as that."""
    file = tmp_path / "password"
    who = asking(manager, alertmanager_password_file=file)
    missing = who.look().trouble
    file.write_text("letters")
    manager.answer = 302, b""

    assert "observe.alertmanager_password_file" in missing
    assert who.look().trouble == "it answers 302"
    assert manager.asked[-1][1] == "Basic aHlkcm9kYXNrOmxldHRlcnM="
    manager.answer = 401, b""
    assert who.look().trouble == "it answers 401: is observe.alertmanager_password_file right?"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, b"<html>"), "makes no sense"),
        ((200, {"data": []}), "makes no sense"),
        ((200, [{"labels": {"a": 1}, "startsAt": "2026-11-29T01:00:00Z"}]), "makes no sense"),
        ((200, [{"labels": {}, "startsAt": "yesterday"}]), "makes no sense"),
        ((200, b"[" * 100_000), "makes no sense"),
        ((500, b"no"), "it answers 500"),
        ((200, b"[" + b" " * firing.BYTES_MAX + b"]"), "more than 2,000,000 bytes"),
    ],
)
def test_an_answer_that_makes_no_sense_is_said(manager: Any, answer: Any, says: str) -> None:
    """And nothing fires then, as far as anybody can tell."""
    manager.answer = answer
    found = asking(manager).look()

    assert says in found.trouble
    assert found.alerts == ()


def test_one_that_does_not_answer_or_takes_for_ever_is_let_go(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the limit, though a byte comes now and then."""
    monkeypatch.setattr(firing, "ANSWER_S", 1.0)
    manager.piece, manager.pause_s = 1, 0.1
    began_s = clock.monotonic_s()
    found = asking(manager).look()
    nobody = Observe.model_validate({"alertmanager": f"http://{LOOPBACK}:{free_port()}"})
    gone = Firing(nobody)
    gone.close()

    # Where a single byte took so long, that is said instead.
    assert "takes more than" in found.trouble or "timed out" in found.trouble
    assert clock.monotonic_s() - began_s < 30
    assert gone.look().trouble == "Connection refused"


def test_more_than_a_page_has_room_for_are_counted() -> None:
    """The worst are shown."""
    many = [{**ALERTS[0], "labels": {"alertname": f"a{n}"}} for n in range(firing.ALERTS_MAX + 7)] + [ALERTS[1]]
    found = told(Fires("x"), json.dumps(many).encode())

    assert (len(found.alerts), found.more, found.alerts[0]["severity"]) == (firing.ALERTS_MAX, 8, "critical")


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["observe.alertmanager=ftp://x"], "want http://HOST:PORT"),
        (["observe.alertmanager=http://x:1", "observe.alertmanager_ca_file=ca.pem"], "must begin with https://"),
    ],
)
def test_a_setting_that_can_t_be_is_refused(sets: list[str], says: str) -> None:
    """At the start."""
    with pytest.raises(ConfigError, match=says):
        Firing(load(sets=sets, environ={})[0].observe)
