"""Parts of the platform's graph, run by it: `python -m benchmarks.peers.hydrodask.run windows|raw --set …`.

Workers import this module, too, so what only the driver needs is imported when it runs.
"""

import argparse
import asyncio

from hydrodask.channels import SENSORS
from hydrodask.flows import Flow
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.sensors import Decode, Publish, SlidingWindows, Store
from hydrodask.records import Messages
from hydrodask.settings import Settings


def windows(messages: Edge[Messages], ctx: Context) -> None:
    """Wire windows alone."""
    messages.through(Decode(ctx)).through(SlidingWindows(ctx)).through(Publish(ctx, "analytics"))


def raw(messages: Edge[Messages], ctx: Context) -> None:
    """Wire the lake alone."""
    messages.through(Decode(ctx)).through(Store(ctx, "raw", by_date=True))


BUILDS = {"windows": windows, "raw": raw}


async def run(settings: Settings, job: str) -> None:
    """Run until everything in the topics is consumed and stored."""
    from hydrodask.run.datadir import DataDir
    from hydrodask.run.platform import Platform

    with DataDir(settings.data_dir):
        platform = Platform(settings, flows=(Flow("monitor", SENSORS, BUILDS[job]),))
        async with platform.started(print):
            await platform.run(seconds=None, until_idle=True)


if __name__ == "__main__":
    from hydrodask.settings import load

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=sorted(BUILDS))
    parser.add_argument("--set", dest="sets", action="append")
    options = parser.parse_args()
    asyncio.run(run(load(sets=["source.kind=none", *options.sets])[0], options.job))
