"""Many simulated lives: which of them fail, and the smallest schedule that still does."""

import gc
import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.check import check
from tests.simulation.schedule import Schedule, draw

AT_ONCE = 20
"""Lives that a process gets at a time."""

SHRINK_MAX = 200


def fails(schedule: Schedule) -> AssertionError | None:
    """Return what is wrong with a life, None when nothing is."""
    try:
        check(schedule)
    except AssertionError as error:
        return error
    except Exception as error:
        error.add_note(f"in the life of seed {schedule.seed}")
        raise
    return None


def shrink(schedule: Schedule) -> Schedule:
    """Return the schedule with as few faults and events as still fail."""
    tries = 0
    number = 0
    while number < len(schedule) and tries < SHRINK_MAX:
        fewer = schedule.without(number)
        tries += 1
        if fails(fewer) is None:
            number += 1
        else:
            schedule = fewer
    return schedule


def trouble(schedule: Schedule) -> str | None:
    """Return what is wrong, the smallest schedule that shows it, and how to see it again; None when all is well."""
    error = fails(schedule)
    if error is None:
        return None
    again = f"HYDRODASK_SEED={schedule.seed} .venv/bin/python -m pytest tests/test_simulation.py -k seed"
    return f"{error}\n\nagain: {again}\n\n{schedule}\n\nthe least that fails:\n{shrink(schedule)}"


def live(count: int) -> Iterator[str]:
    """Live the lives of the first `count` seeds, on all cores; yield what is wrong with each that fails."""
    parts = [range(first, min(first + AT_ONCE, count)) for first in range(0, count, AT_ONCE)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(_live, parts):
            yield from found


def _live(seeds: range) -> list[str]:
    logging.disable(logging.CRITICAL)
    found = [wrong for seed in seeds if (wrong := trouble(draw(seed))) is not None]
    gc.collect()  # a thread that ends in the middle of a parser's work upsets Python 3.11
    return found
