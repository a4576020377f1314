"""Nodes for records of our own topics: JSON → structs, windows → anomalies, incidents → documents."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from hydrodask import clock
from hydrodask.decode import decode_label
from hydrodask.decode.manner import Manner
from hydrodask.decode.windowrows import decode_row
from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import DEAF, HEARING, SETTLED, Arrival, arrivals
from hydrodask.detect.detector import since_of
from hydrodask.detect.incidents import ANOMALIES
from hydrodask.nodes import editions
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import SideOutput
from hydrodask.nodes.node import Node
from hydrodask.nodes.sensors import dead_letters
from hydrodask.records import Change, CycleRecord, LabelRecord, Messages, Outgoing, Reject, Upsert, WindowRecord
from hydrodask.reports import Band, PartitionReport
from hydrodask.settings import Settings
from hydrodask.settings.relations import rigs_live
from hydrodask.store.files import Files
from hydrodask.store.output import FileOutput
from hydrodask.store.schemas import bands_table

Row = TypeVar("Row", bound=msgspec.Struct)

ASK_S = 20.0
"""Without a record for so long the detector asks what time it is: less than `silence.PAUSE_MS`."""

TELL_S = 5.0
"""What it tells itself has come back by then."""

_TIMES: dict[type[msgspec.Struct], str] = {WindowRecord: "window_start", CycleRecord: "cycle_start"}
"""The field of each kind of row that has to be a time."""


class DecodeJson(Node[Messages, list[tuple[int, Row]]]):
    """Messages → pairs of offset and row of one struct type; what can't be decoded goes to the dead letters."""

    stage = "decode"

    def __init__(self, ctx: Context, struct: type[Row]) -> None:
        self.ctx = ctx
        self._decode: Callable[[bytes, bytes | None], Row] = decoder_of(struct, ctx.settings)

    def take(self, batch: Messages) -> list[tuple[int, Row]] | None:
        return rows_of(batch, self._decode, self.ctx) or None


def rows_of(messages: Messages, decode: Callable[[bytes, bytes | None], Row], ctx: Context) -> list[tuple[int, Row]]:
    """Return what can be decoded of a batch, tombstones left out, and send the rest to the dead letters."""
    rows: list[tuple[int, Row]] = []
    rejects = []
    for place, value in enumerate(messages.values):
        if value is None:
            continue
        offset = int(messages.offsets[place])
        try:
            rows.append((offset, decode(value, messages.keys[place])))
        except ValueError as error:
            where = (messages.topic, messages.partition, offset)
            rejects.append(Reject(*where, messages.keys[place], value, str(error)))
    dead_letters(ctx, rejects)
    ctx.totals["kept"] += len(rows)
    return rows


def decoder_of(struct: type[msgspec.Struct], settings: Settings) -> Callable[[bytes, bytes | None], Any]:
    """Return what makes a row of a record and its key. It raises ValueError with the reason when the record is none."""
    if struct is LabelRecord:
        return partial(decode_label, manner=Manner.of(settings))
    return partial(_row, msgspec.json.Decoder(struct).decode, _TIMES[struct])


