"""A worker's step, which decides about loss: what it reads, when it commits, what it makes of errors."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from hydrodask import logs
from hydrodask.errors import FatalError, FencedError, IntegrityError, RetryableError, StartOverError
from hydrodask.ingest.fetcher import PartitionEvent
from hydrodask.kafka import KafkaError
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.node import Node, Stateful
from hydrodask.protocol import snapshot
from hydrodask.protocol.ownership import Ownership
from hydrodask.records import Messages
from hydrodask.reports import LATENCY_BUCKETS_S
from hydrodask.testing.simulation.fakefetcher import FakeFetcher
from hydrodask.worker import host as hosting
from hydrodask.worker import step as stepping
from hydrodask.worker.failures import TRIES_MAX
from hydrodask.worker.step import leave
from tests.simulation.bench import CE, OTHER, TS1, Bench, bench
from tests.simulation.input import PREFIX
from tests.simulation.platform import BUILDS

MONITOR = BUILDS["monitor"]
SLOW = {"commit_every": 1000.0, "snapshot_every": 1000.0, "roll_rows": 1000, "roll_age": 1000.0}
"""Nothing is due by itself."""


@pytest.fixture
def one() -> Iterator[Bench]:
    """Give a worker that has TS1 open, with nothing in it."""
    with bench() as made:
        made.step(TS1)
        yield made


def settle(one: Bench, *sources: tuple[str, int]) -> None:
    """Do steps until all that was sent is committed."""
    for _ in range(20):
        one.step(*sources)
        if all(one.committed(source) == one.broker.logs[source].stable for source in sources):
            return
    pytest.fail(f"not committed after 20 steps: {[one.committed(source) for source in sources]}")


# When a commit comes


def test_commits_are_as_far_apart_as_the_setting_says_in_seconds() -> None:
    """With 3 s none comes in the 2 s before, and one in the second after."""
    with bench({"commit_every": 3.0}) as one:
        one.send(TS1, 0, 20)
        began_s = one.now_s
        while one.now_s - began_s < 2.5:
            one.step(TS1)
            assert one.committed(TS1) is None
        while one.now_s - began_s < 3.5:
            one.step(TS1)
        assert one.committed(TS1) == 20


def test_an_embedded_broker_is_committed_to_as_well() -> None:
    """Files go with the commit there, so neither comes while it is not due; and then both do."""
    with bench({"commit_every": 1.0}, kafka={"embedded": True}) as one:
        one.step(TS1)
        one.send(TS1, 0, 20)
        settle(one, TS1)


def test_who_was_given_up_commits_no_more_to_an_embedded_broker() -> None:
    """That broker fences nobody, so a worker looks before each commit: its successor has everything once."""
    with bench({"commit_every": 0.1}, kafka={"embedded": True}) as one:
        one.send(TS1, 0, 20)
        one.step(TS1)
        one.step(TS1)
        before = len(one.broker.logs["hydraulic-analytics", 0].entries)
        one.send(TS1, 20, 40)
        Ownership(one.disk.at(one.settings.snapshots_url), one.settings.kafka.group).give_up(one.run, one.generation)

        with pytest.raises(FencedError, match="given up"):
            one.step(TS1)

        assert len(one.broker.logs["hydraulic-analytics", 0].entries) == before > 0


@pytest.mark.parametrize("embedded", [False, True])
def test_files_of_an_embedded_broker_are_no_longer_than_what_it_may_hold(embedded: bool) -> None:
    """A publisher waits for what is not stored yet: a quarter of what it may be ahead is worth a file."""
    sets = SLOW | {"commit_every": 0.3}
    with bench(sets, kafka={"embedded": embedded}, source={"unconsumed_max": 40}) as one:
        for number in range(4):
            one.send(TS1, number * 7, number * 7 + 7)
            one.step(TS1)
            one.step(TS1)
        assert len(one.stored("lake/raw/")) == (2 if embedded else 0)


@pytest.mark.parametrize("embedded", [False, True])
def test_a_step_is_as_long_as_the_setting_says(embedded: bool) -> None:
    """One that has committed, and has read nearly all, ends sooner: the rest would be a round of small batches."""
    with bench({"commit_every": 1.5, "rows_max": 3}, kafka={"embedded": embedded}) as one:
        one.step(TS1)
        lasted: dict[bool, set[float]] = {False: set(), True: set()}
        for number in range(12):
            one.send(TS1, number, number + 1)
            before = one.committed(TS1)
            report = one.step(TS1)
            assert 0.0 <= report.stage_s["poll"] <= report.seconds
            assert 0.0 <= report.stage_s.get("commit", 0.0) < report.seconds
            assert report.commit_age_s <= 1.5
            assert one.calls.count("kafka.consume") <= 3  # and it sleeps meanwhile
            lasted[one.committed(TS1) != before].add(round(report.seconds, 1))
        assert lasted == {False: {0.4}, True: {0.3}}


def test_too_many_outputs_do_not_wait_for_the_time_of_the_commit() -> None:
    """What waits in memory has a limit: beyond it there is a commit before more is read."""
    with bench(SLOW) as one, patch.object(hosting, "PENDING_MAX", 5):
        one.send(TS1, 0, 28)
        one.step(TS1)
        assert one.committed(TS1) is None
        assert one.host.partitions[TS1].waiting > 5
        one.step(TS1)
        assert one.committed(TS1) == 28
        assert one.host.partitions[TS1].waiting == 0


def test_few_outputs_wait() -> None:
    """Below the limit the time decides."""
    with bench(SLOW) as one:
        one.send(TS1, 0, 28)
        for _ in range(5):
            one.step(TS1)
        assert one.committed(TS1) is None


def test_a_flush_leaves_nothing_in_memory() -> None:
    """It commits, writes every file and a snapshot, also when none is due; `stop` lets go as well."""
    with bench(SLOW) as one:
        one.send(TS1, 0, 28)
        one.step(TS1)
        report = one.step(TS1, mode="flush")
        assert one.committed(TS1) == report.partitions[0].durable == 28
        assert one.stored("lake/raw/") == ["hydraulic-TS1-0-000000000000.parquet"]
        assert not newest_of(one, TS1)["ended"]
        one.step(TS1, mode="stop")
        assert newest_of(one, TS1)["ended"]  # who finds another log later knows that nothing came behind it
        assert one.lease.host is None
        assert one.open_clients() == []


def newest_of(one: Bench, source: tuple[str, int]) -> dict[str, Any]:
    """Return the newest snapshot of a partition."""
    return snapshot.newest(one.disk.at(one.settings.snapshots_url), source, at_most=None)[1]


class Settling(Node[Messages, None]):
    """A node beside the monitor's that counts how often it has to decide."""

    settled = 0

    def __call__(self, messages: Edge[Messages], ctx: Context) -> None:
        MONITOR(messages, ctx)
        messages.through(self)

    def take(self, batch: Messages) -> None:
        """Take it."""

    def settle(self) -> None:
        self.settled += 1


