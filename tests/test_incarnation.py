"""In which log a partition is opened, and at which offset of ours: from records, snapshots, files and commits."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal
from unittest.mock import Mock

import pytest

from hydrodask.audit.replay import crossing
from hydrodask.errors import FatalError, RetryableError
from hydrodask.ingest import mark
from hydrodask.ingest.mark import Mark
from hydrodask.ingest.reader import Reader
from hydrodask.kafka import KafkaError, KafkaException, TopicPartition
from hydrodask.nodes.context import Context
from hydrodask.nodes.node import Node
from hydrodask.nodes.sensors import Decode
from hydrodask.protocol import incarnation, snapshot
from hydrodask.protocol.incarnation import SPAN, Incarnation, Seam
from hydrodask.protocol.order import Build, Order
from hydrodask.records import Samples
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings, Url
from hydrodask.settings.model import Kafka
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.testing.simulation.fakebroker import FakeBroker
from hydrodask.testing.simulation.fakelogs import Entry
from hydrodask.worker.opening import Opening
from hydrodask.worker.partition import Partition
from hydrodask.worker.places import Places
from hydrodask.worker.watching import LogWatch, commit_of
from tests.running import BUILDS
from tests.strategies import Record, samples_of
from tests.test_partition import cut

TOPIC = "hydraulic-FS1"
SOURCE = (TOPIC, 0)


@dataclass
class Embedded:
    """The ids that an embedded broker gives: those of its start."""

    start: str = "mock1"

    def of(self, topics: list[str]) -> dict[str, str]:
        """Return one id for all."""
        return dict.fromkeys(topics, f"{self.start}/embedded")


class Still:
    """A world in which nothing takes time or goes wrong."""

    def call(self, _name: str, effect: Callable[[], Any]) -> Any:
        """Have the effect."""
        return effect()


def broker() -> FakeBroker:
    """Return an empty broker."""
    still: Any = Still()
    return FakeBroker(still)


@dataclass
class Place:
    """A group's folder in memory and a broker, over any number of restarts of both."""

    embedded: bool = False
    on_data_loss: Literal["continue", "fail"] = "continue"
    url: str = field(default_factory=lambda: f"memory://{uuid.uuid4().hex}")
    ids: Embedded = field(default_factory=Embedded)

    def __post_init__(self) -> None:
        self.broker = broker()
        self.make(3000)
        self.lake, self.snapshots = Lake(f"{self.url}/lake"), Files(f"{self.url}/snapshots")
        kafka = Kafka(embedded=self.embedded, group="g", on_data_loss=self.on_data_loss)
        self.settings = Settings(kafka=kafka)

    def make(self, records: int) -> None:
        """Make the topic anew, with so many records."""
        self.broker.delete(TOPIC)
        self.broker.create(TOPIC, 1)
        for _ in range(records):
            self.broker.append(SOURCE, Entry(b"{}"))

    def open(self) -> Partition:
        """Open the partition, as a worker that has just started does."""
        partition = self.opened(self.settings, "monitor", BUILDS["monitor"])
        assert partition is not None
        return partition

    def opened(self, settings: Settings, flow: str, build: Build) -> Partition | None:
        """Open the partition for any flow; None when that has to wait."""
        kafka = settings.kafka
        reader = Reader(kafka, connect=self.broker.consumer, fetch=self.broker.fetcher)
        ids: Any = self.ids if self.embedded else self.broker.identities(kafka)
        opening = Opening(settings, self.files, reader, ids, lambda *_: None)
        partition = Partition(Context(settings, flow, *SOURCE, self.lake), build, self.files(settings.snapshots_url))
        return partition if Places(opening, LogWatch(kafka, ids)).open(partition, [], latest=False) else None

    def files(self, url: Url) -> Files:
        """Return the snapshots of a flow."""
        return Files(f"{self.url}/{url.plain().rpartition('/')[2]}")

    def work(self, partition: Partition, count: int, *, stop: bool = True) -> None:
        """Take records and commit; `stop` does what a stop does."""
        first = partition.position
        messages = cut(0, count)
        messages.offsets += first
        partition.process(messages)
        partition.tick(1e12, every_s=0.0)
        pending = partition.prepare()
        self.commit(commit_of(partition, pending, Order("r", 1, 0, "w", self.settings)))
        partition.done(pending)
        if stop:
            partition.roll(1e12, rows_max=1, age_s_max=0.0)
            partition.save(0.0, ended=True)

    def commit(self, offset: TopicPartition, *groups: str) -> None:
        """Commit for both groups, or those that are named."""
        for group in groups or ("g", "g.marks"):
            self.broker.offsets[group, SOURCE] = (offset.offset, offset.metadata or "")

    def logs(self) -> list[Incarnation]:
        """Return what is on record."""
        return incarnation.read(self.snapshots, SOURCE)[0]


