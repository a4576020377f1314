"""`hydrodask replay`: publish a recording."""

from pathlib import Path
from typing import Annotated

import typer

from hydrodask import clock
from hydrodask.cli import publish as shared
from hydrodask.cli.common import For, Json, Profile, Sets, check_rig_option, seconds
from hydrodask.ingest.feed import RECORDING_START, open_recording

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with PS1.txt … SE.txt and profile.txt.")]
Start = Annotated[
    str | None,
    typer.Option("--start", help="Event time of the first sample, ISO 8601.", show_default=RECORDING_START),
]
Repeat = Annotated[int, typer.Option("--repeat", min=1, help="How often, back to back with rising cycle numbers.")]
Rig = Annotated[
    str | None,
    typer.Option("--rig", help="Rig that the records name.", show_default="none: the default rig"),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    folder: Folder,
    *,
    bootstrap: shared.Bootstrap = None,
    start: Start = None,
    repeat: Repeat = 1,
    rig: Rig = None,
    speed: shared.Speed = None,
    duration: For = None,
    profile: Profile = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Publish a recording in the archive's text layout, with its labels, into Kafka.

    One file a sensor, one row a 60-second cycle, tabs between values. Missing topics are created. Nothing that is
    stored is read: what a run replays by itself after a restart is another thing.

    Example: `hydrodask replay recording/ --profile local-services --speed max --repeat 6`
    """
    effective = shared.to_named_broker(profile, sets, bootstrap, speed=speed, start=start)
    check_rig_option(rig, effective)
    until_s = seconds(duration)
    feed = open_recording(effective, folder, clock.now_us(), repeat=repeat, rig=rig)
    feed.check()
    shared.publish(feed, effective, until_s=until_s, as_json=as_json)
