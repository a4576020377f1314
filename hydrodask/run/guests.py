"""Flows from outside the package, beside the platform's own: each in its own group, and none can stop the others.

A guest has a coordinator of its own on the same cluster, and so a position, snapshots, slots and a transaction of its
own. What its graph raises ends that coordinator, and no other: it is said, and begun anew from the commit, later and
later while it goes on failing.

What is not kept apart is the worker's process: its memory, its time, and that it lives. A worker does one step at a
time, so a guest that hangs holds all others up for `step.time_max`, and one that uses memory up takes the worker with
it. Such losses are charged to guests, see `hydrodask.driver.blame`, and who has too many of them ends for good. Whose
the memory was can't be told, so a guest beside one that leaks, or beside a platform with too little, may end as well.
A worker that dies without Dask knowing why, as of a fault in native code, is charged to all.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping

from hydrodask import clock
from hydrodask.driver.blame import Shared
from hydrodask.driver.coordinator import Coordinator
from hydrodask.driver.losses import IDLE_STEPS
from hydrodask.driver.overview import StatusTracker
from hydrodask.errors import RetryableError, kind_and_sentence
from hydrodask.flow import Flow, named
from hydrodask.ingest.discover import Discovery
from hydrodask.ingest.identity import Ids
from hydrodask.protocol.declared import Declared
from hydrodask.records import PartitionId
from hydrodask.reports import FlowReport, Overview
from hydrodask.run.tenure import Tenure
from hydrodask.settings import Settings
from hydrodask.store.documents import declare
from hydrodask.store.files import Files

TRIGGER_S = 0.1
"""How long a guest's step waits for records at most: a worker does one step at a time, and others wait for it."""

BACKOFF_S, BACKOFF_S_MAX = 2.0, 60.0
LASTED_S = 120.0
"""One that has worked for so long before it failed begins anew at once."""

NOTE_S = 10.0
"""At most one note of a guest in so long is passed on: there is room for few, and others have some."""


