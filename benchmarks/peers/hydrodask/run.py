"""Parts of the platform's graph, run by it: `python -m benchmarks.peers.hydrodask.run windows|raw --set …`.

Workers import this module, too, so what only the driver needs is imported when it runs.
"""

import argparse
import asyncio

from streamz import Stream

from flows import Flow
from hydrodask.channels import SENSORS
from hydrodask.settings import Settings
from hydrodask.stream import nodes  # noqa: F401  (registers the nodes that are named below)
from hydrodask.stream.context import Context


def windows(source: Stream, ctx: Context) -> None:
    """Wire windows alone."""
    source.decode(ctx).sliding_windows(ctx).publish(ctx, "analytics")


def raw(source: Stream, ctx: Context) -> None:
    """Wire the lake alone."""
    source.decode(ctx).store(ctx, "raw", by_date=True)


BUILDS = {"windows": windows, "raw": raw}


async def run(settings: Settings, job: str) -> None:
    """Run until everything in the topics is consumed and stored."""
    from hydrodask.cli.datadir import DataDir
    from hydrodask.cli.platform import Platform

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
