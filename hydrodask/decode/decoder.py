"""Messages of one topic → Samples and Rejects.

Three decoders take a record in turn, each what the one before has handed on: `canonical` (compiled) knows the one
layout of the platform's own producers, `flat` (compiled) other layouts of plain ASCII, `general` (msgspec,
one by one) all of JSON, and says why what is left is no sample. They give the same bits.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from hydrodask.blobs import Blobs
from hydrodask.clock import parse_iso
from hydrodask.decode import canonical, flat, general
from hydrodask.decode.census import Census
from hydrodask.decode.manner import Manner
from hydrodask.decode.rigcodes import find_rigs
from hydrodask.kernels import njit
from hydrodask.records import Bool, Bytes, Int64, Messages, Reject, Samples
from hydrodask.rigs import RIGS, RigTable
from hydrodask.settings import Settings

EARLIEST_US, LATEST_US = parse_iso("1678-01-01"), parse_iso("2262-01-01")
TIME_REASON = "timestamp is before 1678 or after 2261"
"""Event times that any reader of the lake can hold, nanoseconds included, with room for windows around them."""

DecoderName = Literal["canonical", "flat", "general"]
DECODERS: tuple[DecoderName, ...] = get_args(DecoderName)

VALUE_MAX = 1e100
"""Largest magnitude of a value: sums of squares of many such still fit a double."""

_Parser = Callable[..., int]


class Decoder:
    """Decodes what is on the topic of one sensor. Holds no state that a record could change.

    `first` is the decoder to begin with: a later one is slower, and the results are the same, to the last bit.
    """

    def __init__(
        self,
        sensor: str,
        *,
        default_rig: str,
        future_us_max: int,
        record_bytes_max: int,
        rig_bytes_max: int,
        first: DecoderName = "canonical",
        from_key: bool = False,
        rigs: RigTable = RIGS,
    ) -> None:
        self.sensor = sensor
        self._default_rig = rigs.code(default_rig)
        self._future_us_max = future_us_max
        self._limits = (record_bytes_max, rig_bytes_max)
        self._from_key = from_key
        self.nameless: list[bytes | None] = []
        """Keys of the first and the last record of the newest batch, if these name no rig."""
        parsers = [(canonical.parse, canonical.opening(sensor)), (flat.parse, np.frombuffer(sensor.encode(), np.uint8))]
        self._parsers: list[tuple[_Parser, Bytes]] = parsers[DECODERS.index(first) :]
        self._rigs = rigs

    @classmethod
    def of(cls, settings: Settings, sensor: str, manner: Manner | None = None) -> "Decoder":
        """Return the decoder of a sensor's topic, the same for the flow and for `verify`; None: as the settings say."""
        return cls(sensor, first=settings.step.decoder, **(manner or Manner.of(settings))._asdict())

    def decode(self, messages: Messages, census: Census | None = None) -> tuple[Samples, list[Reject]]:
        """Return the samples and the rejects, each in offset order. Tombstones are neither.

        With a `census` samples of rigs that are too many are rejects, too, and their names get no codes.
        """
        columns = _Columns(len(messages))
        left = np.flatnonzero(messages.values.present)
        for parse, known in self._parsers:
            left = self._parse(parse, known, messages.values, left, columns)
        left = np.concatenate([left, self._read_values(messages.values.data, columns)])
        self._name_rigs(messages.values.data, columns)
        reasons = self._general(messages.values, left, columns) if len(left) else {}
        unread = set(reasons)
        self._look_at_keys(messages, columns, reasons)
        self._refuse(columns, messages.timestamps_ms, reasons)
        self._settle_rigs(columns, messages.offsets, census, reasons)
        return self._samples(messages, columns), self._rejects(messages, reasons, unread, columns)

    def _parse(self, parse: _Parser, known: Bytes, values: Blobs, left: Int64, columns: "_Columns") -> Int64:
        """Run a parser over the places in `left`, with what it knows of the sensor; return those that it hands on."""
        at = (values.data, values.bounds, left, known, self._limits)
        if not parse(*at, columns.ints, columns.floats, columns.spans, columns.good):
            return left[:0]
        return left[~columns.good[left]]

    def _read_values(self, data: Bytes, columns: "_Columns") -> Int64:
        """Read values with more digits than a kernel computes with; return places of those that no double can hold."""
        places = np.flatnonzero(np.isnan(columns.floats[:, 0]) & columns.good)
        if len(places):
            text = data.data
            columns.floats[places, 0] = [float(text[a:b]) for a, b in columns.spans[places, 2:].tolist()]
            places = places[np.isinf(columns.floats[places, 0])]
            columns.good[places] = False
        return places

    def _name_rigs(self, data: Bytes, columns: "_Columns") -> None:
        """Fill in the rigs' codes of what was parsed; a name without one waits in `columns.names`."""
        table = (self._rigs.pool, self._rigs.spans, self._rigs.slots)
        if find_rigs(data, columns.spans, columns.good, table, self._default_rig, columns.rig):
            for i in np.flatnonzero(columns.good & (columns.rig < 0)):
                start, end = columns.spans[i, :2]
                columns.rig[i] = columns.waiting(data[start:end].tobytes().decode())

    def _general(self, values: Blobs, left: Int64, columns: "_Columns") -> dict[int, str]:
        """Decode the places in `left` one by one; return the reasons of those that can't be."""
        done = general.decode(
            [values[i] or b"" for i in left.tolist()],
            sensor=self.sensor,
            bytes_max=self._limits[0],
            rig_bytes_max=self._limits[1],
        )
        at = left[done.where]
        columns.good[at] = True
        columns.ints[at, 0], columns.ints[at, 1], columns.ints[at, 2] = done.cycle, done.sample_idx, done.time_us
        columns.floats[at, 0], columns.floats[at, 1] = done.value, done.rate_hz
        columns.spans[at, 0], columns.spans[at, 1] = 0, [name is not None for name in done.rig]
        columns.rig[at] = [self._default_rig if name is None else self._code(name, columns) for name in done.rig]
        return {int(left[place]): reason for place, reason in done.reasons.items()}

    def _look_at_keys(self, messages: Messages, columns: "_Columns", reasons: dict[int, str]) -> None:
        """Take the rigs of records that name none from their keys, if that is wanted; remember some of these keys."""
        starts, ends = columns.spans[:, 0], columns.spans[:, 1]
        if not self._from_key:
            self.nameless = [messages.keys[i] for i in _ends(columns.good) if starts[i] == ends[i]]
            return
        places = np.flatnonzero(columns.good & (starts == ends))
        if not len(places):
            return
        spans = np.stack([messages.keys.bounds[places], messages.keys.bounds[places + 1]], axis=1)
        table, codes = (self._rigs.pool, self._rigs.spans, self._rigs.slots), np.zeros(len(places), np.int32)
        find_rigs(messages.keys.data, spans, np.ones(len(places), np.bool_), table, self._default_rig, codes)
        columns.rig[places] = codes
        for i in places[codes < 0].tolist():
            key = messages.keys[i]
            name = general.rig_of(key, self._limits[1])
            if name is None:
                columns.good[i], columns.rig[i] = False, self._default_rig
                reasons[i] = f"the key is no rig's name: {key!r:.60}"
            else:
                columns.rig[i] = columns.waiting(name)

    def _refuse(self, columns: "_Columns", timestamps_ms: Int64, reasons: dict[int, str]) -> None:
        """Make rejects of records that are well-formed and make no sense, in the general decoder's order."""
        if _sensible(columns.ints, columns.floats, columns.good, timestamps_ms, self._future_us_max):
            return
        for i in np.flatnonzero(columns.good & ~(columns.floats[:, 1] > 0)):
            columns.good[i] = False
            reasons[int(i)] = f"sampling_rate_hz is {columns.floats[i, 1]}; want more than 0"
        time_us = columns.ints[:, 2]
        # One clock that is far ahead would make all that follows late.
        ahead_us = time_us - timestamps_ms * 1000
        for i in np.flatnonzero((ahead_us > self._future_us_max) & columns.good & (timestamps_ms >= 0)):
            columns.good[i] = False
            reasons[int(i)] = f"timestamp is {ahead_us[i] / 1e6:.3f} s ahead of the broker's"
        for i in np.flatnonzero(((time_us < EARLIEST_US) | (time_us >= LATEST_US)) & columns.good):
            columns.good[i] = False
            reasons[int(i)] = TIME_REASON
        for i in np.flatnonzero((np.abs(columns.floats[:, 0]) > VALUE_MAX) & columns.good):
            columns.good[i] = False
            reasons[int(i)] = f"value not finite: the square of {columns.floats[i, 0]:g} would overflow statistics"

    def _code(self, name: str, columns: "_Columns") -> int:
        known = self._rigs.known(name)
        return columns.waiting(name) if known is None else known

    def _settle_rigs(self, columns: "_Columns", offsets: Int64, census: Census | None, reasons: dict[int, str]) -> None:
        """Give codes to names that have none, as far as there is room for them."""
        if census is None:
            for i in np.flatnonzero(columns.good & (columns.rig < 0)).tolist():
                columns.rig[i] = self._rigs.code(columns.names[-2 - columns.rig[i]])
            return
        time_us = np.ascontiguousarray(columns.ints[:, 2])
        if columns.good.all():
            refused = census.admit(columns.rig, columns.names, time_us, offsets)
        else:
            places = np.flatnonzero(columns.good)
            codes = columns.rig[places]
            refused = places[census.admit(codes, columns.names, time_us[places], offsets[places])].tolist()
            columns.rig[places] = codes
        for i in refused:
            columns.good[i] = False
            reasons[i] = (
                f"rig {self._named(columns, i)[:40]!r} is one too many: limits.rigs is {census.rigs_max} a partition"
            )

    def _named(self, columns: "_Columns", place: int) -> str:
        """Return the name of a record's rig, which may have no code."""
        code = int(columns.rig[place])
        return columns.names[-2 - code] if code < 0 else self._rigs.name(code)

    def _samples(self, messages: Messages, columns: "_Columns") -> Samples:
        every = bool(columns.good.all())
        which: slice | Bool = slice(None) if every else columns.good
        ints, floats = columns.ints[which], columns.floats[which]
        return Samples(
            self.sensor,
            messages.topic,
            messages.partition,
            rig=columns.rig[which],
            cycle=np.ascontiguousarray(ints[:, 0]),
            sample_idx=np.ascontiguousarray(ints[:, 1]),
            value=np.ascontiguousarray(floats[:, 0]),
            time_us=np.ascontiguousarray(ints[:, 2]),
            rate_hz=np.ascontiguousarray(floats[:, 1]),
            offset=messages.offsets[which],
        )

    def _rejects(
        self, messages: Messages, reasons: dict[int, str], unread: set[int], columns: "_Columns"
    ) -> list[Reject]:
        """Return the rejects; the rig of an `unread` one is what its key says."""
        rejects = []
        for i in sorted(reasons):
            key = messages.keys[i]
            rig = general.rig_of(key, self._limits[1]) if i in unread else self._named(columns, i)
            where = (messages.topic, messages.partition, int(messages.offsets[i]))
            rejects.append(Reject(*where, key, messages.values[i], reasons[i], rig))
        return rejects


