"""Logs are one line an event, with its fields, for people or as JSON; secrets are in neither."""

import json
import logging

import pytest

from hydrodask import redaction
from hydrodask.errors import UnreachableError
from hydrodask.logs import Json, Text, spot


def record(text: str, *, error: Exception | None = None, **fields: object) -> logging.LogRecord:
    """Return an event."""
    told = None if error is None else (type(error), error, None)
    made = logging.LogRecord("hydrodask.x", logging.WARNING, "f", 1, text, None, told)
    made.__dict__.update(fields)
    return made


def test_an_event_is_a_line_with_its_fields() -> None:
    """Those of a partition too; whatever its text or a name that came from outside holds."""
    error = UnreachableError("no broker\n  at all")
    line = Text().format(record("first\nsecond", error=error, **spot(("hydraulic-PS1", 3), 47), rig='a "b"\n'))

    assert line.endswith(
        "WARNING hydrodask.x: first second: no broker at all "
        'topic=hydraulic-PS1 partition=3 offset=47 rig="a \\"b\\"\\n"'
    )
    assert "\n" not in line


def test_as_json_it_is_an_object_a_line() -> None:
    """With the time in UTC; a trace only where traces are wanted."""
    error = KeyError("x")
    event = record("line one\nline two", error=error, **spot(("hydraulic-PS1", 3), 47), slot=None)
    event.created = 1_796_011_200.25
    line = Json().format(event)

    assert "\n" not in line
    assert json.loads(line) == {
        "at": "2026-11-30T04:00:00.250Z", "level": "WARNING", "logger": "hydrodask.x", "event": "line one\nline two",
        "topic": "hydraulic-PS1", "partition": 3, "offset": 47, "slot": None, "error": "KeyError: 'x'",
    }  # fmt: skip
    assert "KeyError" in json.loads(Json(traces=True).format(event))["trace"]


@pytest.mark.parametrize("formatter", [Text(), Json(), Text(traces=True), Json(traces=True)])
def test_no_line_has_a_secret(formatter: logging.Formatter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in its text, nor in a field or an error."""
    monkeypatch.setattr(redaction, "_known", set())
    monkeypatch.setattr(redaction, "_any_known", [])
    secret = 'ge"heim-\\wort'  # noqa: S105 - made up
    with monkeypatch.context() as patched:
        patched.setattr(logging.Formatter, "format", logging.Formatter.format)
        redaction.know(secret)
        line = formatter.format(record(f"a {secret}", error=ValueError(f"b {secret}"), password=secret))

    assert "heim-" not in line
