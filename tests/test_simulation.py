"""The whole engine in a simulated world: seeded lives full of faults deliver what a life without any does.

One life again: `HYDRODASK_SEED=17 pytest tests/test_simulation.py -k seed`. More of them: `HYDRODASK_LIVES=20000`.
"""

import ast
import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask.errors import ConfigError
from hydrodask.failpoints import NAMES, VARIABLE, killer
from hydrodask.testing.simulation.course import DRIVERS, Event, InjectedFault
from tests.simulation.anew import check_anew
from tests.simulation.check import check, collect, reference
from tests.simulation.lives import Look, fails, live, trouble
from tests.simulation.platform import Platform
from tests.simulation.schedule import Schedule, draw

LIVES = int(os.environ.get("HYDRODASK_LIVES", "320"))
"""Lives of the big test: about a minute of two cores."""

MUTATION_SEEDS_MAX = 400
ROOT = Path(__file__).resolve().parents[1]


def must_be_fine(schedule: Schedule, look: Look = check) -> None:
    """Fail with what is wrong."""
    if (wrong := trouble(schedule, look)) is not None:
        pytest.fail(wrong, pytrace=False)


@pytest.fixture(autouse=True)
def _nobody_left() -> Iterator[None]:
    """Collect what is left of a world here: a thread that ends in the middle of a parser's work upsets Python 3.11."""
    yield
    gc.collect()


def test_one_seed() -> None:
    """The life of the seed that the environment names, if it names one, is as one without faults."""
    must_be_fine(draw(int(os.environ.get("HYDRODASK_SEED", "0"))))


@pytest.mark.timeout(max(900, LIVES))  # all of them are one test
def test_any_life_delivers_the_same() -> None:
    """Whoever dies, stands still, is refused or comes too late: everything once, to the last bit, in the end."""
    if wrong := list(live(LIVES)):
        pytest.fail("\n\n".join(wrong), pytrace=False)


