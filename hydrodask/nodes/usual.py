"""The node that compares a rig's load cycles with what they usually are: cycles → documents, without any label."""

from typing import Any

from hydrodask.detect.usual.telling import At
from hydrodask.detect.usual.watch import VERSION, CycleWatch
from hydrodask.health import of_rigs
from hydrodask.keys import Attendance, Terms
from hydrodask.learn.features import MEAN
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import SideOutput
from hydrodask.nodes.node import Node
from hydrodask.nodes.scoring import Cycle
from hydrodask.records import Change
from hydrodask.reports import UNUSUAL_CYCLES, WHOLE_RIG, CycleReport, PartitionReport, Scored
from hydrodask.settings.relations import rigs_live


class Compare(Node[list[Cycle], list[Change]]):
    """Lists of Cycle → changes of documents: what is said of each rig's cycle, and incidents of unusual ones.

    `scores` is the edge of what was said of each cycle.
    """

    name = "usual"
    stage = "compare"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.next_offset = 0
        self.watch = CycleWatch(ctx.settings.detect.usual)
        self.attendance = Attendance(Terms.of(ctx.settings.limits).silence_us)
        self.scores: SideOutput[list[Scored]] = SideOutput()
        self.side_outputs = (self.scores,)

    def take(self, batch: list[Cycle]) -> list[Change] | None:
        changes: dict[tuple[str, str, int], Change] = {}
        rows: list[Scored] = []
        for offset, cycle in batch:
            if offset < self.next_offset:
                continue
            at = At(cycle.rig, cycle.cycle, cycle.start_us, offset)
            gone = [c for rig in self.attendance.hear(at.rig, at.start_us) for c in self.watch.forget(rig, offset)]
            for change in [*gone, *self.watch.take(at, cycle.curves[:, MEAN])]:
                # One profile can complete two cycles: of the documents that share a revision the newest counts.
                changes[change.collection, change.id, change.revision] = change
            rows += self.watch.scored(at.rig)
        if rows:
            self.scores.put(rows)
        self.next_offset = max(self.next_offset, batch[-1][0] + 1)
        return list(changes.values()) or None

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        watch, attendance = self.watch.snapshot(), self.attendance.snapshot()
        return {"next_offset": self.next_offset, "watch": watch, "attendance": attendance}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot; what another release knew of usual cycles is learned anew, and that is said."""
        self.next_offset = state["next_offset"]
        self.attendance.restore(state["attendance"])
        if state["watch"].get("version") == VERSION:
            self.watch.restore(state["watch"])
        else:
            self.ctx.notes.append("what load cycles of each rig usually are is learned anew: another release knew it")

    def of_before(self, _nodes: dict[str, Any]) -> dict[str, Any]:
        """Return the state where a snapshot has none, being of before there was this node: rigs are learned now."""
        return Compare.snapshot(self)

    def inspect(self, report: PartitionReport) -> None:
        """Add what was said of the newest cycle of those rigs that deserve a look most, and which are unusual."""
        said = sorted(self.watch.said().items(), key=lambda one: -one[1].attention)
        shown = said[: self.ctx.settings.observe.rigs_max]
        report.usual = {
            rig: CycleReport(said.state, said.judgement.score, said.threshold, said.attention) for rig, said in shown
        }
        report.totals["incidents"] = report.totals.get("incidents", 0) + self.watch.incidents
        report.health |= of_rigs(self.watch.health(), rigs_live(self.ctx.settings))
        report.alarms += [(rig, WHOLE_RIG, UNUSUAL_CYCLES) for rig in self.watch.open()]
