"""What people see of a platform that runs, as pictures: terminal, operator's page, /hydro on Dask's dashboard.

Twelve rigs with the faults of `conf/faults-fleet.yaml` run on the embedded broker, as `hydrodask run` starts them, at a
terminal of their own. With HYDRODASK_PICTURES=docs/img the pictures of the documentation are made.
"""

import fcntl
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from tests.conftest import needs
from tests.delivery import ROOT, until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make install-dev`")

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

PICTURES = os.environ.get("HYDRODASK_PICTURES", "")
"""Where pictures are kept, such as docs/img; without it they are only taken."""

COLUMNS, LINES = 120, 36
SEEN_S = 300.0
HOME = "\x1b[H"
"""With it each picture of the live view begins."""

RUN = ["run", "--rigs", "12", "--faults", "faults-fleet.yaml", "--speed", "4"]
FAULTY = {"rig-0002", "rig-0006"}
"""Rigs whose incidents are open when pictures are taken; others follow."""


class Terminal:
    """A run at a terminal: what it has shown so far."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        sets = ["cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0", "console.address=127.0.0.1:0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hydrodask", *RUN, *(f"--set={one}" for one in (f"data_dir={folder}", *sets))],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("HYDRODASK_")}
            | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(theirs)
        self._ours, self._shown = ours, bytearray()

    def _take(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                self._shown += os.read(self._ours, 65_536)
            except OSError:  # it has ended
                break

    def _ended(self) -> bool:
        self._take()  # or it fills up
        return self.process.poll() is not None

    def frame(self) -> str:
        """Return the newest whole picture, with its colours."""
        self._take()
        assert self.process.poll() is None, self._shown[-1000:].decode(errors="replace")
        pictures = self._shown.decode(errors="replace").replace("\r\n", "\n").split(HOME)
        del self._shown[: -200 * COLUMNS * LINES]
        return pictures[-2] if len(pictures) > 2 else ""

    def close(self) -> None:
        """Ask it to stop, and wait for that."""
        self.process.send_signal(signal.SIGINT)
        try:
            until(self._ended, "the run has ended", seconds=60.0)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._ours)


@contextmanager
def at_a_terminal(folder: Path) -> Iterator[Terminal]:
    """Run twelve rigs."""
    terminal = Terminal(folder)
    try:
        yield terminal
    finally:
        terminal.close()


def drawn(frame: str) -> str:
    """Return a picture of a terminal as SVG."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, height=LINES, file=nowhere)
        console.print(Text.from_ansi(re.sub(r"\x1b\[[0-9;?]*[A-LN-Zac-ln-z]", "", frame)), end="")
    return console.export_svg(title="hydrodask run")


def opened(page: str) -> set[str]:
    """Return of which rigs the operator's page shows open incidents."""
    with urllib.request.urlopen(f"{page}/api/fleet", timeout=60) as answer:  # noqa: S310 - http to ourselves
        return {one["rig"] for one in json.load(answer)["episodes"]}


def photographed(page: Any, name: str, folder: Path) -> None:
    """Keep what a page shows."""
    to = Path(PICTURES or folder) / f"{name}.png"
    page.screenshot(path=to)
    assert 15_000 < to.stat().st_size < 260_000, name


def test_what_people_see_of_twelve_rigs(tmp_path: Path) -> None:
    """Each place names the rigs whose faults are on, and no browser finds an error."""
    chromium = shutil.which("chromium")
    needs(there=chromium is not None, what="there is no chromium on the PATH: apt-get install chromium")
    with at_a_terminal(tmp_path / "data") as terminal, playwright.sync_playwright() as started:
        until(lambda: "/hydro" in terminal.frame(), "the live view names its pages", seconds=SEEN_S)
        urls = re.findall(r"http://[^\s\x1b]+", terminal.frame())
        hydro = next(url for url in urls if url.endswith("/hydro"))
        fleet = next(url for url in urls if url.removesuffix("/").rpartition("/")[2].startswith("127.0.0.1:"))
        fleet = fleet.removesuffix("/")
        until(lambda: terminal.frame() and opened(fleet) >= FAULTY, f"incidents of {FAULTY} are open", seconds=SEEN_S)
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        wrong: list[str] = []
        for name, url in (("run-hydro", hydro), ("run-fleet", f"{fleet}/#/")):
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.goto(url)
            page.wait_for_timeout(4_000)
            photographed(page, name, tmp_path)
        browser.close()
        svg = drawn(terminal.frame().replace(str(tmp_path / "data"), "hydrodask-data"))
        assert all(one in svg for one in ("rig-0006", "critical", "running"))
        (Path(PICTURES).parent / "live.svg" if PICTURES else tmp_path / "live.svg").write_text(svg, encoding="utf-8")
    assert wrong == []
