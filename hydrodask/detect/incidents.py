"""Anomalies and incidents of one (rig, sensor, rule): from verdicts to changes of documents.

Final windows drive the documents. An *anomaly* is a final window during which the rule is broken;
an *incident* opens on the first of a run of them and is resolved by the first final window that is
normal again. A window that can't be judged neither continues nor ends a run. `opened_at` and
`resolved_at` are the ends of the windows that showed it: event time, never a clock's.

Open windows give provisional documents, which their final window confirms or removes. So once all
windows are final nothing of them is left, whatever open rows were seen. They say what the newest
update of their window said. `open_values` and `open_incident_us` remember what is out there.
"""

from dataclasses import dataclass, field

from hydrodask.clock import iso
from hydrodask.detect.judge import Details, Judge
from hydrodask.records import Change, Remove, Upsert, WindowRecord

OPEN_MAX = 32
"""Provisional anomalies that one rule may have at a time: more open windows than any sensible slide
gives."""

ANOMALIES = "anomalies"
INCIDENTS = "incidents"


@dataclass(slots=True)
class Track:
    """What is known of one rule on one sensor of one rig, while there is something to know.

    `run` counts broken final windows in a row, up to the rule's `windows`; `incident` is the body
    of the open incident and `first_us` the start of its first window; `open_values` maps the starts
    of windows with a provisional anomaly, oldest first, to the value that it names.
    """

    run: int = 0
    first_us: int = 0
    incident: dict[str, object] | None = None
    open_values: dict[int, float] = field(default_factory=dict)
    open_incident_us: int | None = None

    @property
    def idle(self) -> bool:
        """Whether this says no more than no track at all."""
        return not self.run and self.incident is None and not self.open_values

    @property
    def alarm(self) -> bool:
        """Whether the rule is broken as far as is known now, provisionally or not."""
        return self.incident is not None or bool(self.open_values)

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        incident = None if self.incident is None else dict(self.incident)
        values = [list(pair) for pair in self.open_values.items()]
        return [self.run, self.first_us, incident, values, self.open_incident_us]

    @classmethod
    def restored(cls, state: list[object]) -> "Track":
        """Return a track with the state of a snapshot."""
        run, first_us, incident, values, open_incident_us = state
        body = None if incident is None else dict(incident)  # type: ignore[call-overload]
        return cls(run, first_us, body, dict(values), open_incident_us)  # type: ignore[arg-type, call-overload]


Names = tuple[str, str, str]
"""Rig, sensor and rule."""


def anomaly_id(names: Names, start_us: int) -> str:
    """Return `rig/sensor/<window start>/rule`."""
    return f"{names[0]}/{names[1]}/{iso(start_us)}/{names[2]}"


def incident_id(names: Names, start_us: int) -> str:
    """Return `rig/sensor/rule/<first window start>`."""
    return f"{names[0]}/{names[1]}/{names[2]}/{iso(start_us)}"


@dataclass(frozen=True, slots=True)
class Case:
    """One row before one judge of the criteria with this digest, and how to name and date what follows from it."""

    row: WindowRecord
    start_us: int
    revision: int
    judge: Judge
    coverage: float
    digest: str

    @property
    def names(self) -> Names:
        """Rig, sensor and rule."""
        return self.row.rig, self.row.sensor, self.judge.name

    def anomaly(self, details: Details) -> Upsert:
        """Return the row as an anomaly."""
        body: dict[str, object] = {
            **self._names(),
            **details,
            "window_start": self.row.window_start,
            "window_end": self.row.window_end,
            "provisional": not self.row.final,
        }
        return Upsert(ANOMALIES, anomaly_id(self.names, self.start_us), self.revision, body)

    def incident(self, details: Details) -> dict[str, object]:
        """Return the body of an incident that this row opens; `worst` is the furthest value."""
        return {
            **self._names(),
            "statistic": details["statistic"],
            "status": "open",
            "opened_at": self.row.window_end,
            "resolved_at": None,
            "first_window": self.row.window_start,
            "last_window": self.row.window_start,
            "windows": 1,
            "worst": details["value"],
            "threshold": details["threshold"],
            "message": details["message"],
            "provisional": not self.row.final,
        }

    def put_incident(self, start_us: int, body: dict[str, object]) -> Upsert:
        """Return the change that stores a copy of `body`: the track goes on changing its own."""
        return Upsert(INCIDENTS, incident_id(self.names, start_us), self.revision, dict(body))

    def drop_anomaly(self, start_us: int) -> Remove:
        """Return the change that takes a provisional anomaly back."""
        return Remove(ANOMALIES, anomaly_id(self.names, start_us), self.revision)

    def drop_incident(self, start_us: int) -> Remove:
        """Return the change that takes a provisional incident back."""
        return Remove(INCIDENTS, incident_id(self.names, start_us), self.revision)

    def _names(self) -> dict[str, object]:
        return {
            "rig": self.row.rig,
            "sensor": self.row.sensor,
            "rule": self.judge.name,
            "severity": self.judge.severity,
            "rules": self.digest,
        }


