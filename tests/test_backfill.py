"""Derived rows computed anew: nothing differs after an ordinary run, and what does is put right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hydrodask.audit.backfill import backfill, sources_of
from hydrodask.audit.restore import restore_documents
from tests.audited import Stored, fine, with_value, wrong
from tests.delivery import ROOT, documents

pytestmark = pytest.mark.integration


def run(stored: Stored, *, write: bool) -> dict[str, list[str]]:
    """Return what differs, by partition, and assert that what was to be mended was."""
    reports = [backfill(stored.settings, source, write) for source in sources_of(stored.settings)]
    assert not any(report.left for report in reports), reports
    assert not write or all(len(report.mended) == len(report.wrong) for report in reports)
    return {report.name: report.wrong for report in reports if report.wrong}


def test_ordinary_run_has_nothing_to_mend(leftover: Stored) -> None:
    """Every derived row of every partition is recomputed to the last bit."""
    reports = [backfill(leftover.settings, source, False) for source in sources_of(leftover.settings)]

    assert len(reports) == 17
    assert not any(report.wrong or report.left for report in reports)
    assert sum(report.rows["windows"] for report in reports) == 272
    assert sum(report.rows["cycles"] for report in reports) == 51


def test_missing_damaged_and_changed_files_are_put_right(leftover: Stored, tmp_path: Path) -> None:
    """The first, a middle and the newest file gone, one damaged, one with another value: then all is as before."""
    copy = leftover.copy(tmp_path)
    before = {path: path.read_bytes() for path in copy.lake.rglob("*.parquet")}
    for sensor, place in (("PS1", 0), ("PS2", 1), ("PS3", -1)):
        copy.path(copy.files(f"windows/sensor={sensor}")[place]).unlink()
    damaged = copy.path(copy.files("cycles/sensor=PS4")[1])
    damaged.write_bytes(damaged.read_bytes()[:-30])
    copy.rewrite(copy.files("windows/sensor=PS5")[1], lambda table: with_value(table, "avg_value", 0, 77))

    said = run(copy, write=False)
    mended = run(copy, write=True)

    assert said == mended
    assert set(said) == {f"hydraulic-{sensor}-0" for sensor in ("PS1", "PS2", "PS3", "PS4", "PS5")}
    assert "missing" in said["hydraulic-PS1-0"][0]
    assert "damaged" in said["hydraulic-PS4-0"][0]
    assert "what it says of the sum of its rows" in said["hydraulic-PS5-0"][0]
    assert run(copy, write=False) == {}
    assert fine(copy.audit())
    assert {path: path.read_bytes() for path in copy.lake.rglob("*.parquet")} == before


def test_nothing_is_written_from_raw_rows_with_a_gap(leftover: Stored, tmp_path: Path) -> None:
    """Windows computed from what is left would be wrong."""
    copy = leftover.copy(tmp_path)
    copy.path(copy.files("raw/sensor=PS1")[1]).unlink()
    copy.path(copy.files("windows/sensor=PS1")[1]).unlink()

    report = backfill(copy.settings, ("hydraulic-PS1", 0), True)

    assert report.mended == []
    assert "raw/ has a gap or a damaged file" in report.left[0]


@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_command_runs_on_dask(leftover: Stored, tmp_path: Path) -> None:
    """Exit code 5 and the report while something differs, 0 once it is mended."""
    copy = leftover.copy(tmp_path)
    gone = copy.files("windows/sensor=PS1")[1]
    copy.path(gone).unlink()
    command = [sys.executable, "-m", "hydrodask", "backfill", "--json"]
    for one in (f"data_dir={copy.settings.data_dir}", "cluster.dashboard=127.0.0.1:0", "cluster.workers=2"):
        command += ["--set", one]

    def command_with(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)

    said, mended, after = command_with(), command_with("--write"), command_with()

    assert (said.returncode, mended.returncode, after.returncode) == (5, 0, 0), said.stderr + mended.stderr
    [report] = [report for report in json.loads(said.stdout) if report["wrong"]]
    assert report["wrong"][0].startswith(f"{gone.path}: missing")
    assert [path for report in json.loads(mended.stdout) for path in report["mended"]] == [gone.path]
    assert not wrong(copy.audit())


@pytest.mark.parametrize("kind", ["stored", "leftover"])
def test_lost_documents_are_rebuilt(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """The store's file is gone: all that the windows imply comes back, and then nothing is wrong."""
    copy: Stored = request.getfixturevalue(kind).copy(tmp_path)
    before = {one["_id"]: one for name in ("anomalies", "incidents") for one in documents(copy.settings, name)}
    for path in copy.settings.data_dir.glob("documents.sqlite*"):
        path.unlink()

    said = restore_documents(copy.settings, write=False)
    done = restore_documents(copy.settings, write=True)

    after = {one["_id"]: one for name in ("anomalies", "incidents") for one in documents(copy.settings, name)}
    assert [one.missing for one in said] == [one.restored for one in done]
    assert {name: one for name, one in before.items() if not one["provisional"]} == {
        name: one for name, one in after.items() if not one["provisional"]
    }
    assert after
    assert not any(one.missing for one in restore_documents(copy.settings, write=True))
    assert fine(copy.audit())
