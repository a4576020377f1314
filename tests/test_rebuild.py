"""Files of flows from outside, put back by the flow itself: bit for bit, and only if it is the flow that it was."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from hydrodask import clock
from hydrodask.audit.finding import Result
from hydrodask.audit.guests import check_guests
from hydrodask.audit.mending import DERIVED, RECORDS
from hydrodask.audit.rebuild import rebuild
from hydrodask.flow import Flow
from hydrodask.protocol.declared import Declared
from hydrodask.records import Messages
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.testing import Life, messages_of
from tests import their_flows
from tests.their_flows import KEEPS, LONGER

PS1 = "hydraulic-PS1"
COUNT = 4000
CUTS = (0, 300, 1100, 1101, 2500, 3300, COUNT)
"""Where batches end; a file of each folder is written at each, and a snapshot at each second."""


@dataclass(frozen=True)
class Left:
    """What monitor and a flow from outside have left of the same records."""

    settings: Settings
    root: Path

    def files(self, folder: str) -> list[Path]:
        """Return the files of a folder, in the order of their offsets."""
        return sorted((self.root / "lake" / folder).rglob("*.parquet"), key=lambda path: path.name)

    def bits(self) -> dict[Path, bytes]:
        """Return what all files hold."""
        return {path: path.read_bytes() for path in (self.root / "lake").rglob("*.parquet")}

    def rows(self, folder: str) -> pa.Table:
        """Return the rows of a folder, by their offsets."""
        return Lake(self.settings.lake_url).table(folder).sort_by("revision")

    def copy(self, root: Path) -> "Left":
        """Return the same in another place."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return Left(self.settings.model_copy(update={"data_dir": root}), root)

    def found(self) -> list[tuple[str, str]]:
        """Return what `verify` finds wrong with flows from outside, and what mends it."""
        result = Result("flows", "")
        check_guests(self.settings, result, lambda _said: None)
        return [(str(one), one.mend.command) for one in result.findings]


