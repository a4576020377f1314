"""The detector: every window row of a partition in, changes of documents out.

Its state is a pure function of the rows so far, so it doesn't matter how they were batched, and a
snapshot is only a cache. Only final rows move rules, baselines and totals; open rows make and take
back provisional documents.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect.criteria import Criteria
from hydrodask.detect.incidents import ANOMALIES, INCIDENTS, Case, Track, let_go, on_final, on_open
from hydrodask.detect.judge import BaselineJudge, Judge, RuleJudge, coverage_of
from hydrodask.detect.keystate import NEVER_US, KeyState, alarm, begin_anew, keep, plain
from hydrodask.detect.rules import Rule
from hydrodask.errors import IntegrityError
from hydrodask.health import BEST, health
from hydrodask.records import Change, Upsert, WindowRecord
from hydrodask.reports import Band
from hydrodask.settings import model

VERSION = 3
"""Of the snapshot's layout; 2 did not say by which criteria it was made."""

GAP_US = 600 * US_PER_S
"""After a hole this long, or a window's length if that is longer, a key starts like a new one.

Windows before and after it are not in a row, and the first ones are partial because the rig was off."""

BAND_US = 60 * US_PER_S
"""A baseline is kept with the first final window of each minute: its memory is of eight."""

Key = tuple[str, str]


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
        self._keys: dict[Key, KeyState] = {}
        self.totals = {"anomalies": 0, "incidents": 0}
        self.bands: list[Band] = []
        """The baselines by which the newest row was judged, if they are to be kept."""
        self.coverage: float | None = None
        """Of the newest row, if it was a final and whole window that had not been there."""
        self.missing = 0
        """Samples that such a row lacks, if its sensor had a full window before: the first ones are partial."""
        self.since = -1
        self._judge_by(Criteria(tuple(rules), baseline, coverage_min, window_s))

    @classmethod
    def by(cls, criteria: Criteria, *, since: int = -1) -> Self:
        """Return a detector that judges by `criteria`, which are in force since that revision; -1: not known."""
        made = cls(
            criteria.rules,
            baseline=criteria.baseline,
            coverage_min=criteria.coverage_min,
            window_s=criteria.window_s,
        )
        made._judge_by(criteria)  # all of them: what was made from its parts has another digest
        made.since = since
        return made

    def update(self, row: WindowRecord, revision: int, *, whole: bool = True) -> list[Change]:
        """Take one row in, return what changes; `revision` is its offset in its partition.

        If it is not `whole` only what is certain is judged. Raises ValueError when `window_start` is no time.
        """
        self.bands, self.coverage, self.missing = [], None, 0
        if row.sensor not in CHANNELS:
            return []
        start_us = parse_iso(row.window_start)
        state = self._state((row.rig, row.sensor))
        if start_us <= state.last_us:
            return []
        coverage = coverage_of(row, self.criteria.window_s) if whole else 0.0
        if not whole:
            begin_anew(state)
        if not row.final:
            return self._open(state, row, start_us, revision, coverage)
        self.coverage = coverage if whole else None
        changes = self._final(state, row, start_us, revision, coverage)
        self._count(changes)
        return changes

    def adopt(self, criteria: Criteria, *, since: int, revision: int) -> list[Change]:
        """Judge by other criteria from the row of this revision on; return what settles what the old ones left.

        All that is provisional goes: the next updates say what holds now. An incident is of one rule: that of a rule
        that is another now, or none, is resolved by the newest final window. The same criteria go on with their runs.
        """
        window_us = round(self.criteria.window_s * US_PER_S)
        other = criteria.digest != self.criteria.digest
        same = {rule.name for rule in set(self.criteria.rules) & set(criteria.rules)}
        self._judge_by(criteria)
        self.since = since
        changes: list[Change] = []
        for key in sorted(self._keys):
            state = self._keys[key]
            kept = {judge.statistic: judge for judge in state.baselines}
            state.baselines = self._baselines(key[1], kept)
            state.before_us = state.last_us
            known = {j.name for j in self._rules[key[1]] if j.name in same} | {j.name for j in state.baselines}
            for name, track in sorted(state.tracks.items()):
                resolved_us = None if name in known else state.last_us + window_us
                changes += let_go(track, (*key, name), revision, resolved_us, other=other)
            state.tracks = {name: track for name, track in state.tracks.items() if name in known and not track.idle}
        return changes

    def forget(self, rig: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long: its incidents end with its newest windows."""
        window_us, changes = round(self.criteria.window_s * US_PER_S), list[Change]()
        for sensor in CHANNELS:
            if (state := self._keys.pop((rig, sensor), None)) is not None:
                for name, track in sorted(state.tracks.items()):
                    changes += let_go(track, (rig, sensor, name), revision, state.last_us + window_us)
        return changes

    def health(self) -> dict[Key, float]:
        """Return the health of every sensor that has been seen, 0..100."""
        worth = dict.fromkeys(self._keys, BEST)
        for key, state in self._keys.items():
            if state.tracks:
                judges = self._judges(key[1], state)
                worth[key] = health(j.severity for j in judges if alarm(state, j.name))
        return worth

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, sensor, rule) of what is broken now, provisionally or not, in order."""
        return sorted(
            (*key, name) for key, state in self._keys.items() for name, track in state.tracks.items() if track.alarm
        )

    def bands_of(self, rigs: Iterable[str], statistic: str = "avg_value") -> dict[Key, tuple[float, float]]:
        """Return the lowest and the highest value that each sensor's baseline takes for usual, of some rigs."""
        keys = ((rig, sensor) for rig in rigs for sensor in CHANNELS)
        enter = self.criteria.baseline.enter
        return {
            key: (one.baseline.centre - enter * one.baseline.scale, one.baseline.centre + enter * one.baseline.scale)
            for key in keys
            if key in self._keys
            for one in self._keys[key].baselines
            if one.statistic == statistic and one.baseline.warm
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values, in canonical order: equal states, equal bytes."""
        keys = [[*key, *plain(self._keys[key])] for key in sorted(self._keys)]
        criteria = [self.criteria.digest, self.since]
        return {"version": VERSION, "criteria": criteria, "totals": dict(self.totals), "keys": keys}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take the state of a snapshot in place of the present one.

        Tracks of rules that there are not are kept until other criteria are adopted. Raises IntegrityError for
        another layout.
        """
        if snapshot.get("version") not in (2, VERSION):
            raise IntegrityError(
                f"could not restore the detector: it has version {snapshot.get('version')!r}, "
                f"want {VERSION}; hydrodask aside with the snapshots of flow alert, and start again"
            )
        self.totals = dict(snapshot["totals"])
        self.since = since_of(snapshot)
        self._keys = {}
        for rig, sensor, last_us, steady, baselines, tracks, *before_us in snapshot["keys"]:
            state = self._state((rig, sensor))
            state.last_us, state.steady = last_us, steady
            state.before_us = before_us[0] if before_us else NEVER_US
            for judge in state.baselines:
                if judge.statistic in baselines:
                    judge.baseline.restore(baselines[judge.statistic])
            state.tracks = {name: Track.restored(track) for name, track in tracks.items()}

    def _state(self, key: Key) -> KeyState:
        state = self._keys.get(key)
        if state is None:
            state = self._keys[key] = KeyState(self._baselines(key[1], {}))
        return state

    def _baselines(self, sensor: str, known: Mapping[str, BaselineJudge]) -> tuple[BaselineJudge, ...]:
        """Return a judge for each statistic that has a baseline; what the `known` ones have learned goes on."""
        settings = self.criteria.baseline
        judges = tuple(BaselineJudge(name, CHANNELS[sensor], settings) for name in settings.statistics)
        for judge in judges:
            if judge.statistic in known:
                judge.baseline = known[judge.statistic].baseline
        return judges

    def _judge_by(self, criteria: Criteria) -> None:
        self.criteria = criteria
        judges = [(rule.sensors, RuleJudge(rule, coverage_min=criteria.coverage_min)) for rule in criteria.rules]
        self._rules = {sensor: tuple(judge for sensors, judge in judges if sensor in sensors) for sensor in CHANNELS}
        # Windows that slide by more than GAP_US have no hole.
        self._gap_us = max(GAP_US, round(criteria.window_s * US_PER_S))

    def _judges(self, sensor: str, state: KeyState) -> Iterable[Judge]:
        return (*self._rules[sensor], *state.baselines)

    def _open(self, state: KeyState, row: WindowRecord, start_us: int, revision: int, coverage: float) -> list[Change]:
        changes: list[Change] = []
        for judge in self._judges(row.sensor, state):
            track = state.tracks.get(judge.name)
            broken = track is not None and (track.incident is not None or start_us in track.open_values)
            abnormal = judge.verdict(row, coverage, broken=broken, steady=state.steady)
            if abnormal or (track is not None and abnormal is not None):
                track = track or Track()
                case = Case(row, start_us, revision, judge, coverage, self.criteria.digest)
                changes += on_open(track, case, abnormal=abnormal)
                keep(state, judge.name, track)
        return changes

    def _final(self, state: KeyState, row: WindowRecord, start_us: int, revision: int, coverage: float) -> list[Change]:
        if start_us - state.last_us > self._gap_us:
            begin_anew(state)
        if start_us // BAND_US != state.last_us // BAND_US:
            self._keep_bands(state, row, start_us, revision)
        state.last_us = start_us
        changes: list[Change] = []
        digest = self.criteria.digest
        for judge in self._rules[row.sensor]:
            abnormal = self._verdict(judge, state, row, coverage)
            if abnormal or judge.name in state.tracks:
                changes += _move(state, Case(row, start_us, revision, judge, coverage, digest), abnormal)
        for learner in state.baselines:
            abnormal = self._verdict(learner, state, row, coverage)
            if learner.learn(row, coverage, abnormal=abnormal):
                abnormal = False  # it has lasted so long that it is the new normal
            if abnormal or learner.name in state.tracks:
                changes += _move(state, Case(row, start_us, revision, learner, coverage, digest), abnormal)
        if state.steady and 0 < coverage < 1:
            self.missing = round(row.sample_count / coverage) - row.sample_count
        state.steady = state.steady or coverage >= self.criteria.coverage_min
        return changes

    def _keep_bands(self, state: KeyState, row: WindowRecord, start_us: int, revision: int) -> None:
        enter = self.criteria.baseline.enter
        self.bands = [
            Band(row.rig, row.sensor, one.statistic, start_us, one.baseline.centre, one.baseline.scale, enter, revision)
            for one in sorted(state.baselines, key=lambda judge: judge.statistic)
            if one.baseline.warm
        ]

    def _verdict(self, judge: Judge, state: KeyState, row: WindowRecord, coverage: float) -> bool | None:
        track = state.tracks.get(judge.name) if state.tracks else None  # nearly always there is none
        broken = track is not None and track.incident is not None
        return judge.verdict(row, coverage, broken=broken, steady=state.steady)

    def _count(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if not isinstance(change, Upsert):
                continue
            if change.collection == ANOMALIES:
                self.totals["anomalies"] += 1
            elif change.collection == INCIDENTS and change.body["windows"] == 1 and change.body["status"] == "open":
                self.totals["incidents"] += 1


def _move(state: KeyState, case: Case, abnormal: bool | None) -> list[Change]:
    track = state.tracks.get(case.judge.name) or Track()
    changes = on_final(track, case, abnormal=abnormal)
    keep(state, case.judge.name, track)
    return changes


def since_of(snapshot: Mapping[str, Any]) -> int:
    """Return since which revision the criteria of a snapshot are in force; -1 when it does not say."""
    return int(snapshot.get("criteria", ("", -1))[1])
