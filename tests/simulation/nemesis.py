"""What is done to a simulated life by those who wish it ill or mean it well: disks, operators, clocks, connections."""

import asyncio
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydrodask.audit import windows
from hydrodask.audit.aside import set_aside
from hydrodask.errors import ConfigError, HydrodaskError, UsageError
from hydrodask.ingest.commits import marks_group
from hydrodask.protocol import geometries
from hydrodask.testing.simulation.course import WITHIN, Event
from hydrodask.testing.simulation.world import SimulatedProcess
from tests.simulation.auditing import visible
from tests.simulation.input import PREFIX

if TYPE_CHECKING:
    from tests.simulation.platform import Platform

LAKE, STATE = "fake://lake/", "fake://lake-snapshots/"
RULES = str(Path(__file__).with_name("rules-2.yaml"))

DAMAGES = ("flip", "truncate", "lose", "older")
PLACES = ("lake", "snapshot", "small")
SERVICES = ("kafka.", "files.", "documents.", "step")

STOP_S = 20.0
"""How long an operator waits for a run that he has told to stop; then he kills it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One direction of a process's connection to a service: requests do not arrive, or answers do not."""

    who: str
    service: str
    when: str
    until_s: float


class Nemesis:
    """Does harm to one platform. `done` says what; a harm that finds nothing to hurt is not there."""

    def __init__(self, platform: "Platform") -> None:
        self.done: list[str] = []
        self._operator = asyncio.Lock()
        self._platform, self._world = platform, platform.world
        self._cuts: list[Cut] = []
        self._slow_until_s = 0.0

    async def do(self, event: Event) -> None:
        """Let a harm happen."""
        what, _, where = event.kind.partition(" ")
        if what in DAMAGES:
            self._damage(what, where)
        elif what == "power":
            self.cut_power()
        elif what == "slow":
            self._note("slow disk")
            self._slow_until_s = self._now_s + event.seconds
        elif what == "clock":
            self._skew(where, event.seconds)
        elif what == "cut":
            self._cut(where, event.seconds)
        elif event.kind == "offsets gone":
            self._forget_offsets()
        elif event.kind == "restore documents":
            await self._restore_documents(event.seconds)
        elif event.kind == "restore state":
            await self._restore_state()
        elif event.kind == "more analytics":
            self._note("analytics gets a partition")
            self._platform.broker.create(f"{PREFIX}analytics", 3)
        elif event.kind == "change rules":
            await self._change_rules()
        elif event.kind == "change windows":
            await self._change_windows()

    def on_call(self, process: SimulatedProcess, name: str, when: str) -> None:
        """Hold up, or cut off, a call of a process."""
        if when == "before" and name.startswith("files.") and self._now_s < self._slow_until_s:
            self._world.sleep_s(self._world.random.uniform(0.1, 0.6))
        for cut in self._cuts:
            wanted = "before" if name in WITHIN else cut.when
            if name.startswith(cut.service) and wanted == when and self._holds(cut, process.name):
                self._world.sleep_s(0.3)
                self._platform.refuse(name)

    def cut_off(self, worker: str, when: str) -> bool:
        """Say whether orders do not come to a worker, or its reports do not come back."""
        return any(cut.service == "step" and cut.when == when and self._holds(cut, worker) for cut in self._cuts)

    def cut_power(self) -> None:
        """Cut the power of the machine on which all of the platform runs, and its disk."""
        self._note("power cut")
        self.kill_all()
        self._platform.disk.cut_power()

    def follow(self, sentence: str) -> bool:
        """Do what a sentence says, if it names a command; say whether there was one."""
        found = re.search(r"`hydrodask aside ([^`]+)`", sentence)
        if found is None:
            return False
        with visible(self._platform), contextlib.suppress(UsageError):  # it may have gone meanwhile
            set_aside(self._platform.settings, [found[1]])
        self._note(f"{found[1]} taken away")
        return True

    @property
    def held(self) -> bool:
        """Whether an operator is at work: nobody starts a driver meanwhile."""
        return self._operator.locked()

    def over(self) -> None:
        """Harm no more."""
        self._cuts.clear()
        self._slow_until_s = 0.0

    @property
    def _now_s(self) -> float:
        return self._world.loop.now_s

    def _note(self, what: str) -> None:
        self.done.append(what)
        self._world.note(what)

    def _holds(self, cut: Cut, who: str) -> bool:
        return cut.who == who and self._now_s < cut.until_s

    def _paths(self, where: str) -> list[str]:
        def there(path: str) -> bool:
            if path.rpartition("/")[2].startswith("."):
                return False
            if where == "lake":
                return path.startswith(LAKE)
            return path.startswith(STATE) and path.endswith(".snapshot") == (where == "snapshot")

        return sorted(filter(there, self._platform.disk.data))

    def _damage(self, what: str, where: str) -> None:
        """Change one file: the newest of its folder more often than others, for that is the one that is read again."""
        disk, random = self._platform.disk, self._world.random
        paths = self._paths(where)
        if not paths:
            return
        path = random.choice(paths)
        data: bytes | None = disk.data[path]
        if what == "older":
            data = disk.before(path, random.uniform(0.0, self._now_s))
        elif what == "lose":
            data = None
        elif data and what == "flip":
            place, bit = random.randrange(len(data)), 1 << random.randrange(8)
            data = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
        elif data:
            data = data[: random.choice([0, random.randrange(len(data))])]
        if data != disk.data[path]:
            disk.put(path, data)
            self._note(f"{what} {path}")

    def _skew(self, how: str, seconds: float) -> None:
        """Set the clock of one process, or of all, back or on, or back and forth."""
        self._note(f"clock {how} by {seconds:g} s")

        def strobing() -> float:
            return seconds if int(self._now_s * 20) % 2 else -seconds

        skew_s = strobing if how == "strobing" else (lambda: -seconds if how == "back" else seconds)
        everybody = self._world.random.random() < 0.5
        processes = self._platform.processes()
        if everybody or not processes:
            self._world.skew_s = skew_s
        else:
            self._world.random.choice(processes).skew_s = skew_s

    def _cut(self, when: str, seconds: float) -> None:
        random = self._world.random
        service = random.choice(SERVICES)
        processes = [p for p in self._platform.processes() if service != "step" or "worker" in p.name]
        if processes:
            who = random.choice(processes).name
            self._note(f"{service} cut {when} for {who}")
            direction = "before" if when == "there" else "after"
            self._cuts.append(Cut(who, service, direction, self._now_s + seconds))

    def _forget_offsets(self) -> None:
        """Let the broker forget what the group has committed, or an operator move it, marks and all."""
        broker, group = self._platform.broker, self._platform.settings.kafka.group
        self._note("offsets gone")
        if self._world.random.random() < 0.5:
            broker.offsets.clear()
        else:
            broker.commit_foreign(group)
            broker.commit_foreign(marks_group(group))

    def kill_all(self) -> None:
        """Kill all that runs on the machine."""
        self._platform.kill_all()

    async def _restore_documents(self, seconds: float) -> None:
        """Bring the documents back as they were some time ago."""
        backup = {name: dict(stored) for name, stored in self._platform.documents.collections.items()}
        await asyncio.sleep(seconds)
        if backup != self._platform.documents.collections:
            self._note("documents restored")
            self._platform.documents.collections = backup

    async def _restore_state(self) -> None:
        """Bring what is beside the lake back as it was at some time, perhaps at none, while nothing runs."""
        async with self._operator:
            self.kill_all()
            await asyncio.sleep(0.1)
            disk, when_s = (
                self._platform.disk,
                self._world.random.choice([0.0, self._world.random.uniform(0, self._now_s)]),
            )
            for path in sorted(path for path in disk.history if path.startswith(STATE)):
                if (data := disk.before(path, when_s)) != disk.data.get(path):
                    disk.put(path, data)
            self._note(f"state restored as of {when_s:.2f} s")

    async def _change_rules(self) -> None:
        async with self._operator:
            await self._stop()
            detect = self._platform.settings.detect.model_copy(update={"rules": RULES})
            self._platform.settings = self._platform.settings.model_copy(update={"detect": detect})
            self._note("rules changed")

    async def _change_windows(self) -> None:
        """Configure other windows, as an operator does: what does not start is told to, or the settings put back."""
        async with self._operator:
            await self._stop()
            before = self._platform.settings
            window = before.window.model_copy(update={"length": 8.0, "slide": 4.0})
            after = before.model_copy(update={"window": window})
            with visible(self._platform):
                try:
                    geometries.check(after, self._platform.disk.at(after.snapshots_url))
                except ConfigError as error:
                    self._platform.notes.append(str(error))
                else:
                    return  # nothing has begun yet
                try:
                    windows.reset(after)
                except HydrodaskError as error:  # it was killed, or is behind
                    self._platform.notes.append(str(error))
                    return
            self._platform.settings = after
            self._note("windows changed")

    async def _stop(self) -> None:
        """Stop what runs, and kill what does not stop."""
        for driver in self._platform.drivers:
            if driver.living and driver.coordinator is not None:
                driver.coordinator.want("stop")
                await asyncio.wait({driver.task}, timeout=STOP_S)
        self.kill_all()
        await asyncio.sleep(0.1)
