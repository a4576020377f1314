"""Nodes for a sensor's raw records: batches of columns in and out; outputs wait in the context for the commit."""

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import pyarrow as pa

from hydrodask import window
from hydrodask.decode import Census, Decoder
from hydrodask.decode.manner import Manner
from hydrodask.keys import Terms
from hydrodask.nodes import outgoing
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import SideOutput
from hydrodask.nodes.node import Node, Stateful
from hydrodask.nodes.noticing import Crowd, Nameless, Ranges, Rates, Surplus, Unprofiled
from hydrodask.records import Late, Messages, Outgoing, Profiles, Reject, Samples, Windows
from hydrodask.reports import PartitionReport, Reading
from hydrodask.rigs import RIGS
from hydrodask.settings.relations import rigs_live
from hydrodask.store.output import FileOutput
from hydrodask.store.schemas import first_date, late_table, profiles_table, windows_table
from hydrodask.window.geometry import METADATA, Geometry

Stored = TypeVar("Stored", bound=Samples | Late | Windows | Profiles)

AWAY_S = 600.0
"""Who was not heard for so long, if `detect.silent_after` does not say, does not hold the watermark that is shown."""


class Decode(Node[Messages, Samples]):
    """Messages → Samples; what can't be used goes to the dead letters."""

    stage = "decode"
    rereads = True

    def __init__(self, ctx: Context) -> None:
        self.ctx, settings = ctx, ctx.settings
        self.decoder = Decoder.of(settings, ctx.sensor)
        self.census = Census(Terms.of(settings.limits), manner=Manner.of(settings))
        self.rates = Rates(ctx, settings.observe.rigs_max)
        self.crowd = Crowd(ctx, self.census)
        self.nameless = Nameless(ctx)
        ctx.tally = self.tally = window.Tally(ctx.sensor)
        self._came: tuple[Samples, list[Reject]] | None = None

    @property
    def stateful(self) -> Mapping[str, Stateful]:
        return {"rigs": self.census, "tally": self.tally}

    def take(self, batch: Messages) -> Samples:
        samples, rejects = self._came = self.decoder.decode(batch, self.census)
        self.census.reach(int(batch.offsets[-1]) + 1)
        dead_letters(self.ctx, rejects)
        self.rates.look(samples)
        self.crowd.look()
        self.nameless.look(self.decoder.nameless)
        return samples

    def sent(self, batch: Messages) -> None:
        """Count what became of each rig's samples, now that it is known which were late."""
        came, self._came = self._came, None
        said = self.tally.take(batch, *came) if came else []
        if said and self.ctx.owns and not self.ctx.quiet:
            topic = self.ctx.settings.topic("analytics")
            self.ctx.outbox.extend(Outgoing(topic, *outgoing.refused_row(one)) for one in said)

    def again(self, samples: Samples) -> Samples:
        """Take samples from raw/, which have been let in once."""
        self.census.take(samples)
        return samples

    def cross(self, base: int, whole: bool) -> None:
        """Begin anew with another log, at `base`."""
        self.census.end(base - 1)

    def inspect(self, report: PartitionReport) -> None:
        """Add how many records were of rigs that were too many, and what became of each rig's samples."""
        report.totals["refused"] = self.census.refused
        report.per_rig = self.tally.totals(self.ctx.settings.observe.rigs_max)


def dead_letters(ctx: Context, rejects: list[Reject]) -> None:
    """Count rejects and send them to the dead letters."""
    if rejects:
        fresh = [r.reason for r in rejects if r.offset >= ctx.counted]
        ctx.totals["dead"] += len(fresh)
        ctx.reasons.add(fresh)
        if ctx.owns and not ctx.quiet:
            ctx.outbox.extend(outgoing.dead_letter(ctx.settings, r) for r in rejects)


class SlidingWindows(Node[Samples, Windows]):
    """Samples → Windows: final ones at once, changed open ones on each tick. `late` is the edge of Late."""

    name = stage = "windows"

    def __init__(self, ctx: Context, *, name: str = "windows") -> None:
        self.ctx, self.name, settings = ctx, name, ctx.settings.window
        self.windows = window.OpenWindows(
            ctx.sensor,
            terms=Terms.of(ctx.settings.limits),
            length_us=round(settings.length * 1e6),
            slide_us=round(settings.slide * 1e6),
            lateness_us=round(settings.lateness * 1e6),
        )
        self.late: SideOutput[Late] = SideOutput()
        self.side_outputs = (self.late,)
        self.ranges = Ranges(ctx)
        self.surplus = Surplus(ctx, ctx.settings.observe.rigs_max)
        self._updates = settings.emit == "updates"

    @property
    def stateful(self) -> Mapping[str, Stateful]:
        return {self.name: self.windows}

    def take(self, batch: Samples) -> Windows | None:
        final, late = self.windows.consume(batch)
        self.ranges.look(final)
        self.surplus.look(final)
        if len(late.samples):
            self.ctx.tally.late(late.samples)
            self.late.put(late)
        return self._final(final)

    def tick(self, position: int) -> Windows | None:
        """Give the open windows that changed; in a replay they have been published before."""
        if not self._updates:
            return None
        if self.ctx.quiet:
            self.windows.forget_changes()
            return None
        rows = self.windows.updates(position - 1)
        return rows if len(rows) else None

    def cross(self, base: int, whole: bool) -> Windows | None:
        """Begin anew with another log, at `base`; windows that were open are final if they are whole."""
        final = self.windows.end(base - 1)
        return self._final(final) if whole else None

    def _final(self, final: Windows) -> Windows | None:
        self.ctx.totals["windows"] += len(final)
        return final if len(final) else None

    def inspect(self, report: PartitionReport) -> None:
        """Add watermark, counts and windows that are shown; of a flow's second windows the memory that they take."""
        report.state_bytes += self.windows.state_bytes
        if self.name != SlidingWindows.name:
            return
        silent_s = self.ctx.settings.detect.silent_after or AWAY_S
        odd = self.ctx.tally.odd(1 + math.ceil(silent_s / 60))
        report.watermark_us = self.windows.watermark_without(odd)
        report.newest_us = self.windows.newest_us(rigs_live(self.ctx.settings))
        report.keys = len(self.windows)
        report.totals |= {"kept": self.windows.kept, "late": self.windows.late}
        length_us = round(self.ctx.settings.window.length * 1e6)
        report.readings = readings(self.windows.shown(rigs_live(self.ctx.settings)), length_us)


