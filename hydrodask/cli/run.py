"""`hydrodask run`: start the platform and keep it running."""

import asyncio
import json
import signal
import sys
from typing import Annotated

import typer
from rich.markup import escape

from hydrodask.cli.common import For, Profile, Sets, broker_is_named, errors
from hydrodask.cli.common import seconds as seconds_of
from hydrodask.errors import ConfigError
from hydrodask.settings import Settings, load

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
    cluster: Annotated[
        str | None,
        typer.Option(help="tls://… of a Dask scheduler (here tcp://…), or kubernetes[:NAME].", show_default=False),
    ] = None,
    source: Annotated[str | None, typer.Option(help="simulator, recording:DIR or none.", show_default=False)] = None,
    speed: Annotated[
        str | None, typer.Option(help="1 = real time, 60 = a minute a second, max.", show_default=False)
    ] = None,
    duration: For = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Stop once the source has ended and all of it is stored.")
    ] = False,
) -> None:
    """Run the platform."""
    from hydrodask.doctor import go_on, named

    options = {"cluster.address": cluster, "source.kind": source, "source.speed": speed}
    chosen = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    settings, origins = load(profile=profile, sets=[*(sets or ()), *chosen])
    if not settings.kafka.embedded and settings.source.kind != "none" and not broker_is_named(settings, origins):
        raise ConfigError(
            f"no broker is named, and a source is not published to whoever listens at {settings.kafka.bootstrap}: "
            "set kafka.bootstrap, or --source none"
        )
    seconds = seconds_of(duration)
    signal.signal(signal.SIGTERM, _leave)
    go_on(named(settings), _say)
    asyncio.run(_run(settings, seconds=seconds, until_idle=until_idle))


async def _run(settings: Settings, *, seconds: float | None, until_idle: bool) -> None:
    from hydrodask.cli.datadir import DataDir
    from hydrodask.cli.platform import Platform
    from hydrodask.cli.watching import serving, watching
    from hydrodask.doctor import go_on, metrics_port, places, workers
    from hydrodask.doors import remote

    with DataDir(settings.data_dir):
        platform = Platform(settings)
        go_on(metrics_port(settings, at_run=True), _say)
        with serving(platform):
            await asyncio.to_thread(go_on, places(settings, at_run=True), _say)
            if settings.cluster.address is not None:
                await remote.wait(settings.cluster, settings.step.patience, for_worker=True)
                await asyncio.to_thread(go_on, workers(settings, at_run=True), _say)
            async with platform.started(_say):
                with watching(platform, terminal=sys.stdout.isatty()):
                    await platform.run(seconds=seconds, until_idle=until_idle)
        if platform.source.summary is not None:
            _say(str(platform.source.summary))


def _leave(number: int, _frame: object) -> None:
    """End at once, as long as there is nothing to commit: the first process of a container has no other answer."""
    sys.exit(128 + number)


def _say(text: str) -> None:
    errors.print(f"[dim]{escape(text)}[/]", highlight=False, soft_wrap=True)
