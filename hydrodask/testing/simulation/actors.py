"""Who acts in a simulated life: drivers, workers, and what becomes of them."""

import asyncio
import contextlib
from collections.abc import Mapping

from hydrodask.protocol.order import Build
from hydrodask.settings import Settings
from hydrodask.testing.simulation.course import Course
from hydrodask.testing.simulation.fakecluster import Driver, FakeCluster
from hydrodask.testing.simulation.fakes import Fakes
from hydrodask.testing.simulation.world import SimulatedProcess, World


class Actors(Fakes):
    """The processes of one life. `reads` says whose flow each full name of a topic is."""

    def __init__(
        self, course: Course, settings: Settings, builds: Mapping[str, Build], reads: Mapping[str, str]
    ) -> None:
        super().__init__(World(course.seed), course.mutation)
        self.course, self.settings = course, settings
        self.builds, self.reads = builds, reads
        self.drivers: list[Driver] = []
        self.notes: list[str] = []
        """What drivers that have ended were told."""
        self._shared: FakeCluster | None = None

    def cut_off(self, _worker: str, _when: str) -> bool:
        """Say whether orders do not come to a worker (`before`), or its reports do not come back (`after`)."""
        return False

    async def deliver(self, _worker: str) -> None:
        """Let a step's report be late, or get lost."""

    def processes(self) -> list[SimulatedProcess]:
        """Return all processes that live."""
        drivers = [driver.process for driver in self.drivers if driver.living]
        return drivers + [process for cluster in self.clusters() for process in cluster.processes()]

    def kill_all(self) -> None:
        """Kill all that runs on the machine; a cluster of its own starts again by and by."""
        for driver in self.drivers:
            driver.kill()
            for process in driver.cluster.processes():
                process.kill()
        if self._shared is not None:
            for _ in range(self.course.workers):
                self.world.loop.call_later(self.world.random.uniform(0.1, 0.6), self._shared.join)

    def start(self) -> Driver:
        """Start a driver, with workers of its own or those that there are."""
        number = len(self.drivers) + 1
        if self.course.shared:
            self._shared = self._shared or FakeCluster(self, "c", self.course.workers)
            cluster = self._shared
        else:
            cluster = FakeCluster(self, f"d{number}", self.course.workers)
        driver = Driver(self, number, cluster)
        self.drivers.append(driver)
        return driver

    def clusters(self) -> list[FakeCluster]:
        """Return those that there are."""
        return list({id(d.cluster): d.cluster for d in self.drivers if d.living or self.course.shared}.values())

    def zombies(self) -> bool:
        """Say whether processes of drivers that are gone still do something."""
        gone = [driver for driver in self.drivers if not driver.living and not self.course.shared]
        return any(p.threads for driver in gone for p in driver.cluster.members.values() if p.alive)

    def end(self) -> None:
        """Let everybody go, so that nothing of this world is left."""
        for driver in self.drivers:
            driver.kill()
            for process in driver.cluster.members.values():
                process.kill()
        loop = self.world.loop
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:  # `gather` of nothing makes a loop of its own, which nobody closes
            with contextlib.suppress(BaseException):
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for _ in range(10):  # threads that were told to end by others than the loop
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    def kill(self, process: SimulatedProcess) -> None:
        """Kill a process; another worker comes for one by and by."""
        for driver in self.drivers:
            if driver.process is process:
                driver.kill()
                self.orphan(driver)
                return
            if process.name in driver.cluster.members:
                process.kill()
                again = self.world.random.choice([None, process.name])
                self.world.loop.call_later(self.world.random.uniform(0.2, 1.5), driver.cluster.join, again)
                return

    def orphan(self, driver: Driver) -> None:
        """Let the workers of a dead driver find out, after a while, if they are its own."""
        if not self.course.shared:
            for process in driver.cluster.members.values():
                self.world.loop.call_later(self.world.random.uniform(0.0, 4.0), process.kill)
