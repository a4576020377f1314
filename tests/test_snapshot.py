"""Snapshots: equal states give equal bytes, and a bad file is ignored and said."""

import hashlib
import uuid

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.protocol import snapshot
from hydrodask.store.files import Files

SOURCE = ("hydraulic-PS1", 3)
STATE = {"next_offset": 7, "rigs": ["a", "é"], "array": np.arange(6.0).reshape(2, 3), "raw": b"\0"}

ARRAYS = st.tuples(st.sampled_from(["<i8", "<f8", "|b1", "<i4"]), st.lists(st.integers(0, 3), max_size=3)).map(
    lambda spec: np.ones(spec[1], np.dtype(spec[0]))
)
STATES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(), st.binary(), ARRAYS),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=8,
    ),
    max_size=4,
)


def new_files() -> Files:
    """Return empty storage."""
    return Files(f"memory://{uuid.uuid4().hex}")


@settings(max_examples=100, deadline=None)
@given(state=STATES)
def test_states_come_back(state: dict[str, object]) -> None:
    """Numbers, texts, bytes, lists, dicts and arrays survive, bit for bit and with shape and type."""
    data = snapshot.encode(state)
    back = snapshot.decode(data)

    assert snapshot.encode(back) == data
    np.testing.assert_equal(back, state)


def test_array_can_be_written_to() -> None:
    """A restored array belongs to the state that it is restored to."""
    back = snapshot.decode(snapshot.encode(STATE))
    back["array"][0, 0] = 5.0

    assert STATE["array"][0, 0] == 0.0  # type: ignore[index]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_damage_is_noticed(data: st.DataObject) -> None:
    """A bit that flipped or an end that is missing makes a ValueError, never a wrong state."""
    good = snapshot.encode(STATE)
    place = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        bad = good[:place]
    else:
        bad = good[:place] + bytes([good[place] ^ 1 << data.draw(st.integers(0, 7))]) + good[place + 1 :]

    with pytest.raises(ValueError, match="damaged or unfinished"):
        snapshot.decode(bad)


def test_other_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot of an older layout says which version it has."""
    monkeypatch.setattr(snapshot, "VERSION", 0)
    old = snapshot.encode(STATE)
    monkeypatch.undo()

    with pytest.raises(ValueError, match=r"version 0, want \d"):
        snapshot.decode(old)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (msgspec.msgpack.encode({"version": 1, "state": {"x": msgspec.msgpack.Ext(9, b"")}}), "no extension 9"),
        (b"\xc1", "can't be decoded"),
    ],
)
def test_what_a_later_release_may_have_written_is_refused(body: bytes, why: str) -> None:
    """It is whole, and this release can't read it."""
    with pytest.raises(ValueError, match=why):
        snapshot.decode(b"hydrodask snapshot\n" + hashlib.sha256(body).digest() + body)


def test_what_cannot_be_stored_is_named() -> None:
    """An object is no state."""
    with pytest.raises(NotImplementedError, match="object"):
        snapshot.encode({"x": object()})


def test_newest_at_most() -> None:
    """The newest snapshot at or below the limit is taken; without a limit the newest of all."""
    files = new_files()
    for offset in (10, 20, 30):
        snapshot.save(files, SOURCE, offset, {"at": offset})

    assert snapshot.newest(files, SOURCE, at_most=None)[:2] == (30, {"at": 30})
    assert snapshot.newest(files, SOURCE, at_most=20)[:2] == (20, {"at": 20})
    assert snapshot.newest(files, SOURCE, at_most=9) == (0, {}, [])
    assert snapshot.newest(files, ("hydraulic-PS1", 30), at_most=None) == (0, {}, [])


def test_old_ones_go() -> None:
    """A few stay, in case the newest are damaged or ahead of what was committed."""
    files = new_files()
    for offset in range(0, 2_000_000_000_000, 300_000_000_000):
        snapshot.save(files, SOURCE, offset, STATE)

    assert len(files.names(snapshot.folder_of(SOURCE))) == snapshot.KEPT
    assert snapshot.newest(files, SOURCE, at_most=None)[0] == 1_800_000_000_000


def test_one_that_is_written_later_at_a_smaller_offset_stays() -> None:
    """A group that was set back would keep only what it had before, and begin anew after each crash."""
    files = new_files()
    for offset in (1000, 1100, 1200, 1300, 100, 130, 160, 190):
        snapshot.save(files, SOURCE, offset, {"at": offset})
        assert snapshot.newest(files, SOURCE, at_most=offset)[0] == offset

    kept = [snapshot.offset_of(path) for path in files.names(snapshot.folder_of(SOURCE))]
    assert kept == [130, 160, 190, 1100, 1200, 1300]
    for offset in (1150, 1350, 1400, 1450):
        snapshot.save(files, SOURCE, offset, {"at": offset})
    assert len(files.names(snapshot.folder_of(SOURCE))) == snapshot.KEPT


def test_damaged_snapshot_is_ignored_and_said() -> None:
    """An older one is used instead, and the notes name the file and why."""
    files = new_files()
    snapshot.save(files, SOURCE, 10, {"at": 10})
    snapshot.save(files, SOURCE, 20, {"at": 20})
    path = files.names(snapshot.folder_of(SOURCE))[-1]
    files.replace(path, files.read(path)[:-5])

    offset, state, notes = snapshot.newest(files, SOURCE, at_most=None)

    assert (offset, state) == (10, {"at": 10})
    assert notes == [f"ignored snapshot {path}: it is damaged or unfinished"]


def test_unfinished_snapshot_is_ignored_and_said() -> None:
    """What a killed worker left under a hidden name is no snapshot."""
    files = new_files()
    snapshot.save(files, SOURCE, 10, {"at": 10})
    files._write_hidden(f"{snapshot.folder_of(SOURCE)}/000000000020.snapshot", b"half")

    offset, _, notes = snapshot.newest(files, SOURCE, at_most=None)

    assert offset == 10
    assert len(notes) == 1
    assert "ignored unfinished file" in notes[0]
