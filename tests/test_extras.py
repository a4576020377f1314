"""What comes with an extra is needed by nobody else, and who lacks it is told the command."""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from hydrodask import extras
from hydrodask.errors import ConfigError

LACKS = """
import shlex, sys
lacking = sys.argv[1].split()
class Lacks:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in lacking:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Lacks())
from hydrodask.__main__ import main
for line in sys.argv[2:]:
    sys.argv[1:] = shlex.split(line)
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.stderr.write(f"exit code {end.code}\\n")
"""
ALL = " ".join(module for modules in extras.EXTRAS.values() for module in modules)
COMMANDS = {
    "models": "mlflow learn",
    "train": "[a-z_]+ learn",
    "status --set documents.url=mongodb://127.0.0.1:9/x": "bson mongo",
    "verify --set lake.url=hdfs://127.0.0.1:9/lake": "hdfs_native hdfs",
    "verify --set lake.url=s3://bucket/lake": "s3fs s3",
}


def hydrodask(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run commands, one after the other, where no extra is installed."""
    command = [sys.executable, "-c", LACKS, ALL, *lines]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def test_who_lacks_an_extra_is_told_the_command(tmp_path: Path) -> None:
    """One sentence and exit code 3, whatever needs it."""
    done = hydrodask(*(f"{line} --set data_dir={tmp_path}" for line in COMMANDS))
    said = [
        rf"this needs {module}, which is not installed: pip install 'hydrodask\[{extra}\]'\nexit code 3\n"
        for module, extra in map(str.split, COMMANDS.values())
    ]

    assert re.fullmatch("".join(f".*?{one}" for one in said), done.stderr, re.DOTALL), done.stderr


def test_a_platform_runs_without_any_extra(tmp_path: Path) -> None:
    """It streams, and says that there is no page."""
    sets = ["observe.metrics=127.0.0.1:0", "cluster.dashboard=127.0.0.1:0", "source.speed=20", f"data_dir={tmp_path}"]
    done = hydrodask(" ".join(["run --for 10s", *(f"--set {one}" for one in sets)]))

    assert "exit code" not in done.stderr, done.stderr
    assert "pip install 'hydrodask[dashboard]'" in done.stdout + done.stderr
    assert list(tmp_path.rglob("raw/**/*.parquet"))


def test_every_extra_is_known() -> None:
    """What `pyproject.toml` asks for with an extra has that extra in its sentence; the others need none."""
    known = {extras.extra_of(module) for modules in extras.EXTRAS.values() for module in modules}
    asked = {found[1] for one in requires("hydrodask") or [] if (found := re.search(r"extra == '(\w+)'", one))}

    assert asked - known == {"all", "build", "dev", "services"}
    assert [str(extras.absent(ModuleNotFoundError(name="numpy"))), extras.lacking("numpy")] == ["None", ""]
    assert isinstance(extras.absent(ModuleNotFoundError(name="pymongo.errors")), ConfigError)
