"""The processes of a simulated platform: workers of a cluster, and drivers that coordinate them."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hydrodask.driver.coordinator import Coordinator
from hydrodask.errors import UnreachableError, WorkerLostError
from hydrodask.ingest.discover import Discovery
from hydrodask.protocol import geometries, spread
from hydrodask.protocol.order import Order
from hydrodask.protocol.ownership import Ownership
from hydrodask.protocol.settling import fence
from hydrodask.reports import StepReport
from hydrodask.testing.simulation.world import OWNER, Killed, SimulatedProcess
from hydrodask.worker.step import Lease, step

if TYPE_CHECKING:
    from hydrodask.testing.simulation.actors import Actors


class FakeCluster:
    """Worker processes by address, as the coordinator sees them; steps of one are done one after the other."""

    def __init__(self, platform: "Actors", name: str, count: int) -> None:
        self.name = name
        self.away = False
        self._platform = platform
        self.members: dict[str, SimulatedProcess] = {}
        self._leases: dict[SimulatedProcess, Lease] = {}
        self._made = 0
        for _ in range(count):
            self.join()

    def join(self, address: str | None = None) -> None:
        """Start a worker, at an address of its own unless a nanny gives it that of a dead one."""
        self._made += 1
        address = address or f"{self.name}-worker{self._made}"
        process = self.members[address] = SimulatedProcess(self._platform.world, address, serial=True)
        self._leases[process] = Lease()

    def living(self) -> list[str]:
        """Return the addresses of those who live."""
        return [address for address, process in self.members.items() if process.alive]

    def kill(self, address: str) -> None:
        """Kill -9 of a worker."""
        self.members[address].kill()

    async def workers(self) -> list[str]:
        if self.away:
            raise UnreachableError("the scheduler does not answer", backoff_s=0.2)
        return sorted(self.living())

    def paused(self) -> Mapping[str, str]:
        """Return nobody: nobody is short of memory here."""
        return {}

    async def memory(self, worker: str, *, died: bool = False) -> str:
        """Say nothing: nobody is short of memory here."""
        return ""

    async def restart(self, worker: str) -> None:
        """Leave it: here nobody has a nanny, and who was given up goes on some time."""

    def processes(self) -> list[SimulatedProcess]:
        """Return the workers that live."""
        return [process for process in self.members.values() if process.alive]

    async def step(self, worker: str, order: Order) -> StepReport:
        process = self.members.get(worker)
        if process is None or not process.alive or self._platform.cut_off(worker, "before"):
            await asyncio.sleep(0.01)
            raise WorkerLostError(f"there is no worker {worker}")
        surroundings, lease = self._platform.surroundings, self._leases[process]
        done = process.run(lambda: step(order, surroundings=surroundings, lease=lease))
        try:
            report = await done
        finally:
            done.cancel()  # takes it back if it has not begun; what has begun goes on
        await self._platform.deliver(worker)
        return report


class Driver:
    """A driver process: fences its predecessors, then coordinates until it is stopped, killed or fenced."""

    def __init__(self, platform: "Actors", number: int, cluster: FakeCluster) -> None:
        self.process = SimulatedProcess(platform.world, f"driver{number}")
        self.cluster = cluster
        self.coordinator: Coordinator | None = None
        self.error: BaseException | None = None
        self._platform, self._number = platform, number
        self.task = asyncio.create_task(self._run())

    @property
    def living(self) -> bool:
        """Whether it still drives."""
        return self.process.alive and not self.task.done()

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.task.cancel()

    def _look(self) -> None:
        """Look before anything begins, as a platform does: at the windows that are in use, and at topics of ours."""
        settings, files = self._platform.settings, self._platform.disk.at(self._platform.settings.snapshots_url)
        geometries.check(settings, files)
        logs = self._platform.broker.logs
        spread.settle(settings, files, Counter(topic for topic, _ in logs))

    async def _run(self) -> None:
        OWNER.set(self.process)
        settings, broker = self._platform.settings, self._platform.broker
        try:
            await asyncio.to_thread(self._look)
            discovery = Discovery(settings.kafka, self._platform.reads, connect=broker.consumer)
            ownership = Ownership(self._platform.disk.at(settings.snapshots_url), settings.kafka.group)
            number = await asyncio.to_thread(ownership.claim, f"run{self._number}")
            for slot in await asyncio.to_thread(ownership.slots):
                await asyncio.to_thread(fence, settings, slot, connect=broker.producer, consume=broker.consumer)

            def give_up(slot: int, generation: int) -> None:
                ownership.give_up(number, generation)
                fence(settings, slot, connect=broker.producer, consume=broker.consumer)

            self.coordinator = Coordinator(
                self.cluster,
                settings,
                run_id=f"run{self._number}",
                builds=self._platform.builds,
                discover=discovery.sources,
                fence=give_up,
                outdone=lambda: ownership.newest() > number,
                run=number,
            )
            await self.coordinator.run()
        except (Killed, WorkerLostError, asyncio.CancelledError) as error:
            if self.process.alive:
                self.error = error
        except Exception as error:
            self.error = error
        if self.coordinator is not None:
            self._platform.notes += self.coordinator.tracker.overview.notes
        self._platform.world.note(f"{self.process.name} ends: {self.error!r}")
