"""Hypothesis strategies, and the small makers that go with them: one place for all tests."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from hydrodask.records import Samples
from hydrodask.rigs import RigTable

US = 1_000_000
YEAR_US = 365 * 86_400 * US


@dataclass(frozen=True, slots=True)
class Geometry:
    """Length, slide and lateness of windows, in µs."""

    length_us: int
    slide_us: int
    lateness_us: int


GEOMETRIES = tuple(
    Geometry(round(length * US), round(slide * US), round(lateness * US))
    for length, slide, lateness in (
        (60, 10, 10),
        (60, 1, 10),
        (10, 10, 10),
        (60, 10, 0),
        (30, 10, 25),
        (20, 5, 7.5),
        (0.4, 0.1, 0.25),
    )
)


@dataclass(frozen=True, slots=True)
class Record:
    """One sample as tests write it down."""

    rig: str
    time_us: int
    value: float
    offset: int
    cycle: int = 0
    sample_idx: int = 0
    rate_hz: float = 1.0


VALUES = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.integers(-3, 3).map(float),
    st.sampled_from([0.0, -0.0, 151.47, 1e-300, 0.1]),
)
RIG_NAMES = st.sampled_from(["a", "b", "rig-1"])
STARTS_US = st.sampled_from([0, -7 * US, 1_767_225_600 * US, -30 * YEAR_US + 123, 10 * US])


@st.composite
def stories(draw: st.DrawFn, geometry: Geometry) -> list[Record]:
    """Return records of several rigs: walks in time with disorder, ties, borders and gaps of years."""
    slide, lateness = geometry.slide_us, geometry.lateness_us
    back_us = geometry.length_us + 2 * lateness
    step = st.one_of(
        st.integers(0, slide),
        st.integers(-lateness - slide, slide),
        st.sampled_from([0, 1, -1, slide, -slide, lateness, geometry.length_us]),
        st.integers(-back_us, back_us),
        st.sampled_from([YEAR_US, 3 * geometry.length_us + 1]),
    )
    now: dict[str, int] = {}
    records, offset = [], draw(st.sampled_from([0, 4096]))
    for rig, moved, value, gap in draw(st.lists(st.tuples(RIG_NAMES, step, VALUES, st.integers(1, 3)), max_size=60)):
        now[rig] = now.get(rig, draw(STARTS_US)) + moved
        records.append(Record(rig, now[rig], value, offset))
        offset += gap
    return records


@dataclass(frozen=True, slots=True)
class CycleGeometry:
    """Length and lateness of cycles in µs, and segments."""

    length_us: int = 6 * US
    segments: int = 6
    lateness_us: int = 2 * US


@st.composite
def cycle_stories(draw: st.DrawFn, geometry: CycleGeometry) -> list[Record]:
    """Return the samples of a few cycles with jitter, holes, duplicates, indices that can't be, and numbers again."""
    each = st.tuples(st.booleans(), st.sampled_from([0, 0, 0, 1, 1, 4, 9]), st.sampled_from([0, 0, 0, 0, 1, -30]))
    sent: list[tuple[int, Record]] = []
    holes = draw(st.booleans())
    for rig in draw(st.sampled_from([["a"], ["a", "b"]])):
        rate = draw(st.sampled_from([1.0, 2.0, 0.5]))
        start_us = draw(STARTS_US)
        numbers = draw(st.sampled_from([5, 5, 2, 1]))
        for cycle in range(draw(st.integers(1, 5))):
            for index in range(round(rate * geometry.length_us / US)):
                dropped, delay, wrong = draw(each)
                time_us = start_us + cycle * geometry.length_us + round(index / rate * US)
                value = draw(VALUES)
                record = Record(rig, time_us, value, 0, cycle % numbers, index + wrong, rate)
                if not (dropped and holes):
                    sent.append((time_us - start_us + delay * US, record))
                if delay == 9:
                    sent.append((time_us - start_us, record))
    sent.sort(key=lambda pair: pair[0])
    return [
        Record(r.rig, r.time_us, r.value, 10 + 2 * i, r.cycle, r.sample_idx, r.rate_hz) for i, (_, r) in enumerate(sent)
    ]


