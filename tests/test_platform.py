"""How a platform ends, and what it says of it: with workers in memory, and the parts that need no broker.

Where workers are in memory time is virtual, so limits of minutes are those that people have by default.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from distributed import Client

from hydrodask import clock
from hydrodask.channels import CHANNELS
from hydrodask.driver import coordinator
from hydrodask.driver.blame import Shared
from hydrodask.driver.cluster import DaskCluster
from hydrodask.errors import FatalError, FencedError, RetryableError
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.topics import all_topics
from hydrodask.observe import points
from hydrodask.observe.lines import Lines
from hydrodask.observe.status import RUNS_KEPT
from hydrodask.protocol.ownership import Claim, Ownership
from hydrodask.records import Change, Upsert
from hydrodask.reports import Overview
from hydrodask.run import tenure
from hydrodask.run.datadir import DataDir
from hydrodask.run.guests import Guests
from hydrodask.run.platform import Platform
from hydrodask.run.signals import SAME_SIGNAL_S
from hydrodask.run.source import SourceThread
from hydrodask.run.tenure import Tenure
from hydrodask.run.views import watching
from hydrodask.settings import Settings
from hydrodask.settings.model import Cluster, Observe, Source
from hydrodask.store.documents import Documents, open_documents
from hydrodask.store.files import Files
from tests.delivery import DaskProcesses
from tests.test_coordinator import SOURCES, FakeCluster, until

SETTINGS = Settings(source=Source(kind="none"))

Act = Callable[[Platform, FakeCluster], Awaitable[None]]


def run(folder: Path, act: Act) -> Platform:
    """Run a platform with one worker in memory until it ends; once it has taken a step `act` does something to it."""

    async def go() -> None:
        furnish(platform, cluster)
        running = asyncio.create_task(platform.run(seconds=None, until_idle=False))
        try:
            while not platform.coordinator.tracker.overview.steps:
                await asyncio.wait({running}, timeout=0.1)
            await act(platform, cluster)
            await running
        finally:
            platform.documents.close()

    cluster = FakeCluster(["a"])
    with DataDir(folder):
        platform = Platform(SETTINGS.model_copy(update={"data_dir": folder}))
        cluster.world.live(asyncio.wait_for(go(), 3600))
    return platform


def furnish(platform: Platform, cluster: FakeCluster) -> None:
    """Give a platform what `started` would, without a broker."""
    platform.documents = open_documents(platform.settings)
    platform.coordinator = coordinator.Coordinator(
        cluster,
        platform.settings,
        run_id=platform.run_id,
        builds={},
        discover=lambda: SOURCES,
        fence=cluster.fence,
    )
    platform.guests = Guests(platform.settings, Shared.of(cluster), platform.coordinator.tracker)
    platform.source = SourceThread(platform.settings, lambda: platform.coordinator.tracker.overview)


def said(folder: Path) -> str:
    """Return the state in the only status document there is."""
    documents = open_documents(Settings(data_dir=folder))
    try:
        (found,) = documents.find("status", {}, limit=9)
    finally:
        documents.close()
    return str(found["state"])


async def interrupt(_platform: Platform, _cluster: FakeCluster) -> None:
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.01)


def test_a_worker_that_is_given_up_on_an_embedded_broker_gets_to_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That broker fences nobody, so a run claims its group there, too, and says whom it gives up."""
    monkeypatch.setattr(tenure, "fence", lambda *_: None)
    settings = SETTINGS.model_copy(update={"data_dir": tmp_path})
    one = Tenure(settings, "run")
    ownership = Ownership(Files(settings.snapshots_url), settings.kafka.group)
    claims = [Claim(ownership, one.number, generation) for generation in (1, 2)]

    one.give_up(0, 1)

    claims[1].check()
    with pytest.raises(FencedError, match="generation 1 was given up"):
        claims[0].check()