def test_only_a_flush_decides_what_waits_for_more() -> None:
    """A stop may come at any time: whoever goes on has yet to read it."""
    with bench() as one:
        node = Settling()
        one.builds = {**BUILDS, "monitor": node}
        settled = []
        for mode in ("run", "flush", "stop"):
            one.step(TS1, mode=mode)
            settled.append(node.settled)
        assert settled == [0, 1, 1]


@pytest.mark.parametrize("mode", ["flush", "stop"])
def test_a_flush_waits_for_who_refuses_and_each_time_with_patience_anew(mode: str) -> None:
    """It is done only when all is stored, however often it has to be ordered."""
    with bench(SLOW, step={"patience": 20.0}) as one:
        for first in (0, 20, 40):
            one.send(TS1, first, first + 20)
            one.step(TS1)
            one.away.add("files.link")
            assert one.step(TS1, mode=mode).waiting
            assert one.host.partitions
            one.away.clear()
            assert not one.step(TS1, mode="flush").waiting
            one.wait(15.0)


@pytest.mark.parametrize("mode", ["flush", "stop"])
def test_a_flush_waits_for_a_topic_that_is_gone(mode: str) -> None:
    """What is for it is in memory: nobody says that it is done."""
    with bench(SLOW) as one:
        one.send(TS1, 0, 28)
        one.step(TS1)
        one.broker.delete(f"{PREFIX}analytics")
        assert "is gone" in one.step(TS1, mode=mode).waiting
        assert one.host.partitions[TS1].waiting
        one.broker.create(f"{PREFIX}analytics", 1)
        assert not one.step(TS1, mode=mode).waiting
        assert one.committed(TS1) == 28


def test_what_waits_for_a_topic_that_is_gone_has_a_limit() -> None:
    """Beyond it nothing more is read, or memory would fill."""
    with bench(SLOW | {"commit_every": 0.2}) as one, patch.object(hosting, "PENDING_MAX", 5):
        one.step(TS1)
        one.broker.delete(f"{PREFIX}analytics")
        for first in range(0, 280, 28):
            one.send(TS1, first, first + 28)
            report = one.step(TS1)
        assert "is gone" in report.waiting
        assert 5 < one.host.partitions[TS1].waiting < 40


