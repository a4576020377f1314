"""`hydrodask simulate`: publish a simulated fleet."""

from typing import Annotated

import typer

from hydrodask import clock
from hydrodask.cli import publish as shared
from hydrodask.cli.common import For, Json, Profile, Sets, seconds
from hydrodask.ingest.feed import open_simulator

Seed = Annotated[
    int | None,
    typer.Option("--seed", help="The same seed, the same values.", show_default="source.seed"),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    *,
    bootstrap: shared.Bootstrap = None,
    rigs: shared.Rigs = None,
    seed: Seed = None,
    faults: shared.Faults = None,
    speed: shared.Speed = None,
    duration: For = None,
    start: shared.Start = None,
    profile: Profile = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Publish the sensors of simulated rigs into Kafka until Ctrl-C.

    Event time begins now at real time, and a day ago at any other speed, or where the topics' records of these
    rigs end; once it has caught up with the system clock it goes on at real time. Missing topics are created.

    Example: `hydrodask simulate --profile local-services --rigs 12 --faults faults-fleet.yaml --for
    10m`
    """
    effective = shared.to_named_broker(
        profile,
        sets,
        bootstrap,
        rigs=rigs,
        seed=seed,
        faults=faults,
        speed=speed,
        start=start,
    )
    until_s = seconds(duration)
    feed = open_simulator(effective, clock.now_us())
    shared.publish(feed, effective, until_s=until_s, as_json=as_json)
