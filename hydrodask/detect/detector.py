"""The detector: every window row of a partition in, changes of documents out.

Its state is a pure function of the rows so far, so it doesn't matter how they were batched, and a
snapshot is only a cache. Only final rows move rules, baselines and totals; open rows make and take
back provisional documents.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect.health import BEST, health
from hydrodask.detect.incidents import ANOMALIES, INCIDENTS, Case, Track, on_final, on_open
from hydrodask.detect.judge import BaselineJudge, Judge, RuleJudge
from hydrodask.detect.rules import STATISTICS, Rule
from hydrodask.errors import ConfigError, IntegrityError
from hydrodask.records import Change, Upsert, WindowRecord
from hydrodask.settings import model

VERSION = 2
"""Of the snapshot's layout."""

GAP_US = 600 * US_PER_S
"""After a hole this long, or a window's length if that is longer, a key starts like a new one.

Windows before and after it are not in a row, and the first ones
are partial because the rig was off, not because samples are missing."""

Key = tuple[str, str]


class _KeyState:
    """What is known of one (rig, sensor); `steady`: it has had a full window since it began."""

    __slots__ = ("baselines", "last_us", "steady", "tracks")

    def __init__(self, baselines: tuple[BaselineJudge, ...]) -> None:
        self.last_us = -(1 << 62)
        self.steady = False
        self.baselines = baselines
        self.tracks: dict[str, Track] = {}


