"""Nodes that score: profiles → cycles → states of components → documents."""

from typing import TYPE_CHECKING, Any

from streamz import Stream

from hydrodask.clock import iso
from hydrodask.keys import Attendance, Terms
from hydrodask.learn import champions, drift
from hydrodask.learn.features import Cycles, compute, gaps
from hydrodask.learn.joining import CycleJoiner, Joined
from hydrodask.learn.states import ComponentStates, Silence, Verdict
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Change, CycleRecord, Reject
from hydrodask.reports import Component, PartitionReport
from hydrodask.stream.context import Context
from hydrodask.stream.judging import Rows
from hydrodask.stream.nodes import Node, dead_letters

if TYPE_CHECKING:
    from hydrodask.learn.scoring import Model, Said

__all__ = ["CycleRecord", "Stream"]

GAPS_SHOWN = 5
"""Seconds that were not measured and are named in a document."""

Cycle = tuple[int, Joined]
"""The offset that completed a cycle, and the cycle."""


@Stream.register_api(attribute_name="join_sensors")
class JoinSensors(Node):
    """Rows of CycleRecord → lists of Cycle, each once its sensors are together."""

    def __init__(self, upstream: Stream, ctx: Context) -> None:
        self.joiner = CycleJoiner(Terms.of(ctx.settings.limits).silence_us)
        super().__init__(upstream, ctx)
        ctx.states["joiner"] = self.joiner
        ctx.inspectors.append(self.inspect)

    def update(self, x: Rows, who: object = None, metadata: object = None) -> Any:
        done: list[Cycle] = []
        with self.ctx.timed("join"):
            for offset, record in x:
                try:
                    done += [(offset, joined) for joined in self.joiner.add(record, offset)]
                except ValueError as error:
                    where = (self.ctx.topic, self.ctx.partition, offset)
                    dead_letters(self.ctx, [Reject(*where, record.rig.encode(), None, str(error))])
        return self._emit(done, metadata=metadata) if done else []

    def inspect(self, report: PartitionReport) -> None:
        """Add how many rigs there are, and what came too late."""
        report.keys = len(self.joiner)
        report.totals["missed"] = self.joiner.missed