def _row(decode: Callable[[bytes], Any], time: str, value: bytes, _key: bytes | None) -> Any:
    """Return a row of ours. Raises ValueError with the reason, also when its time is none."""
    try:
        row = decode(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not what this topic holds: {error}") from error
    text = getattr(row, time)
    try:
        clock.parse_iso(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{time} {text[:40]!r} is not ISO 8601") from None
    return row


class DecodeRows(Node[Messages, list[Arrival]]):
    """Messages of window rows → Arrivals, those that only say that it is later now too."""

    stage = "decode"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def take(self, batch: Messages) -> list[Arrival] | None:
        return arrivals(batch, rows_of(batch, lambda value, _key: decode_row(value), self.ctx)) or None


class Detect(Node[list[Arrival], list[Change]]):
    """Arrivals → changes of anomaly and incident documents, by the criteria of each one's offset.

    `bands` is the edge of the baselines that have judged.
    Time passes for it with the records that come. When none come, though there are rigs that may have stopped, it asks
    the broker for the time: a record without a value, to its own partition. Another one says that sensors' partitions
    are not read, and from there on none passes.
    """

    name = "detector"
    stage = "detect"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.next_offset = 0
        self.criteria = Criteria.of(ctx.settings)
        self.editions = [editions.Edition(0, self.criteria)]
        self.judging = editions.Judging(self.editions)
        self.heard_s = ctx.now_s()
        self._told_s = float("-inf")
        self.per_rig: dict[str, dict[str, int]] = {}
        self.anomalies: dict[tuple[str, str, str], int] = {}
        self.bands: SideOutput[list[Band]] = SideOutput()
        self.side_outputs = (self.bands,)

    def open(self, files: Files, unseen: int) -> list[str]:
        """Find the editions of the criteria; rows from `unseen` on are judged by those of now. Returns notes."""
        self.editions, notes = editions.settle(files, self.ctx.source, self.criteria, at=unseen)
        self.judging = editions.Judging(self.editions)
        return notes

    def take(self, batch: list[Arrival]) -> list[Change] | None:
        changes: list[Change] = []
        bands: list[Band] = []
        self.heard_s = self.ctx.now_s()
        for one in batch:
            if one.offset >= self.next_offset:
                self.next_offset = one.offset + 1
                changes += self._take(one)
                bands += self.judging.bands
        if bands:
            self.bands.put(bands)
        return changes or None

    def tick(self, position: int) -> None:
        """Ask for the time when nobody has told it for a while; say when time begins to stand still, and to pass."""
        silence, deaf, now_s = self.judging.silence, self.ctx.deaf, self.ctx.now_s()
        if silence.pending and silence.deaf != deaf and now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            self._ask(DEAF if deaf else HEARING)
        elif silence.pending and not deaf and now_s - self.heard_s >= ASK_S:
            self._ask(None)

    def settle(self) -> None:
        """Say to ourselves that nobody is behind only because he has not been read yet."""
        if self.judging.silence.overdue:
            self._ask(SETTLED)

    def _ask(self, key: bytes | None) -> None:
        if not self.ctx.quiet:
            self.heard_s = self.ctx.now_s()
            self.ctx.outbox.append(Outgoing(self.ctx.topic, key, None, partition=self.ctx.partition))

    def _take(self, one: Arrival) -> list[Change]:
        found = self.judging.take(one)
        for rig in self.judging.gone:
            self.per_rig.pop(rig, None)
            self.anomalies = {key: count for key, count in self.anomalies.items() if key[0] != rig}
        if isinstance(one.row, WindowRecord):
            self._count(one.row.rig, found, one.stamp_ms, self.judging.detector.missing)
        return found

    def _count(self, rig: str, found: list[Change], stamp_ms: int, missing: int) -> None:
        """Count a row of a rig, the samples that it lacks, and the anomalies that it makes."""
        counts = self.per_rig.setdefault(rig, {"consumed": 0, "anomalies": 0})
        counts["consumed"] += 1
        counts["newest_ms"] = max(stamp_ms, counts.get("newest_ms", 0))
        counts["missing"] = counts.get("missing", 0) + missing
        for change in found:
            if isinstance(change, Upsert) and change.collection == ANOMALIES and not change.body["provisional"]:
                key = (rig, str(change.body["sensor"]), str(change.body["rule"]))
                counts["anomalies"] += 1
                self.anomalies[key] = self.anomalies.get(key, 0) + 1

    def snapshot(self) -> dict[str, Any]:
        """Return the detector's state."""
        per_rig = {rig: dict(self.per_rig[rig]) for rig in sorted(self.per_rig)}
        anomalies = [[*key, self.anomalies[key]] for key in sorted(self.anomalies)]
        own = {"next_offset": self.next_offset, "per_rig": per_rig, "anomalies": anomalies}
        return own | self.judging.snapshot()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.next_offset = state["next_offset"]
        self.judging = editions.Judging(self.editions, since=since_of(state["detector"]))
        self.judging.restore(state)
        self.per_rig = {rig: dict(counts) for rig, counts in state.get("per_rig", {}).items()}  # older ones have none
        self.anomalies = {(rig, sensor, name): count for rig, sensor, name, count in state.get("anomalies", ())}

    def inspect(self, report: PartitionReport) -> None:
        """Add health, what is active, and totals."""
        report.totals |= self.judging.totals()
        health = self.judging.health()
        rigs_max = rigs_live(self.ctx.settings)
        shown = set(list(dict.fromkeys(rig for rig, _sensor in health))[:rigs_max])
        report.health = {key: value for key, value in health.items() if key[0] in shown}
        report.per_rig = {rig: self._counts(rig) for rig in self.per_rig if rig in shown}
        report.anomalies = {key: count for key, count in self.anomalies.items() if key[0] in shown}
        if self.ctx.settings.observe.metrics or self.ctx.settings.observe.pushgateway:
            detector = self.judging.detector
            report.limits = detector.criteria.limits
            report.bands = detector.bands_of(list(self.per_rig)[: self.ctx.settings.observe.rigs_max])
        report.silent = [one for one in self.judging.silence.silent() if one[0] in shown]
        report.alarms = [alarm for alarm in self.judging.alarms() if alarm[0] in shown]

    def _counts(self, rig: str) -> dict[str, int]:
        """Return what is known of a rig. A sample is in so many windows, and was missed in each."""
        window = self.ctx.settings.window
        counts = self.per_rig[rig]
        return counts | {"missing": round(counts.get("missing", 0) * window.slide / window.length)}


class StoreBands(Node[list[Band], None]):
    """Lists of Band → Parquet in `bands/`: what was usual, as it judged."""

    stage = "archive"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.output = FileOutput(ctx.lake, "bands", ctx.source, folder_of=lambda _table: "bands", keep=True)
        self.files = {"bands": self.output}

    def take(self, batch: list[Band]) -> None:
        self.output.add(bands_table(batch, partition=self.ctx.partition), self.ctx.now_s())


class WriteDocuments(Node[Sequence[Change], None]):
    """Changes that wait for the document store: `worker/commit.py` writes them, before the next transaction."""

    stage = "publish"
    replays = False

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def take(self, batch: Sequence[Change]) -> None:
        self.ctx.changes.extend(batch)
