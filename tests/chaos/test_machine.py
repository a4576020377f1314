"""The machine under the platform misbehaves: a full disk, a clock that jumps."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.stage import Stage
from tests.conftest import needs
from tests.delivery import Delivered, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

Build = Callable[..., Stage]

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that is a file system of 300 KiB."""
    needs(there=os.geteuid() == 0, what="only root may mount a file system")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_disk_full(stage: Build, wanted: Delivered, small_disk: Path) -> None:
    """The lake's disk is full: the run says so and waits; with room again it goes on, and nothing is lost."""
    case = stage(f"lake.url={small_disk}/lake")
    with case.driver() as driver:
        until(
            lambda: "No space left on device" in driver.output or driver.process.poll() is not None,
            "the disk is full",
        )
        assert driver.process.poll() is None
        with case.recovery():
            subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)

        assert driver.wait() == 0
    case.settled(wanted)


def jump_to(file: Path, seconds: int) -> None:
    """Set the faked clock that much ahead of the real one: in one go, as somebody reads the file all the time."""
    new = file.with_suffix(".new")
    new.write_text(f"+{seconds}\n")
    new.replace(file)


def test_clock_jumps(stage: Build, wanted: Delivered, tmp_path: Path) -> None:
    """The system's clock of driver and workers jumps ahead, most of an hour in all: state and results do not care.

    Not by more, as a broker refuses records that are from more than an hour ahead of its own clock, which is nobody's
    mistake here. Not back: libfaketime does not change what the kernel waits for, and librdkafka's waits would not end.
    """
    needs(there=shutil.which("faketime") is not None, what="there is no faketime (Debian: faketime) on the PATH")
    offset = tmp_path / "offset"
    jump_to(offset, 0)
    case = stage()
    faked = {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    with case.driver(environment=faked) as driver:
        for moment, seconds in zip(case.moments(2), (1200, 3000), strict=True):
            case.reach(driver, moment)
            with case.recovery():
                jump_to(offset, seconds)

        assert driver.wait() == 0
    case.settled(wanted)
