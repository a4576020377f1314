"""What a message says: subject, lines, and the same as JSON values. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from hydrodask.channels import CHANNELS
from hydrodask.clock import Zone, iso, parse_iso
from hydrodask.episodes import FOREVER_US, Episode, text_of, words
from hydrodask.redaction import redacted, visible

VERSION = 1
"""Of the layout of messages."""

RIGS_MAX = 50
"""Rigs that a message tells of one by one."""

LINES_MAX = 12
"""Of those that its text has a line for."""

OPENED, MORE, WORSE, STILL, OVER, TEST = "opened", "more", "worse", "still", "over", "test"
"""Kinds of messages."""

_WORDS = {OPENED: "", MORE: "", WORSE: "now ", STILL: "still ", OVER: "over: "}
_SPREAD = ("avg_value", "max_value", "min_value", "range_value", "stddev_value")
"""Statistics that are in the unit of their sensor."""

Body = dict[str, Any]


def rig_of(episode: Episode, link: str) -> Body:
    """Return what is said of one rig: the incident that gives the episode its name, with value, limit and since."""
    one = episode.name
    began_us, ended_us = episode.span
    statistic = str(one.get("statistic", ""))
    channel = CHANNELS.get(str(one["sensor"])) if statistic in _SPREAD else None
    return {
        "rig": episode.rig,
        "episode": episode.id,
        "severity": episode.severity,
        "sensor": str(one["sensor"]),
        "rule": str(one["rule"]),
        "statistic": statistic,
        "value": one.get("worst"),
        "limit": one.get("threshold"),
        "unit": channel.unit if channel else "",
        "since": iso(began_us),
        "until": None if ended_us >= FOREVER_US else iso(ended_us),
        "provisional": episode.provisional,
        "incidents": len(episode.incidents),
        "message": text_of(one),
        "link": f"{link}#/rig/{quote(episode.rig, safe='')}/1h/{quote(episode.id, safe='')}" if link else "",
    }


def message(
    kind: str, rigs: Sequence[Body], *, id_: str, cause: str, came_to_nothing: bool, link: str, zone: Zone
) -> Body:
    """Return a message about rigs, at least one, the worst first."""
    first = rigs[0]
    ends = [one["until"] for one in rigs]
    body: Body = {
        "version": VERSION,
        "id": id_,
        "cause": cause,
        "kind": kind,
        "severity": first["severity"],
        "rule": first["rule"],
        "subject": _plain(_subject(kind, rigs, came_to_nothing=came_to_nothing)),
        "since": min(str(one["since"]) for one in rigs),
        "until": max(map(str, ends)) if kind == OVER and all(ends) else None,
        "came_to_nothing": came_to_nothing,
        "rigs_count": len(rigs),
        "rigs": list(rigs[:RIGS_MAX]),
        "link": first["link"] if len(rigs) == 1 else f"{link}#/" if link else "",
    }
    lines = [body["subject"], *(_plain(line_of(one, zone)) for one in rigs[:LINES_MAX])]
    if len(rigs) > LINES_MAX:
        lines.append(f"and {len(rigs) - LINES_MAX} more")
    return body | {"text": "\n".join([*lines, *filter(None, [body["link"]])])}


def trial(channel: str, id_: str, now_us: int, link: str) -> Body:
    """Return the message of `hydrodask notify test`."""
    subject = f"test: hydrodask reaches the channel {channel}"
    return {
        "version": VERSION, "id": id_, "cause": id_, "kind": TEST, "severity": "warning", "rule": TEST,
        "subject": subject, "since": iso(now_us), "until": iso(now_us), "came_to_nothing": False, "rigs_count": 0,
        "rigs": [], "link": link, "text": "\n".join(filter(None, [subject, "Nothing is wrong.", link])),
    }  # fmt: skip


def line_of(one: Mapping[str, Any], zone: Zone) -> str:
    """Return what is said of one rig in one line."""
    where = one["rig"] if one["sensor"] == "*" else f"{one['rig']} {one['sensor']}"
    unit = f" {one['unit']}" if one["unit"] else ""
    said = [f"{where}: {one['message']}"]
    said += [f"worst {_number(one['value'])}{unit}"] if one["value"] is not None else []
    said += [f"limit {_number(one['limit'])}{unit}"] if one["limit"] is not None else []
    said.append(f"since {_moment(one['since'], zone)}")
    said += [f"until {_moment(one['until'], zone)}"] if one["until"] else []
    said += ["provisional"] if one["provisional"] else []
    return ", ".join(said)


def _subject(kind: str, rigs: Sequence[Body], *, came_to_nothing: bool) -> str:
    first = rigs[0]
    what = words(str(first["rule"]))
    where = str(first["rig"]) if len(rigs) == 1 else f"{len(rigs)} rigs"
    if kind == OVER:
        return f"{'came to nothing' if came_to_nothing else 'over'}: {what} on {where}"
    return f"{_WORDS[kind]}{str(first['severity']).upper()}: {what} on {where}{', more rigs' if kind == MORE else ''}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _moment(at: str, zone: Zone) -> str:
    """Return a time in the zone of those who read it."""
    return f"{zone.text(parse_iso(at))} {zone.label(parse_iso(at))}"


def _plain(text: str) -> str:
    """Return text in one line, without what moves terminals and without secrets: names and rules come from outside."""
    return visible(redacted(" ".join(text.split())))
