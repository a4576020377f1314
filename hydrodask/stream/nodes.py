"""The words that flows are written in: streamz nodes that take and give batches of columns.

Each is registered with `Stream.register_api`, so that a flow reads `source.decode(ctx).sliding_windows(ctx)`. A node
with state registers it with the context, and outputs wait in the context for the commit.
"""

import math
from typing import Any

import numpy as np
import pyarrow as pa
from streamz import Stream

from hydrodask.decode import Census, Decoder
from hydrodask.keys import Terms
from hydrodask.records import Late, Messages, Outgoing, Profiles, Reject, Samples, Windows
from hydrodask.reports import PartitionReport, Reading
from hydrodask.rigs import RIGS
from hydrodask.store.output import FileOutput
from hydrodask.store.schemas import first_date, late_table, profiles_table, windows_table
from hydrodask.stream import publishing
from hydrodask.stream.context import Context
from hydrodask.stream.noticing import Crowd, Nameless, Ranges, Rates, Unprofiled
from hydrodask.window import CycleProfiles, SlidingWindows, Tally
from hydrodask.window.geometry import METADATA, Geometry

__all__ = ["Stream"]

AWAY_S = 600.0
"""Who was not heard for so long, if `detect.silent_after` does not say, does not hold the watermark that is shown."""


class Node(Stream):  # type: ignore[misc]  # streamz has no types
    """A node with a context, which keeps it alive: streamz only holds weak references downstream."""

    def __init__(self, upstream: Stream, ctx: Context, **options: Any) -> None:
        self.ctx = ctx
        ctx.nodes.append(self)
        super().__init__(upstream, **options)


@Stream.register_api(attribute_name="decode")
class Decode(Node):
    """Messages → Samples; what can't be used goes to the dead letters."""

    def __init__(self, upstream: Stream, ctx: Context) -> None:
        settings = ctx.settings
        self.decoder = Decoder(
            ctx.sensor,
            default_rig=settings.rig.default_id,
            future_us_max=round(settings.window.future_max * 1e6),
            record_bytes_max=settings.limits.record_bytes,
            rig_bytes_max=settings.limits.rig_bytes,
            first=settings.step.decoder,
            from_key=settings.rig.from_key,
        )
        self.census = Census(Terms.of(settings.limits))
        self.rates = Rates(ctx, settings.observe.rigs_max)
        self.crowd = Crowd(ctx, self.census)
        self.nameless = Nameless(ctx)
        ctx.tally = self.tally = Tally(ctx.sensor)
        super().__init__(upstream, ctx)
        ctx.states["rigs"] = self.census
        ctx.states["tally"] = self.tally
        ctx.inspectors.append(self.inspect)
        ctx.refeed.append(self.again)
        ctx.crossings.append(lambda base, _whole: self.census.end(base - 1))

    def update(self, x: Messages, who: object = None, metadata: object = None) -> Any:
        with self.ctx.timed("decode"):
            samples, rejects = self.decoder.decode(x, self.census)
            dead_letters(self.ctx, rejects)
            self.rates.look(samples)
            self.crowd.look()
            self.nameless.look(self.decoder.nameless)
        done = self._emit(samples, metadata=metadata)
        with self.ctx.timed("decode"):
            said = self.tally.take(x, samples, rejects)  # now that it is known which were late
        if said and not self.ctx.quiet:
            topic = self.ctx.settings.topic("analytics")
            self.ctx.outbox.extend(Outgoing(topic, *publishing.refused_row(one)) for one in said)
        return done

    def again(self, x: Samples) -> Any:
        """Take samples from raw/, which have been let in once."""
        self.census.take(x)
        return self._emit(x)

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
        if not ctx.quiet:
            ctx.outbox.extend(publishing.dead_letter(ctx.settings, r) for r in rejects)


