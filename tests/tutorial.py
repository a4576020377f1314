"""Run a page of the tutorial as its reader would: write its files, give its commands, compare what they say.

A block with `title="NAME"` is a file. A block `console` has commands behind `$ ` and what they print; `…` stands for
anything, also for any lines, and a number for any number. A block `diff` with a title changes a file. A comment before
a block says what can't be seen: `<!-- stop: TEXT -->` (Ctrl-C once the command has said that), `<!-- exit code: N -->`.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hydrodask.services.ports import free_port

BLOCK = re.compile(
    r'(?:<!-- (?P<how>stop|exit code): (?P<what>[^\n]+) -->\n)?```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n'
    r"(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SECONDS_MAX = 240
ANY_LINES = r"(?:[^\n]*\n)*?"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    language: str
    title: str | None
    text: str
    stop: str | None
    code: int


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    found = []
    for one in BLOCK.finditer(page.read_text(encoding="utf-8")):
        how, what = one["how"], one["what"]
        code = int(what) if how == "exit code" else 0
        found.append(Block(one["language"], one["title"], one["text"], what if how == "stop" else None, code))
    return found


def follow(page: Path, folder: Path) -> int:
    """Do all that a page says, in `folder`; return how many commands that were. AssertionError when one differs."""
    done = 0
    for block in blocks(page):
        if block.title is not None and block.language == "diff":
            edit(folder / block.title, block.text)
        elif block.title is not None:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for command, wanted in commands(block.text):
                said, code = give(command, folder, block.stop)
                assert code == block.code, f"{command}: exit code {code}\n{said}"
                assert says(said, wanted), f"{command} says\n{said}\nand the page says\n{wanted}"
                done += 1
    return done


def edit(path: Path, diff: str) -> None:
    """Do what a diff of one place says. AssertionError unless there is just one such place."""
    before, after = ("".join(f"{line[1:]}\n" for line in diff.splitlines() if line[0] != sign) for sign in "+-")
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path.name} does not hold once:\n{before}"
    path.write_text(text.replace(before, after), encoding="utf-8")


def commands(text: str) -> list[tuple[str, str]]:
    """Return each command of a block, and what it should print."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def give(command: str, folder: Path, stop: str | None) -> tuple[str, int]:
    """Return what a command said and its exit code; it gets Ctrl-C once it has said `stop`."""
    environ = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "86",
        "HYDRODASK_CLUSTER__DASHBOARD": f"127.0.0.1:{free_port()}",
        "HYDRODASK_OBSERVE__METRICS": f"127.0.0.1:{free_port()}",
        "HYDRODASK_CONSOLE__ADDRESS": f"127.0.0.1:{free_port()}",
    }
    words = shlex.split(command)
    with subprocess.Popen(
        [str(BIN / words[0]) if (BIN / words[0]).exists() else words[0], *words[1:]],
        cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
    ) as running:  # fmt: skip
        try:
            said = _listen(running, stop)
            return said, running.wait(SECONDS_MAX)
        finally:
            running.kill()


def _listen(running: "subprocess.Popen[str]", stop: str | None) -> str:
    """Return all that a process says; it gets Ctrl-C once that holds `stop`."""
    assert running.stdout is not None
    said = []
    for line in running.stdout:
        said.append(line)
        if stop is not None and stop in line:
            running.send_signal(signal.SIGINT)
            stop = None
    assert stop is None, f"never said {stop!r}:\n{''.join(said)}"
    return "".join(said)


def says(said: str, wanted: str) -> bool:
    r"""Say whether a text is what a page shows: `…` is anything, numbers are equal, runs of spaces are one.

    >>> says("a   b\nc\nd\n", "a b\n…\nd"), says("a\nb\n", "a"), says("a\n", "")
    (True, False, True)
    >>> says("x 12 y", "x … y"), says("at 17:05", "at 16:30")
    (True, True)
    """
    if not wanted.strip():
        return True
    lines = [ANY_LINES if line.strip() == "…" else _line(line) for line in wanted.strip().splitlines()]
    return re.fullmatch("".join(lines), _flat(said)) is not None


def _line(line: str) -> str:
    any_number = re.sub(r"\d+", r"\\d+", re.escape(" ".join(line.split())))
    return any_number.replace("…", r"[^\n]*") + r"\n"


def _flat(text: str) -> str:
    return "".join(" ".join(line.split()) + "\n" for line in text.strip().splitlines())
