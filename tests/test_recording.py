"""Recordings in the archive's text layout."""

import os
from pathlib import Path

import numpy as np
import pytest

from hydrodask.channels import CHANNELS
from hydrodask.clock import parse_iso
from hydrodask.errors import ConfigError
from hydrodask.ingest.recording import Recording

START_US = parse_iso("2026-01-01T00:00:00Z")
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "recording"


def write_recording(folder: Path, rows: int = 2) -> Path:
    """Write a recording whose values say where they are: row, then 4 digits of sample."""
    for channel in CHANNELS.values():
        lines = ["\t".join(f"{row}.{i:04d}" for i in range(channel.samples_per_cycle)) for row in range(rows)]
        (folder / f"{channel.name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "profile.txt").write_text("3\t80\t0\t115\t1\n" * rows)
    return folder


def real_recording() -> Path:
    """Return the folder of the real recording; skip without it, but never in CI."""
    if not REAL.is_dir() and os.environ.get("CI") != "true":
        pytest.skip(f"the real recording is not in {REAL}")
    return REAL


def test_values_indices_and_times(tmp_path: Path) -> None:
    """Second 61 is second 1 of cycle 1, and a 100 Hz sensor has samples 100..199 there."""
    recording = Recording(write_recording(tmp_path), start_us=START_US, rig="rig-7")

    chunk = next(c for c in recording.chunk(61) if c.sensor == "PS1")

    assert chunk.rig == "rig-7"
    assert chunk.rate_hz == 100
    assert chunk.cycle.tolist() == [1] * 100
    assert chunk.sample_idx.tolist() == list(range(100, 200))
    assert chunk.value.tolist() == [float(f"1.{i:04d}") for i in range(100, 200)]
    assert chunk.time_us.tolist() == [START_US + 61_000_000 + 10_000 * i for i in range(100)]
    assert chunk.send_us.tolist() == chunk.time_us.tolist()


def test_repeats_go_on_without_gaps(tmp_path: Path) -> None:
    """The first row comes again as cycle 2, right after cycle 1."""
    recording = Recording(write_recording(tmp_path), start_us=START_US, repeat=3)

    again = {c.sensor: c for c in recording.chunk(120)}["TS1"]

    assert recording.seconds == 3 * 2 * 60
    assert again.cycle.tolist() == [2]
    assert again.value.tolist() == [0.0]
    assert again.time_us.tolist() == [START_US + 120_000_000]
    assert recording.chunk(360) == []


def test_labels_are_at_the_start_of_each_cycle(tmp_path: Path) -> None:
    """A label at seconds 0 and 60, with the columns of profile.txt."""
    recording = Recording(write_recording(tmp_path), start_us=START_US)

    labels = [label for second in range(recording.seconds) for label in recording.labels(second)]

    assert [(label.cycle, label.timestamp) for label in labels] == [
        (0, "2026-01-01T00:00:00Z"),
        (1, "2026-01-01T00:01:00Z"),
    ]
    first = labels[0]
    assert (first.cooler, first.valve, first.pump, first.accumulator) == (3.0, 80.0, 0.0, 115.0)
    assert first.stable == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "TS2.txt").unlink(), r"TS2\.txt: No such file"),
        (lambda folder: (folder / "TS2.txt").write_text(""), r"TS2\.txt is empty"),
        (
            lambda folder: (folder / "CE.txt").write_text("1\t2\n"),
            r"CE\.txt row 1 has 2 columns; want 60",
        ),
        (
            lambda folder: (folder / "CE.txt").write_text("\t".join("1" * 60) + "\n1\n"),
            r"CE\.txt row 2 has 1 columns; want 60",
        ),
        (
            lambda folder: (folder / "CE.txt").write_text("\t".join("1" * 60) + "\n"),
            r"CE\.txt has 1 rows, .*profile\.txt has 2",
        ),
        (
            lambda folder: (folder / "profile.txt").write_text("1\t2\t3\n"),
            r"profile\.txt row 1 has 3",
        ),
    ],
)
def test_a_folder_that_does_not_fit(tmp_path: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    """The error names file and row."""
    spoil(write_recording(tmp_path))

    with pytest.raises(ConfigError, match=message):
        Recording(tmp_path, start_us=START_US)


@pytest.mark.parametrize("text", ["NaN", "inf", "1,5", "bar"])
def test_a_value_that_is_no_finite_number(tmp_path: Path, text: str) -> None:
    """Found when its cycle is read, with row and column."""
    (write_recording(tmp_path) / "CE.txt").write_text(
        "\t".join("1" * 60) + "\n" + "\t".join(["1"] * 59 + [text]) + "\n"
    )
    recording = Recording(tmp_path, start_us=START_US)

    assert recording.chunk(0)
    with pytest.raises(ConfigError, match=rf"CE\.txt row 2 column 60 is b'{text}'"):
        recording.chunk(60)


def test_no_folder(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        Recording(tmp_path / "nowhere", start_us=START_US)


def test_the_real_recording() -> None:
    """436,800 samples, equal to what NumPy reads, and ten labels."""
    recording = Recording(real_recording(), start_us=START_US)
    values: dict[str, list[float]] = {name: [] for name in CHANNELS}
    labels = 0
    for second in range(recording.seconds):
        labels += len(recording.labels(second))
        for chunk in recording.chunk(second):
            values[chunk.sensor] += chunk.value.tolist()

    assert sum(map(len, values.values())) == 436_800
    assert labels == 10
    for name in ("PS1", "FS1", "SE"):
        expected = np.loadtxt(REAL / f"{name}.txt").ravel()
        assert values[name] == expected.tolist()
