"""Messages into samples: the compiled parser and the general decoder agree to the last bit."""

import json
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.blobs import Blobs
from hydrodask.clock import parse_iso
from hydrodask.decode import Decoder
from hydrodask.decode.general import decode as decode_general
from hydrodask.decode.general import depth
from hydrodask.records import Reject, Samples
from hydrodask.rigs import RigTable
from tests.strategies import messages_of, payloads

STAMP_MS = 1_767_225_600_000
MOMENTS = st.datetimes(datetime(1679, 1, 1), datetime(2261, 12, 1))  # noqa: DTZ001  (zones are drawn)
GOOD = (
    b'{"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47,'
    b' "timestamp": "2026-01-01T00:00:12.340000", "sampling_rate_hz": 100}'
)


def decoder(*, compiled: bool, rigs: RigTable, record_bytes_max: int = 600) -> Decoder:
    """Return a decoder of PS1 with a rig table of its own."""
    return Decoder(
        "PS1",
        default_rig="rig-1",
        future_us_max=60_000_000,
        record_bytes_max=record_bytes_max,
        rig_bytes_max=128,
        compiled=compiled,
        rigs=rigs,
    )


def seen(
    values: list[bytes | None], *, compiled: bool, stamp_ms: int = STAMP_MS
) -> tuple[list[object], list[tuple[int, bytes | None, str]]]:
    """Return the columns' bits with rigs by name, and the rejects."""
    rigs = RigTable()
    found: tuple[Samples, list[Reject]] = decoder(compiled=compiled, rigs=rigs).decode(
        messages_of(values, first=5, stamp_ms=stamp_ms)
    )
    samples, rejects = found
    columns = [
        [rigs.name(int(code)) for code in samples.rig],
        *(c.tolist() for c in (samples.cycle, samples.sample_idx, samples.time_us, samples.offset)),
        samples.value.view(np.int64).tolist(),
        samples.rate_hz.view(np.int64).tolist(),
    ]
    return columns, [(r.offset, r.value, r.reason) for r in rejects]


@settings(max_examples=400, deadline=None)
@given(
    values=st.lists(st.one_of(payloads(), payloads(), st.none()), max_size=6),
    stamp_ms=st.sampled_from([STAMP_MS, 0, -1, 4 * 10**12]),
)
def test_compiled_parser_equals_general_decoder(values: list[bytes | None], stamp_ms: int) -> None:
    """Same columns, bit for bit, and the same rejects for the same reasons."""
    compiled = seen(values, compiled=True, stamp_ms=stamp_ms)

    assert compiled == seen(values, compiled=False, stamp_ms=stamp_ms)


@settings(max_examples=150, deadline=None)
@given(values=st.lists(payloads(), min_size=1, max_size=8), compiled=st.booleans())
def test_neighbours_do_not_matter(values: list[bytes], compiled: bool) -> None:
    """A batch gives what its records give one at a time."""
    whole = seen(list(values), compiled=compiled)
    alone = [seen([value], compiled=compiled) for value in values]

    for place, (columns, rejects) in enumerate(alone):
        kept = [c for c in zip(*whole[0], strict=True) if c[4] == 5 + place]
        single = list(zip(*columns, strict=True))
        assert [c[:4] + c[5:] for c in kept] == [c[:4] + c[5:] for c in single]
        assert [r[1:] for r in whole[1] if r[0] == 5 + place] == [r[1:] for r in rejects]


@settings(max_examples=200, deadline=None)
@given(value=st.floats(-1e99, 1e99), places=st.integers(0, 17))
def test_decimals_are_correctly_rounded(value: float, places: int) -> None:
    """Any decimal text reads as Python's JSON reads it: `-0` is an integer, `-0.0` is not."""
    for text in (repr(value), f"{value:.{places}f}", f"{value % 1000:.{places}f}"):
        columns, _ = seen([GOOD.replace(b"151.47", text.encode())], compiled=True)
        assert columns[5] == [np.float64(json.loads(text)).view(np.int64)]


@settings(max_examples=200, deadline=None)
@given(moment=MOMENTS, zone=st.sampled_from(["", "Z", "+01:00", "-11:30", "+0530", "-03"]))
def test_timestamps_are_what_python_says(moment: datetime, zone: str) -> None:
    """The compiled parser of timestamps agrees with the standard library."""
    text = f"{moment.isoformat()}{zone}"
    value = GOOD.replace(b"2026-01-01T00:00:12.340000", text.encode())

    columns, rejects = seen([value], compiled=True, stamp_ms=-1)

    assert (columns[3], rejects) == ([parse_iso(text)], [])


