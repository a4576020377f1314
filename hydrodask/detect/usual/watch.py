"""Watches the load cycles of any number of rigs: learns what is usual, says what is not, opens and ends incidents.

State is a function of the cycles, in their order. The first `learn` whole cycles of a rig make its reference; from
then on that stays as it is where it knows the oil's temperature, so that slow wear shows, and grows where it does not.
An incident opens when two cycles in a row score above `enter` and ends when two score below `exit`; a cycle
that can't be judged does neither. After a day of such cycles it ends too: nothing is known of it any more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect.usual import telling
from hydrodask.detect.usual.judgement import Judgement, judge
from hydrodask.detect.usual.reference import CycleReference
from hydrodask.detect.usual.telling import LEARNING, UNKNOWN, UNUSUAL, USUAL, At, CycleVerdict
from hydrodask.errors import IntegrityError
from hydrodask.health import health
from hydrodask.records import Change, Float64, Upsert
from hydrodask.reports import Scored
from hydrodask.settings import model
from hydrodask.trend import RECENT, attention_of, trend_of

VERSION = 1
"""Of the state; one of another version is not used."""

CONFIRM = 2
"""Cycles in a row that open an incident, or end it."""

RELEARN = 1440
"""Unusual cycles in a row after which this is how the rig is now, and it is learned anew: a day.

