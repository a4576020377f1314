"""What is installed from the wheel is whole: commands find their files without a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from hydrodask.settings.model import Kafka
from tests.delivery import sets_of

ROOT = Path(__file__).resolve().parents[1]
SPIKES = ROOT / "examples" / "spikes"
NOT_IN_IT = ("hydrodask/cluster/images/",)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the wheel of this tree, and one of the source distribution of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*build, "-t", "wheel", "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sources:
        sources.extractall(folder / "sources", filter="data")
    (unpacked,) = (folder / "sources").iterdir()
    build[-1] = str(folder / "again")
    subprocess.run([*build, "-t", "wheel"], cwd=unpacked, check=True, capture_output=True)
    return next(folder.glob("*.whl")), next((folder / "again").glob("*.whl"))


@pytest.fixture(scope="session")
def wheel(built: tuple[Path, Path]) -> Path:
    """Return the wheel of this tree."""
    return built[0]


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


def run(installed: Path, *words: str, cwd: Path | None = None) -> str:
    """Return what a program of the environment prints, away from the checkout."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRODASK_", "PYTHONPATH"))}
    command = [str(installed / words[0]), *words[1:]]
    done = subprocess.run(
        command, cwd=cwd or installed, env=environ, capture_output=True, text=True, check=False, timeout=300
    )
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

    wanted = [name if name.startswith("hydrodask/") else f"hydrodask/{name}" for name in committed]
    wanted = [name for name in wanted if not name.startswith(NOT_IN_IT) and not (ROOT / name).is_dir()]
    assert [name for name in wanted if name not in names(wheel)] == []
    charted = {path.name for path in (ROOT / "cluster/kubernetes/hydrodask/files/conf").glob("*.yaml")}
    assert charted == {path.name for path in (ROOT / "conf").glob("*.yaml")}  # the chart has a link to each


def test_nothing_of_ours_is_beside_the_package_and_both_wheels_are_equal(built: tuple[Path, Path]) -> None:
    """Flows, settings and pins are parts of it, whether the wheel is built from a checkout or from its sdist."""
    ours, again = (
        {one: zipfile.Path(path, one).read_bytes() for one in names(path) if "dist-info" not in one} for path in built
    )

    assert {name.split("/")[0] for name in ours} == {"hydrodask"}
    assert {"hydrodask/flows/monitor.py", "hydrodask/conf/default.yaml", "hydrodask/py.typed"} <= set(ours)
    assert ours == again


def test_a_folder_with_flows_of_its_own_works(installed: Path, tmp_path: Path) -> None:
    """`python -m` looks for modules there first: what is named as ours must not be taken for ours."""
    for name in ("flows", "conf", "cluster"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('my own')\n")

    said = run(installed, "python", "-m", "hydrodask", "config", "check", cwd=tmp_path)
    where = run(installed, "python", "-c", "from hydrodask.flows import FLOWS; print(len(FLOWS))", cwd=tmp_path)

    assert "configuration is fine" in said
    assert where.strip() == "4"


def test_a_project_of_its_own_is_tested_and_typed_against_the_wheel(installed: Path, tmp_path: Path) -> None:
    """`examples/spikes` beside what is installed, and away from the checkout: its tests pass, and mypy is strict."""
    project = tmp_path / "spikes"
    shutil.copytree(SPIKES, project, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    pip = [sys.executable, "-m", "pip", "--python", str(installed / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", str(project)], check=True, capture_output=True)
    typed = run(installed, "python", "-m", "mypy", "--strict", "rig_spikes", cwd=project)
    shutil.rmtree(project / "rig_spikes")  # the one that is installed

    where = "import hydrodask, rig_spikes; print(hydrodask.__file__, rig_spikes.__file__)"
    there = run(installed, "python", "-c", where, cwd=project).split()
    tested = run(installed, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=project)

    assert all(Path(path).is_relative_to(installed.parent) for path in there)
    assert "3 passed" in tested
    assert "Success: no issues found in 3 source files" in typed


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
        "from hydrodask.doors import access\n"
        "from hydrodask.services import pinned\n"
        "from hydrodask.settings import CONF\n"
        "print(access.FILE, *(one for one in (CONF / 'grafana/fleet.json', CONF / 'prometheus/rules.yml',"
        " pinned.SOURCE / 'kafka/pom.xml', pinned.SOURCE / 'mlflow/locked.py') if one.exists()))"
    )
    created = run(installed, "hydrodask", "topics", "create", *sets)
    granted = run(installed, "hydrodask", "topics", "grant", *sets)
    there = run(installed, "python", "-c", script).split()

    assert created.count(" created") == 21
    assert "rights added" in granted
    assert len(there) == 5
    assert all(Path(path).is_relative_to(installed.parent) for path in there)