def test_the_time_of_a_run_begins_with_its_first_record(tmp_path: Path) -> None:
    """Not while workers still compile their kernels: a run for 10 s that has a worker after 60 s works for 10 s."""
    cluster = FakeCluster([])

    async def go() -> None:
        furnish(platform, cluster)
        asyncio.get_running_loop().call_later(60, cluster.alive.append, "a")
        await platform.run(seconds=10, until_idle=False)
        platform.documents.close()

    with DataDir(tmp_path):
        platform = Platform(SETTINGS.model_copy(update={"data_dir": tmp_path}))
        cluster.world.live(asyncio.wait_for(go(), 3600))

    assert platform.coordinator.tracker.overview.steps > 1
    assert 70 < cluster.now_s < 75


def test_a_run_that_is_stopped_says_so(tmp_path: Path) -> None:
    """Ctrl-C ends it well; one that follows at once is the same, and a later one would not have been ours any more."""
    handlers = []

    async def act(platform: Platform, cluster: FakeCluster) -> None:
        await interrupt(platform, cluster)
        await interrupt(platform, cluster)
        await asyncio.sleep(2 * SAME_SIGNAL_S)
        handlers.append(signal.getsignal(signal.SIGINT))

    platform = run(tmp_path, act)

    assert said(tmp_path) == "stopped"
    assert handlers == [signal.default_int_handler]
    assert "once more to abandon" in platform.coordinator.tracker.overview.notes[-1]


def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    """Whoever looks later must not take it for one that was stopped."""

    async def act(_platform: Platform, cluster: FakeCluster) -> None:
        cluster.failing["a"] = FatalError("the lake belongs to somebody else")

    with pytest.raises(FatalError, match="somebody else"):
        run(tmp_path, act)

    assert said(tmp_path) == "failed"


def test_a_run_that_can_not_stop_says_why(tmp_path: Path) -> None:
    """A store that is away keeps the last step from committing; the error says which, and what that means."""

    async def act(platform: Platform, cluster: FakeCluster) -> None:
        cluster.failing["a"] = RetryableError("the lake refuses", backoff_s=1.0)
        await interrupt(platform, cluster)

    with pytest.raises(FatalError, match=r"could not stop within 120 s: .*the lake refuses; .* the next run"):
        run(tmp_path, act)

    assert said(tmp_path) == "failed"


def test_a_write_that_began_earlier_does_not_win(tmp_path: Path) -> None:
    """A thread that has read the overview before the end, and writes it after, changes nothing."""
    late: list[Upsert] = []

    async def act(platform: Platform, cluster: FakeCluster) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(platform.documents, "write", late.extend)
            platform.teller.write(None)
        await interrupt(platform, cluster)

    run(tmp_path, act).teller.write(None)  # and one that had not even begun
    documents = open_documents(Settings(data_dir=tmp_path))
    documents.write(late)
    documents.close()

    assert late[-1].body["updated_us"] == late[-1].revision
    assert said(tmp_path) == "stopped"


def test_a_clock_that_is_set_back_does_not_hide_the_end(tmp_path: Path) -> None:
    """The last status is the newest, whatever the time is by then."""

    async def act(platform: Platform, cluster: FakeCluster) -> None:
        await asyncio.sleep(10)
        cluster.world.now_us = lambda: 1  # type: ignore[method-assign]
        await interrupt(platform, cluster)

    run(tmp_path, act)

    assert said(tmp_path) == "stopped"


def test_what_ends_beside_a_run_is_said(tmp_path: Path) -> None:
    """A bug in a view, or a status that can't be written, ends no run, and nobody has to guess that it is there."""

    async def act(platform: Platform, cluster: FakeCluster) -> None:
        tracker = platform.coordinator.tracker
        moody = Moody(platform.documents)
        with Lines(lambda: tracker.overview, platform.documents, platform.settings, write=fail) as lines:
            lines.thread.join(60)  # it is a real one, and ends at its first line
            platform.beside.append(lines.thread)
            platform.documents = moody
            await until(lambda: sum("the run goes on" in note for note in tracker.overview.notes) == 2)
        moody.well = True
        await until(lambda: moody.written > 1)
        await interrupt(platform, cluster)

    platform = run(tmp_path, act)
    notes = "\n".join(platform.coordinator.tracker.overview.notes)

    assert "plain lines: has ended: LookupError: no such rig; the run goes on" in notes
    assert "status document: could not be written: ZeroDivisionError: no store; the run goes on" in notes
    assert said(tmp_path) == "stopped"