def test_a_worker_that_ends_hands_over_what_it_holds() -> None:
    """All is committed, in files and in a snapshot, so that the next one reads nothing again; and it begins no more."""
    with bench(SLOW) as one:
        one.send(TS1, 0, 28)
        one.step(TS1)
        assert one.committed(TS1) is None
        one.do(lambda: leave(one.lease))
        assert one.committed(TS1) == 28
        assert one.stored("lake/raw/") == ["hydraulic-TS1-0-000000000000.parquet"]
        assert "000000000028.snapshot" in one.stored("/hydraulic-TS1-0/")
        assert one.open_clients() == []
        with pytest.raises(RetryableError, match="is ending"):
            one.step(TS1)
        one.crash()
        assert one.step(TS1).records == 0


def test_a_worker_that_ends_and_can_not_hand_over_ends_all_the_same() -> None:
    """Whoever comes next begins from what is committed."""
    with bench(SLOW) as one:
        one.send(TS1, 0, 28)
        one.step(TS1)
        one.away = {"kafka."}
        one.do(lambda: leave(one.lease))
        assert one.committed(TS1) is None
        assert one.open_clients() == []


def test_snapshots_come_as_often_as_the_setting_says() -> None:
    """In seconds; and each only after the commit of what is in it."""
    with bench({"snapshot_every": 3.0, "commit_every": 0.2}) as one:
        one.step(TS1)
        for number in range(20):
            one.send(TS1, number, number + 1)
            one.step(TS1)
            taken = [
                int(name.removesuffix(".snapshot"))
                for name in one.stored("/hydraulic-TS1-0/")
                if name.endswith(".snapshot")
            ]
            assert max(taken) <= (one.committed(TS1) or 0)
        assert one.now_s / 3 - 1 <= len({max(taken), *taken}) + 1
        assert 2 <= len(taken) <= 3


def test_greeting_opens_and_reads_nothing() -> None:
    """The first step shows that there is somebody, and no more."""
    with bench() as one:
        one.send(TS1, 0, 5)
        report = one.step(mode="greet")
        assert (report.partitions, report.records) == ([], 0)
        assert "kafka.consume" not in one.calls


def test_a_step_with_more_to_open_than_it_has_time_for_leaves_the_rest_to_the_next() -> None:
    """One that takes too long would be given up, with all that it opened."""
    with bench(step={"time_max": 1.0}) as one:
        slow = one._on_call

        def stall(process: Any, name: str, when: str) -> None:
            slow(process, name, when)
            if name == "open.begun" and when == "before":
                one.world.sleep_s(0.7)

        assert len(one.step(TS1, OTHER, CE).partitions) == 3
        one.crash()
        one.world.on_call = stall
        assert len(one.step(TS1, OTHER, CE).partitions) == 1
        assert len(one.step(TS1, OTHER, CE).partitions) == 2
        assert len(one.step(TS1, OTHER, CE).partitions) == 3


# What is given away


def test_what_is_given_away_is_committed_first() -> None:
    """Rows, offsets and a snapshot are out before another worker opens the partition."""
    with bench(SLOW) as one:
        one.send(TS1, 0, 28)
        one.step(TS1, OTHER)
        report = one.step(OTHER)
        assert [(p.topic, p.partition) for p in report.partitions] == [OTHER]
        assert one.committed(TS1) == 28
        assert "000000000028.snapshot" in one.stored("/hydraulic-TS1-0/")
        assert not one.host._reader.reads(TS1)


def lose(one: Bench, low: int, *sources: tuple[str, int]) -> None:
    """Let the log forget what the worker has not read yet, and let it find out."""
    one.broker.retain(TS1, low)
    one.step(*sources)


def test_a_partition_whose_position_was_lost_may_move_in_the_next_step(one: Bench) -> None:
    """Retention passes the position, and before that is seen to, another worker gets the partition."""
    one.step(TS1, OTHER)
    one.send(TS1, 0, 10)
    lose(one, 10, TS1, OTHER)
    report = one.step(OTHER)

    assert [(p.topic, p.partition) for p in report.partitions] == [OTHER]
    report = one.step(TS1, OTHER)
    assert {(p.topic, p.partition): p.position for p in report.partitions} == {TS1: 10, OTHER: 0}


def say(code: list[int], source: tuple[str, int], *, only: bool = False) -> AbstractContextManager[Any]:
    """Let a client say something of `source` at each poll, and give nothing else of it if it says `only` that."""
    poll = FakeFetcher.poll

    def saying(self: FakeFetcher, rows_max: int, timeout_s: float) -> Any:
        runs, events = poll(self, rows_max, timeout_s)
        if only:
            runs = [run for run in runs if (run.topic, run.partition) != source]
            events = [event for event in events if event.source != source]
        return runs, [*events, PartitionEvent(source, code[0], 5, "late")]

    return patch.object(FakeFetcher, "poll", saying)


