"""The general decoder: any JSON record that means a sample, one at a time, with a reason for each that does not.

A run of plain records is decoded at once; records that have escapes, or not one object each, are decoded one by one. So
two documents in one record, or one document in two, never shift the values of their neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from hydrodask import clock
from hydrodask.blobs import Blobs
from hydrodask.channels import CHANNELS
from hydrodask.decode.timestamps import parse_times
from hydrodask.records import Bool, Float64, Int64

DEPTH_MAX = 256
"""Deepest nesting that is decoded. Ours, because the interpreter's own limit depends on who calls."""

_SHORTEST = len('{"a"}')
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Record(msgspec.Struct, gc=False):
    """`records.SensorRecord` with the range of its integers checked."""

    sensor: str
    cycle: _Int64
    sample_idx: _Int64
    value: float
    timestamp: str
    sampling_rate_hz: float
    rig: str | None = None


_decode = msgspec.json.Decoder(_Record).decode
_decode_all = msgspec.json.Decoder(_Record).decode_lines


@dataclass(slots=True)
class Decoded:
    """What became of some records: `where` (n,) are the places of the good ones, the columns belong to them.

    `reasons` holds the others: place → reason.
    """

    where: Int64
    cycle: Int64
    sample_idx: Int64
    value: Float64
    time_us: Int64
    rate_hz: Float64
    rig: list[str | None]
    reasons: dict[int, str] = field(default_factory=dict)


def decode(values: Blobs, places: Int64, *, sensor: str, bytes_max: int, rig_bytes_max: int) -> Decoded:
    """Decode `values` at `places`, none of them absent, for the topic of `sensor`; never raises for what is in them.

    What comes of it speaks of places in `places`.
    """
    if places[-1] - places[0] == len(places) - 1:
        columns = _columns(_decode_together(values[places[0] : places[-1] + 1]))
        usual = columns.sensor.count(sensor) == len(places) and min(columns.rate_hz) > 0
        if usual and not any(wrong_with(name, rig_bytes_max) for name in set(columns.rig)):
            return _decoded(columns, np.arange(len(places)), {})
    return _decode_each([values[i] or b"" for i in places.tolist()], sensor, bytes_max, rig_bytes_max)


def _decode_together(values: Blobs) -> list[_Record]:
    """Return records that are all plain, decoded with one call; none when one of them is not.

    The call takes documents one behind the other and does not say where each ends. But no plain record ends within a
    document: not within a string, as that would end at the quote after the next brace, where a letter follows; nor
    outside of one, as a brace can't follow a brace there. So as many documents as records means one in each.
    """
    block = values.data[values.bounds[0] : values.bounds[-1]]
    if not _are_plain(block, values.bounds - values.bounds[0]):
        return []
    try:
        records = _decode_all(block.data)
    except ValueError:
        return []
    return records if len(records) == len(values) else []


def _are_plain(block: NDArray[np.uint8], bounds: Int64) -> bool:
    """Whether all are ASCII without escapes, none too long to be nested too deep, and look like `{"letter…}`."""
    starts, sizes, text = bounds[:-1], np.diff(bounds), block.tobytes()
    if sizes.min() < _SHORTEST or sizes.max() > DEPTH_MAX or b"\\" in text or not text.isascii():
        return False
    braces = (block[starts] == ord("{")) & (block[bounds[1:] - 1] == ord("}"))
    letters = (block[starts + 2] | 32) - ord("a") < 26  # without sign: what is before `a` becomes large
    return bool((braces & (block[starts + 1] == ord('"')) & letters).all())


def _decode_each(values: Sequence[bytes], sensor: str, bytes_max: int, rig_bytes_max: int) -> Decoded:
    """Decode one at a time, so that one poison record costs one record."""
    records: list[_Record] = []
    where: list[int] = []
    reasons: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            inspect(value, bytes_max)
            record = _decode(value)
            check(record, sensor, rig_bytes_max)
        except ValueError as error:  # msgspec's errors are ValueErrors, and so are ours
            reasons[place] = reason_of(error)
        else:
            records.append(record)
            where.append(place)
    return _decoded(_columns(records), np.array(where, np.int64), reasons)


def inspect(value: bytes, bytes_max: int) -> None:
    """Raise ValueError with the reason when `value` should not even be decoded."""
    if len(value) > bytes_max:
        raise ValueError(f"too large: {len(value)} bytes, at most {bytes_max} are taken")
    value.decode()
    if len(value) > DEPTH_MAX and depth(value) > DEPTH_MAX:
        raise ValueError(f"nested deeper than {DEPTH_MAX}")