So many that can't be judged end an incident.
"""


@dataclass(slots=True)
class RigCycleState:
    """What is known of one rig. `run` counts unusual cycles in a row if `bad`, usual ones otherwise."""

    reference: CycleReference = field(default_factory=CycleReference)
    bad: bool = False
    run: int = 0
    first_us: int = 0
    recent: list[list[float]] = field(default_factory=list)
    unknown_since: str | None = None
    body: dict[str, Any] | None = None
    newest: CycleVerdict | None = None


class CycleWatch:
    """Judges load cycles without labels. Not safe for threads. `incidents` counts those that were opened."""

    def __init__(self, settings: model.Usual) -> None:
        self.incidents = 0
        self._settings = settings
        self._rigs: dict[str, RigCycleState] = {}

    def take(self, at: At, means: Float64) -> list[Change]:
        """Take a cycle, means of shape (17, 60), NaN where nothing was measured, and return what changes."""
        if self._settings.learn is None:
            return []
        before = self._standing(self._rigs[at.rig]) if at.rig in self._rigs else None
        known = self._rigs.get(at.rig) or self._rigs.setdefault(at.rig, RigCycleState())
        found = judge(known.reference, means)
        state = self._state(known, found)
        changes = self._follow(known, state, found, at)
        # An unusual cycle that nothing confirmed does not stop it: the new oil could never be judged to clear it.
        if state == LEARNING or (found.new and state == UNKNOWN and known.body is None):
            _learn(known, found, steady=state == LEARNING)
        if state in (USUAL, UNUSUAL):
            known.recent = [*known.recent[1 - RECENT :], [float(at.start_us), found.score]]
        known.unknown_since = (known.unknown_since or at.end) if state == UNKNOWN else None
        known.newest = said = self._said(known, state, found, at)
        if (now := self._standing(known)) != before:
            changes.append(telling.changed(at, before, said, now, _severity(known)))
        return [Upsert(telling.COLLECTION, f"{at.rig}/{telling.NAME}", at.start_us, said.body()), *changes]

    def scored(self, rig: str) -> list[Scored]:
        """Return the row of the cycle of a rig that was taken just now; none if nothing is learned of cycles."""
        known = self._rigs.get(rig)
        return [] if known is None or known.newest is None else [telling.scored(known.newest, _severity(known))]

    def health(self) -> dict[tuple[str, str], float]:
        """Return the health of each rig's load cycle, 0..100."""
        return {(rig, telling.NAME): health(filter(None, [_severity(known)])) for rig, known in self._rigs.items()}

    def said(self) -> dict[str, CycleVerdict]:
        """Return what was said last of each rig, by its name, since this process began."""
        return {rig: known.newest for rig, known in self._rigs.items() if known.newest is not None}

    def open(self) -> list[str]:
        """Return the rigs that have an open incident."""
        return [rig for rig, known in self._rigs.items() if known.body is not None]

    def rigs(self) -> list[str]:
        """Return the rigs of which something is known."""
        return list(self._rigs)

    def forget(self, rig: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long: its incident ends with the last cycle that it tells of."""
        known = self._rigs.pop(rig, None)
        if known is None or known.body is None:
            return []
        return [telling.resolved(known.body, known.body["last_window"], revision, " (nothing came any more)")]

    def snapshot(self) -> dict[str, Any]:
        """Return the state: equal cycles give equal bytes."""
        rigs = [
            [
                rig,
                k.reference.snapshot(),
                k.bad,
                k.run,
                k.first_us,
                [list(r) for r in k.recent],
                k.unknown_since,
                k.body,
            ]
            for rig, k in self._rigs.items()
        ]
        return {"version": VERSION, "incidents": self.incidents, "rigs": rigs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot. Raises IntegrityError for another version."""
        if state.get("version") != VERSION:
            raise IntegrityError(f"what is known of usual cycles has version {state.get('version')!r}, want {VERSION}")
        self.incidents = state["incidents"]
        self._rigs = {}
        for rig, reference, bad, run, first_us, recent, unknown_since, body in state["rigs"]:
            known = RigCycleState(
                CycleReference.restored(reference), bad, run, first_us, [list(r) for r in recent], unknown_since
            )
            known.body = None if body is None else dict(body)
            self._rigs[rig] = known

    def _standing(self, known: RigCycleState) -> str:
        """Return what a rig's cycles are by and by: one that nothing confirms changes nothing."""
        if known.body is not None:
            return UNUSUAL
        return LEARNING if known.reference.cycles < (self._settings.learn or 0) else USUAL

    def _state(self, known: RigCycleState, found: Judgement) -> str:
        """Return what a cycle is: unusual if what was measured of it is, usual only if all of it was, and is known."""
        if known.reference.cycles < (self._settings.learn or 0):
            return LEARNING
        limit = self._settings.enter if known.body is None else self._settings.exit
        if math.isfinite(found.score) and found.score > limit:
            # A sensor that is gone, or oil as never before, leaves less to judge by: what is left counts.
            return UNUSUAL
        return UNKNOWN if found.missing or found.new or not math.isfinite(found.score) else USUAL

    def _follow(self, known: RigCycleState, state: str, found: Judgement, at: At) -> list[Change]:
        """Count cycles in a row, and open, continue or end the incident."""
        if state not in (USUAL, UNUSUAL):
            return _blind(known, state, at)
        if known.bad != (state == UNUSUAL):
            known.bad, known.run, known.first_us = state == UNUSUAL, 0, at.start_us
        known.run += 1
        if known.bad:
            return self._unusual(known, found, at)
        return [] if known.body is None or known.run < CONFIRM else [_end(known, at)]

    def _unusual(self, known: RigCycleState, found: Judgement, at: At) -> list[Change]:
        if known.body is not None:
            telling.go_on(known.body, found, at.start_us)
        elif known.run >= CONFIRM:
            known.body = telling.opened(at, found, known.first_us, known.run, self._settings.enter)
            self.incidents += 1
        if known.body is None:
            return []
        if known.run < RELEARN:
            return [telling.stored(known.body, at.revision)]
        change = _end(known, at, "; learned anew, as that is usual now")
        known.reference, known.recent, known.run = CycleReference(), [], 0
        return [change]

    def _said(self, known: RigCycleState, state: str, found: Judgement, at: At) -> CycleVerdict:
        threshold, open_ = self._settings.enter, known.body is not None
        trend = trend_of(known.recent, threshold)
        attention = attention_of(found.score, threshold, trend, open_=open_, unknown=state == UNKNOWN)
        learned = (known.reference.cycles, self._settings.learn or 0)
        heat = (known.reference.coldest, known.reference.hottest)
        attention = 0 if state == LEARNING else attention
        return CycleVerdict(state, found, threshold, trend, attention, at, learned, heat, known.unknown_since)


def _severity(known: RigCycleState) -> str:
    return "" if known.body is None else str(known.body["severity"])


def _learn(known: RigCycleState, found: Judgement, *, steady: bool) -> None:
    if found.whole:
        known.reference.learn(found.features, found.oil, steady=steady)


def _blind(known: RigCycleState, state: str, at: At) -> list[Change]:
    """End an incident of which nothing could be said for a day; the day is that of the cycles' times."""
    if state != UNKNOWN or known.body is None or known.unknown_since is None:
        return []
    if at.start_us - parse_iso(known.unknown_since) < (RELEARN - 2) * CYCLE_S * US_PER_S:
        return []
    known.bad, known.run = False, 0
    return [_end(known, at, "; it ended as its cycles could not be judged for a day")]


def _end(known: RigCycleState, at: At, more: str = "") -> Change:
    """End the open incident."""
    body, known.body = known.body, None
    assert body is not None  # noqa: S101 - the caller has looked
    return telling.resolved(body, at.end, at.revision, more)