@pytest.mark.parametrize(
    "code", [KafkaError._AUTO_OFFSET_RESET, KafkaError._PARTITION_EOF, KafkaError._BAD_MSG, KafkaError._TRANSPORT]
)
def test_what_is_said_of_a_partition_that_is_not_hosted_has_no_effect(one: Bench, code: int) -> None:
    """An event may come after its partition has gone."""
    one.send(TS1, 0, 10)
    with say([code], CE):
        for _ in range(4):
            assert one.step(TS1).waiting == ""
    assert one.committed(TS1) == 10


@pytest.mark.parametrize("call", ["kafka.assign", "kafka.unassign", "kafka.bounds"])
def test_a_lost_position_is_found_again_whatever_fails_on_the_way(one: Bench, call: str) -> None:
    """Between letting go and reading on there may be an error: once it has passed, the partition is read."""
    one.send(TS1, 0, 10)
    lose(one, 4, TS1)
    one.away.add(call)
    assert one.step(TS1).waiting
    assert one.step(TS1).waiting
    one.away.clear()
    settle(one, TS1)
    assert one.host.partitions[TS1].ctx.totals["lost"] == 4
    assert one.host.partitions[TS1].consumed == 6


@pytest.mark.parametrize("call", ["kafka.assign", "kafka.unassign", "files.replace"])
def test_a_move_that_fails_half_way_is_done_in_the_end(one: Bench, call: str) -> None:
    """A partition that can't be let go of, or not be read, goes and comes once it can."""
    one.step(TS1, OTHER)
    one.send(TS1, 0, 5)
    settle(one, TS1)
    one.send(OTHER, 0, 5)
    one.send(TS1, 5, 10)
    one.away.add(call)
    for sources in ((OTHER,), (OTHER,), (TS1,), (TS1,)):
        one.step(*sources)
    one.away.clear()
    settle(one, TS1, OTHER)
    totals = {source: one.host.partitions[source].consumed for source in (TS1, OTHER)}
    assert totals == {TS1: 10, OTHER: 5}


# What the log has lost


def test_lost_records_are_counted_and_said(one: Bench) -> None:
    """`on_data_loss: continue`: the run goes on where the log begins now."""
    one.send(TS1, 0, 10)
    lose(one, 7, TS1)
    report = one.step(TS1)

    assert [note for note in report.notes if "offsets 0 to 7 are gone" in note and "7 records lost" in note]
    settle(one, TS1)
    assert one.host.partitions[TS1].ctx.totals["lost"] == 7


@pytest.mark.parametrize("restarted", [False, True])
def test_a_loss_ends_the_run_if_it_is_told_so(restarted: bool) -> None:
    """`on_data_loss: fail`: while it runs, and when it opens the partition."""
    with bench(kafka={"on_data_loss": "fail"}) as one:
        one.send(TS1, 0, 5)
        one.step(TS1)
        one.step(TS1, mode="flush")
        one.send(TS1, 5, 10)
        one.broker.retain(TS1, 8)
        if restarted:
            one.crash()
        with pytest.raises(FatalError, match=r"offsets 5 to 8 are gone.*3 records lost; kafka.on_data_loss is fail"):
            one.go_on(TS1)


def test_a_loss_that_a_crash_follows_is_remembered() -> None:
    """What was lost at opening is in a snapshot at once, though the state is where it was."""
    with bench({"commit_every": 0.1, "snapshot_every": 0.1, "roll_rows": 4}) as one:
        one.send(TS1, 0, 3)
        settle(one, TS1)
        one.step(TS1)
        one.broker.retain(TS1, 3)  # rows of raw/ that waited for their file
        one.crash()
        one.step(TS1)
        one.crash()
        one.step(TS1)
        totals = one.host.partitions[TS1].ctx.totals
        assert (totals["lost"], one.host.partitions[TS1].consumed) == (3, 3)


@pytest.mark.parametrize("low", [3, 5])
def test_a_loss_that_files_have_gone_on_behind_is_remembered(low: int) -> None:
    """Killed in the step in which it was found, behind the commit or not: later nothing is missing that one can see."""
    with bench({"commit_every": 0.1, "snapshot_every": 1000.0, "roll_rows": 4, "roll_age": 1000.0}) as one:
        one.send(TS1, 0, 3)
        settle(one, TS1)
        one.send(TS1, 3, low)
        one.broker.retain(TS1, low)  # and rows of raw/ that waited for their file
        one.crash()
        one.send(TS1, low, low + 8)
        one.step(TS1)
        assert one.stored("lake/raw/") == ["hydraulic-TS1-0-000000000000.parquet"]
        one.crash()
        one.step(TS1)
        assert one.host.partitions[TS1].ctx.totals["lost"] == low


