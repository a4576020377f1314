"""Check documents of load cycles that are held against what is usual: form, and what the newest snapshots know of them.

What a cycle scored follows from all cycles of its rig, and is not computed again; which incidents are open, and what
they say, is in the scorer's snapshots.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hydrodask.audit.finding import Result
from hydrodask.audit.mending import COMPONENTS
from hydrodask.audit.plausible import Body, odd, time_of
from hydrodask.audit.scores import Scores
from hydrodask.audit.snapshots import Snapshot
from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S
from hydrodask.detect.usual.telling import LEARNING, NAME, UNKNOWN, UNUSUAL, USUAL
from hydrodask.detect.usual.watch import VERSION

LAST = 1 << 62
"""The end when nothing has been committed since the snapshots."""

_ATTENTION_MAX = 100


@dataclass(slots=True)
class Unusual:
    """What the newest snapshots say of usual cycles; documents come one by one. `end`: None without any snapshot."""

    rigs: set[str]
    result: Result
    unheard: bool = False
    """Whether there may be rigs of which nothing is known."""
    scores: Scores | None = None
    """What rows of the lake say of the newest cycles, where somebody has looked at them."""
    end: int | None = None
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The open incident of each rig that has one."""
    seen: set[str] = field(default_factory=set)

    def learn(self, taken: Snapshot, *, last: bool) -> None:
        """Take the newest snapshot of a partition, the `last` word if nothing has been committed since."""
        watch = taken.state.get("nodes", {}).get("usual", {}).get("watch", {})
        if watch.get("version") != VERSION:
            return
        end = LAST if last else taken.offset
        self.end = end if self.end is None else min(end, self.end)
        self.bodies |= {rig: body for rig, *_, body in watch["rigs"] if body is not None}

    def take(self, body: Body) -> None:
        """Look at what is said of a rig's newest cycle."""
        self.result.count(components=1)
        for why in self._of_cycle(body):
            self._found(f"components {body.get('_id')}", why)
            return

    def take_incident(self, body: Body) -> None:
        """Look at an incident of unusual cycles."""
        self.result.count(component_incidents=1)
        for why in self._of_incident(body):
            self._found(f"incidents {body.get('_id')}", why)
            return
        if body["status"] == "open":
            self.seen.add(str(body["rig"]))

    def conclude(self) -> None:
        """Say which incidents nobody has stored."""
        for rig in sorted(self.bodies.keys() - self.seen) if self.end == LAST else ():
            name = f"incidents of {rig}'s cycles"
            self.result.found(name, "one is open, and no document says so", "", mend=COMPONENTS)

    def _found(self, name: str, why: str) -> None:
        self.result.found(name, "it is not from us, or was changed", why, mend=COMPONENTS)

    def _of_cycle(self, body: Body) -> Iterator[str]:
        rig, revision, score = body.get("rig"), body.get("revision"), body.get("score")
        if body.get("_id") != f"{rig}/{NAME}" or (rig not in self.rigs and not self.unheard):
            yield f"its id is {body.get('_id')!r}, its rig {rig!r}"
        elif not isinstance(revision, int) or time_of(body.get("time")) != revision + CYCLE_S * US_PER_S:
            yield f"its revision is {revision!r}, want the start of its cycle, a minute before {body.get('time')}"
        elif body.get("state") not in (LEARNING, USUAL, UNUSUAL, UNKNOWN):
            yield f"its state is {body.get('state')!r}"
        elif score is not None and not (isinstance(score, int | float) and math.isfinite(score) and score >= 0):
            yield f"its score is {score!r}"
        elif not isinstance(body.get("attention"), int) or not 0 <= body["attention"] <= _ATTENTION_MAX:
            yield f"its attention is {body.get('attention')!r}, want 0 to {_ATTENTION_MAX}"
        elif self.scores is not None and (why := self.scores.contradicted(body, revision)):
            yield why

    def _of_incident(self, body: Body) -> Iterator[str]:
        if why := odd("incidents", body):
            yield why
            return
        rig, status = str(body["rig"]), body.get("status")
        if rig not in self.rigs and not self.unheard:
            yield f"there is no rig {rig!r}"
        elif status not in ("open", "resolved") or (status == "resolved" and time_of(body.get("resolved_at")) is None):
            yield f"its status is {status!r}, resolved at {body.get('resolved_at')!r}"
        elif self.end is not None and body["revision"] < self.end:
            ours = self.bodies.get(rig)
            if status == "open" and (ours is None or ours["first_window"] != body["first_window"]):
                yield "it is open, and nothing is unusual with that rig"
            elif ours is not None and ours["first_window"] == body["first_window"]:
                yield from (f"{k} is {body.get(k)!r}, want {ours[k]!r}" for k in sorted(ours) if body.get(k) != ours[k])
