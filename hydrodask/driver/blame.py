"""Whom a lost worker is charged to, where flows from outside (guests) have steps on the same workers.

A worker does one step at a time, in the order in which they came. So the step that hangs is the oldest in flight there.
What has used up its memory can't be told: each guest with a step in flight is charged, and the platform is not. One
that is charged too often ends for good; if it was not the cause, the platform is charged from then on.
"""

from collections import deque
from collections.abc import Awaitable

from hydrodask import clock
from hydrodask.driver.seats import Cluster
from hydrodask.errors import FatalError, WorkerLostError
from hydrodask.protocol.order import Order
from hydrodask.reports import StepReport

KNOWN_MAX = 1000
"""Workers that are remembered, also those that are gone."""

CHARGES_MAX = 3
WITHIN_S = 3600.0
"""A guest that so many workers were lost to within so long is not begun again."""

PLATFORM = ""
"""Stands for the platform among the names of guests."""


class Blame:
    """What is in flight on each worker, and what was lost to whom; one for all coordinators of a cluster."""

    def __init__(self) -> None:
        self._flights: dict[str, dict[str, bool]] = {}
        """Worker → who has a step there, oldest first, and whether that is for partitions. A lost step stays."""
        self._verdicts: dict[str, tuple[str, ...]] = {}
        """Worker that was lost → whom it is charged to, until the platform seats one of that address again."""
        self._charges: dict[str, deque[float]] = {}
        self.ended: dict[str, str] = {}
        """Guests that are not begun again, and why."""

    def begun(self, worker: str, name: str, *, hosts: bool) -> None:
        """Take note of a step that was sent."""
        if name == PLATFORM:
            self._verdicts.pop(worker, None)
        flights = self._flights.pop(worker, {})
        flights.pop(name, None)
        flights[name] = hosts
        self._flights[worker] = flights  # the last one: who is not heard of for long comes first
        for known in self._flights, self._verdicts:
            if len(known) > KNOWN_MAX:
                del known[next(iter(known))]

    def done(self, worker: str, name: str) -> None:
        """Take note of a step that came back, also with an error."""
        self._flights.get(worker, {}).pop(name, None)

    def judge(self, worker: str, why: str, *, memory: bool, late: bool) -> tuple[str, ...]:
        """Charge a lost worker to guests, once, and return which; none if it is not theirs."""
        if not memory and not late:  # whoever hears of it first has said why, if that is known
            return self._verdicts.get(worker, ())
        if worker not in self._verdicts:
            flights = {n: hosts for n, hosts in self._flights.pop(worker, {}).items() if n not in self.ended}
            guests = [name for name, hosts in flights.items() if hosts and name != PLATFORM]
            guilty = guests if memory else [name for name in list(flights)[:1] if name != PLATFORM]
            self._verdicts[worker] = tuple(guilty)
            for name in guilty:
                self._charge(name, f"worker {worker}: {why}")
        return self._verdicts[worker]

    def _charge(self, name: str, why: str) -> None:
        charges = self._charges.setdefault(name, deque(maxlen=CHARGES_MAX))
        charges.append(clock.monotonic_s())
        if len(charges) == CHARGES_MAX and charges[-1] - charges[0] <= WITHIN_S:
            self.ended[name] = (
                f"{CHARGES_MAX} workers were lost within an hour while a step of it was in flight, the last one "
                f"{why}; it is not begun again in this run: mend it, or take it out of the setting flows"
            )


class Shared:
    """A cluster as one of several coordinators sees it; what it has in flight is known to all."""

    def __init__(self, cluster: Cluster, blame: Blame, name: str = PLATFORM) -> None:
        self._cluster, self._blame, self._name = cluster, blame, name
        self.workers, self.paused = cluster.workers, cluster.paused
        self.memory, self.restart = cluster.memory, cluster.restart

    @classmethod
    def of(cls, cluster: Cluster) -> "Shared":
        """Return the cluster as the platform sees it, whose only coordinator that may be."""
        return cluster if isinstance(cluster, Shared) else cls(cluster, Blame())

    def seen_by(self, name: str) -> "Shared":
        """Return it as a guest sees it."""
        return Shared(self._cluster, self._blame, name)

    def ended(self) -> bool:
        """Say whether this guest is not to be begun again."""
        return self._name in self._blame.ended

    def step(self, worker: str, order: Order) -> Awaitable[StepReport]:
        """Run one step."""
        self._blame.begun(worker, self._name, hosts=bool(order.sources))
        return self._step(worker, order)

    async def _step(self, worker: str, order: Order) -> StepReport:
        try:
            report = await self._cluster.step(worker, order)
        except WorkerLostError:
            raise
        except Exception:
            self._blame.done(worker, self._name)
            raise
        self._blame.done(worker, self._name)
        return report

    def guilty(self, worker: str, why: str, *, memory: bool, late: bool) -> bool:
        """Say whether a lost worker is charged to guests. Raises FatalError to the one that is charged too often."""
        names = self._blame.judge(worker, why, memory=memory, late=late)
        if self._name in self._blame.ended:
            raise FatalError(self._blame.ended[self._name])
        return bool(names)
