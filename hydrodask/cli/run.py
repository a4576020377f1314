"""`hydrodask run`: start the platform and keep it running."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from hydrodask.cli.common import Profile, Sets, errors
from hydrodask.settings import Settings, load
from hydrodask.settings.model import duration_s

_HELP = """Start broker (if embedded), topics, Dask cluster (if none is given) and all streaming flows.

Ctrl-C or SIGTERM stops cleanly: everything is committed and closed, exit code 0.

Examples:

    hydrodask run

    hydrodask run --source recording:DIR --speed max --until-idle

    hydrodask run --profile local-services --source none
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", help=_HELP)(run)


def run(
    profile: Profile = None,
    sets: Sets = None,
    cluster: Annotated[str | None, typer.Option(help="tcp://… of a Dask scheduler.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="simulator, recording:DIR or none.", show_default=False)] = None,
    speed: Annotated[
        str | None, typer.Option(help="1 = real time, 60 = a minute a second, max.", show_default=False)
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", help="Stop after this long, for example 2m.", show_default=False)
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Stop once the source has ended and all of it is stored.")
    ] = False,
) -> None:
    """Run the platform."""
    options = {"cluster.address": cluster, "source.kind": source, "source.speed": speed}
    chosen = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    settings = load(profile=profile, sets=[*(sets or ()), *chosen])[0]
    seconds = None if duration is None else _seconds(duration)
    asyncio.run(_run(settings, seconds=seconds, until_idle=until_idle))


def _seconds(text: str) -> float:
    try:
        return float(duration_s(text))  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(
            f"{text!r} is not a duration; want for example 90s or 2m", param_hint="--for"
        ) from error


async def _run(settings: Settings, *, seconds: float | None, until_idle: bool) -> None:
    from hydrodask.cli.datadir import DataDir
    from hydrodask.cli.platform import Platform
    from hydrodask.cli.watching import watching

    with DataDir(settings.data_dir) as data_dir:
        platform = Platform(settings, data_dir=data_dir)
        async with platform.started(lambda text: errors.print(f"[dim]{text}[/]", highlight=False)):
            with watching(platform, terminal=sys.stdout.isatty()):
                await platform.run(seconds=seconds, until_idle=until_idle)
        if platform.source.summary is not None:
            errors.print(f"[dim]{platform.source.summary}[/]", highlight=False)