@njit(cache=True)
def _sensible(ints, floats, good, timestamps_ms, future_us_max):  # type: ignore[no-untyped-def]
    """Say whether all good records make sense: nearly always, and one look at each finds that."""
    for i in range(len(good)):
        time_us = ints[i, 2]
        ahead = timestamps_ms[i] >= 0 and time_us - timestamps_ms[i] * 1000 > future_us_max
        if good[i] and (
            ahead
            or time_us < EARLIEST_US
            or time_us >= LATEST_US
            or not floats[i, 1] > 0
            or not abs(floats[i, 0]) <= VALUE_MAX
        ):
            return False
    return True


def _ends(good: Bool) -> list[int]:
    """Return the places of the first and the last of the good ones, without a look at those between."""
    first = int(good.argmax()) if len(good) else 0
    return [first, len(good) - 1 - int(good[::-1].argmax())] if len(good) and good[first] else []


class _Columns:
    """The decoded columns of `n` records; rows that are not `good` hold rubbish."""

    def __init__(self, n: int) -> None:
        self.ints = np.zeros((n, 3), np.int64)
        self.floats = np.zeros((n, 2), np.float64)
        self.spans = np.zeros((n, 4), np.int64)
        self.rig = np.zeros(n, np.int32)
        self.good = np.zeros(n, np.bool_)
        self.names: list[str] = []

    def waiting(self, name: str) -> int:
        """Return what stands for a name that has no code yet."""
        self.names.append(name)
        return -1 - len(self.names)