@pytest.mark.parametrize("restarted", [False, True])
def test_a_position_past_the_end_of_the_same_log_ends_the_run(one: Bench, restarted: bool) -> None:
    """There is nothing to go on with: while it runs, and when it opens the partition."""
    one.send(TS1, 0, 5)
    settle(one, TS1)
    if restarted:
        one.step(TS1, mode="flush")
        one.crash()
    one.broker.logs[TS1].entries.clear()
    one.broker.logs[TS1]._stable = 0
    with pytest.raises(FatalError, match="past the log's end 0"):
        one.go_on(TS1)


def test_a_topic_made_anew_while_a_lost_position_is_looked_for_ends_nothing(one: Bench) -> None:
    """The end of the new log says nothing of the old one: its position is not past it."""
    one.send(TS1, 0, 10)
    settle(one, TS1)
    one.send(TS1, 10, 20)
    one.broker.retain(TS1, 15)
    made: list[str] = []

    def make(_process: object, name: str, when: str) -> None:
        if name == "kafka.bounds" and when == "before" and not made:
            made.append(name)
            one.broker.delete(TS1[0])
            one.broker.create(TS1[0], 2)
            one.send(TS1, 0, 3)

    one.world.on_call = make
    for _ in range(20):
        one.step_over(TS1)
    assert (made, one.host.partitions[TS1].consumed, one.committed(TS1)) == (["kafka.bounds"], 10 + 3, 3)


def test_a_topic_made_anew_of_which_another_partition_says_so_first_ends_nothing() -> None:
    """The client is a new one then, for both; the other one's position is past the end of its new log."""
    with bench() as one:
        one.send(TS1, 0, 10)
        one.send(OTHER, 0, 10)
        settle(one, TS1, OTHER)
        one.broker.delete(TS1[0])
        one.broker.create(TS1[0], 2)
        one.send(TS1, 0, 20)
        one.send(OTHER, 0, 3)
        with say([KafkaError._TRANSPORT], OTHER, only=True):  # nothing has come of it yet
            one.step_over(TS1, OTHER)
        for _ in range(20):
            one.step_over(TS1, OTHER)
        assert [one.host.partitions[source].consumed for source in (TS1, OTHER)] == [10 + 20, 10 + 3]


def test_what_was_polled_of_others_is_taken_though_a_topic_was_deleted_meanwhile(one: Bench) -> None:
    """It could not be proven at once, and their client is behind it by now; of the old log nothing is taken."""
    one.step(TS1, CE)
    one.send(TS1, 0, 10)
    one.send(CE, 0, 10)
    one.away.add("kafka.describe")
    assert one.step(TS1, CE).waiting
    one.broker.delete(TS1[0])
    one.away.clear()
    for _ in range(5):
        one.step_over(TS1, CE)
    assert one.host.partitions.keys() == {CE}
    one.broker.create(TS1[0], 2)
    for _ in range(5):
        one.step_over(TS1, CE)
    assert [one.host.partitions[source].consumed for source in (TS1, CE)] == [0, 10]
    assert (one.committed(TS1), one.committed(CE)) == (0, 10)


def test_documents_of_a_topic_that_is_deleted_are_written() -> None:
    """They waited for a commit that never comes, and no snapshot has them."""
    windows = (f"{PREFIX}analytics", 0)
    with bench() as one:
        one.send(TS1, 0, 28, value=99.0)
        settle(one, TS1)
        one.crash()
        one.settings = one.settings.model_copy(
            update={"step": one.settings.step.model_copy(update={"commit_every": 1000.0})}
        )
        one.step(windows)
        assert one.host.partitions[windows].waiting > 0
        assert not one.documents.collections
        one.broker.delete(windows[0])
        notes = [note for _ in range(4) for note in one.step(windows).notes]
        assert one.documents.find("anomalies", {}, limit=1)
        assert [note for note in notes if "its topic was deleted" in note]


def test_who_was_given_up_does_not_have_the_last_word_on_a_log(one: Bench) -> None:
    """Its successor may have got further: no snapshot says that nothing comes behind."""
    one.send(TS1, 0, 10)
    one.step(TS1)
    one.broker.delete(TS1[0])

    def give_up(_process: object, name: str, when: str) -> None:
        if name == "kafka.describe" and when == "after":  # and so it has just heard that the log is not there any more
            owned = Ownership(one.disk.at(one.settings.snapshots_url), one.settings.kafka.group)
            owned.give_up(one.run, one.generation)

    one.world.on_call = give_up
    with pytest.raises(FencedError, match="given up"):
        one.go_on(TS1)
    assert not newest_of(one, TS1)["ended"]


