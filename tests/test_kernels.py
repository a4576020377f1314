"""Compiled kernels are those of the sources that are there, wherever the package is."""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydrodask import kernels
from hydrodask.worker.warm import warm_up
from tests.nobody import python_as_nobody

ROOT = Path(__file__).resolve().parents[1]

CALLER = """
from hydrodask.kernels import njit
from hydrodask.window.welford import add

@njit(cache=True)
def mean(values):
    count, mean, m2 = 0.0, 0.0, 0.0
    for value in values:
        count, mean, m2 = add(value, count, mean, m2)
    return mean
"""
"""A kernel that uses a helper of another file."""

MEAN = """
import numpy as np
from hydrodask.window.caller import mean
print(mean(np.array([1.0, 2.0, 3.0, 4.0])), sum(mean.stats.cache_misses.values()))
"""
"""Prints the mean of 1, 2, 3 and 4, and how many functions had to be compiled for it."""

NOWHERE = "import tempfile\ntempfile._candidate_tempdir_list = lambda: []\n"
"""Has no temporary folder, as a container whose root can't be written and that mounts none."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package, which has one more kernel."""
    return copied(tmp_path)


def copied(folder: Path) -> Path:
    """Put a copy of the package with one more kernel into a folder."""
    shutil.copytree(ROOT / "hydrodask", folder / "hydrodask", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "hydrodask/window/caller.py").write_text(CALLER)
    return folder


def run(folder: Path, script: str = MEAN, **environ: str) -> list[str]:
    """Return the words that a script prints which finds the package in `folder`."""
    return subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **environ},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_a_changed_helper_is_seen(copy: Path) -> None:
    """The function that is called lies in another file, which is not touched."""
    before = run(copy)
    again = run(copy)
    helper = copy / "hydrodask/window/welford.py"
    helper.write_text(helper.read_text().replace("mean += delta / count", "mean += delta"))
    after = run(copy)

    assert [one[0] for one in (before, again, after)] == ["2.5", "2.5", "4.0"]
    assert [one[1] for one in (before, again, after)] == ["1", "0", "1"]


def test_a_copy_takes_its_machine_code_along(copy: Path, tmp_path: Path) -> None:
    """Nothing is compiled again, though every file is younger than it was."""
    assert run(copy) == ["2.5", "1"]
    other = copied(tmp_path / "other")
    (place,) = (copy / "hydrodask/__pycache__").glob("kernels-*")
    shutil.copytree(place, other / "hydrodask/__pycache__" / place.name)

    assert run(other) == ["2.5", "0"]


def unwritable(folder: Path) -> None:
    """Make it impossible to keep anything below `folder`, also for root."""
    for below in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        (below / "__pycache__").write_text("")


