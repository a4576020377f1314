"""Check documents of components, and their incidents: what models have said of cycles, as far as it can be known.

Which version of a model judged a cycle is not known, so what it said is only held against what it can say. What follows
from that is in the scorer's snapshots: settled states, open incidents, how many there were.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hydrodask.audit.finding import Result
from hydrodask.audit.mending import COMPONENTS
from hydrodask.audit.plausible import COMPONENT, odd_change, time_of
from hydrodask.audit.scores import Scores
from hydrodask.audit.snapshots import Snapshot
from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S, iso
from hydrodask.learn.score.verdicts import known
from hydrodask.learn.targets import TARGETS, Target

Body = dict[str, Any]
Key = tuple[str, str]
"""Rig and component."""

LAST = 1 << 62
"""The end when nothing has been committed since the snapshots."""

CYCLE_US = CYCLE_S * US_PER_S


@dataclass(slots=True)
class Components:
    """What the newest snapshots of the scoring partitions know of components; documents come one by one.

    `rigs` are those that there are. Incidents of revisions below `end` follow from those snapshots alone; None: there
    are no snapshots.
    """

    rigs: set[str]
    result: Result
    scores: Scores | None = None
    """What rows of the lake say of the newest cycles, where somebody has looked at them."""
    end: int | None = None
    tracks: dict[Key, Body] = field(default_factory=dict)
    closed_us: dict[str, int] = field(default_factory=dict)
    """The start of the newest cycle of each rig that was judged."""
    opened: int = 0
    """How many incidents there were, as the snapshots say."""
    unheard: bool = False
    """Whether there may be rigs of which nothing is known."""
    keep: bool = True
    """Whether documents stay for ever, so that each of them is there."""
    seen: set[Key] = field(default_factory=set)
    incidents: int = 0
    older: int = 0
    """How many of them are of revisions below `end`."""
    open_seen: set[str] = field(default_factory=set)

    def learn(self, taken: Snapshot, *, last: bool) -> None:
        """Take the newest snapshot of a partition, the `last` word if nothing has been committed since."""
        end = LAST if last else taken.offset
        self.end = end if self.end is None else min(end, self.end)
        nodes = taken.state.get("nodes", {})
        scores, joiner = nodes.get("scores", {}), nodes.get("joiner", {})
        states = scores.get("states", {})
        self.opened += states.get("incidents", 0)
        self.tracks |= {(rig, target): track for rig, target, track in states.get("tracks", [])}
        self.closed_us |= joiner.get("closed", {})

    def take(self, body: Body) -> None:
        """Look at the document of a component."""
        self.result.count(components=1)
        name = str(body.get("_id"))
        for why in self._of_state(body):
            self.result.found(f"components {name}", "it is not from us, or was changed", why, mend=COMPONENTS)
            return
        self.seen.add((body["rig"], body["component"]))

    def take_incident(self, body: Body) -> None:
        """Look at an incident of a component."""
        self.result.count(component_incidents=1)
        self.incidents += 1
        name = str(body.get("_id"))
        for why in self._of_incident(body):
            self.result.found(f"incidents {name}", "it is not from us, or was changed", why, mend=COMPONENTS)
            return
        self.older += self._settled(body)
        if body["status"] == "open":
            self.open_seen.add(name)

    def take_change(self, body: Body) -> None:
        """Look at the document of a component whose state has changed, or of a rig whose cycles have."""
        self.result.count(component_changes=1)
        rig, name = body.get("rig"), body.get("component")
        why = odd_change(body)
        if not why and rig not in self.rigs and not self.unheard:
            why = f"there is no rig {rig!r}"
        track = self.tracks.get((str(rig), str(name)), {})
        if not why and body["at"] == track.get("changed") and body["state"] != known(track["settled"]):
            why = f"its state is {body['state']!r}, want {known(track['settled'])!r}"
        if why:
            what = "it is not from us, or was changed"
            self.result.found(f"component_changes {body.get('_id')}", what, why, mend=COMPONENTS)

    def conclude(self) -> None:
        """Say what is missing, and how many incidents nobody has opened."""
        if self.end is None:
            return
        for key in sorted(self.tracks.keys() - self.seen):
            self.result.found(f"components {key[0]}/{key[1]}", "the document is missing", "", mend=COMPONENTS)
        there = {track["incident"] for track in self.tracks.values() if track["body"] is not None}
        for name in sorted(there - self.open_seen) if self.end == LAST else ():
            self.result.found(f"incidents {name}", "it is open, and the document does not say so", "", mend=COMPONENTS)
        if self.keep and not self.older <= self.opened <= self.incidents:
            said = f"there are {self.incidents}, {self.older} of them of before the snapshots, which say {self.opened}"
            self.result.found("incidents of components", "some are missing, or not from us", said, mend=COMPONENTS)

    def _of_state(self, body: Body) -> Iterator[str]:
        """Give what is wrong with the document of a component."""
        rig, name, revision = body.get("rig"), body.get("component"), body.get("revision")
        target = TARGETS.get(str(name))
        if target is None or body.get("_id") != f"{rig}/{name}":
            yield f"its component is {name!r}, its id {body.get('_id')!r}"
            return
        if rig not in self.rigs and not self.unheard:
            yield f"there is no rig {rig!r}"
            return
        if not isinstance(revision, int) or time_of(body.get("time")) != revision + CYCLE_US:
            yield f"its revision is {revision!r}, want the start of its cycle, a minute before {body.get('time')}"
            return
        yield from _of_verdict(body, target)
        yield from filter(None, [self.scores.contradicted(body, revision) if self.scores is not None else ""])
        if self.end is not None and revision <= self.closed_us.get(str(rig), -1):
            yield from self._of_track(body, self.tracks.get((str(rig), str(name))))
        elif self.end == LAST:
            yield f"its cycle of {iso(revision)} has not been judged yet"

    def _of_track(self, body: Body, track: Body | None) -> Iterator[str]:
        """Give how a document contradicts the state that it was made of."""
        if track is None:
            yield "no model has ever said anything of it"
            return
        unknown_since = track.get("unknown_since", track.get("silent_since"))  # as older snapshots call it
        want = {
            "settled_state": known(track["settled"]),
            "settled_since": track["changed"] or None,
            "unknown_since": unknown_since or None,
        }
        want["state"] = None if unknown_since else known(track["candidate"])
        for field_, value in want.items():
            if body.get(field_) != value:
                yield f"{field_} is {body.get(field_)!r}, want {value!r}"

    def _of_incident(self, body: Body) -> Iterator[str]:
        """Give what is wrong with an incident of a component."""
        rig, name = body.get("rig"), body.get("sensor")
        target = TARGETS.get(str(name))
        opened_us, first_us = time_of(body.get("opened_at")), time_of(body.get("first_window"))
        begun = str(body.get("_id")).removeprefix(f"{rig}/{name}/{COMPONENT}/")
        if target is None or not target.component or time_of(begun) is None:
            yield f"its component is {name!r}, its id {body.get('_id')!r}"
        elif rig not in self.rigs and not self.unheard:
            yield f"there is no rig {rig!r}"
        elif opened_us is None or first_us is None or not first_us < (time_of(begun) or 0) <= opened_us:
            yield f"it was opened at {body.get('opened_at')} for cycles from {body.get('first_window')} on"
        elif body.get("worst") not in {None, *target.classes} - {target.nominal}:
            yield f"the state is {body.get('worst')!r}, which is no fault"
        elif body.get("threshold") != target.nominal:
            yield f"threshold is {body.get('threshold')!r}, want {target.nominal}"
        elif not isinstance(body.get("revision"), int) or body["revision"] < 0:
            yield f"its revision is {body.get('revision')!r}"
        elif self._settled(body):
            yield from self._of_open(body, self.tracks.get((str(rig), str(name)), {}))

    def _of_open(self, body: Body, track: Body) -> Iterator[str]:
        """Give how an incident contradicts the state: the one that is open is the track's, others are over."""
        ours = track.get("body") if track.get("incident") == body["_id"] else None
        if ours is None:
            if body.get("status") != "resolved" or time_of(body.get("resolved_at")) is None:
                yield "it is open, and nothing is wrong with that component"
            return
        differing = [key for key in sorted(ours) if body.get(key) != ours[key]]
        for key in differing[:1]:
            yield f"{key} is {body.get(key)!r}, want {ours[key]!r}"

    def _settled(self, body: Body) -> bool:
        """Say whether an incident follows from the snapshots alone."""
        return self.end is not None and body["revision"] < self.end


def _of_verdict(body: Body, target: Target) -> Iterator[str]:
    """Give what no model can have said."""
    state, chance, settled = body.get("state"), body.get("probability"), body.get("settled_state")
    if settled is not None and settled not in target.classes:
        yield f"settled_state is {settled!r}, which is no state of {target.name}"
    if state is None:
        if chance is not None or body.get("nominal") is not None or time_of(body.get("unknown_since")) is None:
            yield "nothing was said of its cycle, and yet it has a probability, or no time since when"
    elif state not in target.classes:
        yield f"state is {state!r}, which is no state of {target.name}"
    elif not isinstance(chance, int | float) or not 0 <= chance <= 1:
        yield f"probability is {chance!r}"
    elif body.get("nominal") is not (state == target.nominal):
        yield f"nominal is {body.get('nominal')!r} at state {state}"
    elif not body.get("model") or not isinstance(body.get("model_version"), int):
        yield "it names no version of a model"
