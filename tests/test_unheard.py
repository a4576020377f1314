"""What the platform itself does not read is nobody's silence: a rig that sends, and a lake that refuses for a while."""

import asyncio
import json

import pytest

from hydrodask.clock import iso
from hydrodask.testing.simulation.course import Sent
from hydrodask.testing.simulation.fakelogs import Entry
from hydrodask.testing.simulation.world import START_S, SimulatedProcess
from tests.simulation.input import PREFIX
from tests.simulation.platform import Platform
from tests.simulation.schedule import Schedule

AFTER_S, SENDS_S = 30.0, 100


class Steady(Platform):
    """One healthy rig sends each second. From 15 to 75 s the lake refuses; broker and documents are well."""

    incidents: tuple[object, ...] = ("not looked at",)

    def unsent(self) -> tuple[Sent, ...]:
        """Nothing else is sent."""
        return ()

    def harm(self, process: SimulatedProcess, name: str, when: str) -> None:  # noqa: ARG002 - as the contract has it
        """Refuse all files."""
        if name.startswith("files.") and 15.0 < self.world.loop.time() < 75.0:
            self.world.sleep_s(0.2)
            self.refuse(name)

    async def _publish(self) -> None:
        for second in range(SENDS_S):
            for sensor in ("TS1", "CE"):
                record = {"sensor": sensor, "cycle": second // 60, "sample_idx": second % 60, "value": 40.0, "rig": "a"}
                record |= {"timestamp": iso(round((START_S + second) * 1e6)), "sampling_rate_hz": 1}
                stamp_ms = round((START_S + self.world.loop.time()) * 1000)
                entry = Entry(json.dumps(record).encode(), b"a", stamp_ms=stamp_ms)
                self.broker.append((PREFIX + sensor, 0), entry)
            await asyncio.sleep(1.0)
        stored = self.documents.collections.get("incidents", {}).values()
        self.incidents = tuple(body["rule"] for _revision, body, *_ in stored if body and "silent" in body["rule"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lake_that_refuses_makes_no_rig_silent(workers: int) -> None:
    """Twice as long as a rig may be silent for: who reads the sensors waits, and who judges goes on."""
    sets = (("roll_age", 10.0), ("roll_rows", 30), ("snapshot_every", 10.0))
    life = Steady(Schedule(3, kind=0, workers=workers, sets=sets))
    detect = life.settings.detect.model_copy(update={"silent_after": AFTER_S})
    step = life.settings.step.model_copy(update={"patience": 300.0})
    life.settings = life.settings.model_copy(update={"detect": detect, "step": step})
    life.run()
    assert life.incidents == ()