@pytest.mark.timeout(max(900, LIVES))
def test_any_life_with_topics_made_anew() -> None:
    """Deleted and made anew in the middle of anything: all of the new log is read, as if there had been no other."""
    if wrong := list(live(LIVES // 2, anew=True)):
        pytest.fail("\n\n".join(wrong), pytrace=False)


@pytest.mark.timeout(max(900, LIVES))
def test_any_life_with_a_broker_that_leaves() -> None:
    """What it has called committed, and told none of its partitions, is taken back everywhere, and published once."""
    if wrong := list(live(LIVES // 4, left=True)):
        pytest.fail("\n\n".join(wrong), pytrace=False)


@pytest.mark.parametrize("name", NAMES)
def test_death_at_each_place(name: str) -> None:
    """Killed or stalled at a fail point, the first time or later, by a process with much or with little to do."""
    happened = 0
    for number, (kind, seconds) in ((1, ("kill", 0.0)), (2, ("stall", 4.0)), (4, ("kill", 0.0))):
        look = check_anew if name.startswith("end.") else check
        ends = tuple(Event(at_s, "remake", 0.3) for at_s in (1.2, 2.0, 2.8)) if look is check_anew else ()
        events = (Event(1.5, "join"), *ends, Event(3.0, "kill worker", 0.5))  # fence.* and close.* need them
        sets = (("commit_every", 0.1), ("snapshot_every", 0.2), ("roll_rows", 12), ("roll_age", 0.8), ("rows_max", 60))
        count = 1 if name.startswith("fence.") else number
        schedule = Schedule(
            number,
            kind=number,
            workers=2,
            sets=sets,
            faults=(InjectedFault(name, count, kind, "before", seconds),),
            events=events,
        )
        try:
            happened += len(look(schedule).hits)
        except AssertionError:
            must_be_fine(schedule, look)

    assert happened > 0, f"nobody has come to {name}"


def test_reference_has_everything_in_it() -> None:
    """Late records, dead letters, incomplete cycles, provisional rows: what is compared is worth comparing."""
    found = reference(0)

    assert found.tables["late"].num_rows > 0
    assert len(found.dead) == 4
    assert not all(found.tables["cycles"]["complete"].to_pylist())
    assert any(not row["final"] for row in found.newest.values())
    assert {one["status"] for one in found.incidents.values()} >= {"resolved"}


@pytest.mark.parametrize(
    ("mutation", "names"),
    [
        ("fence", "slot fence"),
        ("put-if-absent", "put-if-absent"),
        ("revision", "revision guard"),
        ("removal", "memory of removals"),
        ("transaction", "transaction"),
    ],
)
def test_missing_promise_is_noticed(mutation: str, names: str, record_property: Callable[[str, object], None]) -> None:
    """A store or broker that does not keep its promise is found out within a few hundred lives."""
    for seed in range(MUTATION_SEEDS_MAX):
        schedule = overslept(draw(seed), mutation)
        if fails(replace(schedule, mutation=mutation)) is not None:
            record_property("seeds", seed + 1)
            assert fails(schedule) is None, "it is not the mutation that fails"
            return
    pytest.fail(f"{MUTATION_SEEDS_MAX} lives without the {names}, and nobody has noticed")


def overslept(schedule: Schedule, mutation: str) -> Schedule:
    """Return a life in which a worker also sleeps before it writes documents while another driver takes over.

    Only then is a removed document written again, and few lives have that by chance. Nor have they one who sleeps
    before he names a file that another names meanwhile.
    """
    sleeps = [InjectedFault("documents.write", 1 + schedule.seed % 4, "stall", "before", 5.0)]
    if mutation == "put-if-absent":
        sleeps.append(InjectedFault("files.link", 1 + schedule.seed % 6, "stall", "before", 5.0))
    events = sorted((*schedule.events, Event(2.0, "kill driver", 0.3)), key=lambda event: event.at_s)
    return replace(schedule, faults=(*schedule.faults, *sleeps), events=tuple(events))


def test_same_seed_tells_the_same_story() -> None:
    """In another process, with other hashes, a seed gives the same trace."""
    script = (
        "import logging; logging.disable(logging.CRITICAL)\n"
        "from tests.simulation.platform import Platform\n"
        "from tests.simulation.schedule import draw\n"
        "for seed in range(6):\n"
        "    platform = Platform(draw(seed)); platform.run()\n"
        "    print(*platform.world.trace, platform.world.loop.now_s, sorted(platform.world.calls.items()), sep='\\n')\n"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (1, 2)
    ]

    assert told[0] == told[1]
    assert "worker" in told[0]


def test_retention_loses_what_it_says() -> None:
    """Records that are gone before they are read are counted, once; the rest is delivered once and in order."""
    events = (Event(1.2, "kill worker", 2.5), Event(3.0, "retention"))  # nobody reads in between
    platform = Platform(Schedule(1, kind=1, workers=1, events=events))
    platform.run()
    found = collect(platform)
    raw = Counter(found.tables["raw"]["source"].to_pylist())

    for source in (("hydraulic-TS1", 0), ("hydraulic-CE", 0)):
        totals = platform.overview.partitions[source].totals
        sent = len(platform.broker.logs[source].entries)
        tombstones = sum(e.value is None for e in platform.broker.logs[source].entries)
        assert totals["consumed"] + totals["lost"] in {sent, sent - tombstones}
        assert raw[f"{source[0]}-{source[1]}"] + totals.get("dead", 0) == totals["consumed"]
    assert platform.overview.total("lost") > 0


def test_places_are_those_of_the_code() -> None:
    """Every fail point of the code is in the list, and the list has no others."""
    found = []
    package = ROOT / "hydrodask"
    fakes = package / "testing"  # they pass the same places as what they stand for
    for path in sorted(set(package.rglob("*.py")) - set(fakes.rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
                assert isinstance(node.args[0], ast.Constant)
                found.append(str(node.args[0].value))

    assert sorted(found) == sorted(NAMES)
    assert set(DRIVERS) < set(NAMES)


@pytest.mark.parametrize("text", ["nowhere", "step.done:0", "step.done:x", "step.done:-1"])
def test_unknown_place_is_a_configuration_error(text: str) -> None:
    """A misspelt place would never be come to: the message lists those that there are."""
    with pytest.raises(ConfigError, match=r"one of open\.initialised"):
        killer({VARIABLE: text})


def test_process_dies_at_the_place_and_time_that_the_environment_names() -> None:
    """The second time of that place, by SIGKILL; other places pass."""
    script = (
        "from hydrodask.failpoints import failpoint\n"
        "for name in ('roll.begun', 'step.done', 'roll.begun', 'step.done', 'roll.begun'):\n"
        "    print(name, flush=True); failpoint(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, VARIABLE: "step.done:2"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == -9
    assert len(done.stdout.split()) == 4


def test_unarmed_place_costs_next_to_nothing() -> None:
    """A step comes to a few dozen of them: together below a tenth of a millisecond."""
    from hydrodask.failpoints import failpoint  # noqa: PLC0415

    took_s = []
    for _round in range(20):  # the machine may do other things meanwhile
        began_s = clock.monotonic_s()
        for _ in range(1_000):
            failpoint("step.begun")
        took_s.append(clock.monotonic_s() - began_s)

    assert min(took_s) / 1_000 < 2e-6