def test_a_package_that_can_not_be_written_is_imported(copy: Path, tmp_path: Path) -> None:
    """Its machine code goes to a temporary folder that is ours alone, when the user has none."""
    unwritable(copy / "hydrodask")
    places = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    first, second = run(copy, **places), run(copy, **places)

    assert (first[1], second[1]) == ("1", "0")
    assert (tmp_path / f"hydrodask-{os.getuid()}").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def image() -> Iterator[Path]:
    """Return a folder that everybody may look into and nobody but us (nor we, when we are not root) may write."""
    folder = Path(tempfile.mkdtemp())
    copied(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a temporary folder that everybody may write, as the system's is."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def run_as_nobody(folder: Path, before: str = "", **environ: str) -> list[str]:
    """Return the words that the script prints in a container's surroundings."""
    return python_as_nobody(folder, "-c", before + MEAN, **environ).split()


@pytest.mark.parametrize("below", ["", "numba"])
def test_another_user_without_a_home_keeps_machine_code_below_the_temporary_folder(
    image: Path, shared: Path, below: str
) -> None:
    """With and without `NUMBA_CACHE_DIR`; what it makes is its own only."""
    told = {"NUMBA_CACHE_DIR": str(shared / below)} if below else {}
    first, second = (run_as_nobody(image, TMPDIR=str(shared), HOME="/", **told) for _ in range(2))
    (made,) = shared.glob("*/kernels-*")

    assert (first, second) == (["2.5", "1"], ["2.5", "0"])
    assert {path.stat().st_mode & 0o777 for path in (made, made.parent)} == {0o700}


def test_machine_code_that_can_only_be_read_is_used(copy: Path, image: Path, shared: Path) -> None:
    """From the package or from `NUMBA_CACHE_DIR`, where nothing can be written; what is missing is compiled."""
    assert run(copy) == ["2.5", "1"]
    (place,) = (copy / "hydrodask/__pycache__").glob("kernels-*")
    (image / "hydrodask").chmod(0o755)
    baked = image / "hydrodask/__pycache__" / place.name
    shutil.copytree(place, baked)
    for path in (baked.parent, image / "hydrodask"):
        path.chmod(0o555)
    copied_first = run_as_nobody(image, TMPDIR=str(shared))
    in_place = run_as_nobody(image, NOWHERE)
    (image / "hydrodask").chmod(0o755)
    named = baked.parent.rename(image / "baked")
    named.chmod(0o555)
    elsewhere = run_as_nobody(image, NOWHERE, NUMBA_CACHE_DIR=str(named))
    (next((named / place.name).glob("*caller*.nbi"))).unlink()
    missing = run_as_nobody(image, NOWHERE, NUMBA_CACHE_DIR=str(named))

    assert [copied_first, in_place, elsewhere, missing] == [["2.5", "0"]] * 3 + [["2.5", "1"]]
    assert list(shared.glob("hydrodask-*/kernels-*"))


def test_nowhere_to_keep_machine_code_stops_nobody(image: Path) -> None:
    """It is compiled, each time."""
    assert run_as_nobody(image, NOWHERE) == ["2.5", "1"]


def test_what_a_stranger_has_put_there_is_not_run(copy: Path, tmp_path: Path) -> None:
    """Machine code is a pickle, so a folder that is another user's, or that others can write, is passed over."""
    theirs = copied(tmp_path / "theirs")
    unwritable(copy / "hydrodask")
    unwritable(theirs / "hydrodask")
    place = tmp_path / "open"
    told = {"NUMBA_CACHE_DIR": str(place), "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    assert run(theirs, NOWHERE + MEAN, **told) == ["2.5", "1"]
    assert run(copy, NOWHERE + MEAN, **told) == ["2.5", "0"]
    (made,) = place.glob("kernels-*")
    made.chmod(0o777)
    assert run(copy, NOWHERE + MEAN, **told) == ["2.5", "1"]

    made.chmod(0o700)
    if os.getuid() == 0:
        os.chown(made, 12345, 12345)
        assert run(copy, NOWHERE + MEAN, **told) == ["2.5", "1"]


def test_a_cache_that_is_cut_is_compiled_anew(copy: Path) -> None:
    """A machine that lost its power leaves files of length 0 behind: they must not stop every start from then on."""
    assert run(copy) == ["2.5", "1"]
    (place,) = (copy / "hydrodask/__pycache__").glob("kernels-*")
    for kind in ("nbi", "nbc"):
        for path in place.glob(f"*caller*.{kind}"):
            path.write_bytes(path.read_bytes()[:40])

        assert run(copy) == ["2.5", "1"]
        assert run(copy) == ["2.5", "0"]


def test_without_a_place_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """And kept nowhere."""
    monkeypatch.setattr(kernels, "_places", lambda: iter(()))
    kernels.folder.cache_clear()
    twice = kernels.njit(cache=True)(_twice)
    kernels.folder.cache_clear()

    assert twice(21) == 42
    assert not twice.stats.cache_path


def _twice(value: int) -> int:
    return 2 * value


def test_the_sources_are_all_that_kernels_use() -> None:
    """Whoever compiles is one of them, and so is whatever of ours a kernel takes from elsewhere."""
    known = {path for pattern in kernels.SOURCES for path in kernels.PACKAGE.glob(pattern)}
    strangers = []
    for path in kernels.PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        compiled = list(_compiled(tree))
        if compiled and path not in known:
            strangers.append(f"{path} is not in SOURCES")
        used = {node.id for one in compiled for node in ast.walk(one) if isinstance(node, ast.Name)}
        for name, module in _imported(tree):
            if name in used - {"njit"} and ROOT / f"{module.replace('.', '/')}.py" not in known:
                strangers.append(f"{path}: a kernel uses {name} of {module}, which is not in SOURCES")

    assert strangers == []


def _compiled(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Give the functions that have a decorator of numba's or ours."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list and "njit" in ast.unparse(node.decorator_list[0]):
            yield node


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Give each name that is imported from a module of ours, and the module."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hydrodask"):
            yield from ((alias.asname or alias.name, str(node.module)) for alias in node.names)


def test_warming_up_imports_what_files_need() -> None:
    """The first file of a stream is no reason to stand still for the import of pandas."""
    script = (
        "import sys\nfrom hydrodask.store.schemas import labels_table\n"
        "from hydrodask.worker.warm import warm_up\nwarm_up()\nbefore = set(sys.modules)\n"
        "labels_table([], [], partition=0, offsets=[])\nprint(*(set(sys.modules) - before))\n"
    )

    assert run(ROOT, script) == []


def test_warming_up_leaves_nothing_to_compile() -> None:
    """A process that follows loads all of it."""
    warm_up()
    script = (
        "import gc\nfrom hydrodask.worker.warm import warm_up\nwarm_up()\n"
        "from numba.core.dispatcher import Dispatcher\n"
        "ours = [one for one in gc.get_objects() if isinstance(one, Dispatcher) and 'hydrodask' in one.__module__]\n"
        "print(len(ours), sum(sum(one.stats.cache_misses.values()) for one in ours))\n"
    )
    count, compiled = run(ROOT, script)

    assert int(count) > 30
    assert compiled == "0"
    assert kernels.kept()
    assert kernels.progress()[0] > 30
