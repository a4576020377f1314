"""A terminal that somebody closes: the run in it ends in order, and what it has read is stored."""

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path
from typing import IO, Any, Self

import pytest

from hydrodask import kafka
from hydrodask.channels import CHANNELS
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.topics import all_topics
from hydrodask.observe.status import newest_status
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.documents import open_documents
from tests.delivery import ROOT, until
from tests.running import folder

pytestmark = pytest.mark.cluster

AT_A_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "hydrodask", *sys.argv[2:]])
"""
"""A command that a terminal belongs to: the system tells it when that is closed."""

QUICK = ("cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0", "console.address=127.0.0.1:0")
ENDED_S = 150.0


class Terminal:
    """A command at a terminal, which can be closed. What it shows is read, and left."""

    def __init__(self, *command: str, nohup: bool = False, output: IO[bytes] | None = None) -> None:
        self._ours: int | None
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL, "nohup" if nohup else "", *command],
            stdin=theirs, stdout=output or theirs, stderr=theirs, cwd=ROOT, start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("HYDRODASK_")},
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(ENDED_S)
        self.close()

    def read(self) -> None:
        """Read what it shows: a terminal that is full would hold it."""
        while self._ours is not None and select.select([self._ours], [], [], 0)[0]:
            os.read(self._ours, 65_536)
        assert self._ours is None or self.process.poll() is None

    def key(self, text: bytes) -> None:
        """Press a key."""
        assert self._ours is not None
        os.write(self._ours, text)

    def close(self) -> None:
        """Close the terminal. May be called twice."""
        if self._ours is not None:
            os.close(self._ours)
        self._ours = None


class Run(Terminal):
    """`hydrodask run` at a terminal."""

    def __init__(self, data_dir: Path, *, nohup: bool = False) -> None:
        self.settings = Settings(data_dir=data_dir)
        sets = (*QUICK, f"data_dir={data_dir}", "source.speed=20")
        super().__init__("run", *(f"--set={one}" for one in sets), nohup=nohup)

    def status(self) -> dict[str, Any]:
        """Return what the run has last said of itself, nothing before it has."""
        self.read()
        if not (self.settings.data_dir / "documents.sqlite").exists():
            return {}
        documents = open_documents(self.settings)
        try:
            return newest_status(documents) or {}
        finally:
            documents.close()

    def works(self) -> None:
        """Wait until it has read some thousand records."""
        until(lambda: self.status().get("totals", {}).get("consumed", 0) > 10_000, "it reads", seconds=240)


@pytest.mark.parametrize("first", [b"", b"\x03"], ids=["closed", "closed after Ctrl-C"])
def test_a_terminal_that_is_closed_stops_a_run_in_order(tmp_path: Path, first: bytes) -> None:
    """As SIGTERM does, also while it stops already: all that was read is in the lake, and its state is told."""
    with Run(tmp_path) as run:
        run.works()
        if first:
            run.key(first)
            until(lambda: run.status()["state"] != "running", "it stops")
        run.close()
        assert run.process.wait(ENDED_S) == 0
        said = run.status()

    read = {one["topic"].removeprefix("hydraulic-"): one["position"] for one in said["partitions"]}
    stored = Counter(folder(tmp_path, "raw")["sensor"].to_pylist())
    assert said["state"] == "stopped"
    assert stored == {sensor: read[sensor] for sensor in CHANNELS}


def test_a_run_that_nohup_has_started_goes_on(tmp_path: Path) -> None:
    """It was told not to care for the terminal, and does not: it reads on, and ends when it is stopped."""
    with Run(tmp_path, nohup=True) as run:
        run.works()
        run.close()
        before = run.status()["totals"]["consumed"]
        until(lambda: run.status()["totals"]["consumed"] > before + 10_000, "it reads on", seconds=120)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(ENDED_S) == 0
        assert run.status()["state"] == "stopped"


def test_what_a_publisher_has_queued_is_delivered_when_its_terminal_is_closed(tmp_path: Path) -> None:
    """What it says that it has published is on the topics."""
    with EmbeddedBroker(all_topics(Settings())) as broker, (tmp_path / "said").open("wb") as said:
        client = kafka.consumer(Kafka(bootstrap=broker.bootstrap, embedded=False))

        def count(sensor: str) -> int:
            return int(client.get_watermark_offsets(kafka.TopicPartition(f"hydraulic-{sensor}", 0), timeout=20)[1])

        def publishes() -> bool:
            simulator.read()
            return count("PS1") > 6_000

        command = ("simulate", "--bootstrap", broker.bootstrap, "--speed", "20", "--json")
        with Terminal(*command, output=said) as simulator:
            until(publishes, "it publishes", seconds=120)
            simulator.close()
            assert simulator.process.wait(ENDED_S) == 0
        there = sum(count(name) for name in (*CHANNELS, "labels"))
        client.close()

    summary = json.loads((tmp_path / "said").read_text())
    assert (summary["published"], summary["failed"]) == (there, 0)
