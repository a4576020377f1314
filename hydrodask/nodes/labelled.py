"""Nodes for labels: JSON → LabelRecord → lake."""

from typing import Any

from hydrodask import clock
from hydrodask.decode.manner import Manner, Manners, encoded, going_on, manners_of
from hydrodask.nodes.context import Context
from hydrodask.nodes.judging import DecodeJson
from hydrodask.nodes.node import Node
from hydrodask.records import LabelRecord, Messages
from hydrodask.reports import PartitionReport
from hydrodask.store.output import FileOutput
from hydrodask.store.schemas import labels_table


class DecodeLabels(DecodeJson[LabelRecord]):
    """Messages → pairs of offset and LabelRecord; remembers by which settings records were read, for `verify`."""

    name = "reading"
    rereads = True

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx, LabelRecord)
        self.next_offset = 0
        self.manners: Manners = [(0, Manner.of(ctx.settings))]

    def take(self, batch: Messages) -> list[tuple[int, LabelRecord]] | None:
        self.next_offset = max(self.next_offset, int(batch.offsets[-1]) + 1)
        return super().take(batch)

    def snapshot(self) -> dict[str, Any]:
        """Return since which offset records were read in which manner."""
        return {"next_offset": self.next_offset, "manners": encoded(self.manners)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot, in another manner from here on if settings are others now."""
        self.next_offset = state["next_offset"]
        self.manners = going_on(manners_of(state), self.next_offset, Manner.of(self.ctx.settings))

    @staticmethod
    def of_before(nodes: dict[str, Any]) -> dict[str, Any]:
        """Return what to restore from a snapshot of a release that did not remember it."""
        return {"next_offset": nodes["labels"]["next_offset"]}


class StoreLabels(Node[list[tuple[int, LabelRecord]], None]):
    """Rows of LabelRecord → Parquet in `labels/`; the newest of each rig shows in reports."""

    name = "labels"
    stage = "archive"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.next_offset = 0
        self.newest: dict[str, list[float]] = {}
        self.output = FileOutput(ctx.lake, "labels", ctx.source, folder_of=lambda _table: "labels", keep=True)
        self.files = {"labels": self.output}

    def take(self, batch: list[tuple[int, LabelRecord]]) -> None:
        rows, times_us, offsets = [], [], []
        for offset, label in batch:
            if offset < self.next_offset:
                continue
            self.next_offset = offset + 1
            times_us.append(clock.parse_iso(label.timestamp))
            rows.append(label)
            offsets.append(offset)
            rig = label.rig or self.ctx.settings.rig.default_id
            self.newest[rig] = [label.cooler, label.valve, label.pump, label.accumulator, float(label.stable)]
            if len(self.newest) > self.ctx.settings.limits.rigs:
                del self.newest[next(iter(self.newest))]
        if rows:
            table = labels_table(rows, times_us, partition=self.ctx.partition, offsets=offsets)
            self.output.add(table, self.ctx.now_s())

    def snapshot(self) -> dict[str, Any]:
        """Return the newest label of each rig."""
        return {"next_offset": self.next_offset, "newest": self.newest}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.next_offset, self.newest = state["next_offset"], dict(state["newest"])

    def inspect(self, report: PartitionReport) -> None:
        """Add the newest labels."""
        names = ("cooler", "valve", "pump", "accumulator", "stable")
        shown = list(self.newest)[: self.ctx.settings.observe.rigs_max]
        report.labels = {rig: dict(zip(names, self.newest[rig], strict=True)) for rig in shown}