def depth(value: bytes) -> int:
    """Return the deepest nesting of brackets outside strings.

    >>> depth(b'{"a": [[]], "b": "[[[["}')
    3
    """
    level = deepest = 0
    inside = escaped = False
    for byte in value:
        if inside:
            inside = escaped or byte != 34
            escaped = byte == 92 and not escaped
        elif byte == 34:
            inside = True
        elif byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def check(record: _Record, sensor: str, rig_bytes_max: int) -> None:
    """Raise ValueError, with the reason as its text, when a well-formed record makes no sense on this topic."""
    if record.sensor not in CHANNELS:
        raise ValueError(f"unknown sensor {record.sensor[:40]!r}")
    if record.sensor != sensor:
        raise ValueError(f"sensor {record.sensor} is not the topic's ({sensor})")
    if not record.sampling_rate_hz > 0:
        raise ValueError(f"sampling_rate_hz is {record.sampling_rate_hz}; want more than 0")
    if reason := wrong_with(record.rig, rig_bytes_max):
        raise ValueError(reason)


def wrong_with(rig: str | None, bytes_max: int) -> str | None:
    """Return why `rig` can't be the name of one; no name at all is all right."""
    if rig is None:
        return None
    if not rig or not rig.isprintable():
        return "rig is empty or has unprintable characters"
    return f"rig is longer than {bytes_max} bytes" if len(rig.encode()) > bytes_max else None


def reason_of(error: ValueError) -> str:
    """Return the reason that goes with a reject; an empty one means that nothing is wrong."""
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        if "Number out of range" in text:
            return f"value not finite: {text}"
        return f"missing field: {text}" if "missing required" in text else f"mistyped field: {text}"
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError):
        return f"not JSON: {text}"
    return text


class _Columns(NamedTuple):
    """The fields of records, a list for each: `_Record`'s in its order."""

    sensor: list[str]
    cycle: list[int]
    sample_idx: list[int]
    value: list[float]
    timestamp: list[str]
    rate_hz: list[float]
    rig: list[str | None]


def _columns(records: Sequence[_Record]) -> _Columns:
    """Return the fields of `records`; turning a tuple of each takes twice as long as asking for each field."""
    return _Columns(
        [r.sensor for r in records],
        [r.cycle for r in records],
        [r.sample_idx for r in records],
        [r.value for r in records],
        [r.timestamp for r in records],
        [r.sampling_rate_hz for r in records],
        [r.rig for r in records],
    )


def _decoded(columns: _Columns, where: Int64, reasons: dict[int, str]) -> Decoded:
    """Return `columns` as arrays, without records whose timestamp is none."""
    time_us, good = _times(columns.timestamp)
    n = len(where)
    found = Decoded(
        where,
        np.fromiter(columns.cycle, np.int64, n),
        np.fromiter(columns.sample_idx, np.int64, n),
        np.fromiter(columns.value, np.float64, n),
        time_us,
        np.fromiter(columns.rate_hz, np.float64, n),
        columns.rig,
        reasons,
    )
    return found if good.all() else _without_time(found, good, columns.timestamp)


def _without_time(found: Decoded, good: Bool, texts: Sequence[str]) -> Decoded:
    """Take out records whose timestamp is none, with that as the reason."""
    bad = np.flatnonzero(~good).tolist()
    wrong = {int(found.where[i]): f"timestamp {texts[i][:40]!r} is not ISO 8601" for i in bad}
    return Decoded(
        where=found.where[good],
        cycle=found.cycle[good],
        sample_idx=found.sample_idx[good],
        value=found.value[good],
        time_us=found.time_us[good],
        rate_hz=found.rate_hz[good],
        rig=list(compress(found.rig, good)),
        reasons=found.reasons | wrong,
    )


def _times(texts: Sequence[str]) -> tuple[Int64, Bool]:
    """Return (µs since the epoch, ok) of each text."""
    lines = "\n".join([*texts, ""])
    if lines.count("\n") > len(texts):
        lines = "".join(text.replace("\n", "?") + "\n" for text in texts)
    out, ok = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    parse_times(np.frombuffer(lines.encode(), np.uint8), out, ok)
    for i in np.flatnonzero(~ok):
        try:
            out[i], ok[i] = clock.parse_iso(texts[int(i)]), True
        except (ValueError, OverflowError):
            ok[i] = False
    return out, ok