@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9),
        max_size=200,
    )
)
@settings(max_examples=30, deadline=None)
def test_many_rigs_keep_their_names(names: list[str]) -> None:
    """Codes lead back to names, however many there are and in whatever alphabet."""
    values: list[bytes | None] = [
        GOOD[:-1] + b', "rig": ' + json.dumps(name, ensure_ascii=False).encode() + b"}" for name in names
    ]

    columns, rejects = seen(values, compiled=True)

    assert (columns[0], rejects) == (names, [])


@pytest.mark.parametrize("compiled", [True, False])
def test_tombstones_are_neither_kept_nor_rejected(compiled: bool) -> None:
    """A null value is skipped, alone or between others, and offsets stay right."""
    columns, rejects = seen([None, GOOD, None, b"{", None], compiled=compiled)

    assert columns[4] == [6]
    assert [r[0] for r in rejects] == [8]
    assert seen([None], compiled=compiled) == seen([], compiled=compiled)


@pytest.mark.parametrize("compiled", [True, False])
def test_future_border_is_kept(compiled: bool) -> None:
    """Exactly `future_max` ahead of the broker is kept; a microsecond more is not."""
    at, past = (GOOD.replace(b"00:00:12.340000", t) for t in (b"00:01:00", b"00:01:00.000001"))

    columns, rejects = seen([at, past], compiled=compiled)

    assert columns[4] == [5]
    assert [r[2] for r in rejects] == ["timestamp is 60.000 s ahead of the broker's"]


@pytest.mark.parametrize("compiled", [True, False])
def test_years_that_readers_cannot_hold_are_rejected(compiled: bool) -> None:
    """A window before year 1 could not even be written, and one such record would stop the stream."""
    times = (b"0001-01-01T00:00:00+23:59", b"1677-12-31T23:59:59", b"1678-01-01", b"2261-12-31", b"9999-12-31")
    values: list[bytes | None] = [GOOD.replace(b"2026-01-01T00:00:12.340000", t) for t in times]

    columns, rejects = seen(values, compiled=compiled, stamp_ms=-1)

    assert columns[4] == [7, 8]
    assert {r[2] for r in rejects} == {"timestamp is before 1678 or after 2261"}


@pytest.mark.parametrize("compiled", [True, False])
def test_too_large_is_rejected_in_any_layout(compiled: bool) -> None:
    """The limit of a record's bytes holds for the canonical layout too."""
    columns, rejects = seen([GOOD.replace(b": 12", b": " + b" " * 600 + b"12")], compiled=compiled)

    assert columns[4] == []
    assert rejects[0][2].startswith("too large")


def test_general_decoder_gives_places() -> None:
    """`where` tells good records from the others; each of the others has a reason."""
    done = decode_general(Blobs.of([GOOD, b"{", GOOD]), np.arange(3), sensor="PS1", bytes_max=600, rig_bytes_max=128)

    assert done.where.tolist() == [0, 2]
    assert list(done.reasons) == [1]


@pytest.mark.parametrize("note", ["", "}", "}{", "{a", "}{a}"])
def test_documents_that_are_cut_elsewhere_are_not_put_together(note: str) -> None:
    """As many documents as records, and all of them right when joined: of two, the one cut anywhere is rejected."""
    first = GOOD[:-1] + b', "note": ' + json.dumps(note).encode() + b"}"
    for cut in range(1, len(first)):
        values = Blobs.of([first[:cut], first[cut:] + GOOD])
        done = decode_general(values, np.arange(2), sensor="PS1", bytes_max=600, rig_bytes_max=128)
        assert (done.where.tolist(), sorted(done.reasons)) == ([], [0, 1]), values


@pytest.mark.parametrize("name", ["", "a\tb", "r" * 129])
def test_a_bad_rig_between_good_ones_is_rejected_alone(name: str) -> None:
    """Records that name their rigs are decoded together; a name that can't be one costs its own record."""
    names = ["rig-1", name, "rig-2"]
    records = [GOOD[:-1] + b', "rig": ' + json.dumps(n).encode() + b"}" for n in names]
    done = decode_general(Blobs.of(records), np.arange(3), sensor="PS1", bytes_max=600, rig_bytes_max=128)

    assert done.rig == ["rig-1", "rig-2"]
    assert list(done.reasons) == [1]
    assert done.reasons[1].startswith("rig is ")


def test_depth_ignores_brackets_in_strings() -> None:
    """Escaped quotes do not end a string."""
    assert depth(rb'{"a": "\"[[[", "b": [1]}') == 2
