"""Say what no document of ours looks like: of which nothing more has to be known to see that it is not from us."""

from typing import Any

from hydrodask import clock
from hydrodask.answers import Answer
from hydrodask.channels import SENSORS
from hydrodask.clock import iso, parse_iso
from hydrodask.detect.incidents import anomaly_id, incident_id
from hydrodask.detect.usual.telling import LEARNING, UNUSUAL, USUAL
from hydrodask.detect.usual.telling import NAME as CYCLE
from hydrodask.errors import UsageError
from hydrodask.learn.targets import TARGETS
from hydrodask.reports import STANDING, WHOLE_RIG

Body = dict[str, Any]

AHEAD_US = 3_600_000_000
"""So far ahead of our clock another machine's may be."""

COMPONENT = "component_state"
"""The rule of incidents of components, which models make and no window."""

_TIMES = {"anomalies": ("window_start", "window_end"), "incidents": ("first_window", "last_window", "opened_at")}


def odd(collection: str, body: Body) -> str:
    """Return why this can't be an anomaly or incident of ours, nothing if it can."""
    names = [body.get(name) for name in ("rig", "sensor", "rule", "_id")]
    if not all(isinstance(name, str) and name for name in names):
        return "it lacks its rig, sensor, rule or id"
    rig, sensor, rule, name = map(str, names)
    revision = body.get("revision")
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 0:
        return f"its revision is {revision!r}, want a whole number from 0 on"
    if not isinstance(body.get("provisional"), bool):
        return f"provisional is {body.get('provisional')!r}, want true or false"
    if sensor not in SENSORS and (sensor != WHOLE_RIG or rule not in STANDING):
        return f"its sensor is {sensor!r}, and there is none of that name"
    times = [time_of(body.get(field)) for field in _TIMES[collection]]
    if any(time is None for time in times):
        return f"one of its times ({', '.join(_TIMES[collection])}) is none"
    start_us = times[0] or 0
    want = (anomaly_id if collection == "anomalies" else incident_id)((rig, sensor, rule), start_us)
    return "" if name == want else f"its id says something else than it does, which would be {want}"


def odd_change(body: Body) -> str:
    """Return why this can't be a change of a component's state, or of what a rig's cycles are; nothing if it can."""
    rig, name, at = body.get("rig"), body.get("component"), body.get("at")
    target, revision = TARGETS.get(str(name)), body.get("revision")
    if (target is None and name != CYCLE) or body.get("_id") != f"{rig}/{name}/{at}":
        return f"its component is {name!r}, its id {body.get('_id')!r}"
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 0:
        return f"its revision is {revision!r}, want a whole number from 0 on"
    since, confirmed = time_of(at), time_of(body.get("confirmed_at"))
    if since is None or confirmed is None or confirmed < since:
        return f"it is since {at!r}, and was confirmed at {body.get('confirmed_at')!r}"
    known = (LEARNING, USUAL, UNUSUAL) if target is None else (None, *target.classes)
    if body.get("state") not in known or body.get("before") not in (None, *known):
        return f"it is from {body.get('before')!r} to {body.get('state')!r}, and there are {known}"
    return ""


def odd_run(body: Body) -> str:
    """Return why this can't be the status of a run of ours, nothing if it can."""
    revision = body.get("revision")
    if not isinstance(revision, int) or not 0 <= revision <= clock.now_us() + AHEAD_US:
        said = iso(revision) if isinstance(revision, int) and 0 <= revision < 2**57 else repr(revision)
        return f"its revision, the time at which it was written, is {said}: no later one of its run would count"
    return ""


def odd_answer(body: Body) -> str:
    """Return why this can't be what somebody has answered, nothing if it can."""
    try:
        given_us = parse_iso(Answer.of(body).at)
    except (UsageError, ValueError, TypeError, OverflowError) as error:
        return str(error)
    if given_us > clock.now_us() + AHEAD_US:
        return f"it says that it was given at {body['at']}, and that is to come"
    return "" if body.get("revision") == 0 else f"its revision is {body.get('revision')!r}: an answer never changes"


def time_of(value: object) -> int | None:
    """Return a time of a document, in microseconds; None for what is none."""
    try:
        return parse_iso(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
