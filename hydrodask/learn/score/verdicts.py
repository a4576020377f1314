"""From predictions, cycle by cycle, to documents: the state of each component, and incidents when one changes.

A component's settled state is the one that `confirm` cycles in a row have shown. An incident opens when the settled
state is not the nominal one, and is resolved when it is again; a change from one bad state to another ends one incident
and opens the next. A cycle that is like nothing trained on is unknown, and that is a state of its own: settled it is an
incident, unless one of a bad state is open, which stays: what is not known any more is not repaired. A cycle of which
too little was measured, or that no model could be asked of, is unknown, too, and neither goes on with a run of cycles
nor ends one: whoever cuts a cable breaks no component. Times are ends of cycles: event time.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hydrodask.clock import iso
from hydrodask.health import health
from hydrodask.learn.score.severity import attention, worsening
from hydrodask.learn.score.story import (
    RECENT,
    RULE,
    UNKNOWN,
    ComponentTrack,
    Unknown,
    Verdict,
    change_of,
    component_of,
    incident_of,
    known,
    scored,
    unknown_of,
)
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Change, Upsert
from hydrodask.reports import Scored
from hydrodask.trend import Trend

__all__ = ["RULE", "UNKNOWN", "ComponentStates", "ComponentTrack", "Unknown", "Verdict", "known"]


class ComponentStates:
    """Tracks every component of every rig. State is a function of the verdicts."""

    def __init__(self, *, confirm: int) -> None:
        self.incidents = 0
        self._confirm = confirm
        self._tracks: dict[tuple[str, str], ComponentTrack] = {}
        self._trends: dict[tuple[str, str], Trend] = {}
        """Of what was said last: a function of the tracks, and not in snapshots."""

    def update(self, verdict: Verdict, revision: int) -> list[Change]:
        """Take a verdict and return changes of documents; `revision` is that of incidents."""
        track = self._tracks.setdefault((verdict.rig, verdict.target), ComponentTrack())
        track.unknown_since = ""
        if verdict.severity is not None:
            off = abs(verdict.severity.value - TARGETS[verdict.target].nominal)
            track.recent = [*track.recent[1 - RECENT :], [float(verdict.start_us), off]]
        trend = self._trends[verdict.rig, verdict.target] = worsening(track.recent, TARGETS[verdict.target])
        changes = self._seen(track, verdict, verdict.state, revision)
        return [component_of(track, verdict, trend), *changes]

    def worsening(self, verdict: Verdict) -> tuple[Trend, int]:
        """Return the trend of a component of which this was said last, and how much it deserves a look, 0..100."""
        track, target = self._tracks[verdict.rig, verdict.target], TARGETS[verdict.target]
        trend = self._trends.get((verdict.rig, verdict.target), Trend())
        if not track.recent:
            return trend, 0
        bad = known(track.settled) not in (None, target.nominal)
        return trend, attention(track.recent[-1][1], target, trend, bad=bad)

    def unknown(self, unknown: Unknown, revision: int) -> list[Change]:
        """Take note that a cycle is unknown; one that is like nothing trained on counts as a state of its own."""
        track = self._tracks.setdefault((unknown.rig, unknown.target), ComponentTrack())
        track.unknown_since = track.unknown_since or unknown.end
        changes = self._seen(track, unknown, UNKNOWN, revision) if unknown.novel else []
        return [unknown_of(track, unknown), *changes]

    def _seen(self, track: ComponentTrack, one: Verdict | Unknown, state: int, revision: int) -> list[Change]:
        """Take one cycle that shows `state` and return changes of incidents."""
        if track.candidate != state:
            track.candidate, track.run, track.since, track.first_cycle = state, 0, one.end, one.cycle
        track.run = min(track.run + 1, self._confirm)
        if track.run >= self._confirm and track.settled != state:
            before, track.settled, track.changed = track.settled, state, track.since
            return self._change(track, one, before, revision)
        if track.body is not None and track.settled == state and known(state) == track.body["worst"]:
            track.body["windows"] += 1
            track.body["last_window"] = iso(one.start_us)
            return [Upsert("incidents", track.incident, revision, dict(track.body))]
        return []

    def forget(self, rig: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long; its incidents end with the newest cycle that they tell of."""
        changes: list[Change] = []
        for target in TARGETS:
            track = self._tracks.pop((rig, target), None)
            self._trends.pop((rig, target), None)
            if track is not None and track.body is not None:
                over = {"status": "resolved", "resolved_at": track.body["last_window"]}
                changes.append(Upsert("incidents", track.incident, revision, track.body | over))
        return changes

    def rigs(self) -> list[str]:
        """Return the rigs of which something is known."""
        return list(dict.fromkeys(rig for rig, _ in self._tracks))

    def snapshot(self) -> dict[str, Any]:
        """Return the state: equal verdicts give equal bytes."""
        tracks = [[rig, target, asdict(track)] for (rig, target), track in self._tracks.items()]
        return {"incidents": self.incidents, "tracks": tracks}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.incidents = state["incidents"]
        self._tracks = {(rig, target): _track(track) for rig, target, track in state["tracks"]}

    def scored(self, one: Verdict | Unknown, revision: int) -> Scored:
        """Return the row of a cycle that was taken just now; `revision` is the offset that completed it."""
        return scored(self._tracks[one.rig, one.target], one, revision)

    def health(self) -> dict[tuple[str, str], float]:
        """Return the health of each component of which a model has said something, 0..100."""
        bodies = {key: track.body for key, track in self._tracks.items() if TARGETS[key[1]].component}
        return {key: health([] if body is None else [str(body["severity"])]) for key, body in bodies.items()}

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, component, rule) of the incidents that are open, in order."""
        return sorted((*key, RULE) for key, track in self._tracks.items() if track.body is not None)

    def settled(self) -> dict[tuple[str, str], int]:
        """Return the settled state of each component that has one, by rig and target."""
        found = {key: known(track.settled) for key, track in self._tracks.items()}
        return {key: state for key, state in found.items() if state is not None}

    def _change(
        self, track: ComponentTrack, verdict: Verdict | Unknown, before: int | None, revision: int
    ) -> list[Change]:
        """Resolve the incident that is open, and open one unless the new state is the nominal one.

        One of a bad state stays while nothing is known, and goes on when that state is seen again.
        """
        target = TARGETS[verdict.target]
        changes: list[Change] = [change_of(track, verdict, before, revision)]
        worst = None if track.body is None else track.body["worst"]
        if track.body is not None and worst is not None and track.settled in (UNKNOWN, worst):
            if track.settled == worst:
                track.body |= {"windows": track.body["windows"] + track.run, "last_window": iso(verdict.start_us)}
                changes.append(Upsert("incidents", track.incident, revision, dict(track.body)))
            return changes
        if track.body is not None:
            resolved = track.body | {"status": "resolved", "resolved_at": verdict.end}
            changes.append(Upsert("incidents", track.incident, revision, resolved))
            track.body = None
        if target.component and track.settled != target.nominal:
            self.incidents += 1
            track.incident = f"{verdict.rig}/{verdict.target}/{RULE}/{track.since}"
            track.body = incident_of(track, verdict, target, before)
            changes.append(Upsert("incidents", track.incident, revision, dict(track.body)))
        return changes


def _track(stored: Mapping[str, Any]) -> ComponentTrack:
    """Return a track from a snapshot; older ones call what is unknown silent."""
    names = {("unknown_since" if name == "silent_since" else name): value for name, value in stored.items()}
    return ComponentTrack(**names)
