"""From predictions, cycle by cycle, to documents: the state of each component, and incidents when one changes.

A component's settled state is the one that `confirm` cycles in a row have shown. An incident opens when the settled
state is not the nominal one, and is resolved when it is again; a change from one bad state to another ends one incident
and opens the next. Times are ends of cycles: event time.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S, iso
from hydrodask.learn.targets import TARGETS, Target
from hydrodask.records import Change, Upsert

RULE = "component_state"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one version of a model said of one cycle."""

    rig: str
    target: str
    cycle: int
    start_us: int
    state: int
    probability: float
    model: str
    version: int
    missing: tuple[str, ...] = ()

    @property
    def end(self) -> str:
        """When the cycle ended."""
        return iso(self.start_us + CYCLE_S * US_PER_S)


@dataclass(frozen=True, slots=True)
class Silence:
    """That nothing was said of one cycle, and why; `model` and `version` of who could not, if there is one."""

    rig: str
    target: str
    cycle: int
    start_us: int
    why: str
    model: str | None = None
    version: int | None = None
    missing: tuple[str, ...] = ()

    @property
    def end(self) -> str:
        """When the cycle ended."""
        return iso(self.start_us + CYCLE_S * US_PER_S)


@dataclass(slots=True)
class Track:
    """What is known of one component: the settled state, the one that may follow, for how many cycles, since when.

    `silent_since` is the end of the first of the cycles in a row of which nothing was said.
    """

    settled: int | None = None
    candidate: int | None = None
    run: int = 0
    since: str = ""
    changed: str = ""
    first_cycle: int = 0
    incident: str = ""
    body: dict[str, Any] | None = None
    silent_since: str = ""


class ComponentStates:
    """Tracks every component of every rig. State is a function of the verdicts."""

    def __init__(self, *, confirm: int) -> None:
        self.incidents = 0
        self._confirm = confirm
        self._tracks: dict[tuple[str, str], Track] = {}

    def update(self, verdict: Verdict, revision: int) -> list[Change]:
        """Take a verdict and return changes of documents; `revision` is that of incidents."""
        key = (verdict.rig, verdict.target)
        track = self._tracks.setdefault(key, Track())
        track.silent_since = ""
        if track.candidate != verdict.state:
            track.candidate, track.run, track.since, track.first_cycle = verdict.state, 0, verdict.end, verdict.cycle
        track.run = min(track.run + 1, self._confirm)
        changes: list[Change] = []
        if track.run >= self._confirm and track.settled != verdict.state:
            before, track.settled, track.changed = track.settled, verdict.state, track.since
            changes = self._change(track, verdict, before, revision)
        elif track.body is not None and track.settled == verdict.state:
            track.body["windows"] += 1
            track.body["last_window"] = iso(verdict.start_us)
            changes = [Upsert("incidents", track.incident, revision, dict(track.body))]
        return [_component(track, verdict), *changes]

    def silent(self, silence: Silence) -> list[Change]:
        """Take note that nothing is said of a cycle; it neither goes on with a run of cycles nor ends one."""
        track = self._tracks.setdefault((silence.rig, silence.target), Track())
        track.silent_since = track.silent_since or silence.end
        return [_silent(track, silence)]

    def forget(self, rig: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long; its incidents end with the newest cycle that they tell of."""
        changes: list[Change] = []
        for target in TARGETS:
            track = self._tracks.pop((rig, target), None)
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
        self._tracks = {(rig, target): Track(**track) for rig, target, track in state["tracks"]}

    def settled(self) -> dict[tuple[str, str], int]:
        """Return the settled state of each component that has one, by rig and target."""
        return {key: track.settled for key, track in self._tracks.items() if track.settled is not None}

    def _change(self, track: Track, verdict: Verdict, before: int | None, revision: int) -> list[Change]:
        """Resolve the incident that is open, and open one unless the new state is the nominal one."""
        target, changes = TARGETS[verdict.target], []
        if track.body is not None:
            resolved = track.body | {"status": "resolved", "resolved_at": verdict.end}
            changes.append(Upsert("incidents", track.incident, revision, resolved))
            track.body = None
        if target.component and verdict.state != target.nominal:
            self.incidents += 1
            track.incident = f"{verdict.rig}/{verdict.target}/{RULE}/{track.since}"
            track.body = _incident(track, verdict, target, before)
            changes.append(Upsert("incidents", track.incident, revision, dict(track.body)))
        return list(changes)


def _component(track: Track, verdict: Verdict) -> Upsert:
    """Return the component's document.

    Its revision is the cycle's start, in µs: with more partitions a rig may come to one whose offsets are smaller.
    """
    target = TARGETS[verdict.target]
    body: dict[str, object] = {
        "rig": verdict.rig,
        "component": verdict.target,
        "state": verdict.state,
        "unit": target.unit,
        "probability": round(verdict.probability, 6),
        "settled_state": track.settled,
        "settled_since": track.changed or None,
        "nominal": verdict.state == target.nominal,
        "cycle": verdict.cycle,
        "time": verdict.end,
        "model": verdict.model,
        "model_version": verdict.version,
        "missing_sensors": list(verdict.missing),
        "silent_since": None,
        "silent_because": None,
    }
    return Upsert("components", f"{verdict.rig}/{verdict.target}", verdict.start_us, body)


def _silent(track: Track, silence: Silence) -> Upsert:
    """Return the component's document when nothing is said: since when and why, and what was settled before."""
    body: dict[str, object] = {
        "rig": silence.rig,
        "component": silence.target,
        "state": None,
        "unit": TARGETS[silence.target].unit,
        "probability": None,
        "settled_state": track.settled,
        "settled_since": track.changed or None,
        "nominal": None,
        "cycle": silence.cycle,
        "time": silence.end,
        "model": silence.model,
        "model_version": silence.version,
        "missing_sensors": list(silence.missing),
        "silent_since": track.silent_since,
        "silent_because": silence.why,
    }
    return Upsert("components", f"{silence.rig}/{silence.target}", silence.start_us, body)


def _incident(track: Track, verdict: Verdict, target: Target, before: int | None) -> dict[str, Any]:
    was = "" if before is None else f" (was {before}{_unit(target)})"
    return {
        "rig": verdict.rig,
        "sensor": verdict.target,
        "rule": RULE,
        "severity": "critical" if verdict.state == worst_of(target) else "warning",
        "statistic": "state",
        "status": "open",
        "opened_at": verdict.end,
        "resolved_at": None,
        "first_window": iso(verdict.start_us - (track.run - 1) * CYCLE_S * US_PER_S),
        "last_window": iso(verdict.start_us),
        "windows": track.run,
        "worst": verdict.state,
        "threshold": target.nominal,
        "message": f"{target.name} is at {verdict.state}{_unit(target)}{was}, says {verdict.model} {verdict.version}",
        "provisional": False,
    }


def worst_of(target: Target) -> int:
    """Return the class that is furthest from the nominal one."""
    return max(target.classes, key=lambda state: abs(state - target.nominal))


def _unit(target: Target) -> str:
    return f" {target.unit}" if target.unit else ""