def fail(_line: str) -> None:
    """Do what a bug does."""
    raise LookupError("no such rig")


class Moody:
    """A document store that fails as no store should, until it is well again."""

    def __init__(self, documents: Documents) -> None:
        self.well = False
        self.written = 0
        self.find, self.close = documents.find, documents.close
        self._documents = documents

    def write(self, changes: Sequence[Change]) -> None:
        """Write, or raise what no contract has."""
        if not self.well:
            raise ZeroDivisionError("no store")
        self._documents.write(changes)
        self.written += 1


def test_documents_of_long_gone_runs_are_removed(tmp_path: Path) -> None:
    """A run keeps those of the newest of its group."""
    documents = open_documents(Settings(data_dir=tmp_path))
    body = {"group": "hydrodask", "updated_us": 1}
    documents.write([Upsert("status", f"run-{n}", 1, body | {"updated_us": n}) for n in range(RUNS_KEPT + 5)])

    run(tmp_path, interrupt)
    left = {one["_id"] for one in documents.find("status", {}, limit=99)}
    documents.close()

    assert left >= {f"run-{n}" for n in range(6, RUNS_KEPT + 5)}
    assert left.isdisjoint({f"run-{n}" for n in range(5)})


def test_a_source_that_dies_is_an_error(tmp_path: Path) -> None:
    """A file that goes away while it is published must not pass for the end of the recording."""
    write_recording(tmp_path)
    settings = Settings(source=Source(kind=f"recording:{tmp_path}", speed="max"))
    with EmbeddedBroker(all_topics(settings)) as broker:
        kafka = settings.kafka.model_copy(update={"bootstrap": broker.bootstrap})
        settings = settings.model_copy(update={"kafka": kafka})
        source = SourceThread(settings, lambda: Overview("r", clock.now_us()))
        (tmp_path / "PS1.txt").unlink()
        source._run()

    assert source.done.is_set()
    assert isinstance(source.error, FatalError)
    assert "PS1.txt" in str(source.error)
    assert "FileNotFoundError" in str(source.error)


def write_recording(folder: Path) -> None:
    """Write one cycle of zeros."""
    for channel in CHANNELS.values():
        (folder / f"{channel.name}.txt").write_text("\t".join(["0"] * channel.rate_hz * 60) + "\n")
    (folder / "profile.txt").write_text("3\t100\t0\t130\t1\n")


@pytest.mark.cluster
def test_points_of_the_page_go_to_a_scheduler_that_is_not_ours(tmp_path: Path, free_port: int) -> None:
    """There is the page, in another process."""

    async def go(address: str) -> Sequence[tuple[float, object]]:
        observe = Observe(metrics="127.0.0.1:0")
        settings = Settings(data_dir=tmp_path, cluster=Cluster(address=address), observe=observe)
        with DataDir(tmp_path):
            platform = Platform(settings)
        furnish(platform, FakeCluster())
        platform.cluster = await DaskCluster.start(settings.cluster)
        events: Sequence[tuple[float, object]] = ()
        try:
            async with Client(address, asynchronous=True, set_as_default=False) as client:
                with watching(platform, terminal=False):
                    while not events:
                        await asyncio.sleep(0.1)
                        events = await client.get_events(points.TOPIC)
        finally:
            await platform.cluster.close()
            platform.documents.close()
        return events

    with DaskProcesses(tmp_path, free_port) as dask:
        events = asyncio.run(asyncio.wait_for(go(dask.address), 300))

    assert isinstance(events[0][1], dict)
    assert events[0][1]["state"] == "starting"
