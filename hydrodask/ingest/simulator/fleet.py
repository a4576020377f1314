"""All simulated rigs, second by second."""

import math
from collections.abc import Iterator

import numpy as np

from hydrodask.channels import CHANNELS, CYCLE_S
from hydrodask.clock import US_PER_S, iso
from hydrodask.errors import ConfigError
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.simulator.disturb import rounded, sensor_fault, transport_fault
from hydrodask.ingest.simulator.faults import FaultPlan
from hydrodask.ingest.simulator.rig import SimulatedRig
from hydrodask.ingest.simulator.shapes import load_shapes
from hydrodask.records import Int64, LabelRecord

RIGS_MAX = 9999
"""Rigs that one process simulates at most: 2 GB, and names with four digits."""

_Times = tuple[Int64, Int64, Int64]


class Fleet:
    """`rigs` rigs that run from `start_us` (event time) on, each in its own phase.

    A single rig has the name `default_rig` and begins a cycle at `start_us`; the rigs of a fleet
    are `rig-0001`, … and all but the first are in the middle of cycle 0 then. The same arguments
    give the same bytes. A rig costs about 0.2 MB while it is asked for seconds of one cycle, and a
    few ms when it enters the next.
    """

    def __init__(self, *, rigs: int, seed: int, start_us: int, faults: FaultPlan | None, default_rig: str) -> None:
        if not 1 <= rigs <= RIGS_MAX:
            raise ConfigError(f"source.rigs is {rigs}; want 1 to {RIGS_MAX} simulated rigs")
        self._plan = faults or FaultPlan([])
        self._stuck: dict[tuple[str, int], float] = {}
        self._seed = seed % 2**64
        self._start_us = start_us
        names = names_of(rigs, default_rig)
        self._rigs = [SimulatedRig(name, index=i, seed=seed, plan=self._plan) for i, name in enumerate(names)]

    @property
    def names(self) -> list[str]:
        """Names of the rigs, in order."""
        return [rig.name for rig in self._rigs]

    def chunk(self, second: int) -> list[Chunk]:
        """Return the samples with event time in `[start + second, + 1 s)`, by rig and sensor.

        Those that a transport fault delays are among them, with a later `send_us`.
        """
        return [chunk for rig in self._rigs for chunk in self._of_rig(rig, second)]

    def labels(self, second: int) -> list[LabelRecord]:
        """Return a label for each rig that begins a cycle in this second; in second 0 for all."""
        return [self._label(rig, second) for rig in self._rigs if second == 0 or _split(rig, second)[1] == 0]

    def _label(self, rig: SimulatedRig, second: int) -> LabelRecord:
        number, into_s = _split(rig, second)
        cycle = rig.cycle(number)
        begins_us = self._start_us + (second - into_s) * US_PER_S
        return LabelRecord(rig.name, number, iso(begins_us), **cycle.states, stable=cycle.stable)

    def _of_rig(self, rig: SimulatedRig, second: int) -> Iterator[Chunk]:
        number, into_s = _split(rig, second)
        cycle, shapes = rig.cycle(number), load_shapes()
        times = {rate_hz: self._times(number, into_s, rate_hz, second) for rate_hz in (1, 10, 100)}
        for name, channel in CHANNELS.items():
            rate_hz = channel.rate_hz
            counts = cycle.counts[name][into_s * rate_hz : (into_s + 1) * rate_hz]
            cycles, indexes, time_us = times[rate_hz]
            value = rounded(counts, shapes[name].decimals)
            chunk = Chunk(rig.name, name, cycles, indexes, value, time_us, time_us, rate_hz)
            yield from self._disturbed(rig, chunk, second)

    def _times(self, number: int, into_s: int, rate_hz: int, second: int) -> _Times:
        steps = np.arange(rate_hz, dtype=np.int64)
        begin_us = self._start_us + second * US_PER_S
        return (
            np.full(rate_hz, number, dtype=np.int64),
            into_s * rate_hz + steps,
            begin_us + steps * (US_PER_S // rate_hz),
        )

    def _disturbed(self, rig: SimulatedRig, chunk: Chunk, second: int) -> Iterator[Chunk]:
        """Yield `chunk` as sensor and transport leave it, or nothing."""
        for i, fault in enumerate(self._plan.sensors):
            if fault.sensor == chunk.sensor and fault.concerns(rig.name) and fault.active(second):
                if fault.kind == "drop-out":
                    return
                last = self._before(rig, i) if fault.kind == "stuck" else math.nan
                seed = (self._seed, 1, i)
                chunk = sensor_fault(chunk, fault, second=second, seed=seed, last_value=last)
        for i, carrier in enumerate(self._plan.transports):
            concerned = carrier.sensor in (None, chunk.sensor) and carrier.concerns(rig.name)
            if concerned and carrier.active(second):
                chunk = transport_fault(chunk, carrier, second=second, seed=(self._seed, 2, i))
        yield chunk

    def _before(self, rig: SimulatedRig, index: int) -> float:
        """Return the last value before sensor fault `index` began, or the first of the run."""
        key = (rig.name, index)
        if key not in self._stuck:
            fault = self._plan.sensors[index]
            number, into_s = _split(rig, max(0, math.ceil(fault.at) - 1))
            rate_hz = CHANNELS[fault.sensor].rate_hz
            last = (into_s + 1) * rate_hz - 1 if fault.at else into_s * rate_hz
            counts = rig.cycle(number).counts[fault.sensor][last]
            self._stuck[key] = float(counts) / 10.0 ** load_shapes()[fault.sensor].decimals
        return self._stuck[key]


def names_of(rigs: int, default_rig: str) -> list[str]:
    """Return the names of so many simulated rigs.

    >>> names_of(1, "rig-1"), names_of(2, "rig-1")
    (['rig-1'], ['rig-0001', 'rig-0002'])
    """
    return [default_rig] if rigs == 1 else [f"rig-{i + 1:04d}" for i in range(rigs)]


def _split(rig: SimulatedRig, second: int) -> tuple[int, int]:
    """Return the cycle of a second since the start, and how many seconds into it that is."""
    return divmod(second + rig.phase_s, CYCLE_S)
