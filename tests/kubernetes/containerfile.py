"""Do what a Containerfile says, without an engine: its base is this machine, a Debian of the same release.

As much of the language as ours has: FROM, ARG, ENV, WORKDIR, COPY of files and from a stage, RUN. A stage from
`scratch` has nothing but what it copies, and its commands run with that as their root.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.kubernetes.kit import ROOT

ENTER = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]


@dataclass
class Stage:
    """What a stage has made: folders by the names that they have in it."""

    folder: Path
    scratch: bool
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)

    def place(self, name: str) -> Path:
        """Return where a file of the stage is here."""
        return self.folder / (Path(self.workdir) / name).relative_to("/")


def made(containerfile: Path, stage: str, work: Path) -> Path:
    """Return the folder with what a stage holds in the end."""
    text = containerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    stages: dict[str, Stage] = {}
    for line in lines:
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            current = stages[name] = Stage(work / (name or "last"), base == "scratch")
            current.folder.mkdir()
        else:
            _do(word, rest, current, stages)
    return stages[stage].folder


def _do(word: str, rest: str, stage: Stage, stages: dict[str, Stage]) -> None:
    if word in {"ARG", "ENV"}:
        stage.environment |= dict(pair.split("=", 1) for pair in rest.split())
    elif word == "WORKDIR":
        stage.workdir = rest
        stage.place(".").mkdir(exist_ok=True)
    elif word == "COPY" and rest.startswith("--from="):
        name, source, target = rest.removeprefix("--from=").split()
        shutil.copytree(stages[name].place(source), stage.place(target), symlinks=True, dirs_exist_ok=True)
    elif word == "COPY":
        *sources, target = rest.split()
        for one in sources:
            _copy(ROOT / one, stage.place(target) if len(sources) == 1 else stage.place(target) / one)
    elif word == "RUN":
        _run(rest, stage)
    else:
        assert word in {"USER", "CMD"}, word


def _copy(source: Path, target: Path) -> None:
    """Copy a file into a folder or as a file; of a folder what is in it."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _run(rest: str, stage: Stage) -> None:
    if stage.scratch:
        subprocess.run([*ENTER, f"--root={stage.folder}", *json.loads(rest)], env=stage.environment, check=True)
    elif not rest.startswith("apt-get"):  # what it installs this machine has
        argv = [re.sub(r"(?<= )/", f"{stage.folder}/", one) for one in json.loads(rest)[2:]]
        subprocess.run(["/bin/sh", "-c", *argv], env=os.environ | stage.environment, cwd=stage.place("."), check=True)
