"""The schema of the API, as OpenAPI 3.1: what a program may ask for and send."""

from typing import Any

from hydrodask.answers import BY_MAX, KINDS, NAME_MAX, TEXT_MAX, UNTIL_S_MAX
from hydrodask.console.curves import RANGES_S
from hydrodask.release import release

_TEXT = {"type": "string"}
_TIME = {"type": "string", "description": "ISO 8601, or seconds since the epoch"}

ANSWER = {
    "type": "object",
    "required": ["kind"],
    "additionalProperties": False,
    "properties": {
        "kind": {"enum": list(KINDS)},
        "incident": {**_TEXT, "maxLength": NAME_MAX, "description": "id of an incident; of an episode: its id"},
        "text": {**_TEXT, "maxLength": TEXT_MAX},
        "rig": {**_TEXT, "maxLength": NAME_MAX},
        "sensor": {**_TEXT, "maxLength": NAME_MAX},
        "rule": {**_TEXT, "maxLength": NAME_MAX},
        "start": {**_TEXT, "description": "of a label: ISO 8601, event time"},
        "end": {**_TEXT, "description": "of a label: ISO 8601, event time"},
        "states": {
            "type": ["object", "string"],
            "additionalProperties": {"type": ["integer", "null"]},
            "description": "component and state, null for one that is not known; or `cooler=20 valve=unknown`: "
            "training data",
        },
        "for_s": {"type": "number", "minimum": 0, "maximum": UNTIL_S_MAX, "description": "0 ends it now"},
        "by": {**_TEXT, "maxLength": BY_MAX, "description": "who answers; with a token its name counts"},
        "id": {"type": "string", "pattern": "^[A-Za-z0-9-]{8,64}$", "description": "the same twice is one answer"},
    },
}
"""The body of `POST /api/answers`."""


def described() -> dict[str, Any]:
    """Return the schema."""
    rig = _asked("rig", _TEXT)
    window = [_asked("from", _TIME), _asked("to", _TIME)]
    ranges = _asked("range", {"enum": list(RANGES_S)})
    body = {"required": True, "content": {"application/json": {"schema": ANSWER}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "hydrodask console", "version": release()},
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/api/fleet": {"get": {"summary": "Rigs, worst first", "responses": _said("tiles")}},
            "/api/rig": {
                "get": {"summary": "A rig's page", "parameters": [rig, ranges], "responses": _said("curves", rig=True)}
            },
            "/api/zoom": {
                "get": {
                    "summary": "One curve between two times",
                    "parameters": [rig, _asked("sensor", _TEXT), *window],
                    "responses": _said("a curve", rig=True),
                }
            },
            "/api/live": {
                "get": {
                    "summary": "What is new of a rig",
                    "parameters": [rig],
                    "responses": _said("newest values", rig=True),
                }
            },
            "/api/answers": {
                "get": {"summary": "The newest answers", "responses": _said("answers")},
                "post": {
                    "summary": "Acknowledge, note, assign a cause, judge, label, mute, put into maintenance",
                    "requestBody": body,
                    "responses": {"201": {"description": "stored"}, "400": {"description": "what is wrong with it"}},
                },
            },
        },
    }


def _asked(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": True, "schema": schema}


def _said(what: str, *, rig: bool = False) -> dict[str, Any]:
    found = {"200": {"description": what, "content": {"application/json": {}}}}
    return found | ({"404": {"description": "nobody has heard of that rig; `error` says so"}} if rig else {})
