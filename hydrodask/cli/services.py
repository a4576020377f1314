"""`hydrodask services`: the real services on this machine, up and down."""

from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from hydrodask.cli import completion
from hydrodask.cli.common import Json, Profile, Sets, console, errors, print_json, settings, telling
from hydrodask.errors import UsageError, meant
from hydrodask.redaction import visible
from hydrodask.services.service import State
from hydrodask.settings import Settings

if TYPE_CHECKING:
    from hydrodask.services import Options
    from hydrodask.services.server import ServerService

NAMES = completion.SERVICES
"""As `hydrodask.services.SERVICES`, which is imported only when a command runs."""

LINES_MAX = 100_000

group = typer.Typer(no_args_is_help=True, help="Start and stop real services on this machine.")

Names = Annotated[
    list[str] | None,
    typer.Argument(
        help=f"{', '.join(NAMES)}; all when none is given.", show_default=False, autocompletion=completion.services
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1,
        max=65535,
        help="First port on loopback, for one service; a Kafka node takes three.",
        show_default=False,
    ),
]
Heap = Annotated[
    str | None,
    typer.Option("--heap", help="Largest Java heap: a number with k, m or g.", show_default=False),
]
DataNodes = Annotated[
    int | None, typer.Option("--data-nodes", min=1, max=3, help="Data nodes of hdfs.", show_default="2")
]

KafkaNodes = Annotated[
    int | None, typer.Option("--kafka-nodes", min=1, max=3, help="Nodes of kafka, 1 or 3.", show_default="1")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="services")


@group.command()
def up(
    names: Names = None,
    port: Port = None,
    heap: Heap = None,
    data_nodes: DataNodes = None,
    kafka_nodes: KafkaNodes = None,
    profile: Profile = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Install and start services, and wait until each answers; what runs already stays.

    Without names it starts all of them, says so first, and needs the memory for it.
    Kafka and HDFS need Java 17 and, the first time, Maven; MongoDB x86-64; Prometheus,
    Pushgateway and Alertmanager Debian 12. Data, logs, passwords and process ids go below
    DATA_DIR/services, pinned and verified files into the user's cache. Servers listen on loopback
    only. Options that are not given are as at the last start. Prometheus scrapes a run where
    `observe.metrics` says, every `observe.scrape_every`.

    Example: `hydrodask services up && hydrodask run --profile local-services`
    """
    from hydrodask.services import Options
    from hydrodask.services.prometheus import scraped

    if port is not None and len(names or ()) != 1:
        raise UsageError("--port is for one service: name it, for example `hydrodask services up kafka --port 19092`")
    effective = settings(profile, sets)
    watch = effective.observe
    chosen = Options(
        port=port,
        heap=heap,
        data_nodes=data_nodes,
        kafka_nodes=kafka_nodes,
        platform=scraped(watch.metrics),
        scrape_s=watch.scrape_every,
    )
    started: list[State] = []
    wanted = _services(names, effective, chosen)
    if not names:
        errors.print(_all_of(wanted), highlight=False, markup=False, soft_wrap=True)
    for service in wanted:
        with telling(service.name) as say:
            service.install(say)
            service.start(say)
        started.append(service.state())
        if not as_json:
            found = started[-1]
            console.print(f"{found.name} {found.version} is {found.state} on {found.address}", highlight=False)
            if port is not None:
                console.print(f"use it with --set {' --set '.join(service.sets())}", highlight=False)
    if as_json:
        print_json([asdict(state) for state in started])


def _all_of(services: "list[ServerService]") -> str:
    """Return what it means that nobody has named any."""
    listed = ", ".join(f"{one.name} on {one.address}" for one in services)
    processes = sum(len(one.state().servers) for one in services)
    return (
        f"no service is named, so all {len(services)} start, {processes} processes in all: {listed}; "
        "to start fewer name them, for example `hydrodask services up kafka mongodb`"
    )


@group.command()
def down(names: Names = None, profile: Profile = None, sets: Sets = None) -> None:
    """Stop services and wait for their end; their data stays.

    Example: `hydrodask services down`
    """
    for service in reversed(_services(names, settings(profile, sets))):
        with telling(service.name) as say:
            say("stopping")
            ran = service.stop()
        console.print(f"{service.name} {'stopped' if ran else 'was not running'}")


@group.command()
def status(names: Names = None, profile: Profile = None, sets: Sets = None, as_json: Json = False) -> None:
    """Show which services run, where they answer and where their logs are.

    Example: `hydrodask services status --json`
    """
    found = [service.state() for service in _services(names, settings(profile, sets))]
    if as_json:
        print_json([asdict(state) for state in found])
        return
    table = Table("service", "state", "address", "process", "version")
    table.add_column("log", overflow="fold")
    for s in found:
        if len(s.servers) == 1:
            table.add_row(s.name, s.state, s.address or "", str(s.pid or ""), s.version, str(s.log))
            continue
        table.add_row(s.name, s.state, s.address or "", "", s.version, "")
        for one in s.servers:
            table.add_row(f"  {one.name}", one.state, one.address or "", str(one.pid or ""), "", str(one.log))
    console.print(table)


@group.command()
def logs(
    names: Names = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=LINES_MAX, help="Newest lines.")] = 50,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Print the newest lines of the logs of each of the services' servers.

    Example: `hydrodask services logs kafka --lines 20`
    """
    for service in _services(names, settings(profile, sets)):
        for server in service.state().servers:
            if not server.log.exists():
                errors.print(f"{server.name} has no log at {server.log}: it was not started yet", highlight=False)
                continue
            with server.log.open(encoding="utf-8", errors="replace") as text:
                for line in deque(text, maxlen=lines):
                    typer.echo(visible(line), nl=False)


def _services(names: list[str] | None, effective: Settings, chosen: "Options | None" = None) -> "list[ServerService]":
    """Return the named services, or all; raises UsageError for a name that there is not."""
    from hydrodask.services import SERVICES, Options

    for name in names or ():
        if name not in SERVICES:
            raise UsageError(f"there is no service {name!r}; known: {', '.join(SERVICES)}{meant(name, SERVICES)}")
    folder = effective.data_dir / "services"
    return [SERVICES[name](folder / name, chosen or Options()) for name in dict.fromkeys(names or SERVICES)]