def on_final(track: Track, case: Case, *, abnormal: bool | None) -> list[Change]:
    """Take a final window in: open, continue or resolve, then settle what was provisional."""
    changes: list[Change] = []
    if abnormal:
        track.run = min(track.run + 1, case.judge.windows)
        if track.incident is not None or track.run >= case.judge.windows:
            changes = _broken(track, case)
    elif abnormal is not None:
        track.run = 0
        changes = resolve(track, case)
    return changes + _settle(track, case, confirmed=bool(abnormal and changes))


def resolve(track: Track, case: Case) -> list[Change]:
    """Resolve the open incident, if any, at this window's end; what is provisional goes with it."""
    if track.incident is None:
        return []
    body = track.incident | {"status": "resolved", "resolved_at": case.row.window_end, "rules": case.digest}
    track.incident = None
    # Open windows were held against the exit threshold; now that of entering counts, and the next
    # updates will say.
    later = [start_us for start_us in track.open_values if start_us > case.start_us]
    for start_us in later:
        del track.open_values[start_us]
    return [case.put_incident(track.first_us, body), *map(case.drop_anomaly, later)]


def on_open(track: Track, case: Case, *, abnormal: bool | None) -> list[Change]:
    """Take an update of an open window in: add what is provisional, or take it back."""
    if abnormal:
        return _provisional(track, case)
    if abnormal is not None and case.start_us in track.open_values:
        del track.open_values[case.start_us]
        return [case.drop_anomaly(case.start_us), *_drop_provisional_incident(track, case)]
    return []


def let_go(track: Track, names: Names, revision: int, resolved_us: int | None, *, other: bool = True) -> list[Change]:
    """Take back all that is provisional and, if `other` criteria judge from now on, begin runs anew.

    An open incident of a rule that is there no more ends at `resolved_us`; None: its rule is there, it goes on.
    """
    changes: list[Change] = [Remove(ANOMALIES, anomaly_id(names, start_us), revision) for start_us in track.open_values]
    start_us = track.open_incident_us
    if start_us is not None and (track.incident is None or track.first_us != start_us):
        changes.append(Remove(INCIDENTS, incident_id(names, start_us), revision))
    track.open_values, track.open_incident_us, track.run = {}, None, 0 if other else track.run
    if track.incident is not None and resolved_us is not None:
        body = track.incident | {"status": "resolved", "resolved_at": iso(resolved_us)}
        changes.append(Upsert(INCIDENTS, incident_id(names, track.first_us), revision, body))
        track.incident = None
    return changes


def _broken(track: Track, case: Case) -> list[Change]:
    details = case.judge.details(case.row, case.coverage)
    body = track.incident
    if body is None:
        body = track.incident = case.incident(details)
        track.first_us = case.start_us
    else:
        body["windows"] = int(body["windows"]) + 1  # type: ignore[call-overload]
        body |= {"last_window": case.row.window_start, "rules": case.digest}
        if case.judge.worse(details["value"], body["worst"]):  # type: ignore[arg-type]
            body |= {"worst": details["value"], "message": details["message"]}
    return [case.anomaly(details), case.put_incident(track.first_us, body)]


def _settle(track: Track, case: Case, *, confirmed: bool) -> list[Change]:
    if not track.open_values and track.open_incident_us is None:
        return []
    over = [start_us for start_us in track.open_values if start_us <= case.start_us]
    for start_us in over:
        del track.open_values[start_us]
    changes: list[Change] = [case.drop_anomaly(s) for s in over if not (confirmed and s == case.start_us)]
    return changes + _drop_provisional_incident(track, case)


def _drop_provisional_incident(track: Track, case: Case) -> list[Change]:
    """Take the provisional incident back unless its window is provisional and no real one is open.

    If other windows still are, the next update of one of them brings an incident of its own.
    """
    start_us = track.open_incident_us
    if start_us is None or (start_us in track.open_values and track.incident is None):
        return []
    track.open_incident_us = None
    replaced = track.incident is not None and track.first_us == start_us
    return [] if replaced else [case.drop_incident(start_us)]


def _provisional(track: Track, case: Case) -> list[Change]:
    """Store what the newest update says, as long as it says something new."""
    enough = track.incident is not None or track.run + 1 >= case.judge.windows
    room = case.start_us in track.open_values or len(track.open_values) < OPEN_MAX
    if not (enough and room):
        return []
    details = case.judge.details(case.row, case.coverage)
    value = float(details["value"])  # type: ignore[arg-type]
    changes: list[Change] = []
    fresh = track.open_values.get(case.start_us) != value
    if fresh:
        track.open_values = dict(sorted((track.open_values | {case.start_us: value}).items()))
        changes.append(case.anomaly(details))
    if track.incident is None:
        changes += _provisional_incident(track, case, details, fresh=fresh)
    return changes


def _provisional_incident(track: Track, case: Case, details: Details, *, fresh: bool) -> list[Change]:
    """Store the incident that the oldest broken open window would open, in place of a younger one's."""
    start_us = track.open_incident_us
    if start_us is not None and (start_us < case.start_us or (start_us == case.start_us and not fresh)):
        return []
    track.open_incident_us = case.start_us
    replaced = [] if start_us in (None, case.start_us) else [case.drop_incident(start_us)]
    return [*replaced, case.put_incident(case.start_us, case.incident(details))]
