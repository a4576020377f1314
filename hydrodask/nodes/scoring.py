"""Nodes that score: profiles → cycles → states of components → documents."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hydrodask.clock import iso
from hydrodask.health import of_rigs
from hydrodask.keys import Attendance, Terms
from hydrodask.learn import drift
from hydrodask.learn.features import Cycles, compute
from hydrodask.learn.score import champions
from hydrodask.learn.score.joining import CycleJoiner, Joined
from hydrodask.learn.score.verdicts import ComponentStates, Unknown, Verdict
from hydrodask.learn.targets import TARGETS
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import SideOutput
from hydrodask.nodes.node import Node, Stateful
from hydrodask.nodes.sensors import dead_letters
from hydrodask.records import Change, CycleRecord, Reject
from hydrodask.reports import Component, PartitionReport, Scored
from hydrodask.settings.relations import rigs_live
from hydrodask.store.output import FileOutput
from hydrodask.store.schemas import scores_table

if TYPE_CHECKING:
    from hydrodask.learn.score.asking import ModelVerdicts
    from hydrodask.learn.score.committee import Committee
    from hydrodask.learn.score.inference import Model

Cycle = tuple[int, Joined]
"""The offset that completed a cycle, and the cycle."""


class JoinSensors(Node[list[tuple[int, CycleRecord]], list[Cycle]]):
    """Rows of CycleRecord → lists of Cycle, each once its sensors are together."""

    name = "joiner"
    stage = "join"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.joiner = CycleJoiner(Terms.of(ctx.settings.limits).silence_us)

    @property
    def stateful(self) -> Mapping[str, Stateful]:
        return {self.name: self.joiner}

    def take(self, batch: list[tuple[int, CycleRecord]]) -> list[Cycle] | None:
        done: list[Cycle] = []
        for offset, record in batch:
            try:
                done += [(offset, joined) for joined in self.joiner.add(record, offset)]
            except ValueError as error:
                where = (self.ctx.topic, self.ctx.partition, offset)
                dead_letters(self.ctx, [Reject(*where, record.rig.encode(), None, str(error))])
        return done or None

    def inspect(self, report: PartitionReport) -> None:
        """Add how many rigs there are, and what came too late."""
        report.keys = len(self.joiner)
        report.totals["missed"] = self.joiner.missed


class Score(Node[list[Cycle], list[Change]]):
    """Lists of Cycle → changes of component and incident documents, by the champions of the moment.

    `scores` is the edge of what was said of each cycle.
    Each verdict names exactly one version of one model. A replay after a crash asks the champions that are champions
    then; documents that are written already stay as they are.
    """

    name = "scores"
    stage = "score"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.next_offset = 0
        self.states = ComponentStates(confirm=ctx.settings.learn.confirm)
        self.day = drift.Day()
        self.measured: tuple[str, int] | None = None
        """The model against whose training data the day is measured: name and version."""
        self.against: drift.ReferenceDistribution | None = None
        """What the newest cycle's day is to be measured against: when somebody asks, not with each cycle."""
        self.drift: dict[str, tuple[float, float]] | None = None
        self.newest: dict[tuple[str, str], Component] = {}
        self.unknown: dict[tuple[str, str], None] = {}
        """Components of whose newest cycle nothing is known: for views, as `newest` is."""
        self.attendance = Attendance(Terms.of(ctx.settings.limits).silence_us)
        self.warned: dict[str, str] = {}
        self.rows: list[Scored] = []
        self.scores: SideOutput[list[Scored]] = SideOutput()
        self.side_outputs = (self.scores,)
        self.champions = champions.shared(ctx.settings)
        self.champions.look()

    def take(self, batch: list[Cycle]) -> list[Change] | None:
        changes: dict[tuple[str, str, int], Change] = {}
        self.rows = []
        self.champions.current()
        for offset, cycle in batch:
            if offset < self.next_offset:
                continue
            self.ctx.totals["scored" if self.champions.models else "unscored"] += 1
            for change in [*self._forget(cycle, offset), *self._score(cycle, offset)]:
                # One profile can complete two cycles: of the documents that share a revision the newest counts.
                changes[change.collection, change.id, offset] = change
        if self.rows:
            self.scores.put(self.rows)
        self.next_offset = max(self.next_offset, batch[-1][0] + 1)
        return list(changes.values()) or None

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        day = [self.day.date, self.day.cycles, self.day.counts, self.measured]
        state = {"next_offset": self.next_offset, "states": self.states.snapshot(), "day": day}
        return state | {"attendance": self.attendance.snapshot()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.next_offset = state["next_offset"]
        self.states.restore(state["states"])
        if "attendance" in state:
            self.attendance.restore(state["attendance"])
        else:
            self.attendance.seed(self.states.rigs())
        date, cycles, counts, *measured = state["day"]  # older snapshots don't say by which model
        self.day = drift.Day(date, cycles, counts.copy())
        self.measured = tuple(measured[0]) if measured and measured[0] else None

    def inspect(self, report: PartitionReport) -> None:
        """Add the newest verdicts, drift, and what is wrong with a model."""
        rigs = list(dict.fromkeys(rig for rig, _ in (*self.newest, *self.unknown)))[
            : self.ctx.settings.observe.rigs_max
        ]
        report.components = {key: one for key, one in self.newest.items() if key[0] in rigs}
        report.health |= of_rigs(self.states.health(), rigs_live(self.ctx.settings))
        report.alarms += [alarm for alarm in self.states.alarms() if (alarm[0], alarm[1]) in report.health]
        report.unknown = [key for key in self.unknown if key[0] in rigs]
        report.totals["incidents"] = report.totals.get("incidents", 0) + self.states.incidents
        if self.day.cycles >= self.ctx.settings.learn.drift_cycles:
            report.drift = self._drift()
        if said := self.champions.said():
            target, text = next(iter(said.items()))
            report.state, report.advice = "warning", f"{target}: {text}"

    def _forget(self, cycle: Joined, offset: int) -> list[Change]:
        """Forget the rigs of which nothing came for long."""
        changes: list[Change] = []
        for rig in self.attendance.hear(cycle.rig, cycle.start_us):
            changes += self.states.forget(rig, offset)
            self.newest = {key: one for key, one in self.newest.items() if key[0] != rig}
            self.unknown = {key: None for key in self.unknown if key[0] != rig}
        return changes

    def _score(self, cycle: Joined, offset: int) -> list[Change]:
        """Return what follows from one cycle."""
        batch, changes = cycle.as_cycles(), []
        for target, said in self._said(batch).items():
            changes += self._conclude(target, said, cycle, batch, offset)
        for target, text in self.champions.said().items():
            if target in TARGETS and target not in self.champions.models:
                changes += self._unknown(Unknown(cycle.rig, target, cycle.cycle, cycle.start_us, text), offset)
        self._say_problems()
        for model in [one for one in self.champions.models.values() if one.reference is not None][:1]:
            self._measure(model, cycle, batch)
        return changes

    def _said(self, batch: Cycles) -> "dict[str, ModelVerdicts]":
        """Return what each champion says; one that can't score makes room for the one before it, or for none."""
        found: dict[str, ModelVerdicts] = {}
        while left := {target: model for target, model in self.champions.models.items() if target not in found}:
            from hydrodask.learn.score.asking import score  # noqa: PLC0415 - once there is a model

            for target, said in score(left, batch).items():
                if said.error:
                    self.champions.fall_back(said.model, target, said.error)
                else:
                    found[target] = said
        return found

    def _conclude(self, target: str, said: "ModelVerdicts", cycle: Joined, batch: Cycles, offset: int) -> list[Change]:
        """Return what follows from what one model says."""
        name, version = said.model.name, said.model.version
        where = (cycle.rig, target, cycle.cycle, cycle.start_us)
        if not said.usable[0]:
            novel = bool(said.novel[0])
            self.ctx.totals["unknown_for_novelty" if novel else "unscored_for_missing"] += 1
            return self._unknown(Unknown(*where, said.why[0], name, version, cycle.missing, novel), offset)
        state, chance = int(said.label[0]), float(said.probability[0].max())
        because = tuple(said.model.because(batch, state, None if said.odds is None else said.odds[0]))
        verdict = Verdict(*where, state, chance, name, version, cycle.missing, because, said.model.severity(batch))
        self.unknown.pop((cycle.rig, target), None)
        changes = self.states.update(verdict, offset)
        self.rows.append(self.states.scored(verdict, offset))
        severity, (trend, attention) = verdict.severity, self.states.worsening(verdict)
        numbers = None if severity is None else (severity.value, severity.low, severity.high)
        told = (numbers, trend.in_hours, attention)
        self.newest[cycle.rig, target] = Component(state, chance, version, verdict.end, *told)
        return changes

    def _unknown(self, unknown: Unknown, offset: int) -> list[Change]:
        """Take note that nothing can be said of a component's cycle."""
        self.newest.pop((unknown.rig, unknown.target), None)
        self.unknown[unknown.rig, unknown.target] = None
        changes = self.states.unknown(unknown, offset)
        self.rows.append(self.states.scored(unknown, offset))
        return changes

    def _say_problems(self) -> None:
        """Say once what is wrong with a model."""
        for target, text in self.champions.said().items():
            if self.warned.get(target) != text:
                self.warned[target] = text
                self.ctx.notes.append(f"champion of {target}: {text}")

    def _measure(self, model: "Committee | Model", cycle: Joined, batch: Cycles) -> None:
        """Add one cycle to its day; another model begins that anew, because its bins are others."""
        if (reference := model.reference) is None:
            return
        if self.measured != (model.name, model.version):
            self.measured, self.day = (model.name, model.version), drift.Day(self.day.date)
        self.day.add(iso(cycle.start_us)[:10], compute(batch, drift.COLUMNS), reference)
        self.against, self.drift = reference, None

    def _drift(self) -> dict[str, tuple[float, float]]:
        """Return by feature how far the day is from what the model knows; nothing before a cycle was measured."""
        if self.drift is None and self.against is not None:
            self.drift = {one.feature: (one.index, one.outside) for one in self.day.measures(self.against)}
        return dict(self.drift or {})


class StoreScores(Node[list[Scored], None]):
    """Lists of Scored, of models and of what is usual → Parquet in `scores/`, once a component and cycle."""

    stage = "archive"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        order = ("revision", "cycle_start", "component")
        self.output = FileOutput(
            ctx.lake, "scores", ctx.source, folder_of=lambda _table: "scores", keep=True, order=order
        )
        self.files = {"scores": self.output}
        self.table_of = partial(scores_table, partition=ctx.partition)

    def take(self, batch: list[Scored]) -> None:
        self.output.add_rows(batch, self.table_of, self.ctx.now_s())