def records() -> Messages:
    """Return samples of two rigs, a second apart, that jump now and then."""
    first_us = clock.parse_iso("2026-01-01T00:00:00Z")
    values = [
        json.dumps(
            {
                "sensor": "PS1",
                "cycle": i // 60,
                "sample_idx": i % 60,
                "value": 150.0 + 9 * (i % 70 == 7) + 5 * (i % 90 == 11),
                "timestamp": clock.iso(first_us + i * 500_000),
                "rig": f"rig-{i % 2}",
                "sampling_rate_hz": 1,
            }
        ).encode()
        for i in range(COUNT)
    ]
    return messages_of(values, topic=PS1, stamp_ms=first_us // 1000 + COUNT * 1000)


def lived(root: Path, flow: Flow) -> Left:
    """Run records through monitor and the flow, each with commits, files and snapshots of its own."""
    settings = Settings(data_dir=root, flows=[f"tests.their_flows:{flow.name.upper()}"])
    monitor = Life(settings, PS1, url=str(root))
    its = settings.of_flow(flow.name, start=flow.start)
    guest = Life(its, PS1, flow.name, url=str(root), build=Declared(flow))
    guest.snapshots = Files(its.snapshots_url)
    guest.restart()
    everything = records()
    for number, (start, end) in enumerate(pairwise(CUTS)):
        for life in (monitor, guest):
            life.feed(everything.take(slice(start, end)))
            life.commit()
            life.roll()
            if number % 2:
                life.save()
    return Left(settings, root)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Return what flow KEEPS has left; nobody writes into it but who puts it back."""
    return lived(tmp_path_factory.mktemp("kept"), KEEPS)


def _middle(lake: Left) -> None:
    lake.files("minutes")[1].unlink()
    lake.files("leaps")[2].unlink()


def _first(lake: Left) -> None:
    lake.files("minutes")[0].unlink()
    lake.files("leaps")[0].unlink()


def _newest(lake: Left) -> None:
    lake.files("minutes")[-1].unlink()
    lake.files("leaps")[-1].unlink()


def _damaged(lake: Left) -> None:
    path = lake.files("minutes")[1]
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("harm", [_middle, _first, _newest, _damaged])
def test_what_is_missing_or_damaged_comes_back_bit_for_bit(kept: Left, harm: Callable[[Left], None]) -> None:
    """`verify` finds it and names the command; after that nothing is wrong, and every byte is as it was."""
    before = kept.bits()
    assert kept.found() == []

    harm(kept)
    found = kept.found()
    looked = rebuild(kept.settings, "keeps", (PS1, 0), False)
    mended = rebuild(kept.settings, "keeps", (PS1, 0), True)

    assert {command for _, command in found} == {DERIVED.command}
    assert looked is not None
    assert mended is not None
    assert looked.wrong == mended.wrong
    assert 0 < len(mended.mended) == len(mended.wrong) <= len(found)
    assert mended.left == []
    assert kept.bits() == before
    assert kept.found() == []


def test_a_folder_that_is_gone_comes_back_as_far_as_snapshots_know_it(kept: Left, tmp_path: Path) -> None:
    """Its files end where snapshots say that files ended; every row is there, and comes to the sum that they say."""
    lake = kept.copy(tmp_path)
    rows = {folder: lake.rows(folder) for folder in KEEPS.folders}
    for path in (path for folder in KEEPS.folders for path in lake.files(folder)):
        path.unlink()

    mended = rebuild(lake.settings, "keeps", (PS1, 0), True)

    assert mended is not None
    assert (mended.left, len(mended.mended)) == ([], 6)
    assert {folder: lake.rows(folder) for folder in KEEPS.folders} == rows
    assert lake.found() == []


def test_a_flow_that_was_changed_does_not_put_back_what_it_would_compute_now(
    kept: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes of it now is not what was there, as the sums of its neighbours say; the other folder comes back."""
    lake = kept.copy(tmp_path)
    lake.files("leaps")[2].unlink()
    lake.files("minutes")[2].unlink()
    monkeypatch.setattr(their_flows, "OVER_BAR", 7.0)

    mended = rebuild(lake.settings, "keeps", (PS1, 0), True)

    assert mended is not None
    assert [path.split("/")[0] for path in mended.mended] == ["minutes"]
    assert len(mended.left) == 1
    assert mended.left[0].startswith("leaps/ from 1100 to 2500: what the flow computes now is not what was there")
    assert [where.split(":")[0] for where, _ in lake.found()] == [f"leaps/ of {PS1}-0"]


def test_what_keeps_a_flow_from_computing_is_said(kept: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code that raises, and raw/ with a gap: nothing is written then."""
    lake = kept.copy(tmp_path)
    lake.files("leaps")[2].unlink()
    with monkeypatch.context() as patched:
        patched.setattr(their_flows.Jumps, "take", lambda _node, batch: batch.no_such_column)
        raised = rebuild(lake.settings, "keeps", (PS1, 0), True)
    lake.files("raw")[1].unlink()
    gap = rebuild(lake.settings, "keeps", (PS1, 0), True)

    assert raised is not None
    assert gap is not None
    assert raised.mended == gap.mended == []
    assert raised.left == [
        "its code can't take these records: AttributeError: 'Samples' object has no attribute 'no_such_column'"
    ]
    assert gap.left == [
        "raw/ lacks files, or one is damaged, so nothing can be computed from it; see `hydrodask verify`"
    ]


def test_a_flow_that_takes_records_as_they_come_needs_the_log(tmp_path: Path) -> None:
    """Samples of raw/ are not what its first node takes; `verify` names the command that reads the log."""
    lake = lived(tmp_path, LONGER)
    lake.files("longer")[0].unlink()

    assert rebuild(lake.settings, "longer", (PS1, 0), True) is None
    assert [command for _, command in lake.found()] == [RECORDS.command]


def test_what_contradicts_itself_in_a_flow_s_folder_is_found(kept: Left, tmp_path: Path) -> None:
    """Rows that are there twice, a file that is none of ours, one of a topic that it does not read."""
    lake = kept.copy(tmp_path)
    first = lake.files("leaps")[0]
    settings = lake.settings
    with_more = Lake(settings.lake_url).table("leaps")
    put = Lake(settings.lake_url).put
    put("leaps", (PS1, 0), 200, 300, with_more.slice(3, 1), before=0)
    put("leaps", ("hydraulic-PS2", 0), 0, 10, with_more.slice(0, 1), before=0)
    first.with_name("notes.parquet").write_bytes(first.read_bytes())

    found = lake.found()

    assert all(command.startswith("hydrodask aside ") for _, command in found)
    assert sorted(where.split(": ", 1)[1].split(", ")[0] for where, _ in found) == [
        "it begins at offset 200",
        "its name is not that of a file of ours",
        "its rows",
        "the flow does not read its topic",
    ]