@Stream.register_api(attribute_name="sliding_windows")
class SlidingWindowsNode(Node):
    """Samples → Windows: final ones at once, changed open ones on each tick. `late` is the stream of Late."""

    def __init__(self, upstream: Stream, ctx: Context) -> None:
        window = ctx.settings.window
        self.windows = SlidingWindows(
            ctx.sensor,
            terms=Terms.of(ctx.settings.limits),
            length_us=round(window.length * 1e6),
            slide_us=round(window.slide * 1e6),
            lateness_us=round(window.lateness * 1e6),
        )
        self.late = Stream()
        self.ranges = Ranges(ctx)
        super().__init__(upstream, ctx)
        ctx.states["windows"] = self.windows
        ctx.crossings.append(self.cross)
        ctx.inspectors.append(self.inspect)
        if window.emit == "updates":
            ctx.tickers.append(self.tick)

    def update(self, x: Samples, who: object = None, metadata: object = None) -> Any:
        with self.ctx.timed("windows"):
            final, late = self.windows.consume(x)
            self.ctx.totals["windows"] += len(final)
            self.ranges.look(final)
        if len(late.samples):
            self.ctx.tally.late(late.samples)
            self.late.emit(late)
        return self._emit(final, metadata=metadata) if len(final) else []

    def tick(self, position: int) -> None:
        """Send the open windows that changed; in a replay they have been published before."""
        if self.ctx.quiet:
            self.windows.forget_changes()
            return
        with self.ctx.timed("windows"):
            rows = self.windows.updates(position - 1)
        if len(rows):
            self._emit(rows)

    def cross(self, base: int, whole: bool) -> None:
        """Begin anew with another log, at `base`; windows that were open are final if they are whole."""
        final = self.windows.end(base - 1)
        if whole and len(final):
            self.ctx.totals["windows"] += len(final)
            self._emit(final)

    def inspect(self, report: PartitionReport) -> None:
        """Add watermark, counts and the fullest open windows."""
        silent_s = self.ctx.settings.detect.silent_after or AWAY_S
        odd = self.ctx.tally.odd(1 + math.ceil(silent_s / 60))
        report.watermark_us = self.windows.watermark_without(odd)
        report.keys = len(self.windows)
        report.state_bytes += self.windows.state_bytes
        report.totals |= {"kept": self.windows.kept, "late": self.windows.late}
        length_us = round(self.ctx.settings.window.length * 1e6)
        report.readings = readings(self.windows.oldest_open(self.ctx.settings.observe.rigs_max), length_us)


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


@Stream.register_api(attribute_name="cycle_profiles")
class CycleProfilesNode(Node):
    """Samples → Profiles, each once its cycle is complete or over."""

    def __init__(self, upstream: Stream, ctx: Context) -> None:
        self.profiles = CycleProfiles(
            ctx.sensor,
            lateness_us=round(ctx.settings.window.lateness * 1e6),
            terms=Terms.of(ctx.settings.limits),
        )
        self.unprofiled = Unprofiled(ctx, self.profiles)
        super().__init__(upstream, ctx)
        ctx.states["cycles"] = self.profiles
        ctx.crossings.append(self.cross)
        ctx.inspectors.append(self.inspect)

    def update(self, x: Samples, who: object = None, metadata: object = None) -> Any:
        with self.ctx.timed("cycles"):
            done = self.profiles.consume(x)
            self.ctx.totals["cycles"] += len(done)
            self.unprofiled.look()
        return self._emit(done, metadata=metadata) if len(done) else []

    def cross(self, base: int, whole: bool) -> None:
        """Begin anew with another log, at `base`; of cycles that were open there is no more to come."""
        done = self.profiles.end(base - 1)
        if whole and len(done):
            self.ctx.totals["cycles"] += len(done)
            self._emit(done)

    def inspect(self, report: PartitionReport) -> None:
        """Add the size of the state, and what is in no profile."""
        report.state_bytes += self.profiles.state_bytes
        report.totals |= self.unprofiled.totals()


@Stream.register_api(attribute_name="publish")
class Publish(Node):
    """Windows or Profiles → JSON records that wait for the transaction."""

    def __init__(self, upstream: Stream, ctx: Context, topic: str) -> None:
        self.topic = ctx.settings.topic(topic)
        super().__init__(upstream, ctx)

    def update(self, x: Windows | Profiles, who: object = None, metadata: object = None) -> None:
        if self.ctx.quiet:
            return
        with self.ctx.timed("publish"):
            if isinstance(x, Windows):
                length_us = round(self.ctx.settings.window.length * 1e6)
                encoded = publishing.window_rows(x, length_us, self.ctx.partition)
            else:
                encoded = publishing.cycle_rows(x)
            self.ctx.outbox.extend(Outgoing(self.topic, key, value) for key, value in encoded)


@Stream.register_api(attribute_name="store")
class Store(Node):
    """Samples, Late, Windows or Profiles → Parquet files in a folder of the lake; passes on what it takes."""

    def __init__(self, upstream: Stream, ctx: Context, folder: str, *, by_date: bool = False) -> None:
        below = f"{folder}/sensor={ctx.sensor}"
        column = "offset" if folder in ("raw", "late") else "revision"
        self.output = FileOutput(
            ctx.lake,
            below,
            ctx.source,
            folder_of=(lambda table: f"{below}/date={first_date(table)}") if by_date else (lambda _table: below),
            column=column,
            keep=folder != "raw",
            metadata={METADATA: Geometry.of(ctx.settings.window).encoded} if folder == "windows" else {},
        )
        super().__init__(upstream, ctx)
        ctx.files[folder] = self.output

    def update(self, x: Samples | Late | Windows | Profiles, who: object = None, metadata: object = None) -> Any:
        with self.ctx.timed("archive"):
            if isinstance(x, Samples):
                self.output.add_samples(x, self.ctx.now_s())
            elif (table := self._table(x)) is not None:
                self.output.add(table, self.ctx.now_s())
        return self._emit(x, metadata=metadata)

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