def test_an_embedded_broker_goes_on_behind_all_that_is_known() -> None:
    """Each start is another log; state goes on, and its offsets begin at the next multiple of 10^9."""
    place = Place(embedded=True)
    place.work(place.open(), 1000)
    place.ids.start = "mock2"
    place.make(500)

    partition = place.open()

    assert (partition.position, partition.ctx.base) == (SPAN, SPAN)
    assert partition.consumed == 1000


class Offsets(Node[Samples, None]):
    """Remembers the offsets that it was given."""

    name = "offsets"

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def take(self, batch: Samples) -> None:
        self.seen += batch.offset.tolist()

    def snapshot(self) -> dict[str, Any]:
        return {"count": len(self.seen)}

    def restore(self, _state: dict[str, Any]) -> None:
        """Go on with the list that the test has."""


def test_a_flow_from_outside_that_was_away_counts_as_ours_and_takes_what_it_missed_from_raw() -> None:
    """It waits until ours have opened a log, and its own files and those of others say nothing of the base."""
    place, seen = Place(embedded=True), list[int]()
    settings = place.settings.of_flow("theirs", start="earliest")

    def theirs() -> Partition | None:
        return place.opened(
            settings, "theirs", lambda messages, ctx: messages.through(Decode(ctx)).through(Offsets(seen)) and None
        )

    assert theirs() is None
    ours = place.open()
    place.work(ours, 1000)
    first = theirs()  # raw/ has files of this log already
    assert first is not None
    assert (first.position, first.ctx.base) == (0, 0)
    place.work(first, 1000)
    place.ids.start = "mock2"
    place.make(500)
    place.work(place.open(), 500)
    place.ids.start = "mock3"
    place.make(300)
    assert theirs() is None
    place.open()

    back = theirs()

    assert back is not None
    assert (back.position, back.ctx.base) == (2 * SPAN, 2 * SPAN)
    assert seen == [*range(1000), *range(SPAN, SPAN + 500)]


@pytest.mark.parametrize("lost", ["log-", ""])
def test_lost_records_are_made_up_for_by_files_and_snapshots(lost: str) -> None:
    """Without records of logs, or without any snapshot, the next start of the broker still has offsets of its own."""
    place = Place(embedded=True)
    place.work(place.open(), 1000)
    for path in place.snapshots.names(""):
        if lost in path:
            place.snapshots.remove(path)
    place.ids.start = "mock2"
    place.make(500)

    partition = place.open()

    assert (partition.position, partition.committed, partition.ctx.base) == (SPAN, SPAN, SPAN)
    assert partition.ctx.totals["lost"] == 0
    place.work(partition, 500)
    assert place.lake.table("raw", ["offset"]).column("offset").to_pylist() == [*range(1000), *range(SPAN, SPAN + 500)]