def cuts(most: int) -> st.SearchStrategy[list[int]]:
    """Return places at which to cut a run of records into batches; empty batches are welcome."""
    return st.lists(st.integers(0, most), max_size=8).map(sorted)


def pieces(places: Sequence[int], length: int) -> list[slice]:
    """Return the batches that cuts at `places` give, in order, all of them together `length` long.

    >>> pieces([1, 1], 3)
    [slice(0, 1, None), slice(1, 1, None), slice(1, 3, None)]
    """
    edges = [0, *(min(p, length) for p in places), length]
    return [slice(a, b) for a, b in pairwise(edges)]


def samples_of(records: Sequence[Record], rigs: RigTable, sensor: str = "PS1") -> Samples:
    """Return records as the columns that the decoder gives."""
    return Samples(
        sensor,
        f"hydraulic-{sensor}",
        0,
        rig=np.array([rigs.code(r.rig) for r in records], np.int32),
        cycle=np.array([r.cycle for r in records], np.int64),
        sample_idx=np.array([r.sample_idx for r in records], np.int64),
        value=np.array([r.value for r in records], np.float64),
        time_us=np.array([r.time_us for r in records], np.int64),
        rate_hz=np.array([r.rate_hz for r in records], np.float64),
        offset=np.array([r.offset for r in records], np.int64),
    )


# JSON that means a sample, or nearly ------------------------------------------------------------

_ODD_NUMBERS = (
    "0", "-0", "-0.0", "00", "01", "1.", ".5", "1e5", "1E-5", "1e400", "-1e400", "+1", "1_0", "0x1",
    "9007199254740991", "9007199254740992", "9007199254740993", "0.1234567890123456789012345",
    "123456789012345678901234567890", "4.9e-324", "1.7976931348623157e308", "0.30000000000000004",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "999999999999999999",
    "NaN", "Infinity", "null", "true", '"1"', "[]", "{}", "", "-", "0.0000000000000000000001",
    "0.00000000000000000000001", "1 ", "1.0",
)  # fmt: skip
_ODD_TIMES = (
    "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00.123456789+01:00", "2026-01-01",
    "2026-01-01T00:00:00.", "2026-01-01T24:00:00", "2026-02-29T00:00:00", "2024-02-29T00:00:00", "",
    "2026-01-01T00:00:60", "2026-W01-1", "20260101T000000", "2026-01-01T00:00", "1969-12-31T23:59:59.9",
    "0001-01-01T00:00:00", "9999-12-31T23:59:59", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00-01",
    "2026-01-01T00:00:00,5", "2026-13-01T00:00:00", "２026-01-01T00:00:00", "2026-01-01t00:00:00z",
    "1000-01-01T00:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00.1 ",
)  # fmt: skip
_ODD_FIELDS = (
    ("extra", '{"a": [1, 2]}'), ("cycle", "9"), ("extra", '"text"'), ("extra", '"\\n"'), ("extra", '"ä"'),
    ("extra", "nul"), ("extra", "True"), ("extra", "false"), ("extra", "nullx"), ("", "1"), ("c\\u0079cle", "9"),
)  # fmt: skip
_ODD_RIGS = (
    '"rig-1"', '"räg"', '"\\u0041"', '""', "null", '"\\ud800"', '"a\\nb"', "7", '"' + "x" * 128 + '"',
    '"' + "x" * 129 + '"', '"tab\\t"', '"日本"', '"a b"', '"\x7f"',
)  # fmt: skip

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(_ODD_NUMBERS),
)
SMALL = st.one_of(st.integers(0, 9999).map(str), st.sampled_from(_ODD_NUMBERS))
TIMES = st.one_of(
    st.datetimes().map(lambda t: t.isoformat()),
    st.datetimes().map(lambda t: t.isoformat() + "Z"),
    st.sampled_from(_ODD_TIMES),
)


