"""An episode, a mute and a rig's line as the page shows them: words and times, no names of machines."""

from collections.abc import Sequence
from typing import Any

from hydrodask.answers import Answer, Answers
from hydrodask.clock import US_PER_S, Zone, parse_iso
from hydrodask.episodes import FOREVER_US, Document, Episode, span_of, text_of, words

NOTES_MAX = 50
INCIDENTS_MAX = 60
"""Incidents of one episode that the page gets; their number is told in any case."""

_WHY = ("contributions", "because", "changed")
"""Fields in which a detector may say what made it say so."""


def episode_view(one: Episode, answers: Answers, real_us: int) -> dict[str, Any]:
    """Return an episode with its incidents and answers."""
    said, name = answers.of(one), one.name
    quiet = answers.quiet(one, real_us)
    return {
        "id": one.id,
        "name": f"{name['sensor']} {words(str(name['rule']))}".removeprefix("* "),
        "severity": one.severity,
        "message": text_of(name),
        "sensor": str(name["sensor"]),
        "rule": str(name["rule"]),
        "from": one.span[0] // US_PER_S,
        "to": None if one.span[1] >= FOREVER_US else one.span[1] // US_PER_S,
        "open": one.open,
        "provisional": one.provisional,
        "sensors": one.sensors,
        "count": len(one.incidents),
        "incidents": [incident_view(each) for each in one.incidents[:INCIDENTS_MAX]],
        "ack": said_view(said.ack),
        "cause": said_view(said.cause),
        "judged": said_view(said.judged),
        "judged_id": str(name["_id"]),
        "notes": [said_view(each) for each in said.notes[-NOTES_MAX:]],
        "muted": said_view(quiet),
    }


def open_view(one: Episode, answers: Answers, real_us: int) -> dict[str, Any]:
    """Return an episode in short."""
    name = f"{one.name['sensor']} {words(str(one.name['rule']))}".removeprefix("* ")
    said, quiet = answers.of(one), answers.quiet(one, real_us)
    about = {"id": one.id, "rig": one.rig, "name": name, "message": text_of(one.name)}
    return {**span_view(one), **about, "acknowledged": said.ack is not None, "muted": quiet is not None}


def span_view(one: Episode) -> dict[str, Any]:
    """Return when an episode was, and how bad."""
    began_us, ended_us = one.span
    ended = None if ended_us >= FOREVER_US else ended_us // US_PER_S
    return {"from": began_us // US_PER_S, "to": ended, "severity": one.severity, "text": ""}


def incident_view(one: Document) -> dict[str, Any]:
    """Return an incident: which curve it is about, when, and what a detector gives as its reason."""
    began_us, ended_us = span_of(one)
    why = next((one[name] for name in _WHY if one.get(name)), None)
    return {
        "id": one["_id"],
        "sensor": one["sensor"],
        "name": words(str(one["rule"])),
        "severity": one["severity"],
        "message": text_of(one),
        "from": began_us // US_PER_S,
        "to": None if ended_us >= FOREVER_US else ended_us // US_PER_S,
        "worst": one.get("worst"),
        "threshold": one.get("threshold"),
        "statistic": words(f"baseline:{one.get('statistic', '')}").removeprefix("unusual "),
        "why": _pairs(why),
    }


def said_view(answer: Answer | None) -> dict[str, str] | None:
    """Return who said what, when."""
    if answer is None:
        return None
    return {
        "kind": answer.kind,
        "by": answer.by,
        "at": answer.at,
        "text": answer.text,
        "until": answer.until,
        "states": " ".join(f"{name}={'unknown' if state is None else state}" for name, state in answer.states.items()),
    }


def quieting_view(holding: Sequence[Answer]) -> list[dict[str, str]]:
    """Return mutes and maintenance."""
    return [
        {
            "kind": one.kind,
            "what": ", ".join(filter(None, (one.rig, one.sensor, words(one.rule)))),
            "rig": one.rig,
            "sensor": one.sensor,
            "rule": one.rule,
            "until": one.until,
            "by": one.by,
            "text": one.text,
        }
        for one in holding
    ]


def line_of(worst: Episode | None, lately: Sequence[Episode], kept: Answer | None, zone: Zone) -> str:
    """Return the line of a tile: the worst that is so now, else what there was in the last day."""
    if kept is not None:
        until_us = parse_iso(kept.until)
        return f"in maintenance until {zone.clock(until_us)[:5]} {zone.label(until_us)}, {kept.by}"
    if worst is not None:
        return text_of(worst.name) or words(str(worst.name["rule"]))
    if not lately:
        return "nothing open, nothing in the last day"
    return f"nothing open; {len(lately)} in the last day, newest {words(str(lately[0].name['rule']))}"


def _pairs(why: Any) -> list[list[str]]:
    """Return reasons of a detector as pairs of words: a mapping, a list of pairs, or texts."""
    if isinstance(why, dict):
        why = sorted(why.items(), key=lambda pair: -abs(pair[1]) if isinstance(pair[1], int | float) else 0)
    if not isinstance(why, list):
        return [[str(why), ""]] if why else []
    pairs = []
    for one in why[:10]:
        if isinstance(one, dict):
            share = one.get("share")
            known = [one["text"], f"{share:.0%}" if isinstance(share, float) else ""] if one.get("text") else None
            one = known or list(one.values())[:2]  # noqa: PLW2901 - in the form of the others
        name, value = one if isinstance(one, list | tuple) and len(one) == 2 else (one, "")
        pairs.append([str(name), f"{value:.3g}" if isinstance(value, float) else str(value)])
    return pairs