def test_a_folder_of_an_older_version_goes_on_though_its_first_start_was_killed() -> None:
    """Its snapshots name no log; the record is there, and the state is still that of before."""
    place = Place(embedded=True)
    place.work(place.open(), 1000)
    for path in place.snapshots.names(""):
        if "log-" in path:
            place.snapshots.remove(path)
        else:
            state = snapshot.decode(place.snapshots.read(path))
            snapshot.save(place.snapshots, SOURCE, int(path[-21:-9]), state | {"log": "", "ended": False})
    for path in place.lake.files.names(""):
        place.lake.files.remove(path)
    incarnation.put(place.snapshots, SOURCE, 0, Incarnation(log="mock2/embedded", base=SPAN))
    place.ids.start = "mock2"
    place.make(500)

    partition = place.open()

    assert (partition.position, partition.consumed, partition.ctx.totals["lost"]) == (SPAN, 1000, 0)


def test_a_damaged_record_is_said_and_not_needed() -> None:
    """What it said is in the snapshot, too."""
    place = Place()
    place.work(place.open(), 1000)
    place.snapshots.replace(f"{TOPIC}-0/log-000000", b'{"log": 7')
    place.snapshots.replace(f"{TOPIC}-0/log-000000.bak", b"what somebody keeps here is none")

    partition = place.open()

    assert (partition.position, partition.ctx.base) == (1000, 0)
    assert [note for note in partition.notes if "log-000000" in note]


@pytest.mark.parametrize("embedded", [False, True])
def test_a_position_past_the_end_of_the_same_log_is_an_error(embedded: bool) -> None:
    """A broker that has lost records must not be read on as if nothing were."""
    place = Place(embedded=embedded)
    place.work(place.open(), 1000)
    log = place.broker.logs[SOURCE]
    log.entries, log._stable = log.entries[:900], 0

    with pytest.raises(FatalError, match=r"position 1000 .* past the log's end 900"):
        place.open()


def test_a_topic_made_anew_is_read_from_its_beginning_and_what_was_open_is_final() -> None:
    """State begins anew; open windows are published as final with the new log's first commit, once."""
    place = Place()
    place.work(place.open(), 1000)
    place.make(2000)

    partition = place.open()

    assert (partition.position, partition.marked) == (SPAN, (-1, -1))
    closed = len(partition.ctx.outbox)
    assert closed > 0
    assert len(place.open().ctx.outbox) == closed  # a crash before the commit
    place.work(partition, 2000)
    assert not place.open().ctx.outbox  # one after it
    windows = place.lake.table("windows", ["revision"]).column("revision").to_pylist()
    assert SPAN - 1 in windows
    assert {place.lake.newest(folder, SOURCE).log for folder in ("raw", "windows")} == {place.logs()[-1].text}
    assert place.lake.table("late").num_rows == 0


def test_what_a_log_took_with_it_is_lost_once() -> None:
    """Killed before its rows were in a file: they are counted, and no window that lacks them is final."""
    place = Place()
    partition = place.open()
    partition.pin(0.0)
    place.work(partition, 1000, stop=False)
    place.make(2000)
    del place.broker.offsets  # as a broker does that has deleted a topic
    place.broker.offsets = {}

    partition = place.open()

    assert not partition.ctx.outbox
    assert place.logs()[1].whole is False
    assert any("what was not stored of it can't be read again" in note for note in partition.notes)


def test_rows_that_raw_has_of_a_log_that_is_gone_are_not_published_again() -> None:
    """They were committed behind the newest snapshot; the new log's state begins without them, and says so."""
    place = Place()
    place.work(place.open(), 1000)
    partition = place.open()
    place.work(partition, 1500, stop=False)
    partition.roll(1e12, rows_max=1, age_s_max=0.0)
    place.make(2000)

    partition = place.open()

    assert (partition.consumed, partition.ctx.totals["lost"], len(partition.ctx.outbox)) == (1000, 0, 0)
    assert partition.position == SPAN


def test_a_log_that_ends_a_run_if_that_is_wanted() -> None:
    """`kafka.on_data_loss: fail`: nothing is put on record."""
    place = Place(on_data_loss="fail")
    place.work(place.open(), 1000)
    place.make(2000)

    with pytest.raises(FatalError, match="on_data_loss is fail"):
        place.open()

    assert len(place.logs()) == 1