def readings(rows: Windows, length_us: int) -> list[Reading]:
    """Return windows as gauges take them."""
    return [
        Reading(
            RIGS.name(int(rows.rig[i])),
            rows.sensor,
            float(rows.mean[i]),
            float(rows.high[i]),
            float(rows.low[i]),
            0.0 if np.isnan(rows.stddev[i]) else float(rows.stddev[i]),
            int(rows.count[i]),
            int(rows.start_us[i]) + length_us,
        )
        for i in range(len(rows))
    ]


class CycleProfiles(Node[Samples, Profiles]):
    """Samples → Profiles, each once its cycle is complete or over."""

    name = stage = "cycles"

    def __init__(self, ctx: Context, *, name: str = "cycles") -> None:
        self.ctx, self.name = ctx, name
        self.profiles = window.OpenCycles(
            ctx.sensor,
            lateness_us=round(ctx.settings.window.lateness * 1e6),
            terms=Terms.of(ctx.settings.limits),
        )
        self.unprofiled = Unprofiled(ctx, self.profiles, ctx.settings.observe.rigs_max)

    @property
    def stateful(self) -> Mapping[str, Stateful]:
        return {self.name: self.profiles}

    def take(self, batch: Samples) -> Profiles | None:
        done = self._done(self.profiles.consume(batch))
        self.unprofiled.look()
        return done

    def cross(self, base: int, whole: bool) -> Profiles | None:
        """Begin anew with another log, at `base`; of cycles that were open there is no more to come."""
        done = self.profiles.end(base - 1)
        return self._done(done) if whole else None

    def _done(self, done: Profiles) -> Profiles | None:
        self.ctx.totals["cycles"] += len(done)
        return done if len(done) else None

    def inspect(self, report: PartitionReport) -> None:
        """Add the size of the state, and what profiles lack, in all and by rig."""
        report.state_bytes += self.profiles.state_bytes
        report.totals |= self.unprofiled.totals()
        for rig, counts in self.unprofiled.by_rig().items():
            report.per_rig[rig] = report.per_rig.get(rig, {}) | counts


class Publish(Node[Windows | Profiles, None]):
    """Windows or Profiles → JSON records that wait for the transaction: `worker/commit.py` publishes them."""

    stage = "publish"
    replays = False

    def __init__(self, ctx: Context, topic: str) -> None:
        self.ctx, self.topic = ctx, ctx.settings.topic(topic)

    def take(self, batch: Windows | Profiles) -> None:
        if isinstance(batch, Windows):
            length_us = round(self.ctx.settings.window.length * 1e6)
            encoded = outgoing.window_rows(batch, length_us, self.ctx.partition)
        else:
            encoded = outgoing.cycle_rows(batch)
        self.ctx.outbox.extend(Outgoing(self.topic, key, value) for key, value in encoded)


class Store(Node[Stored, Stored]):
    """Samples, Late, Windows or Profiles → Parquet files in a folder of the lake; passes on what it takes."""

    stage = "archive"

    def __init__(self, ctx: Context, folder: str, *, by_date: bool = False) -> None:
        self.ctx = ctx
        below = f"{folder}/sensor={ctx.sensor}"
        self.output = FileOutput(
            ctx.lake,
            below,
            ctx.source,
            folder_of=(lambda table: f"{below}/date={first_date(table)}") if by_date else (lambda _table: below),
            keep=folder != "raw",
            metadata={METADATA: Geometry.of(ctx.settings.window).encoded} if folder == "windows" else {},
        )
        self.files = {folder: self.output}

    def take(self, batch: Stored) -> Stored:
        if isinstance(batch, Samples):
            self.output.add_samples(batch, self.ctx.now_s())
        elif (table := self._table(batch)) is not None:
            self.output.add(table, self.ctx.now_s())
        return batch

    def _table(self, x: Late | Windows | Profiles) -> pa.Table | None:
        """Return the rows of `x`; only final windows are kept."""
        if isinstance(x, Late):
            return late_table(x)
        if isinstance(x, Profiles):
            return profiles_table(x, partition=self.ctx.partition)
        if not x.final.all():
            return None  # one batch holds final windows or updates, never both
        length_us = round(self.ctx.settings.window.length * 1e6)
        return windows_table(x, partition=self.ctx.partition, length_us=length_us)
