"""Messages into samples: the three decoders agree to the last bit."""

import json
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.blobs import Blobs
from hydrodask.clock import parse_iso
from hydrodask.decode import DECODERS, Decoder, DecoderName, canonical, flat, general
from hydrodask.decode.general import depth
from hydrodask.records import Reject, Samples
from hydrodask.rigs import RigTable
from hydrodask.testing import messages_of
from tests.strategies import batches, payloads

STAMP_MS = 1_767_225_600_000
MOMENTS = st.datetimes(datetime(1679, 1, 1), datetime(2261, 12, 1))  # noqa: DTZ001  (zones are drawn)
GOOD = (
    b'{"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47,'
    b' "timestamp": "2026-01-01T00:00:12.340000", "sampling_rate_hz": 100}'
)


def decoder(*, first: DecoderName, rigs: RigTable, record_bytes_max: int = 600) -> Decoder:
    """Return a decoder of PS1 with a rig table of its own."""
    return Decoder(
        "PS1",
        default_rig="rig-1",
        future_us_max=60_000_000,
        record_bytes_max=record_bytes_max,
        rig_bytes_max=128,
        first=first,
        rigs=rigs,
    )


def seen(
    values: list[bytes | None], *, first: DecoderName = "canonical", stamp_ms: int = STAMP_MS
) -> tuple[list[object], list[tuple[int, bytes | None, str]]]:
    """Return the columns' bits with rigs by name, and the rejects."""
    rigs = RigTable()
    found: tuple[Samples, list[Reject]] = decoder(first=first, rigs=rigs).decode(
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


@settings(max_examples=500, deadline=None)
@given(
    values=st.one_of(st.lists(st.one_of(payloads(), payloads(), st.none()), max_size=6), batches()),
    stamp_ms=st.sampled_from([STAMP_MS, 0, -1, 4 * 10**12]),
)
def test_decoders_agree(values: list[bytes | None], stamp_ms: int) -> None:
    """Same columns, bit for bit, and the same rejects for the same reasons."""
    first, second, third = (seen(values, first=first, stamp_ms=stamp_ms) for first in DECODERS)

    assert first == third
    assert second == third


@settings(max_examples=150, deadline=None)
@given(values=st.lists(payloads(), min_size=1, max_size=8), first=st.sampled_from(DECODERS))
def test_neighbours_do_not_matter(values: list[bytes], first: DecoderName) -> None:
    """A batch gives what its records give one at a time."""
    whole = seen(list(values), first=first)
    alone = [seen([value], first=first) for value in values]

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
        columns, _ = seen([GOOD.replace(b"151.47", text.encode())])
        assert columns[5] == [np.float64(json.loads(text)).view(np.int64)]


@settings(max_examples=200, deadline=None)
@given(moment=MOMENTS, zone=st.sampled_from(["", "Z", "+01:00", "-11:30", "+0530", "-03"]))
def test_timestamps_are_what_python_says(moment: datetime, zone: str) -> None:
    """The compiled parser of timestamps agrees with the standard library."""
    text = f"{moment.isoformat()}{zone}"
    value = GOOD.replace(b"2026-01-01T00:00:12.340000", text.encode())

    columns, rejects = seen([value], stamp_ms=-1)

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

    columns, rejects = seen(values)

    assert (columns[0], rejects) == (names, [])


@pytest.mark.parametrize("first", DECODERS)
def test_tombstones_are_neither_kept_nor_rejected(first: DecoderName) -> None:
    """A null value is skipped, alone or between others, and offsets stay right."""
    columns, rejects = seen([None, GOOD, None, b"{", None], first=first)

    assert columns[4] == [6]
    assert [r[0] for r in rejects] == [8]
    assert seen([None], first=first) == seen([], first=first)


@pytest.mark.parametrize("first", DECODERS)
def test_future_border_is_kept(first: DecoderName) -> None:
    """Exactly `future_max` ahead of the broker is kept; a microsecond more is not."""
    at, past = (GOOD.replace(b"00:00:12.340000", t) for t in (b"00:01:00", b"00:01:00.000001"))

    columns, rejects = seen([at, past], first=first)

    assert columns[4] == [5]
    assert [r[2] for r in rejects] == ["timestamp is 60.000 s ahead of the broker's"]


@pytest.mark.parametrize("first", DECODERS)
def test_years_that_readers_cannot_hold_are_rejected(first: DecoderName) -> None:
    """A window before year 1 could not even be written, and one such record would stop the stream."""
    times = (b"0001-01-01T00:00:00+23:59", b"1677-12-31T23:59:59", b"1678-01-01", b"2261-12-31", b"9999-12-31")
    values: list[bytes | None] = [GOOD.replace(b"2026-01-01T00:00:12.340000", t) for t in times]

    columns, rejects = seen(values, first=first, stamp_ms=-1)

    assert columns[4] == [7, 8]
    assert {r[2] for r in rejects} == {"timestamp is before 1678 or after 2261"}


@pytest.mark.parametrize("first", DECODERS)
def test_too_large_is_rejected_in_any_layout(first: DecoderName) -> None:
    """The limit of a record's bytes holds for the canonical layout too."""
    columns, rejects = seen([GOOD.replace(b": 12", b": " + b" " * 600 + b"12")], first=first)

    assert columns[4] == []
    assert rejects[0][2].startswith("too large")


def test_general_decoder_gives_places() -> None:
    """`where` tells good records from the others; each of the others has a reason."""
    done = general.decode([GOOD, b"{", GOOD], sensor="PS1", bytes_max=600, rig_bytes_max=128)

    assert done.where.tolist() == [0, 2]
    assert list(done.reasons) == [1]


def handed_on(values: list[bytes], first: DecoderName = "flat") -> list[int]:
    """Return the places of records that the flat or the canonical parser does not take."""
    blobs, n = Blobs.of(values), len(values)
    good = np.zeros(n, np.bool_)
    columns = (np.zeros((n, 3), np.int64), np.zeros((n, 2)), np.zeros((n, 4), np.int64))
    name = np.frombuffer(b"PS1", np.uint8)
    parse, known = (flat.parse, name) if first == "flat" else (canonical.parse, canonical.opening("PS1"))
    left = parse(blobs.data, blobs.bounds, np.arange(n), known, (6000, 128), *columns, good)
    assert left == n - good.sum()
    return list(np.flatnonzero(~good).tolist())


def test_canonical_parser_takes_what_the_platform_sends() -> None:
    """With and without a rig's name; what it hands on is another layout."""
    rig = GOOD[:-1] + b', "rig": "rig-7"}'

    assert handed_on([GOOD, rig, GOOD.replace(b": ", b":"), json.dumps({"a": 1}).encode()], "canonical") == [3]


def test_flat_parser_takes_layouts_that_others_send() -> None:
    """Sorted, tight, spread over lines, with fields of others or without a rig's name, one after the other."""
    others = {"site": "hall 3", "ok": True, "note": None, "quality": -0.98, "seq": 12345678901234567890, "e": 1e-9}
    values: list[bytes] = []
    for k in range(12):
        fields = json.loads(GOOD) | {"cycle": k, "value": k / 3}
        layouts = [
            json.dumps(fields, sort_keys=True),
            json.dumps(fields, separators=(",", ":")),
            json.dumps(fields, indent=2),
            json.dumps(others | {"by": [{"a": [[], {}]}, k]} | fields),
            json.dumps(fields | {"rig": None}),
            json.dumps({"rig": f"rig-{k}"} | fields | others),
        ]
        values.append(layouts[k // 2].encode())

    columns, rejects = seen(list(values), first="flat")

    assert handed_on(values) == []
    assert (columns, rejects) == seen(list(values), first="general")
    assert columns[1] == list(range(12))


def test_flat_parser_hands_on_what_it_does_not_know_alone() -> None:
    """An escape, a letter beyond ASCII, a field twice or too many fields cost their own record, not its neighbours."""
    many = "".join(f', "{k}": {k}' for k in range(11))
    odd = (', "a": "\\n"', ', "a": "ä"', ', "ä": 1', ', "cycle": 3', many)
    values = [value for tail in odd for value in (GOOD, GOOD[:-1] + tail.encode() + b"}")]

    assert handed_on(values) == [1, 3, 5, 7, 9]
    assert handed_on([GOOD[:-1] + many.replace(', "0": 0', "").encode() + b"}"]) == []  # sixteen


@pytest.mark.parametrize(("deep", "taken"), [(60, True), (61, False), (300, False)])
def test_nesting_has_a_limit(deep: int, taken: bool) -> None:
    """What is too deep for the compiled parser is for the general decoder to say."""
    assert handed_on([GOOD[:-1] + b', "a": ' + b"[" * deep + b"]" * deep + b"}"]) == ([] if taken else [0])


def test_values_with_many_digits_are_read_in_place() -> None:
    """Doubles with 17 digits or an exponent are not for the general decoder; those beyond a double's range are."""
    texts = [
        "145.3031836361285",
        "-0.1000000000000000055511151231257827",
        "1e-05",
        "-2.5E+3",
        "9007199254740993",
        "1e400",
    ]
    values = [GOOD.replace(b"151.47", text.encode()) for text in texts]

    assert handed_on(values) == handed_on(values, "canonical") == []
    for first in DECODERS:
        columns, rejects = seen(list(values), first=first)
        assert columns[5] == [np.float64(json.loads(text)).view(np.int64) for text in texts[:-1]]
        assert [r[0] for r in rejects] == [10]


@pytest.mark.parametrize("first", DECODERS)
def test_a_record_that_ends_anywhere_is_rejected_alone(first: DecoderName) -> None:
    """Cut after any byte, between two good ones: nothing is read beyond its end."""
    for cut in range(len(GOOD)):
        columns, rejects = seen([GOOD, GOOD[:cut], GOOD], first=first)
        assert (columns[4], [r[0] for r in rejects]) == ([5, 7], [6]), cut


@pytest.mark.parametrize("first", DECODERS)
@pytest.mark.parametrize("note", ["", "}", "}{", "{a", "}{a}"])
def test_documents_that_are_cut_elsewhere_are_not_put_together(note: str, first: DecoderName) -> None:
    """As many documents as records, and all of them right when joined: of two, the one cut anywhere is rejected."""
    whole = GOOD[:-1] + b', "note": ' + json.dumps(note).encode() + b"}"
    for cut in range(1, len(whole)):
        columns, rejects = seen([whole[:cut], whole[cut:] + GOOD], first=first)
        assert (columns[4], [r[0] for r in rejects]) == ([], [5, 6]), cut


@pytest.mark.parametrize("first", DECODERS)
@pytest.mark.parametrize("name", ["", "a\tb", "r" * 129])
def test_a_bad_rig_between_good_ones_is_rejected_alone(name: str, first: DecoderName) -> None:
    """A name that can't be a rig's costs its own record."""
    names = ["rig-1", name, "rig-2"]
    columns, rejects = seen([GOOD[:-1] + b', "rig": ' + json.dumps(n).encode() + b"}" for n in names], first=first)

    assert columns[0] == ["rig-1", "rig-2"]
    assert [r[0] for r in rejects] == [6]
    assert rejects[0][2].startswith("rig is ")


def test_depth_ignores_brackets_in_strings() -> None:
    """Escaped quotes do not end a string."""
    assert depth(rb'{"a": "\"[[[", "b": [1]}') == 2
