"""Nodes that score: profiles → cycles → states of components → documents."""

from typing import TYPE_CHECKING, Any

from streamz import Stream

from hydrodask.clock import iso
from hydrodask.learn import champions, drift
from hydrodask.learn.features import Cycles, compute
from hydrodask.learn.joining import CycleJoiner, Joined
from hydrodask.learn.states import ComponentStates, Verdict
from hydrodask.records import Change, CycleRecord, Reject
from hydrodask.reports import Component, PartitionReport
from hydrodask.stream.context import Context
from hydrodask.stream.judging import Rows
from hydrodask.stream.nodes import Node, dead_letters

if TYPE_CHECKING:
    from hydrodask.learn.scoring import Model

__all__ = ["CycleRecord", "Stream"]

Cycle = tuple[int, Joined]
"""The offset that completed a cycle, and the cycle."""


@Stream.register_api(attribute_name="join_sensors")
class JoinSensors(Node):
    """Rows of CycleRecord → lists of Cycle, each once its sensors are together."""

    def __init__(self, upstream: Stream, ctx: Context) -> None:
        self.joiner = CycleJoiner()
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
        self.champions = champions.shared(ctx.settings)
        super().__init__(upstream, ctx)
        ctx.states["scores"] = self
        ctx.inspectors.append(self.inspect)
        self.champions.look()

    def update(self, x: list[Cycle], who: object = None, metadata: object = None) -> Any:
        changes: dict[tuple[str, str, int], Change] = {}
        models = self.champions.current()
        with self.ctx.timed("score"):
            for offset, cycle in x:
                if offset < self.next_offset:
                    continue
                self.ctx.totals["scored" if models else "unscored"] += 1
                for change in self._score(models, cycle, offset):
                    # One profile can complete two cycles: of the documents that share a revision the newest counts.
                    changes[change.collection, change.id, offset] = change
            self.next_offset = max(self.next_offset, x[-1][0] + 1)
        return self._emit(list(changes.values()), metadata=metadata) if changes else []

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        day = [self.day.date, self.day.cycles, self.day.counts, self.measured]
        return {"next_offset": self.next_offset, "states": self.states.snapshot(), "day": day}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.next_offset = state["next_offset"]
        self.states.restore(state["states"])
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
        if self.champions.problems:
            target, text = next(iter(self.champions.problems.items()))
            report.state, report.advice = "warning", f"{target}: {text}; the model before it goes on scoring"

    def _score(self, models: Any, cycle: Joined, offset: int) -> list[Change]:
        """Return what follows from one cycle."""
        if not models:
            return []
        from hydrodask.learn.scoring import score  # noqa: PLC0415 - ONNX Runtime, once there is a model

        batch = cycle.as_cycles()
        changes: list[Change] = []
        for target, said in score(models, batch).items():
            if not said.usable[0]:
                self.ctx.totals["unscored_for_missing"] += 1
                continue
            state, chance = int(said.label[0]), float(said.probability[0].max())
            verdict = Verdict(
                cycle.rig, target, cycle.cycle, cycle.start_us, state, chance, said.model.name, said.model.version,
                cycle.missing,
            )  # fmt: skip
            changes += self.states.update(verdict, offset)
            self.newest[cycle.rig, target] = Component(state, chance, said.model.version, verdict.end)
        self._measure(next(iter(models.values())), cycle, batch)
        return changes

    def _measure(self, model: "Model", cycle: Joined, batch: Cycles) -> None:
        """Add one cycle to its day; another model begins that anew, because its bins are others."""
        if self.measured != (model.name, model.version):
            self.measured, self.day = (model.name, model.version), drift.Day(self.day.date)
        self.day.add(iso(cycle.start_us)[:10], compute(batch, drift.COLUMNS), model.reference)
        self.drift = self.day.measures(model.reference)
