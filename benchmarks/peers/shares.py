"""Share the sensors out between single processes, for engines whose processes can't share 17 topics well themselves."""

import json
from collections.abc import Callable, Mapping

from benchmarks.peers.contract import Work
from hydrodask.channels import CHANNELS

PROCESSES = 2


def shared_out(work: Work) -> list[Mapping[str, str]]:
    """Return sensor → topic for each process, with about as many records a second in each."""
    shares: list[dict[str, str]] = [{} for _ in range(PROCESSES)]
    for sensor in sorted(work.inputs, key=lambda s: CHANNELS[s].rate_hz, reverse=True):
        least = min(shares, key=lambda share: sum(CHANNELS[s].rate_hz for s in share))
        least[sensor] = work.inputs[sensor]
    return list(shares)


def command(python: str, module: str, work: Work, own: Callable[[int], Mapping[str, object]]) -> list[str]:
    """Return what starts a module once a share, as one engine (see `together`).

    Each gets an order in JSON: its part of the work, and what the engine wants besides for the share of that number.
    """
    orders = [
        {
            "job": work.job,
            "live": work.live,
            "bootstrap": work.bootstrap,
            "inputs": inputs,
            "output": work.output,
            "lake": str(work.lake),
            **own(number),
        }
        for number, inputs in enumerate(shared_out(work))
    ]
    return [python, "-m", "benchmarks.peers.together", module, *map(json.dumps, orders)]
