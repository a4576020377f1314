"""Many simulated lives: which of them fail, and the smallest schedule that still does."""

import gc
import logging
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.anew import check_anew
from tests.simulation.check import check
from tests.simulation.outcome import outcome
from tests.simulation.recorded import CASES, kind_of
from tests.simulation.schedule import Schedule, draw, harmed, left_by_a_broker, remade, upgraded

Look = Callable[[Schedule], object]

AT_ONCE = 20
"""Lives that a process gets at a time."""

SHRINK_MAX = 200


def fails(schedule: Schedule, look: Look = check) -> AssertionError | None:
    """Return what is wrong with a life, None when nothing is."""
    try:
        look(schedule)
    except AssertionError as error:
        return error
    except Exception as error:
        error.add_note(f"in the life of seed {schedule.seed}")
        raise
    return None


def shrink(schedule: Schedule, look: Look = check) -> Schedule:
    """Return the schedule with as few faults and events as still fail."""
    tries = 0
    number = 0
    while number < len(schedule) and tries < SHRINK_MAX:
        fewer = schedule.without(number)
        tries += 1
        if fails(fewer, look) is None:
            number += 1
        else:
            schedule = fewer
    return schedule


def trouble(schedule: Schedule, look: Look = check) -> str | None:
    """Return what is wrong, the smallest schedule that shows it, and how to see it again; None when all is well."""
    error = fails(schedule, look)
    if error is None:
        return None
    again = f"HYDRODASK_SEED={schedule.seed} .venv/bin/python -m pytest tests/test_simulation.py -k seed"
    return f"{error}\n\nagain: {again}\n\n{schedule}\n\nthe least that fails:\n{shrink(schedule, look)}"


def live(count: int, *, anew: bool = False, left: bool = False) -> Iterator[str]:
    """Live the lives of the first `count` seeds, on all cores; yield what is wrong with each that fails.

    `anew`: lives in which topics are deleted and made anew; `left`: in which a broker leaves in the middle of a commit.
    """
    parts = [range(first, min(first + AT_ONCE, count)) for first in range(0, count, AT_ONCE)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(_live_anew if anew else _live_left if left else _live, parts):
            yield from found


def live_harmed(seeds: range) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Live lives to which harm is done, each eighth after an upgrade; yield harms, end, and what is wrong."""
    parts = [seeds[first : first + AT_ONCE] for first in range(0, len(seeds), AT_ONCE)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(_live_harmed, parts):
            yield from found


def harmed_life(seed: int) -> Schedule:
    """Return the life with harm of a seed."""
    if seed % 8:
        return harmed(draw(seed))
    case = seed // 8 % CASES
    return upgraded(draw(seed), case, kind_of(case))


def _live_harmed(seeds: range) -> list[tuple[tuple[str, ...], str, str]]:
    logging.disable(logging.CRITICAL)
    found = []
    for schedule in map(harmed_life, seeds):
        try:
            found.append((schedule.harms, outcome(schedule).end, ""))
        except Exception as error:
            what = str(error) if isinstance(error, AssertionError) else "".join(traceback.format_exception(error))
            again = f"HYDRODASK_HARMED={schedule.seed} .venv/bin/python -m pytest tests/test_nemesis.py -k seed"
            found.append((schedule.harms, "a third thing", f"{what}\n\nagain: {again}\n\n{schedule}"))
    gc.collect()
    return found


def _live(seeds: range) -> list[str]:
    return _troubles(map(draw, seeds), check)


def _live_anew(seeds: range) -> list[str]:
    return _troubles((remade(draw(seed)) for seed in seeds), check_anew)


def _live_left(seeds: range) -> list[str]:
    return _troubles((left_by_a_broker(draw(seed)) for seed in seeds), check)


def _troubles(schedules: Iterable[Schedule], look: Look) -> list[str]:
    logging.disable(logging.CRITICAL)
    found = [wrong for schedule in schedules if (wrong := trouble(schedule, look)) is not None]
    gc.collect()  # a thread that ends in the middle of a parser's work upsets Python 3.11
    return found
