"""`hydrodask run`: start the platform and keep it running."""

import asyncio
import json
import logging
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.markup import escape

from hydrodask import logs, redaction
from hydrodask.cli import completion
from hydrodask.cli.common import For, Profile, Sets, broker_is_named, errors
from hydrodask.cli.common import seconds as seconds_of
from hydrodask.cli.publish import HEALTHY, Faults, Rigs
from hydrodask.errors import ConfigError
from hydrodask.settings import Settings, load

_HELP = """Start broker (if embedded), topics, Dask cluster (if none is given) and all streaming flows.

Ctrl-C or SIGTERM stops cleanly: everything is committed and closed, exit code 0.

Examples:

    hydrodask run

    hydrodask run --source recording:DIR --speed max --until-idle

    hydrodask run --rigs 12 --faults faults-fleet.yaml

    hydrodask run --profile local-services --source none
"""


WHERE = ("data_dir=", "lake.", "documents.", "kafka.", "topics.")
"""Settings without which another command would look elsewhere for what a run has stored."""


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
    source: Annotated[
        str | None,
        typer.Option(help="simulator, recording:DIR or none.", show_default=False, autocompletion=completion.sources),
    ] = None,
    rigs: Rigs = None,
    faults: Faults = None,
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

    options = {"cluster.address": cluster, "source.kind": source, "source.speed": speed, "source.rigs": rigs}
    options |= {"source.faults": faults if faults != HEALTHY else ""}
    chosen = [f"{key}={json.dumps(value or None)}" for key, value in options.items() if value is not None]
    settings, origins = load(profile=profile, sets=[*(sets or ()), *chosen])
    if not settings.kafka.embedded and settings.source.kind != "none" and not broker_is_named(settings, origins):
        raise ConfigError(
            f"no broker is named, and a source is not published to whoever listens at {settings.kafka.bootstrap}: "
            "set kafka.bootstrap, or --source none"
        )
    logs.use(settings.observe.log_format)
    seconds = seconds_of(duration)
    signal.signal(signal.SIGTERM, _leave)
    go_on(named(settings), _say)
    places = [one for one in sets or () if one.startswith(WHERE)]
    named_by = [*(["--profile", profile] if profile else []), *(word for one in places for word in ("--set", one))]
    again = redaction.redacted(shlex.join(named_by))
    asyncio.run(_run(settings, seconds=seconds, until_idle=until_idle, again=again))


async def _run(settings: Settings, *, seconds: float | None, until_idle: bool, again: str) -> None:
    from hydrodask.doctor import Outcome, free_ports, go_on, places, workers
    from hydrodask.doors import remote
    from hydrodask.run.datadir import DataDir
    from hydrodask.run.platform import Platform
    from hydrodask.run.views import consoling, notifying, serving, watching

    with DataDir(settings.data_dir):
        platform = Platform(settings)
        go_on(free_ports(settings), _say)
        seen: list[Outcome] = []
        with serving(platform):
            await asyncio.to_thread(go_on, places(settings, at_run=True), _say)
            if settings.cluster.address is not None:
                await remote.wait(settings.cluster, settings.step.patience, for_worker=True)
                seen += await asyncio.to_thread(list, workers(settings, at_run=True))
                go_on(seen, _say)
            paged = all(one.check != "page" for one in seen)
            async with platform.started(_say):
                with (
                    consoling(platform, _say),
                    notifying(platform),
                    watching(platform, paged=paged, terminal=sys.stdout.isatty(), again=again),
                    _abandoned(),
                ):
                    await platform.run(seconds=seconds, until_idle=until_idle)
        if platform.source.summary is not None:
            _say(str(platform.source.summary))


@contextmanager
def _abandoned() -> Iterator[None]:
    """Let Dask say nothing about what it loses when somebody has pressed Ctrl-C twice."""
    try:
        yield
    except asyncio.CancelledError:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        raise


def _leave(number: int, _frame: object) -> None:
    """End at once, as long as there is nothing to commit: the first process of a container has no other answer."""
    sys.exit(128 + number)


def _say(text: str) -> None:
    if logs.are_json():
        logs.say(text)
        return
    errors.print(f"[dim]{escape(text)}[/]", highlight=False, soft_wrap=True)
