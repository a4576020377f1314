"""What `simulate` and `replay` share: options, progress, stopping, the summary."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hydrodask import clock
from hydrodask.cli import completion
from hydrodask.cli.common import broker_is_named, console, errors, print_json
from hydrodask.clock import US_PER_S, iso
from hydrodask.errors import ConfigError, FatalError, HydrodaskError
from hydrodask.ingest import topics
from hydrodask.ingest.feed import Feed, parse_speed
from hydrodask.ingest.publisher import Publisher, Summary, producer_for
from hydrodask.run.resuming import resumed
from hydrodask.run.signals import hangs_up, let_go
from hydrodask.settings import Settings, load

Bootstrap = Annotated[
    str | None,
    typer.Option("--bootstrap", help="host:port of the brokers.", show_default="kafka.bootstrap, if you have set it"),
]
Speed = Annotated[
    str | None,
    typer.Option("--speed", help="1 = real time, 60 = a minute a second, max.", show_default="source.speed"),
]
Start = Annotated[
    str | None,
    typer.Option("--start", help="Event time of the first record, ISO 8601.", show_default=False),
]

Rigs = Annotated[int | None, typer.Option("--rigs", min=1, help="How many rigs.", show_default="source.rigs")]
Faults = Annotated[
    str | None,
    typer.Option(
        "--faults",
        help="Fault file, or a name in conf/; none for healthy rigs.",
        show_default="source.faults",
        autocompletion=completion.faults,
    ),
]
HEALTHY = "none"
"""The name of no faults."""


def with_options(settings: Settings, bootstrap: str | None, **source: object) -> Settings:
    """Return `settings` with a broker and values of `source` that are not None."""
    given = {key: None if value == HEALTHY else value for key, value in source.items() if value is not None}
    changed = {"source": settings.source.model_copy(update=given)}
    kafka = {"bootstrap": bootstrap, "embedded": False} if bootstrap else {}
    return settings.model_copy(update=changed | {"kafka": settings.kafka.model_copy(update=kafka)})


def to_named_broker(
    profile: str | None,
    sets: list[str] | None,
    bootstrap: str | None,
    *,
    refused: str = "records are not published to",
    **source: object,
) -> Settings:
    """Return the settings as `with_options` does, for who changes what is on a broker.

    Raises ConfigError when nobody has named a broker: who listens at the default's address may be anybody's.
    """
    settings, origins = load(profile=profile, sets=sets or ())
    if not bootstrap and not broker_is_named(settings, origins):
        raise ConfigError(
            f"no broker is named, and {refused} whoever listens at {settings.kafka.bootstrap}: "
            "give --bootstrap HOST:PORT, a --profile that names one, or kafka.bootstrap by --set or "
            "HYDRODASK_KAFKA__BOOTSTRAP"
        )
    return with_options(settings, bootstrap, **source)


def publish(feed: Feed, settings: Settings, *, until_s: float | None, as_json: bool) -> None:
    """Publish `feed` with a progress bar until its end or Ctrl-C and print the summary.

    Raises UnreachableError without a broker and HydrodaskError when records were not delivered.
    """
    producer = producer_for(settings.kafka)
    _create_topics(settings)
    feed, said = resumed(feed, settings, clock.now_us(), topics=True)
    if said:
        errors.print(said, highlight=False, markup=False, soft_wrap=True)
    with _until_stopped() as stop, _progress(feed) as on_progress:
        publisher = Publisher(
            producer,
            settings.topic,
            speed=parse_speed(settings.source.speed),
            key=settings.rig.default_id,
            timeout_s=settings.kafka.timeout,
            on_progress=on_progress,
            stop=stop,
        )
        summary = publisher.run(feed, until_s)
    _report(summary, settings.kafka.bootstrap, as_json)


def _create_topics(settings: Settings) -> None:
    try:
        created = topics.create(settings)
    except FatalError as error:  # no right to create any; perhaps the broker makes them on first use
        errors.print(f"{error}; going on with the topics that there are", highlight=False)
        return
    if created:
        errors.print(f"created {len(created)} topics: {', '.join(created)}", highlight=False)


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C, SIGTERM and the end of the terminal set; what is queued is then still delivered."""
    stop = threading.Event()

    def heard(*_: object) -> None:
        let_go()
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hangs_up() else ()))
    before = {number: signal.signal(number, heard) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(feed: Feed) -> Iterator[Callable[[int, int], None]]:
    """Show how far the feed is; without a terminal nothing is shown."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[records]:,} records, event time {task.fields[at]}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=errors,
        refresh_per_second=2,
        disable=not errors.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("publishing", total=feed.seconds, records=0, at=iso(feed.start_us))
        yield lambda records, second: bar.update(
            task, completed=second, records=records, at=iso(feed.start_us + second * US_PER_S)
        )


def _report(summary: Summary, bootstrap: str, as_json: bool) -> None:
    if as_json:
        print_json(summary.as_dict())
    else:
        console.print(str(summary), highlight=False, soft_wrap=True)
    if summary.failed:
        raise HydrodaskError(
            f"{summary.failed:,} of {summary.published + summary.failed:,} records were not"
            f" delivered to {bootstrap}: {summary.reason_text}"
        )
