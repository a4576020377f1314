"""The node alone, with arrays, and the whole flow in random lives: nothing that happens changes what is found."""

import json

import numpy as np
from rig_spikes.flow import FLOW
from rig_spikes.node import Spikes

from hydrodask.nodes import RIGS, Samples, iso
from hydrodask.testing import check_node, simulate

FIRST_US = 1_767_229_200_000_000
VALUES = [150.0, 150.5, 154.0, 153.9, 151.0]


def samples() -> Samples:
    """Return the samples of one rig."""
    numbers = np.arange(len(VALUES))
    rig, rate = np.full(len(VALUES), RIGS.code("rig-1"), np.int32), np.full(len(VALUES), 100.0)
    return Samples("PS1", "hydraulic-PS1", 0, rig, numbers, numbers, np.array(VALUES), numbers, rate, numbers)


def test_spikes_are_found() -> None:
    """Offsets 2 and 4 jump."""
    assert [change.revision for change in Spikes(over=2.0).take(samples()) or []] == [2, 4]


def test_batches_and_restarts_change_nothing() -> None:
    """Whatever the batches and the time, and through restarts from its state."""
    check_node(lambda: Spikes(over=2.0), samples())


def test_nothing_that_goes_wrong_changes_what_is_found() -> None:
    """A platform runs the flow: processes die or stand still anywhere, calls are refused, workers come and go."""
    fixed = {"sensor": "PS1", "cycle": 0, "sampling_rate_hz": 100, "rig": "rig-1"}
    records = [
        json.dumps(
            fixed | {"sample_idx": i, "value": VALUES[i % 5], "timestamp": iso(1_767_229_200_000_000 + i * 10_000)}
        )
        for i in range(100)
    ]
    simulate(FLOW, {"PS1": [record.encode() for record in records]}, lives=5)