class Guest:
    """A flow from outside, which is run until `want("stop")`. Never raises: what is wrong is in its report."""

    def __init__(
        self, flow: Flow, settings: Settings, cluster: Shared, note: Callable[[str], None], run_id: str
    ) -> None:
        self.flow, self._run_id = flow, run_id
        self.settings = _settings_of(settings, flow)
        self._cluster, self._note = cluster.seen_by(flow.name), note
        self._files = Files(self.settings.snapshots_url)
        self._discovery = Discovery(self.settings.kafka, {self.settings.topic(name): flow.name for name in flow.topics})
        self._coordinator: Coordinator | None = None
        self._wanted = "run"
        self._stopping = asyncio.Event()
        self._stalled, self._stuck_at = "", 0
        self._done: Overview | None = None
        self._passed, self._passed_s = "", float("-inf")
        declare(flow.collections)

    def want(self, mode: str) -> None:
        """Ask for `run`, `flush` or `stop`."""
        self._wanted = mode
        if mode == "stop":
            self._stopping.set()
        if self._coordinator is not None:
            self._coordinator.want(mode)

    async def run(self) -> None:
        """Work until it is told to stop, also through errors."""
        backoff_s = BACKOFF_S
        while True:
            started_s = clock.monotonic_s()
            try:
                self._coordinator = await asyncio.to_thread(self._begin)
                self._coordinator.want(self._wanted)
                await self._coordinator.run()
            except Exception as error:  # a stranger's, whatever it is: the others go on
                self._stalled = kind_and_sentence(error)
                # One that failed before it reported knows of nothing that is committed.
                self._stuck_at = max(self._stuck_at, self._committed())
                how = "ended" if self._cluster.ended() else "stalled"
                self._note(f"flow {self.flow.name} {how}, and the others go on: {self._stalled}")
                self._coordinator = None
                if self._cluster.ended():
                    return
            else:
                return
            if clock.monotonic_s() - started_s > LASTED_S:
                backoff_s = BACKOFF_S
            if await self._stopped_within(backoff_s):
                return
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def settled(self, identities: Ids) -> bool:
        """Say whether all that there is has been taken and committed; of one that is stalled nobody waits for that."""
        coordinator = self._coordinator
        if coordinator is None or self._stalled:
            return self._stalled != ""
        try:
            logs = await asyncio.to_thread(identities.of, [topic for topic, _ in coordinator.sources])
            ends = await asyncio.to_thread(self._discovery.ends, list(coordinator.sources))
        except RetryableError as error:
            self._note(f"flow {self.flow.name}: {error}")
            return False
        return coordinator.settled(ends, logs)

    def flushed(self) -> bool:
        """Say whether it has written all that it has, or is stalled."""
        return bool(self._stalled) or (self._coordinator is not None and self._coordinator.reached("flush"))

    def report(self) -> FlowReport:
        """Return how it is doing."""
        overview = self._coordinator.tracker.overview if self._coordinator is not None else self._done
        if overview is None:
            return FlowReport(self.flow.name, "stalled" if self._stalled else "starting", self._stalled)
        self._done = overview
        parts = overview.partitions.values()
        if self._stalled and (self._committed() > self._stuck_at or self._at_end(overview)):
            self._stalled = ""  # it has got past what it failed at, or all that there is
        self._pass_on(overview)
        totals: dict[str, int] = {}
        for part in parts:
            for name, number in part.totals.items():
                totals[name] = totals.get(name, 0) + number
        lag = sum(part.lag for part in parts)
        state = "stalled" if self._stalled else overview.state
        return FlowReport(self.flow.name, state, self._stalled, len(parts), lag, totals)

    def close(self) -> None:
        """Let go of the connection."""
        self._discovery.close()

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _committed(self) -> int:
        """Return how many records of all its partitions are committed, as far as it is known."""
        overview = self._coordinator.tracker.overview if self._coordinator is not None else self._done
        return 0 if overview is None else sum(part.committed for part in overview.partitions.values())

    def _at_end(self, overview: Overview) -> bool:
        """Say whether the coordinator that there is now has read all, and has for a while done so without an error."""
        if self._coordinator is None or overview.steps < IDLE_STEPS * max(1, len(overview.workers)):
            return False  # the first reports of a partition may not know where its end is
        parts, sources = overview.partitions, self._coordinator.sources
        return bool(sources) and all(
            source in parts and parts[source].state == "running" and not parts[source].lag for source in sources
        )

    def _pass_on(self, overview: Overview) -> None:
        """Tell people the newest note of its own, if it is another one than the last."""
        now_s, newest = clock.monotonic_s(), overview.notes[-1] if overview.notes else ""
        if self._coordinator is None or newest in {"", self._passed} or now_s - self._passed_s < NOTE_S:
            return
        if newest.partition(" ")[2] != self._passed.partition(" ")[2]:
            self._note(f"flow {self.flow.name}: {newest.partition(' ')[2]}")
        self._passed, self._passed_s = newest, now_s

    def _begin(self) -> Coordinator:
        """Claim the group, fence whoever had it, and return a coordinator for it."""
        # An embedded broker's log is known by its run.
        run_id = self._run_id if self.settings.kafka.embedded else uuid.uuid4().hex[:12]
        tenure = Tenure(self.settings, run_id)  # workers then let go of what they hold of the one before
        return Coordinator(
            self._cluster,
            self.settings,
            run_id=run_id,
            builds={self.flow.name: Declared(self.flow)},
            discover=self._discover,
            fence=tenure.give_up,
            outdone=tenure.outdone,
            run=tenure.number,
            begun=self._has_position(),
        )

    def _has_position(self) -> bool:
        """Say whether it has ever begun: one that has only failed yet begins with `latest` where the log ends then."""
        return any(path.endswith(".snapshot") for path in self._files.names(""))

    def _discover(self) -> Mapping[PartitionId, str]:
        return self._discovery.sources()


class Guests:
    """All flows from outside of a platform."""

    def __init__(self, settings: Settings, cluster: Shared, tracker: StatusTracker) -> None:
        """Take the platform's effective settings, and what people are told by."""
        self._tracker = tracker
        self._all = [Guest(flow, settings, cluster, tracker.note, tracker.run_id) for flow in named(settings.flows)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work, beside whatever else the loop does."""
        self._tasks = [asyncio.create_task(one.run(), name=f"flow {one.flow.name}") for one in self._all]

    def want(self, mode: str) -> None:
        """Ask each for `run`, `flush` or `stop`."""
        for one in self._all:
            one.want(mode)

    def look(self) -> None:
        """Tell people how they are doing."""
        self._tracker.guests(tuple(one.report() for one in self._all))

    async def idle(self, identities: Ids) -> bool:
        """Say whether all that there is has been taken, committed and written; ask for that once it has been taken."""
        done = [await one.settled(identities) for one in self._all]
        flushed = [one.flushed() for one in self._all]
        if all(done):
            self.want("flush")
        return all(done) and all(flushed)

    async def stop(self, limit_s: float) -> None:
        """Stop each cleanly; one that does not is left to what is committed."""
        self.want("stop")
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=limit_s)
            for task in late:
                self._tracker.note(
                    f"{task.get_name()} did not stop; what is not committed is done again by the next run"
                )
                task.cancel()
        self.look()

    def close(self) -> None:
        """Let go of connections."""
        for task in self._tasks:
            task.cancel()
        for one in self._all:
            one.close()


def _settings_of(settings: Settings, flow: Flow) -> Settings:
    """Return a guest's settings: its own group, snapshots and start, and short steps."""
    step = settings.step.model_copy(update={"trigger": min(settings.step.trigger, TRIGGER_S)})
    return settings.model_copy(update={"step": step}).of_flow(flow.name, start=flow.start)
