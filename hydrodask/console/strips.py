"""Strips over a rig's curves: episodes, and what was said of each component when.

From rows of `scores/`, cycle by cycle; beyond where their files end from incidents and the newest documents.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydrodask.clock import US_PER_S
from hydrodask.episodes import words
from hydrodask.learn.targets import TARGETS, Target
from hydrodask.reports import UNUSUAL_CYCLES
from hydrodask.store.curve import Stretch

View = dict[str, Any]
CYCLE = "cycle"
_SAID = {"learning": "learning what is usual", "unknown": "unknown"}


def strips_of(documents: Sequence[View], episodes: Sequence[View], told: Mapping[str, Sequence[Stretch]]) -> list[View]:
    """Return a strip for episodes, for each component, and for the load cycle if anything was said of it."""
    now = {str(one.get("component")): one for one in documents}
    strips: list[View] = [{"name": "episodes", "text": "", "spans": [_span(one, one["name"]) for one in episodes]}]
    for target in (one for one in TARGETS.values() if one.component):
        said = now.get(target.name)
        mine = [i for one in episodes for i in one["incidents"] if i["sensor"] == target.name]
        stretches = told.get(target.name, ())
        spans = [*_told(stretches, target), *_after(stretches, [_span(one, worst_of(one, target)) for one in mine])]
        known = said is not None and said.get("state") is not None
        text = state_of(said, target)
        strips.append({"name": target.name, "text": text, "spans": spans, "unknown": not known})
    if CYCLE in now or CYCLE in told:
        said = now.get(CYCLE, {})
        mine = [i for one in episodes for i in one["incidents"] if i["name"] == words(UNUSUAL_CYCLES)]
        stretches = told.get(CYCLE, ())
        spans = [*_told(stretches, None), *_after(stretches, [_span(one, "unusual") for one in mine])]
        text = str(said.get("state") or "")
        strips.append({"name": "load cycle", "text": text, "spans": spans, "unknown": text not in ("usual", "unusual")})
    return strips


def state_of(said: View | None, target: Target) -> str:
    """Return in words what a component is now, as far as a model says so."""
    if said is None:
        return "no model says"
    if said.get("state") is None:
        return str(said.get("unknown_because") or "unknown")
    settled = said.get("settled_state")
    state = said["state"] if settled is None else settled
    shown = target.said(state)
    far, hours = said.get("severity"), said.get("worse_in_hours")
    if far is not None and far != state:
        shown += f", at {far:.3g} ({said['severity_low']:.3g} to {said['severity_high']:.3g})"
    return shown if hours is None else f"{shown}, worse in {hours:.1f} h"


def worst_of(incident: View, target: Target) -> str:
    """Return in words what a component was at its worst; an incident may be about one of which nobody knew that."""
    return "unknown" if incident["worst"] is None else target.said(incident["worst"])


def _told(stretches: Sequence[Stretch], target: Target | None) -> list[View]:
    """Return spans of what was not as it should be, and of what nobody knew."""
    found = []
    for one in stretches:
        if one.severity or one.verdict in _SAID:
            text = _SAID.get(one.verdict, one.verdict)
            if one.state is not None and target is not None:
                text = target.said(one.state)
            span = {"from": one.start_us / US_PER_S, "to": one.end_us / US_PER_S, "text": text}
            found.append(span | {"severity": one.severity or "unknown"})
    return found


def _after(stretches: Sequence[Stretch], spans: list[View]) -> list[View]:
    """Return what incidents say of the time after the newest row: files are some minutes behind."""
    end = max((one.end_us for one in stretches), default=0) / US_PER_S
    return [span | {"from": max(span["from"], end)} for span in spans if span["to"] is None or span["to"] > end]


def _span(one: View, text: str) -> View:
    return {"from": one["from"], "to": one["to"], "severity": one["severity"], "text": text}