def test_a_broker_that_comes_back_goes_on_where_it_was_left() -> None:
    """Another broker in between: what was read of the first one's log is not read again."""
    place = Place()
    place.work(place.open(), 1000)
    first = place.broker
    place.broker = broker()
    place.broker.cluster = "other"
    place.make(0)
    place.make(100)
    place.work(place.open(), 100)
    place.broker = first

    partition = place.open()

    assert (partition.position, partition.ctx.base) == (2 * SPAN + 1000, 2 * SPAN)


def test_a_restart_where_snapshot_and_commit_agree_says_nothing() -> None:
    """Whoever reads notes is told of what was odd; that a worker died between two commits is not."""
    place = Place()
    first = place.open()
    place.work(first, 1000, stop=False)
    first.roll(1e12, rows_max=1, age_s_max=0.0)
    first.save(0.0)

    partition = place.open()

    assert (partition.position, partition.committed, partition.notes) == (1000, 1000, [])


@pytest.mark.parametrize("before", ["mock1/embedded", "c/t1"])
@pytest.mark.parametrize("now", ["mock2/embedded", "c/t2"])
def test_state_goes_on_from_one_embedded_broker_to_the_next_only(before: str, now: str) -> None:
    """Windows of a log that is gone, or that somebody else has, would get records of another one."""
    assert Incarnation(log=now).keeps(Incarnation(log=before)) == ("embedded" in before and "embedded" in now)


def test_an_answer_that_is_out_of_date_makes_no_new_log() -> None:
    """A topic's id never comes back: a broker that names an older one has not heard of the new one."""
    place = Place()
    place.work(place.open(), 1000)
    old = place.broker.logs[SOURCE]
    place.make(100)
    place.open()
    place.broker.logs[SOURCE] = old

    with pytest.raises(RetryableError, match="still knows"):
        place.open()


@pytest.mark.parametrize("offset", [20, 2500])
def test_an_offset_of_somebody_else_is_said_and_put_right(offset: int) -> None:
    """Ours counts."""
    place = Place()
    place.work(place.open(), 1000, stop=False)
    place.commit(TopicPartition(*SOURCE, offset), "g")

    partition = place.open()

    assert (partition.committed, partition.marked) == (1000, (-1, -1))
    assert any(f"offset {offset} was not committed by hydrodask" in note for note in partition.notes)


def test_a_group_that_somebody_has_set_before_the_first_run_begins_where_the_log_does() -> None:
    """Nothing of ours says where."""
    place = Place()
    place.commit(TopicPartition(*SOURCE, 2500), "g")

    partition = place.open()

    assert partition.position == 0
    assert any("there is none of ours" in note for note in partition.notes)


def test_an_older_version_is_taken_over_from_once() -> None:
    """Its commits have `emitted=N` and no marks; its snapshots name no log."""
    place = Place()
    place.commit(TopicPartition(*SOURCE, 1000, "emitted=1000"), "g")

    partition = place.open()

    assert (partition.committed, partition.marked) == (1000, (-1, -1))
    assert place.logs() == [Incarnation(log=f"cluster/{TOPIC}@cluster.0")]


def test_an_older_version_that_came_back_is_taken_over_from_again() -> None:
    """It commits for one group only, and leaves the marks as they were."""
    place = Place()
    place.work(place.open(), 500, stop=False)
    place.commit(TopicPartition(*SOURCE, 1000, "emitted=1000"), "g")

    partition = place.open()

    assert (partition.committed, partition.marked) == (1000, (-1, -1))


def test_rows_of_a_later_log_that_retention_took_are_taken_from_raw() -> None:
    """As with the first log: what raw/ has is not lost to windows."""
    place = Place()
    place.work(place.open(), 1000)
    place.make(3000)
    partition = place.open()
    place.work(partition, 1000)
    place.work(partition, 500, stop=False)
    partition.roll(1e12, rows_max=1, age_s_max=0.0)
    place.broker.retain(SOURCE, 1400)

    partition = place.open()

    assert (partition.position, partition.ctx.totals["lost"]) == (SPAN + 1400, 0)


