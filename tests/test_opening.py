"""Where reading begins, and goes on when the log has lost what was next."""

import pytest

from hydrodask.nodes.context import Context
from hydrodask.settings import Settings
from hydrodask.worker.partition import Partition
from tests.running import BUILDS, Life
from tests.test_partition import SETTINGS, cut

END = 3000


def reopened(life: Life, *, begin: int) -> Partition:
    """Return the partition of `life` as another worker opens it, whom the settings tell to begin at `begin`."""
    partition = Partition(Context(Settings(), life.flow, life.topic, 0, life.lake), BUILDS[life.flow], life.snapshots)
    partition.open(life.committed, life.low, life.emitted, begin=begin)
    return partition


def test_begin_counts_without_snapshot_and_commit() -> None:
    """`kafka.start: latest`: a fresh group begins at the end of the log."""
    partition = reopened(Life(SETTINGS), begin=END)

    assert (partition.position, partition.committed) == (END, END)


def test_where_a_fresh_group_began_counts_more_than_the_end_of_the_log() -> None:
    """Records came while nobody had the partition, which had nothing to commit yet: all of them are read, and told."""
    life = Life(SETTINGS, low=500)
    life.partition.pin(0.0)
    partition = reopened(life, begin=END)

    assert (partition.position, partition.committed) == (500, 500)
    assert not partition.ctx.quiet


def test_a_commit_counts_more_than_the_end_of_the_log() -> None:
    """`begin` is for those who have none."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.end()

    assert reopened(life, begin=END).position == 1000


def lose_and_go_on(life: Life) -> None:
    """Let retention take what was next, and take note of what comes after it."""
    life.partition.lose(1500)
    life.feed(cut(1500, 2000))
    life.commit()
    life.save()


@pytest.mark.parametrize("rolled", [True, False])
def test_lost_records_are_counted_once(rolled: bool) -> None:
    """What retention took before a crash is not lost once more after it: also the folders go on behind the hole."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.end()
    lose_and_go_on(life)
    if rolled:
        life.roll()

    life.restart()

    assert life.partition.position == (2000 if rolled else 1500)
    assert life.partition.ctx.totals["lost"] == 500
    life.feed(cut(1500, 2000))
    life.end()
    assert life.table("raw").column("offset").to_pylist() == [*range(1000), *range(1500, 2000)]


def test_rows_that_wait_for_their_file_are_read_again_after_a_loss() -> None:
    """They are in no file yet, and a crash would take them."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.commit()
    lose_and_go_on(life)

    assert life.restart() == 0