@Stream.register_api(attribute_name="score")
class Score(Node):
    """Lists of Cycle → changes of component and incident documents, by the champions of the moment.

    Each verdict names exactly one version of one model. A replay after a crash asks the champions that are champions
    then; documents that are written already stay as they are.
    """

    def __init__(self, upstream: Stream, ctx: Context) -> None:
        self.next_offset = 0
        self.states = ComponentStates(confirm=ctx.settings.learn.confirm)
        self.day = drift.Day()
        self.measured: tuple[str, int] | None = None
        """The model against whose training data the day is measured: name and version."""
        self.drift: list[drift.Drift] = []
        self.newest: dict[tuple[str, str], Component] = {}
        self.attendance = Attendance(Terms.of(ctx.settings.limits).silence_us)
        self.warned: dict[str, str] = {}
        self.champions = champions.shared(ctx.settings)
        super().__init__(upstream, ctx)
        ctx.states["scores"] = self
        ctx.inspectors.append(self.inspect)
        self.champions.look()

    def update(self, x: list[Cycle], who: object = None, metadata: object = None) -> Any:
        changes: dict[tuple[str, str, int], Change] = {}
        self.champions.current()
        with self.ctx.timed("score"):
            for offset, cycle in x:
                if offset < self.next_offset:
                    continue
                self.ctx.totals["scored" if self.champions.models else "unscored"] += 1
                for change in [*self._forget(cycle, offset), *self._score(cycle, offset)]:
                    # One profile can complete two cycles: of the documents that share a revision the newest counts.
                    changes[change.collection, change.id, offset] = change
            self.next_offset = max(self.next_offset, x[-1][0] + 1)
        return self._emit(list(changes.values()), metadata=metadata) if changes else []

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
        rigs = list(dict.fromkeys(rig for rig, _ in self.newest))[: self.ctx.settings.observe.rigs_max]
        report.components = {key: one for key, one in self.newest.items() if key[0] in rigs}
        report.totals["incidents"] = self.states.incidents
        if self.day.cycles >= self.ctx.settings.learn.drift_cycles:
            report.drift = {one.feature: (one.index, one.outside) for one in self.drift}
        if said := self.champions.said():
            target, text = next(iter(said.items()))
            report.state, report.advice = "warning", f"{target}: {text}"

    def _forget(self, cycle: Joined, offset: int) -> list[Change]:
        """Forget the rigs of which nothing came for long."""
        changes: list[Change] = []
        for rig in self.attendance.hear(cycle.rig, cycle.start_us):
            changes += self.states.forget(rig, offset)
            self.newest = {key: one for key, one in self.newest.items() if key[0] != rig}
        return changes

    def _score(self, cycle: Joined, offset: int) -> list[Change]:
        """Return what follows from one cycle."""
        batch, changes = cycle.as_cycles(), []
        for target, said in self._said(batch).items():
            changes += self._conclude(target, said, cycle, batch, offset)
        for target, text in self.champions.said().items():
            if target in TARGETS and target not in self.champions.models:
                changes += self.states.silent(Silence(cycle.rig, target, cycle.cycle, cycle.start_us, text))
        self._say_problems()
        for model in list(self.champions.models.values())[:1]:
            self._measure(model, cycle, batch)
        return changes

    def _said(self, batch: Cycles) -> "dict[str, Said]":
        """Return what each champion says; one that can't score makes room for the one before it, or for none."""
        found: dict[str, Said] = {}
        while left := {target: model for target, model in self.champions.models.items() if target not in found}:
            from hydrodask.learn.scoring import score  # noqa: PLC0415 - ONNX Runtime, once there is a model

            for target, said in score(left, batch).items():
                if said.error:
                    self.champions.fall_back(said.model, target, said.error)
                else:
                    found[target] = said
        return found

    def _conclude(self, target: str, said: "Said", cycle: Joined, batch: Cycles, offset: int) -> list[Change]:
        """Return what follows from what one model says; of a cycle that was not measured whole it is not asked."""
        name, version = said.model.name, said.model.version
        if not said.usable[0]:
            self.ctx.totals["unscored_for_missing"] += 1
            lacking = gaps(batch, said.model.columns)
            more = f" and {len(lacking) - GAPS_SHOWN} more" if len(lacking) > GAPS_SHOWN else ""
            why = f"not measured: {', '.join(lacking[:GAPS_SHOWN])}{more}"
            self.newest.pop((cycle.rig, target), None)
            return self.states.silent(
                Silence(cycle.rig, target, cycle.cycle, cycle.start_us, why, name, version, cycle.missing)
            )
        state, chance = int(said.label[0]), float(said.probability[0].max())
        verdict = Verdict(cycle.rig, target, cycle.cycle, cycle.start_us, state, chance, name, version, cycle.missing)
        self.newest[cycle.rig, target] = Component(state, chance, version, verdict.end)
        return self.states.update(verdict, offset)

    def _say_problems(self) -> None:
        """Say once what is wrong with a model."""
        for target, text in self.champions.said().items():
            if self.warned.get(target) != text:
                self.warned[target] = text
                self.ctx.notes.append(f"champion of {target}: {text}")

    def _measure(self, model: "Model", cycle: Joined, batch: Cycles) -> None:
        """Add one cycle to its day; another model begins that anew, because its bins are others."""
        if self.measured != (model.name, model.version):
            self.measured, self.day = (model.name, model.version), drift.Day(self.day.date)
        self.day.add(iso(cycle.start_us)[:10], compute(batch, drift.COLUMNS), model.reference)
        self.drift = self.day.measures(model.reference)