def test_a_cluster_that_calls_itself_otherwise_has_the_same_topics() -> None:
    """As through a gateway: the topic's id counts, and what was read of it is not read again."""
    with bench() as one:
        one.send(TS1, 0, 5)
        settle(one, TS1)
        one.step(TS1, mode="flush")
        one.crash()
        ids = one.surroundings.identities

        def renamed(kafka: Any) -> Any:
            of = ids(kafka).of
            return SimpleNamespace(
                of=lambda ts: {t: log.replace("cluster/", "gateway/", 1) for t, log in of(ts).items()}
            )

        one.surroundings = replace(one.surroundings, identities=renamed)
        one.send(TS1, 5, 9)
        settle(one, TS1)
        assert one.host.partitions[TS1].consumed == 9


# Where a fresh group begins


def test_where_a_fresh_group_began_is_remembered() -> None:
    """It is killed before its first commit, and what came in between is read."""
    with bench(kafka={"start": "latest"}) as one:
        one.send(TS1, 0, 4)
        one.step(TS1)
        one.crash()
        one.send(TS1, 4, 9)
        settle(one, TS1)
        assert one.host.partitions[TS1].consumed == 5


def test_a_group_that_begins_at_the_beginning_reads_all() -> None:
    """`start: earliest`, and newcomers."""
    with bench() as one:
        one.send(TS1, 0, 4)
        settle(one, TS1)
        assert one.host.partitions[TS1].consumed == 4


def test_documents_are_written_once() -> None:
    """What a commit has written is not kept for the next."""
    with bench() as one:
        one.send(TS1, 0, 60, value=99.0)
        sources = (TS1, (f"{PREFIX}analytics", 0))
        written = []
        for _ in range(30):
            one.step(*sources)
            written.append("documents.write" in one.calls)
        assert any(written)
        assert not any(written[-10:])
        assert (
            one.committed(sources[1]) == one.broker.logs[sources[1]].stable
        )  # transactions' markers are behind it, too


# Who refuses


@pytest.mark.parametrize("call", ["files.write", "files.link", "documents.write", "kafka.append", "kafka.commit"])
def test_what_a_store_refuses_is_not_committed(call: str) -> None:
    """The report says why it waits, nothing is passed over, and all is out once the store is back."""
    with bench({"roll_rows": 5, "roll_age": 0.5}) as one:
        one.step(TS1)
        one.send(TS1, 0, 28, value=99.0)
        one.away.add(call)
        failed = sum(not one.step_over(TS1) for _ in range(4))
        assert failed >= 2 or call == "documents.write"  # the alert flow has the documents
        assert not one.committed(TS1) or call == "documents.write"
        one.away.clear()
        settle(one, TS1)
        one.step(TS1, mode="flush")
        assert len(set(one.finals())) == len(one.finals()) == 12


def test_after_a_refusal_it_is_asked_whose_the_logs_are_before_anything_is_read(one: Bench) -> None:
    """A broker that refuses may have another topic of that name; one that does not is asked now and then only."""
    one.step(TS1)
    assert "kafka.describe" not in one.calls

    one.send(TS1, 0, 5)
    one.away.add("kafka.append")
    assert not one.step_over(TS1)
    one.away.clear()
    one.step(TS1)

    assert one.calls.index("kafka.describe") < one.calls.index("kafka.consume")


@pytest.mark.parametrize("call", ["files.write", "kafka.append", "kafka.bounds", "files.replace"])
def test_patience_ends(call: str) -> None:
    """Who refuses for longer than `step.patience` ends the run, and who does so for less does not."""
    with bench({"snapshot_every": 0.5, "commit_every": 0.5, "roll_rows": 1}, step={"patience": 20.0}) as one:
        if call != "kafka.bounds":
            one.step(TS1)
        one.away.add(call)
        began_s = one.now_s
        with pytest.raises(FatalError, match=r"gave up after 20 s \(step.patience\)"):
            one.go_on(TS1, before=lambda number: one.send(TS1, number, number + 1))
        assert 20 <= one.now_s - began_s < 30


def test_patience_begins_anew_with_each_refusal(one: Bench) -> None:
    """A store that is back now and then is waited for again, however often."""
    for second in range(20):
        one.send(TS1, second, second + 1)
        one.away.add("files.")
        one.step(TS1)
        one.away.clear()
        settle(one, TS1)
        one.wait(10.0)
    assert one.now_s > one.settings.step.patience


def test_a_partition_that_can_not_be_read_is_read_again_from_there() -> None:
    """A client goes on behind what it can't read: that is not passed over, and others are committed meanwhile."""
    with bench() as one:
        one.step(TS1, OTHER)
        one.send(TS1, 0, 10)
        one.send(OTHER, 0, 10)
        one.broker.broken = 0.5
        for _ in range(6):
            one.step(TS1, OTHER)
        one.broker.broken = 0.0
        settle(one, TS1, OTHER)
        assert {source: one.host.partitions[source].consumed for source in (TS1, OTHER)} == {TS1: 10, OTHER: 10}


