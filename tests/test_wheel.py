"""What is installed from the wheel is whole: commands find their files without a checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from hydrodask.settings.model import Kafka
from tests.delivery import sets_of

ROOT = Path(__file__).resolve().parents[1]
NOT_IN_IT = ("cluster/images/",)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `bin` of a fresh environment that has the wheel, and this one's libraries."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def run(installed: Path, *words: str) -> str:
    """Return what a program of the environment prints, away from the checkout."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRODASK_", "PYTHONPATH"))}
    command = [str(installed / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=installed, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_that_is_no_code(wheel: Path) -> None:
    """Settings, rules, dashboards, rights, pins and charts: whatever a command may read one day."""
    committed = subprocess.run(
        ["git", "ls-files", "conf", "cluster", "flows", "hydrodask"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not committed:
        pytest.skip("not a git checkout")

    linked = [path.relative_to(ROOT) for name in committed for path in (ROOT / name).glob("*") if path.is_file()]
    wanted = [name for name in committed if (ROOT / name).is_file()] + [str(path) for path in linked]
    assert [name for name in wanted if not name.startswith(NOT_IN_IT) and name not in names(wheel)] == []


def names(wheel: Path) -> set[str]:
    """Return the names of what is in the wheel."""
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


@pytest.mark.integration
def test_topics_and_rights_are_made_from_the_wheel(installed: Path, kafka: Kafka, tmp_path: Path) -> None:
    """`topics create`, `topics grant`, and the files of dashboards, rules and local services."""
    sets = [word for one in sets_of(kafka, tmp_path, "wheeled") for word in ("--set", one)]
    script = (
        "from hydrodask import services\n"
        "from hydrodask.services import access, pinned\n"
        "from hydrodask.settings import CONF\n"
        "print(access.FILE, *(one for one in (CONF / 'grafana/hydrodask.json', CONF / 'prometheus/rules.yml',"
        " pinned.SOURCE / 'kafka/pom.xml', pinned.SOURCE / 'mlflow/locked.py') if one.exists()))"
    )
    created = run(installed, "hydrodask", "topics", "create", *sets)
    granted = run(installed, "hydrodask", "topics", "grant", *sets)
    there = run(installed, "python", "-c", script).split()

    assert created.count(" created") == 21
    assert "rights added" in granted
    assert len(there) == 5
    assert all(Path(path).is_relative_to(installed.parent) for path in there)
