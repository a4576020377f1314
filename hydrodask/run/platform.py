"""A running platform: broker, topics, Dask cluster, coordinator, source, metrics and views, in one driver process."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from hydrodask import clock, kernels
from hydrodask.driver.blame import Shared
from hydrodask.driver.cluster import DaskCluster
from hydrodask.driver.coordinator import Coordinator
from hydrodask.errors import FatalError, RetryableError
from hydrodask.flows import FLOWS, Flow
from hydrodask.ingest.concerns import concerns
from hydrodask.ingest.discover import Discovery
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.identity import Identities, Ids, OneStart
from hydrodask.ingest.topics import all_topics, create, partitions, unread
from hydrodask.protocol import geometries, spread
from hydrodask.records import PartitionId
from hydrodask.reports import ChannelReport, Overview, Pulse
from hydrodask.run.dashboard import register_page
from hydrodask.run.guests import Guests
from hydrodask.run.reckoning import Reckoning
from hydrodask.run.signals import STOPPING, listen
from hydrodask.run.source import SourceThread
from hydrodask.run.statusdocument import Beside, Minder, Teller
from hydrodask.run.tenure import Tenure, slots_of
from hydrodask.run.waiting import close, first
from hydrodask.settings import Settings
from hydrodask.store.documents import Documents, open_documents
from hydrodask.store.files import Files

log = logging.getLogger(__name__)

IDLE_EVERY_S = 0.2


class Platform:
    """What `run` runs. `settings` are the effective ones: with an embedded broker its address is filled in."""

    def __init__(self, settings: Settings, *, flows: Sequence[Flow] = FLOWS, client: Any = None) -> None:
        """`client` is somebody's own `dask.distributed.Client`, to run on its cluster."""
        self._client = client
        self.flows = flows
        self.settings = settings
        self.run_id = uuid.uuid4().hex[:12]
        self.links: dict[str, str] = {}
        self.stopping = asyncio.Event()
        self.pulse = Pulse()
        self._blank = Overview(self.run_id, clock.now_us())
        self.teller = Teller(self)
        self.beside: list[Beside] = [self.teller]
        """What works beside the run: if it ends, that is said, and the run goes on."""
        self.telling: Callable[[], tuple[ChannelReport, ...]] = tuple
        """How people are told, if they are."""
        self._reckoning: Reckoning | None = None
        self._first_ends: dict[PartitionId, int] | None = None
        self._names: frozenset[str] = frozenset()
        """Every topic of the broker, when it was asked last."""
        self._concerns: list[str] = []
        """What was said of the topics at the start; it stays in view as notes."""
        self._broker: EmbeddedBroker | None = None
        self.tenure: Tenure
        self.documents: Documents
        self.cluster: DaskCluster
        self.coordinator: Coordinator
        self.compiles = False
        self.guests: Guests
        self.source: SourceThread
        self.discovery: Discovery
        self.identities: Ids

    @property
    def overview(self) -> Overview:
        """Everything that is known by now; that it is starting, before there is a coordinator."""
        return self.coordinator.tracker.overview if hasattr(self, "coordinator") else self._blank

    @asynccontextmanager
    async def started(self, say: Callable[[str], None]) -> AsyncIterator[None]:
        """Start everything that the coordinator needs, in order, and stop it in reverse. `say` tells people."""
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(geometries.check, self.settings, Files(self.settings.snapshots_url))
            if self.settings.kafka.embedded:
                broker = self._broker = stack.enter_context(EmbeddedBroker(all_topics(self.settings)))
                kafka = self.settings.kafka.model_copy(update={"bootstrap": broker.bootstrap})
                self.settings = self.settings.model_copy(update={"kafka": kafka})
                say(
                    f"embedded broker on {broker.bootstrap}: for laptops and tests; it forgets all when it stops, and "
                    "a killed worker may publish a window row twice"
                )
            here = self.settings.cluster.address is None
            self.compiles = here and not kernels.kept()
            first = " (compiles kernels first: half a minute)" if self.compiles else ""
            say(f"starting the Dask cluster …{first}" if here else "connecting to Dask …")
            register_page(say)
            cluster = asyncio.create_task(
                DaskCluster.start(
                    self.settings.cluster,
                    self.settings.observe.hosts,
                    patience_s=self.settings.step.patience,
                    client=self._client,
                ),
                name="cluster",
            )
            stack.push_async_callback(close, cluster)
            if not self.settings.kafka.embedded:
                made = await asyncio.to_thread(create, self.settings)
                say(f"broker {self.settings.kafka.bootstrap}: {len(made)} topics created")
                self._concerns = [f"warning: {one}" for one in await asyncio.to_thread(self._look_at_topics)]
                for one in self._concerns:
                    say(one)
            self.documents = open_documents(self.settings)
            stack.callback(self.documents.close)
            self.tenure = await asyncio.to_thread(self._take_over)
            self.cluster = await cluster
            self._build()
            stack.callback(self.discovery.close)
            stack.callback(self.guests.close)
            yield

    def _look_at_topics(self) -> list[str]:
        """Return what is amiss with the topics, and keep how rows of ours are spread over theirs."""
        kept = spread.settle(self.settings, Files(self.settings.snapshots_url), partitions(self.settings))
        return [*map(str, concerns(self.settings)), *kept]

    async def run(self, *, seconds: float | None, until_idle: bool) -> None:
        """Run until told to stop, `seconds` from the first record on, or until the source has ended and is stored."""
        listen(self.stopping, self.coordinator.tracker.note)
        working = asyncio.create_task(self.coordinator.run(), name="coordinator")
        ending = asyncio.create_task(self._end(seconds, until_idle=until_idle), name="ending")
        telling = asyncio.create_task(self.teller.run(), name="status")
        failing = asyncio.create_task(self._broker_died(), name="broker")
        self.guests.start()
        state = "failed"
        try:
            await first(failing, working, ending)
            await asyncio.to_thread(self.source.stop)
            self.coordinator.want("stop")
            self.guests.want("stop")
            await self._stopped(working, failing)
            await self.guests.stop(self.settings.step.time_max)
            if self._reckoning is not None and not self.stopping.is_set():
                self._reckoning.check(self.source.published, self.source.summary, self.coordinator.tracker.overview)
            state = "stopped"
        finally:
            self.source.stop(deliver=not failing.done())
            for task in (working, ending, telling, failing):
                task.cancel()
            self.teller.write(state)

    async def _broker_died(self) -> None:
        """Never return. Raises FatalError once the embedded broker, if there is one, has died."""
        while True:
            if self._broker is not None:
                self._broker.check()
            await asyncio.sleep(IDLE_EVERY_S)

    async def _stopped(self, working: "asyncio.Task[None]", failing: "asyncio.Task[None]") -> None:
        """Wait until the last steps have committed. Raises FatalError when that takes too long."""
        limit_s = self.settings.step.time_max * 2
        try:
            await asyncio.wait_for(first(failing, working), limit_s)
        except TimeoutError as error:
            notes = reversed(self.coordinator.tracker.overview.notes)
            why = next((note for note in notes if not note.endswith(STOPPING)), "the last steps did not come back")
            raise FatalError(
                f"could not stop within {limit_s:g} s: {why}; what is not committed is done again by the next run"
            ) from error

    def _build(self) -> None:
        topics = {self.settings.topic(name): flow.name for flow in self.flows for name in flow.topics}
        self.discovery = Discovery(self.settings.kafka, topics)
        kafka = self.settings.kafka
        self.identities = OneStart(self.run_id) if kafka.embedded else Identities(kafka)
        shared = Shared.of(self.cluster)
        self.coordinator = Coordinator(
            shared,
            self.settings,
            run_id=self.run_id,
            builds={flow.name: flow.build for flow in self.flows},
            discover=partial(self._discover, asyncio.get_running_loop()),
            fence=self.tenure.give_up,
            outdone=self.tenure.outdone,
            run=self.tenure.number,
            pulse=self.pulse,
        )
        for one in self._concerns:
            self.coordinator.tracker.note(one)
        self.guests = Guests(self.settings, shared, self.coordinator.tracker)
        loop, note = asyncio.get_running_loop(), self.coordinator.tracker.note
        self.source = SourceThread(
            self.settings,
            lambda: self.coordinator.tracker.overview,
            lambda said: loop.call_soon_threadsafe(note, said),
        )

    def _discover(self, loop: asyncio.AbstractEventLoop) -> dict[PartitionId, str]:
        """Return the partitions that there are; topics that begin like ours and nobody reads are said, each once."""
        found, known = self.discovery.sources(), self._names
        self._names = self.discovery.names
        if self._names != known:
            for said in unread(self.settings, self._names - known).values():
                loop.call_soon_threadsafe(self.coordinator.tracker.note, said)  # we are in a thread
        return found

    def _take_over(self) -> Tenure:
        return Tenure(self.settings, self.run_id, used=slots_of(self.settings, self.documents))

    async def _end(self, seconds: float | None, *, until_idle: bool) -> None:
        """Return when it is time to stop: `seconds` count from the first record on. Raises the source's error."""
        end_s, minder = float("inf"), Minder(self.coordinator.tracker.note)
        while clock.monotonic_s() < end_s and not self.stopping.is_set():
            if self.source.error is not None:
                raise self.source.error
            minder.look(self.beside)
            self.guests.look()
            self.coordinator.tracker.channels(self.telling())
            if self.coordinator.tracker.overview.steps and await self._ready(compare=until_idle and seconds is None):
                self.source.start()  # a worker that still compiles its kernels would make all of it late
            if seconds is not None and self.source.began:
                end_s = min(end_s, clock.monotonic_s() + seconds)
            self.coordinator.tracker.progress(self.source.progress)
            if until_idle and self.source.done.is_set() and await self._idle():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), IDLE_EVERY_S)

    async def _ready(self, *, compare: bool) -> bool:
        """Say whether the source may begin: if it is to be compared with what is stored, once what was there is."""
        if not compare or self.source.feed is None or self._reckoning is not None:
            return True
        try:
            if self._first_ends is None or self.coordinator.sources.keys() != self._first_ends.keys():
                self._first_ends = await self._ends()
        except RetryableError as error:
            self.coordinator.tracker.note(str(error))
            return False
        if not self.coordinator.settled(self._first_ends):
            return False
        self._reckoning = Reckoning(self.coordinator.tracker.overview)
        return True

    async def _idle(self) -> bool:
        """Say whether everything is consumed, committed and on disk: then even a flush publishes nothing new."""
        flushed = self.coordinator.reached("flush")
        settled = await self._settled()
        if settled:
            self.coordinator.want("flush")
        return await self.guests.idle(self.identities) and flushed and settled

    async def _settled(self) -> bool:
        try:
            logs = await asyncio.to_thread(self.identities.of, [topic for topic, _ in self.coordinator.sources])
            return self.coordinator.settled(await self._ends(), logs)
        except RetryableError as error:
            self.coordinator.tracker.note(str(error))
            return False

    async def _ends(self) -> dict[PartitionId, int]:
        return await asyncio.to_thread(self.discovery.ends, list(self.coordinator.sources))