class Detector:
    """Judges the window rows of one partition, for any number of rigs.

    `rules` and `baseline` say what is abnormal, `coverage_min` (0..1) how much of a window must be
    there to judge a mean, `window_s` is the window's length. `totals` counts anomalies and
    incidents of final windows.

    Notes
    -----
    Not safe for threads. Rows of a key come in offset order, and its final rows in order of their
    start; a final row that was there already, and an open row of a final window, change nothing.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        baseline: model.Baseline,
        coverage_min: float,
        window_s: float,
    ) -> None:
        _check(baseline)
        self._baseline = baseline
        self._coverage_min = coverage_min
        judges = [(rule.sensors, RuleJudge(rule, coverage_min=coverage_min)) for rule in rules]
        self._rules = {sensor: tuple(judge for sensors, judge in judges if sensor in sensors) for sensor in CHANNELS}
        self._full = {name: channel.rate_hz * window_s for name, channel in CHANNELS.items()}
        self._gap_us = max(GAP_US, round(window_s * US_PER_S))  # windows that slide by more than GAP_US have no hole
        self._keys: dict[Key, _KeyState] = {}
        self.totals = {"anomalies": 0, "incidents": 0}

    def update(self, row: WindowRecord, revision: int) -> list[Change]:
        """Take one row in, return what changes; `revision` is its offset in its partition.

        Raises ValueError, and nothing has changed, when `window_start` is no time.
        """
        full = self._full.get(row.sensor)
        if full is None:
            return []
        start_us = parse_iso(row.window_start)
        state = self._state((row.rig, row.sensor))
        if start_us <= state.last_us:
            return []
        coverage = row.sample_count / full
        if not row.final:
            return self._open(state, row, start_us, revision, coverage)
        changes = self._final(state, row, start_us, revision, coverage)
        self._count(changes)
        return changes

    def health(self) -> dict[Key, float]:
        """Return the health of every sensor that has been seen, 0..100."""
        worth = dict.fromkeys(self._keys, BEST)
        for key, state in self._keys.items():
            if state.tracks:
                judges = self._judges(key[1], state)
                worth[key] = health(j.severity for j in judges if _alarm(state, j.name))
        return worth

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, sensor, rule) of what is broken now, provisionally or not, in order."""
        return sorted(
            (*key, name) for key, state in self._keys.items() for name, track in state.tracks.items() if track.alarm
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values, in canonical order: equal states, equal bytes."""
        keys = [[*key, *_plain(self._keys[key])] for key in sorted(self._keys)]
        return {"version": VERSION, "totals": dict(self.totals), "keys": keys}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take the state of a snapshot in place of the present one.

        Tracks of rules that are no longer configured are kept until the next final row, which
        resolves them. Raises IntegrityError for another layout.
        """
        if snapshot.get("version") != VERSION:
            raise IntegrityError(
                f"could not restore the detector: it has version {snapshot.get('version')!r}, "
                f"want {VERSION}; delete the snapshots of flow alert and let it start over"
            )
        self.totals = dict(snapshot["totals"])
        self._keys = {}
        for rig, sensor, last_us, steady, baselines, tracks in snapshot["keys"]:
            state = self._state((rig, sensor))
            state.last_us, state.steady = last_us, steady
            for judge in state.baselines:
                if judge.statistic in baselines:
                    judge.baseline.restore(baselines[judge.statistic])
            state.tracks = {name: Track.restored(track) for name, track in tracks.items()}

    def _state(self, key: Key) -> _KeyState:
        state = self._keys.get(key)
        if state is None:
            channel = CHANNELS[key[1]]
            settings = self._baseline
            judges = tuple(BaselineJudge(name, channel, settings) for name in settings.statistics)
            state = self._keys[key] = _KeyState(judges)
        return state

    def _judges(self, sensor: str, state: _KeyState) -> Iterable[Judge]:
        return (*self._rules[sensor], *state.baselines)

    def _open(self, state: _KeyState, row: WindowRecord, start_us: int, revision: int, coverage: float) -> list[Change]:
        changes: list[Change] = []
        for judge in self._judges(row.sensor, state):
            track = state.tracks.get(judge.name)
            broken = track is not None and (track.incident is not None or start_us in track.open_values)
            abnormal = judge.verdict(row, coverage, broken=broken, steady=state.steady)
            if abnormal or (track is not None and abnormal is not None):
                track = track or Track()
                case = Case(row, start_us, revision, judge, coverage)
                changes += on_open(track, case, abnormal=abnormal)
                _keep(state, judge.name, track)
        return changes

    def _final(
        self, state: _KeyState, row: WindowRecord, start_us: int, revision: int, coverage: float
    ) -> list[Change]:
        if start_us - state.last_us > self._gap_us:
            _begin_anew(state)
        state.last_us = start_us
        changes = self._close_orphans(state, row, start_us, revision) if state.tracks else []
        for judge in self._rules[row.sensor]:
            abnormal = self._verdict(judge, state, row, coverage)
            if abnormal or judge.name in state.tracks:
                changes += _move(state, Case(row, start_us, revision, judge, coverage), abnormal)
        for learner in state.baselines:
            abnormal = self._verdict(learner, state, row, coverage)
            if learner.learn(row, coverage, abnormal=abnormal):
                abnormal = False  # it has lasted so long that it is the new normal
            if abnormal or learner.name in state.tracks:
                changes += _move(state, Case(row, start_us, revision, learner, coverage), abnormal)
        state.steady = state.steady or coverage >= self._coverage_min
        return changes

    def _verdict(self, judge: Judge, state: _KeyState, row: WindowRecord, coverage: float) -> bool | None:
        track = state.tracks.get(judge.name)
        broken = track is not None and track.incident is not None
        return judge.verdict(row, coverage, broken=broken, steady=state.steady)

    def _close_orphans(self, state: _KeyState, row: WindowRecord, start_us: int, revision: int) -> list[Change]:
        """Resolve what belongs to rules that the configuration no longer has."""
        known = {judge.name for judge in self._judges(row.sensor, state)}
        changes: list[Change] = []
        for name in sorted(state.tracks.keys() - known):
            case = Case(row, start_us, revision, _Gone(name), 0.0)
            changes += on_final(state.tracks.pop(name), case, abnormal=False)
        return changes

    def _count(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if not isinstance(change, Upsert):
                continue
            if change.collection == ANOMALIES:
                self.totals["anomalies"] += 1
            elif change.collection == INCIDENTS and change.body["windows"] == 1 and change.body["status"] == "open":
                self.totals["incidents"] += 1


class _Gone(RuleJudge):
    """Stands for a rule that was removed: it names documents and is never asked."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        self.name, self.severity, self.windows = name, "warning", 1


def _check(baseline: model.Baseline) -> None:
    fields = [name for name in STATISTICS.values() if name and name != "sample_count"]
    for name in baseline.statistics:
        if name not in fields:
            raise ConfigError(f"detect.baseline.statistics has {name!r}; want some of {', '.join(fields)}")
    if baseline.exit > baseline.enter:
        raise ConfigError(
            f"detect.baseline.exit is {baseline.exit:g}; want at most detect.baseline.enter ({baseline.enter:g})"
        )


def _alarm(state: _KeyState, name: str) -> bool:
    track = state.tracks.get(name)
    return track is not None and track.alarm


def _move(state: _KeyState, case: Case, abnormal: bool | None) -> list[Change]:
    track = state.tracks.get(case.judge.name) or Track()
    changes = on_final(track, case, abnormal=abnormal)
    _keep(state, case.judge.name, track)
    return changes


def _keep(state: _KeyState, name: str, track: Track) -> None:
    """Keep a track only while it says something: most keys have none, and snapshots stay small."""
    if track.idle:
        state.tracks.pop(name, None)
    else:
        state.tracks[name] = track


def _begin_anew(state: _KeyState) -> None:
    state.steady = False
    for track in state.tracks.values():
        track.run = 0


def _plain(state: _KeyState) -> list[object]:
    baselines = {j.statistic: j.baseline.snapshot() for j in sorted(state.baselines, key=lambda j: j.statistic)}
    tracks = {name: state.tracks[name].snapshot() for name in sorted(state.tracks)}
    return [state.last_us, state.steady, baselines, tracks]
