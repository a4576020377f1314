"""What failed beside others runs once more, alone: what is red twice is red, and nothing is passed over in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import again

ONCE = "from pathlib import Path\n\ndef test_{n}():\n    seen = Path('{n}')\n    try:\n        assert seen.exists()\n    finally:\n        seen.touch()\n"  # noqa: E501
EVER = "def test_{n}():\n    assert False\n"


def ran(folder: Path, *tests: str) -> tuple[int, str]:
    """Run these tests as `make test` does; return the exit code and what was said from the second try on."""
    for number, text in enumerate(tests):
        (folder / f"test_{number}.py").write_text(text.format(n=number))
    (folder / "pytest.ini").write_text("[pytest]\n")
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    python = [sys.executable, "-m"]
    first = subprocess.run([*python, "pytest", "-q"], cwd=folder, env=environ, capture_output=True, check=False)
    words = [*python, "tests.again", str(first.returncode)]
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_one_that_passes_alone_is_named(tmp_path: Path) -> None:
    """It is the last that is said."""
    code, said = ran(tmp_path, ONCE, "def test_{n}(): pass\n")

    assert code == 0
    assert said.endswith("a fault that hangs on time, to be mended\n  test_0.py::test_0\n")


@pytest.mark.parametrize("tests", [[EVER], [ONCE, EVER], [ONCE] * (again.FEW + 1)])
def test_what_fails_again_or_in_numbers_is_red(tmp_path: Path, tests: list[str]) -> None:
    """One of them is enough."""
    assert ran(tmp_path, *tests)[0] == 1


def test_what_could_not_begin_is_red(tmp_path: Path) -> None:
    """A module that can't be imported is no test that failed; neither was one found."""
    assert ran(tmp_path, "import nothing_that_there_is\n")[0] == 2
    (tmp_path / "test_0.py").unlink()
    assert ran(tmp_path)[0] == 5
