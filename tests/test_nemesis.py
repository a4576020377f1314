"""Harm is done to simulated lives: each heals, or ends with a sentence, or is found by `verify`; never a third thing.

One life again: `HYDRODASK_HARMED=17 pytest tests/test_nemesis.py -k seed`. More of them, with a table:
`python -m tests.simulation.tally 0 3000`.
"""

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hydrodask.testing.simulation.course import Event, InjectedFault
from tests.simulation import recorded
from tests.simulation.lives import fails, harmed_life, live_harmed
from tests.simulation.outcome import ALLOWED, HEALED, SENTENCE, VERIFY, outcome
from tests.simulation.schedule import FORGETTING, HARMS, Schedule, draw
from tests.simulation.tally import table

LIVES = int(os.environ.get("HYDRODASK_LIVES", "500")) // 4
"""Lives of the big test: half a minute of two cores, and each harm in half a dozen of them."""

SEEDS_MAX = 100


@pytest.fixture(autouse=True)
def _nobody_left() -> Iterator[None]:
    """Collect what is left of a world here: a thread that ends in the middle of a parser's work upsets Python 3.11."""
    yield
    gc.collect()


def test_one_seed() -> None:
    """The life of the seed that the environment names, if it names one, ends in one of the three ways."""
    assert outcome(harmed_life(int(os.environ.get("HYDRODASK_HARMED", "1")))).end in (HEALED, SENTENCE, VERIFY)


@pytest.mark.timeout(max(900, 3 * LIVES))  # all of them are one test
def test_any_harm_heals_or_is_said_or_is_found(record_property: Callable[[str, object], None]) -> None:
    """Disks, operators, clocks, connections and an upgrade: whatever is done, nothing wrong stays silent."""
    lived = list(live_harmed(range(LIVES)))
    record_property("table", table((harms, end) for harms, end, _ in lived))

    if wrong := [said for _, _, said in lived if said]:
        pytest.fail("\n\n".join(wrong), pytrace=False)
    assert {harm for harms, _, _ in lived for harm in harms} == {*HARMS, *FORGETTING, "upgrade"} == set(ALLOWED)
    assert {end for _, end, _ in lived} == {HEALED, SENTENCE, VERIFY}


@pytest.mark.parametrize("case", range(recorded.CASES))
def test_state_of_the_previous_release_is_taken_over(case: int) -> None:
    """Killed in the middle of steps, by its own code: this release goes on, and `verify` finds nothing."""
    found = outcome(Schedule(case, kind=recorded.kind_of(case), workers=2, previous=case))

    assert found.end == HEALED, found


PINNED = {
    "an upgrade was a move of rigs to another partition": (1032, HEALED),
    "provisional, by rules whose record was lost": (723, VERIFY),
    "a flipped bit in the record of a log was another log": (64, VERIFY),
    "a run whose claim was lost ended, and named run 0": (33, HEALED),
    "the first file of labels was lost, and nobody missed it": (506, VERIFY),
    "rules began anew when it was lost which ones had judged": (665, HEALED),
    "windows were changed where files of the old ones went on": (444, HEALED),
    "a snapshot on the way back to files that are there": (500, HEALED),
}
"""What lives have shown, the seed, and how it ends now."""


@pytest.mark.parametrize("what", PINNED)
def test_what_was_found_stays_mended(what: str) -> None:
    """Seeds whose lives had ended in a third way end as they should."""
    seed, end = PINNED[what]

    assert outcome(harmed_life(seed)).end in {end, HEALED}


def lying(seed: int) -> Schedule:
    """Return a life in which the power is cut twice."""
    cuts = (Event(1.5, "power"), Event(3.0, "power"))
    return replace(draw(seed), events=cuts, late_partition=False, faults=draw(seed).faults[:2])


def torn(seed: int) -> Schedule:
    """Return a life in which whoever replaces a file is killed, and the power is cut later."""
    kills = tuple(InjectedFault("files.replace", count, "kill") for count in (2, 5, 9))
    return replace(draw(seed), events=(Event(3.5, "power"),), late_partition=False, faults=kills)


def flipped(seed: int) -> Schedule:
    """Return a life in which bits of states flip, and all is opened again."""
    flips = [Event(1.0 + seed % 7 * 0.4 + n * 0.01, f"flip {('snapshot', 'small')[n % 2]}") for n in range(4)]
    events = (*flips, Event(3.9, "kill driver"), Event(3.9, "power"))
    return replace(draw(seed), events=events, late_partition=False, faults=())


def _noticed(schedule: Schedule) -> bool:
    """Say whether a life ends as it must not: with a difference, or with an error that is no sentence."""
    try:
        outcome(schedule)
    except Exception:  # what believes damaged bytes may fail in any way
        return True
    return False


@pytest.mark.parametrize(
    ("mutation", "life", "names"),
    [
        ("sync", lying, "disk that keeps what it acknowledged"),
        ("replace", torn, "replacement in one step"),
        ("checksum", flipped, "checksum of files"),
    ],
)
def test_missing_promise_is_noticed(
    mutation: str, life: Callable[[int], Schedule], names: str, record_property: Callable[[str, object], None]
) -> None:
    """A disk that does not keep its promise, or a reader that does not look, is found out within a few lives."""
    for seed in range(SEEDS_MAX):
        schedule = life(seed)
        if _noticed(replace(schedule, mutation=mutation)):
            record_property("seeds", seed + 1)
            assert fails(schedule, outcome) is None, "it is not the mutation that fails"
            return
    pytest.fail(f"{SEEDS_MAX} lives without the {names}, and nobody has noticed")
