"""What people told of a rig's components: states from one time to another, each with where it is from.

People answer an incident (right, false alarm, found), or label a time. Each is a document of `answers`, which no replay
writes or removes, and which names the states and the time itself: it goes on saying so when the incident is long gone.
Of several that speak of one component in one cycle the newest counts, and each counts more than what the stream said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hydrodask.answers import ANSWERS, ANSWERS_MAX, JUDGING, TEACHING, Answer, States
from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.errors import UsageError
from hydrodask.learn.targets import TARGETS
from hydrodask.store.documents import Documents

RULE = "component_state"
"""Of incidents of components."""

UNKNOWN = "unknown"
"""What is written for a state that is not known, whatever was said before."""

CYCLE_US = CYCLE_S * US_PER_S

FILE = "file"
"""Origin of a label that was given by file; those of others are kinds of answers, as people write them."""

ORIGINS = (*(kind.replace("_", "-") for kind in TEACHING), FILE)
"""Where a label of people may be from."""

BY = "by="
"""Before the name of who gave labels that are to be left out."""


def states_of(pairs: Iterable[str]) -> dict[str, int | None]:
    """Return what `cooler=20`, `valve=unknown` say. Raises UsageError for what is no state of a component.

    >>> states_of(["cooler=20", "valve=unknown"])
    {'cooler': 20, 'valve': None}
    """
    found: dict[str, int | None] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        target = TARGETS.get(name)
        if target is None or not equals:
            raise UsageError(f"could not read {pair!r} as a state; want one of {', '.join(TARGETS)}, =, and its state")
        known = {str(one): one for one in target.classes} | {UNKNOWN: None}
        if value.strip() not in known:
            raise UsageError(f"{name} has no state {value!r}; want one of {', '.join(known)}")
        if name in found:
            raise UsageError(f"{name} is given twice; want one state of each component")
        found[name] = known[value.strip()]
    return found


def checked(states: Any) -> States:
    """Return the states that somebody names, as JSON or as people write them. Raises UsageError for what is none.

    >>> checked("cooler=20, valve=unknown") == checked({"cooler": 20, "valve": None})
    True
    """
    if isinstance(states, str):
        return states_of(states.replace(",", " ").split())
    if not isinstance(states, Mapping):
        raise UsageError(f"states of an answer has value {str(states)[:80]!r}; want component and state")
    return states_of(f"{name}={UNKNOWN if state is None else state}" for name, state in states.items())


def about(fields: Mapping[str, Any], incident: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields of an answer, with the states that it tells of and their time, if it tells of any.

    To be right about a component is to say that it was in the state of the incident, a false alarm that it was in the
    nominal one, if it names a state; what was `found` says so itself. Raises UsageError for states that there are not.
    """
    made, kind = dict(fields), fields.get("kind")
    states = checked(fields.get("states") or {})
    if kind == "found" and states and not fields.get("text"):
        made["text"] = words(states)
    if kind in JUDGING and incident is not None:
        states = states or _of_incident(str(kind), incident)
        if states:
            last_us = parse_iso(str(incident["last_window"]))
            made |= {"rig": incident["rig"], "start": incident["first_window"], "end": iso(last_us + CYCLE_US)}
    if states or fields.get("states") is not None:
        made["states"] = states
    return made


def _of_incident(kind: str, incident: Mapping[str, Any]) -> States:
    target = TARGETS.get(str(incident.get("sensor")))
    worst = incident.get("worst")
    # An incident of a component that is unknown names no state: that it is one, or none, says nothing of the component.
    if incident.get("rule") != RULE or target is None or worst is None or kind == "found":
        return {}
    return {target.name: target.nominal if kind == "false_alarm" else int(worst)}


def words(states: States) -> str:
    """Return states as people write them."""
    return " ".join(f"{name}={UNKNOWN if state is None else state}" for name, state in states.items())


def origin(answer: Answer) -> str:
    """Return where the labels of an answer are from: right, false-alarm or found of an incident, label, or file."""
    return FILE if answer.kind == "label" and answer.source else answer.kind.replace("_", "-")


def trusted(given: Iterable[Answer], without: Iterable[str]) -> list[Answer]:
    """Return answers but for those of origins, or of `by=NAME`. Raises UsageError for what is neither."""
    out = set(without)
    if wrong := sorted(one for one in out if one not in ORIGINS and not one.startswith(BY)):
        raise UsageError(f"there are no labels of origin {wrong[0]!r}; want one of {', '.join(ORIGINS)}, or {BY}NAME")
    return [one for one in given if origin(one) not in out and BY + one.by not in out]


def answers(documents: Documents) -> list[Answer]:
    """Return all answers that tell of states, oldest first. Raises as `Documents.find`."""
    found = []
    for kind in TEACHING:
        for one in documents.find(ANSWERS, {"kind": kind}, limit=ANSWERS_MAX, newest_first="at"):
            try:
                answer = Answer.of(one)
                found += [(answer.at, str(one["_id"]), replace(answer, states=checked(answer.states)))]
            except (UsageError, ValueError, TypeError):
                continue  # `verify` says so
    return [answer for *_, answer in sorted(found, key=lambda each: each[:2]) if answer.states]
