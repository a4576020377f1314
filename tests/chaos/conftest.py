"""Chaos tests: each case of a fault with as many seeds as asked for. All but the quick ones need `--chaos`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hydrodask.settings.model import Kafka
from tests.chaos.stage import ALL_OPEN, Stage

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each case once for each seed."""
    if "seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("--first-seed")
        metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--seeds")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long unless it is asked for; one seed of all cases comes before the next one."""
    long = [i for i in items if i.path.parent == HERE and i.get_closest_marker("quick") is None]
    if long and not config.getoption("--chaos"):
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in set(long)]
    if config.getoption("--seeds") > 1:
        items.sort(key=_seed)


def _seed(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    return 0 if callspec is None else callspec.params.get("seed", 0)


@pytest.fixture
def stage(kafka: Kafka, short: Path, tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> Callable[..., Stage]:
    """Return what sets a stage up, named for the test; its arguments are settings over `ALL_OPEN`'s."""
    case = request.node.originalname.removeprefix("test_").replace("_", "-")

    def build(*sets: str, name: str = "") -> Stage:
        return Stage(kafka, short, tmp_path, name=f"{case}-{name}".rstrip("-"), seed=seed, sets=(*ALL_OPEN, *sets))

    return build
