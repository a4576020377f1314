"""What is published waits for a topic of ours that somebody has deleted, and the offsets with it."""

from collections.abc import Iterator

import pytest

from hydrodask.errors import FatalError
from tests.simulation.bench import TS1, Bench, bench
from tests.simulation.input import PREFIX

WINDOWS = f"{PREFIX}analytics"
PATIENCE_S = 20.0


@pytest.fixture
def one() -> Iterator[Bench]:
    """Give a worker that has published something."""
    with bench(step={"patience": PATIENCE_S}) as made:
        made.send(TS1, 0, 28)
        while made.committed(TS1) != 28:
            made.step(TS1)
        yield made


def work(one: Bench, seconds: float) -> list[str]:
    """Do steps for so long; return what people are told of topics (the bench's cycles of 12 s are another matter)."""
    until_s, notes = one.now_s + seconds, list[str]()
    while one.now_s < until_s:
        notes += one.step(TS1).notes
    return [note for note in notes if not note.startswith(f"{TS1[0]}-")]


def test_outputs_wait_for_a_topic_that_is_gone(one: Bench) -> None:
    """It is said once, nothing is committed meanwhile, and a new topic gets each row once."""
    one.broker.delete(WINDOWS)
    one.send(TS1, 28, 50)
    notes = work(one, PATIENCE_S / 2)

    assert [f"topic {WINDOWS} is gone" in note for note in notes] == [True]
    assert one.committed(TS1) == 28
    (part,) = one.step(TS1).partitions
    assert (part.state, "13 records wait for it" in part.advice) == ("waiting", True)

    one.broker.create(WINDOWS, 1)
    notes = work(one, 5)

    assert [note.split(";")[0] for note in notes] == [
        f"topic {WINDOWS} is back",
        f"topic {WINDOWS} was made anew, without what was published before",
    ]
    assert one.committed(TS1) == 50
    assert len(set(one.finals())) == len(one.finals()) == 11
    assert one.step(TS1).partitions[0].advice == ""


def test_a_topic_that_stays_away_ends_the_run(one: Bench) -> None:
    """After `step.patience`, with the topic's name and what to do."""
    one.broker.delete(WINDOWS)
    one.send(TS1, 28, 50)
    began_s = one.now_s

    with pytest.raises(FatalError, match=rf"gave up after 2\d s \(step.patience\): topic {WINDOWS} is gone; .*create"):
        work(one, 2 * PATIENCE_S)

    assert PATIENCE_S < one.now_s - began_s < PATIENCE_S + 2


def test_absences_of_a_topic_do_not_add_up(one: Bench) -> None:
    """One that is there in between is waited for anew."""
    for first in (28, 50):
        one.broker.delete(WINDOWS)
        one.send(TS1, first, first + 22)
        work(one, 0.8 * PATIENCE_S)
        one.broker.create(WINDOWS, 1)
        work(one, 2)
        assert one.committed(TS1) == first + 22