def test_marks_alone_say_which_log_it_is() -> None:
    """The folder is lost, and the commits are there: offsets go on with the base that they name."""
    place = Place()
    said = mark.write(Mark(f"cluster/{TOPIC}@cluster.0", 3 * SPAN, 3 * SPAN + 1000))
    place.commit(TopicPartition(*SOURCE, 1000, said))

    partition = place.open()

    assert (partition.committed, partition.ctx.base) == (3 * SPAN + 1000, 3 * SPAN)


def test_a_user_without_rights_on_the_marks_is_told_which_and_how() -> None:
    """As after an upgrade: the group of before is there, and the other one is refused."""
    place = Place()
    consumer = place.broker.consumer

    def guarded(kafka: Kafka, **overrides: object) -> Any:
        client = consumer(kafka, **overrides)
        if kafka.group == "g.marks":
            refused = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "Group authorization failed")
            client.committed = Mock(side_effect=KafkaException(refused))
        return client

    place.broker.consumer = guarded  # type: ignore[method-assign]

    with pytest.raises(FatalError, match=r"group 'g.marks' .*GROUP_AUTHORIZATION_FAILED\); `hydrodask topics grant`"):
        place.open()


def test_a_state_of_the_next_log_crosses_no_seam_again() -> None:
    """One that has come to its first offset is in it."""
    known = [Incarnation(log="a/1", base=0), Incarnation(log="a/2", base=SPAN, end=7)]

    assert [[seam.base for seam in incarnation.seams(known, after)] for after in (SPAN - 1, SPAN)] == [[SPAN], []]


@pytest.mark.parametrize("text", ["c/t", "c/t soon", "5", ""])
def test_what_names_no_log_and_base_names_none(text: str) -> None:
    """As the metadata of a file that somebody else has written."""
    assert incarnation.of_text(text) is None


def test_a_log_ends_where_it_was_read_last() -> None:
    """In the broker's offsets; where nothing was taken of it that is where it was begun."""
    known = [
        Incarnation(log="a/1"),
        Incarnation(log="a/2", base=SPAN, end=1000),
        Incarnation(log="a/3", base=2 * SPAN, end=SPAN + 700, first=300),
        Incarnation(log="a/4", base=3 * SPAN, end=2 * SPAN),
    ]

    assert [end for _, end in incarnation.ends(known)] == [1000, 700, 300]


@pytest.mark.parametrize(
    ("stored", "whole", "keeps", "hole"),
    [
        (1000, True, False, None),
        (999, True, False, (999, SPAN)),
        (1000, False, False, (1000, SPAN)),
        (0, False, True, None),
    ],
)
def test_what_went_with_a_log_and_is_not_stored_is_a_hole(
    stored: int, whole: bool, keeps: bool, hole: tuple[int, int] | None
) -> None:
    """All has to be stored, and the state that of all: else something is missing up to where the next log begins."""
    assert Seam(SPAN, 1000, stored, whole=whole, keeps=keeps).hole == hole


def test_raw_rows_cross_a_seam_where_it_is() -> None:
    """Behind all files below it, inside of one that goes beyond, and at the end when nothing follows."""
    files = [samples(range(5)), samples(range(5, 9)), samples([9, 100, 101]), samples([102])]
    parts = crossing(iter(files), [Seam(base, base - 1, 0, whole=True, keeps=False) for base in (100, 200)])

    said = [one.base if isinstance(one, Seam) else one.offset.tolist() for one in parts]

    assert [one for one in said if one != []] == [[*range(5)], [*range(5, 9)], [9], 100, [100, 101], [102], 200]


def samples(offsets: Iterable[int]) -> Samples:
    """Return samples of a rig with these offsets."""
    return samples_of([Record("a", offset, 1.0, offset) for offset in offsets], RIGS)