_SPOILT = st.sampled_from([("", ""), ("", ""), ("[", ""), ("]", ""), ("{", "["), (",", ""), ("]", "}"), (":", ",")])
_NESTED = st.tuples(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "a", "}", "é", "\n"])),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
        max_leaves=5,
    ),
    _SPOILT,
    st.sampled_from([None, 1]),
).map(lambda drawn: json.dumps(drawn[0], indent=drawn[2], ensure_ascii=False).replace(drawn[1][0], drawn[1][1], 1))


_OFTEN = st.sampled_from([True, True, True, False])
_SPACING = st.sampled_from([(": ", ", "), (":", ","), (":   ", ","), (" :", " ,"), (": \n", ",\t"), ("\r:", "\v,")])
_EXTRA = st.one_of(
    st.sampled_from(_ODD_FIELDS), NUMBERS.map(lambda n: ("extra", n)), _NESTED.map(lambda n: ("extra", n))
)


def _fields(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Return the fields of a record as JSON, usual ones with odd ones here and there."""

    def pick(usual: str, odd: st.SearchStrategy[str]) -> str:
        return usual if draw(_OFTEN) else draw(odd)

    return [
        ("sensor", pick('"PS1"', st.sampled_from(['"PS2"', '"XX"', '"PS\\u0031"', "1", '""']))),
        ("cycle", pick("3", SMALL)),
        ("sample_idx", pick("12", SMALL)),
        ("value", draw(NUMBERS)),
        ("timestamp", json.dumps(draw(TIMES), ensure_ascii=draw(st.booleans()))),
        ("sampling_rate_hz", pick("100", NUMBERS)),
    ]


def _rig(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(['"rig-7"', '"rig-8"'])) if draw(_OFTEN) else draw(st.sampled_from(_ODD_RIGS))


@st.composite
def batches(draw: st.DrawFn) -> list[bytes | None]:
    """Return records of one layout, whatever it is, that differ in their values; one may be missing."""
    more = [[], ["rig"], ["rig", "extra"], [f"extra {k}" for k in range(draw(st.integers(1, 12)))]]
    names = ["sensor", "cycle", "sample_idx", "value", "timestamp", "sampling_rate_hz", *draw(st.sampled_from(more))]
    names = draw(st.permutations(names))
    colon, comma = draw(_SPACING)
    records: list[bytes | None] = []
    for _ in range(draw(st.integers(2, 5))):
        values = dict(_fields(draw)) | {"rig": _rig(draw)}
        text = comma.join(f'"{name}"{colon}{values.get(name) or draw(_EXTRA)[1]}' for name in names)
        records.append(None if draw(st.integers(0, 9)) == 9 else f"{{{text}}}".encode("utf-8", "surrogatepass"))
    return records


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Return a record in the canonical layout with odd parts here and there, or something near it."""
    fields = _fields(draw)
    if not draw(_OFTEN):
        fields.append(("rig", _rig(draw)))
    if not draw(_OFTEN):
        fields.append(draw(_EXTRA))
    if not draw(_OFTEN):
        fields = draw(st.permutations(fields))
    if not draw(_OFTEN):
        del fields[draw(st.integers(0, len(fields) - 1))]
    colon, comma = draw(_SPACING)
    text = "{" + comma.join(f'"{name}"{colon}{value}' for name, value in fields) + "}"
    raw = text.encode("utf-8", "surrogatepass")
    return draw(st.sampled_from(_WRAPS))(raw) if not draw(_OFTEN) else raw


_WRAPS = (
    lambda raw: raw[:-1],
    lambda raw: raw[: len(raw) // 2],
    lambda raw: raw + raw,
    lambda raw: raw + b" ",
    lambda raw: b" " + raw,
    lambda raw: raw + b"\n{}",
    lambda raw: b"\xef\xbb\xbf" + raw,
    lambda raw: raw.replace(b"PS1", b"PS\xff"),
    lambda raw: b"[" + raw + b"]",
    lambda _raw: b"",
    lambda raw: raw.replace(b"12", b"12" + b" " * 700),
)
