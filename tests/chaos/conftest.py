"""Chaos tests: each case of a fault with as many seeds as asked for. All but the quick ones need `--chaos`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hydrodask.settings.model import Kafka
from tests.chaos.stage import Stage
from tests.delivery import NEVER_QUICK


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each case once for each seed."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, metafunc.config.getoption("--seeds") + 1))


@pytest.fixture(autouse=True)
def _asked_for(request: pytest.FixtureRequest) -> None:
    """Skip what takes long unless it is asked for."""
    if request.node.get_closest_marker("quick") is None and not request.config.getoption("--chaos"):
        pytest.skip("a long chaos case; `make chaos` runs it")


@pytest.fixture
def stage(kafka: Kafka, short: Path, tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> Callable[..., Stage]:
    """Return what sets a stage up, named for the test; its arguments are settings over `NEVER_QUICK`'s."""
    case = request.node.originalname.removeprefix("test_").replace("_", "-")

    def build(*sets: str, name: str = "") -> Stage:
        return Stage(kafka, short, tmp_path, name=f"{case}-{name}".rstrip("-"), seed=seed, sets=(*NEVER_QUICK, *sets))

    return build