def test_a_partition_that_can_never_be_read_ends_the_run() -> None:
    """Also when a step passes now and then, for its error has not come yet."""
    with bench(step={"patience": 20.0}) as one:
        one.step(TS1, OTHER)

        def send(number: int) -> None:
            one.send(OTHER, number, number + 1)
            code[0] = KafkaError._BAD_MSG if number % 3 else KafkaError._TRANSPORT

        code = [0]
        one.send(TS1, 0, 5)
        with (
            say(code, TS1, only=True),
            pytest.raises(FatalError, match=r"gave up after 20 s.*could not read hydraulic-TS1-0"),
        ):
            one.go_on(TS1, OTHER, before=send)
        assert (one.committed(OTHER) or 0) > 10


# What a graph fails with


class Failing(Node[Messages, None]):
    """A node beside the monitor's that fails with `error` as often as `times` says, at what `at` says."""

    def __init__(self, error: Exception, *, times: int, at: str = "update", from_offset: int = 0) -> None:
        self.error, self.times, self.at, self.from_offset = error, times, at, from_offset

    def __call__(self, messages: Edge[Messages], ctx: Context) -> None:
        MONITOR(messages, ctx)
        if ctx.source == TS1:
            messages.through(self)

    def take(self, batch: Messages) -> None:
        if self.at == "update" and batch.offsets[-1] >= self.from_offset:
            self.fail()

    def tick(self, position: int) -> None:
        if self.at == "tick" and position > self.from_offset:
            self.fail()

    @property
    def stateful(self) -> Mapping[str, Stateful]:
        return {"failing": self} if self.at == "save" else {}

    def snapshot(self) -> dict[str, Any]:
        """Be a node whose state can't be had."""
        self.fail()
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Have no state."""

    def fail(self) -> None:
        if self.times:
            self.times -= 1
            raise self.error


def failing(node: Failing) -> dict[str, Any]:
    """Return the flows of a platform in which a node of `monitor` fails."""
    return {**BUILDS, "monitor": node}


@pytest.mark.parametrize("error", [RetryableError("the registry is away"), StartOverError("open"), ValueError("odd")])
@pytest.mark.parametrize("at", ["update", "tick", "save"])
def test_an_error_out_of_a_graph_commits_nothing_that_no_graph_has_taken(error: Exception, at: str) -> None:
    """Neither its batch nor those of others in the same poll: the next host begins again from the commit."""
    with bench({"commit_every": 0.1, "snapshot_every": 0.2}) as one:
        one.builds = failing(Failing(error, times=1, at=at, from_offset=3))
        one.step_over(TS1, OTHER, CE)
        for source in (TS1, OTHER, CE):
            one.send(source, 0, 28)
        for _ in range(12):
            one.step_over(TS1, OTHER, CE)
        assert [one.committed(source) for source in (TS1, OTHER, CE)] == [28] * 3
        assert [one.host.partitions[source].consumed for source in (TS1, OTHER, CE)] == [28] * 3
        assert len(set(one.finals())) == 24
        assert len(one.finals()) == 36  # TS1 and CE have a rig of the same name


@pytest.mark.parametrize("at", ["update", "tick", "save"])
def test_a_graph_that_always_fails_ends_the_run_with_a_sentence(at: str) -> None:
    """It names flow, partition, place and cause; records that it can take are committed before."""
    with bench({"commit_every": 0.1, "snapshot_every": 0.2, "rows_max": 4}) as one:
        one.builds = failing(Failing(ValueError("odd"), times=1000, at=at, from_offset=8))
        one.send(TS1, 0, 28)
        where = "at offsets 8 to 12" if at == "update" else ""
        with pytest.raises(
            FatalError, match=rf"flow monitor failed on hydraulic-TS1-0 {where}.*3 times: ValueError: odd"
        ):
            one.go_on(TS1)
        assert at != "update" or one.committed(TS1) in {None, 4, 8}


def test_a_graph_that_waits_for_something_ends_the_run_when_patience_is_over() -> None:
    """Not before, and also if steps pass in between."""
    with bench(step={"patience": 20.0}) as one:
        one.builds = failing(Failing(RetryableError("the registry is away"), times=1000, from_offset=3))
        one.step(TS1)
        began_s = one.now_s
        one.send(TS1, 0, 5)
        with pytest.raises(FatalError, match=r"gave up after 2\d s.*flow monitor failed on.*the registry is away"):
            one.go_on(TS1)
        assert 20 < one.now_s - began_s < 30


def test_failures_that_a_graph_got_past_do_not_add_up() -> None:
    """Each place has tries of its own."""
    with bench({"commit_every": 0.1}) as one:
        node = Failing(ValueError("odd"), times=0)
        one.builds = failing(node)
        one.step(TS1)
        for number in range(TRIES_MAX * 2):
            one.send(TS1, number * 3, number * 3 + 3)
            node.times = 1
            while one.committed(TS1) != number * 3 + 3:
                one.step_over(TS1)
        assert one.host.partitions[TS1].consumed == TRIES_MAX * 6


@pytest.mark.parametrize("error", [IntegrityError("contradiction"), FatalError("no")])
def test_an_error_that_ends_the_run_is_not_tried_again(error: Exception) -> None:
    """What it says is what it is."""
    with bench() as one:
        one.builds = failing(Failing(error, times=1))
        one.step(TS1)
        one.send(TS1, 0, 5)
        with pytest.raises(type(error), match=str(error)):
            one.step(TS1)
        assert one.committed(TS1) is None
        assert one.lease.host is None


# What is held


@pytest.mark.parametrize("place", ["consumer", "fetcher", "init", "taken over", "given up"])
def test_a_host_that_could_not_be_made_holds_nothing(place: str) -> None:
    """Whatever its constructor came to is closed."""
    with bench() as one:
        error: Exception = RetryableError("no")
        if place == "init":
            one.away.add("kafka.init_transactions")
        elif place == "taken over":
            Ownership(one.disk.at(one.settings.snapshots_url), one.settings.kafka.group).claim("other")
            Ownership(one.disk.at(one.settings.snapshots_url), one.settings.kafka.group).claim("later")
            error = FencedError("later")
        elif place == "given up":  # while it initialises: it has taken the slot from its successor

            def give_up(_process: object, name: str, when: str) -> None:
                if name == "kafka.init_transactions" and when == "after":
                    owned = Ownership(one.disk.at(one.settings.snapshots_url), one.settings.kafka.group)
                    owned.give_up(one.run, one.generation)

            one.world.on_call = give_up
            error = FencedError("given up")
        else:
            object.__setattr__(one.surroundings, place, _refuse)
        with pytest.raises(type(error)):
            one.step(TS1)
        assert one.lease.host is None
        assert one.open_clients() == []
        if place == "init":  # and it may have been initialised: a later run fences it
            files = one.disk.at(one.settings.snapshots_url)
            assert Ownership(files, one.settings.kafka.group).slots() == [0]


def test_documents_are_closed_with_the_host() -> None:
    """A worker that stops holds no connection."""
    with bench() as one:
        one.send(TS1, 0, 28, value=99.0)
        settle(one, TS1)
        for _ in range(5):
            one.step((f"{PREFIX}analytics", 0))
        one.step(mode="stop")
        assert one.documents.closed


def _refuse(*_: object, **__: object) -> Any:
    raise RetryableError("no")


def test_a_host_lives_among_traced_surroundings_if_it_is_to_be_traced() -> None:
    """They are made with it, and not with each of its steps; and its process logs as the settings say."""
    with bench() as one:
        made: list[object] = []

        def traced(_order: object, surroundings: Any) -> Any:
            made.append(surroundings)
            return surroundings

        with patch.object(stepping, "_traced", traced), patch.object(logs, "use") as use:
            for _ in range(3):
                one.step(TS1)
        assert made == [one.surroundings]
        use.assert_called_once_with(one.settings.observe.log_format)


def test_the_report_says_where_each_partition_is(one: Bench) -> None:
    """Position, commit, lag, records and times of the step."""
    one.send(TS1, 0, 28)
    report = one.step(TS1)
    part = report.partitions[0]

    assert (part.position, part.end, report.records) == (28, 28, 28)
    assert report.waiting == ""
    assert report.commit_age_s >= 0.0
    assert report.seconds == pytest.approx(0.4, abs=0.2)
    assert sum(report.latency_counts) == 28
    assert len(report.latency_counts) == len(LATENCY_BUCKETS_S) + 1
    assert set(report.stage_s) >= {"poll", "commit", "decode", "windows"}
    assert json.dumps(part.totals)


def test_a_partition_that_has_more_to_read_than_a_step_takes_is_catching_up() -> None:
    """Until it has read all but that; and while it does each step takes its whole time."""
    with bench({"rows_max": 5.0}) as one:
        one.step(TS1)
        one.send(TS1, 0, 4000)
        reports = [one.step(TS1) for _ in range(60)]

    parts = [report.partitions[0] for report in reports]
    assert {round(report.seconds, 1) for report in reports if report.partitions[0].lag > 5} == {0.4}
    assert (parts[0].state, parts[-1].lag) == ("catching up", 0)
    assert all(part.state == ("catching up" if part.lag > 5 else "running") for part in parts)
