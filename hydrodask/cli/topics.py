"""`hydrodask topics`: create and list the platform's topics."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from hydrodask.cli.common import Json, Profile, Sets, console, print_json, settings
from hydrodask.cli.publish import Bootstrap, to_named_broker, with_options
from hydrodask.errors import UsageError
from hydrodask.ingest import topics
from hydrodask.ingest.topics import TopicInfo

group = typer.Typer(no_args_is_help=True, help="Create and list the platform's topics.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="topics")


@group.command()
def create(
    bootstrap: Bootstrap = None,
    profile: Profile = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing; existing ones stay as they are.

    17 sensors, labels, analytics, cycles, dead letters, with partitions, replication and retention
    from `topics`.

    Example: `hydrodask topics create --profile local-services --set topics.partitions=4`
    """
    effective = to_named_broker(profile, sets, bootstrap, refused="topics are not made at")
    created = topics.create(effective)
    names = [topic.name for topic in topics.all_topics(effective)]
    existing = [name for name in names if name not in created]
    if as_json:
        print_json({"created": created, "existing": existing})
        return
    for name in names:
        console.print(f"{name}  {'created' if name in created else 'exists'}", highlight=False)


@group.command()
def grant(
    bootstrap: Bootstrap = None,
    profile: Profile = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Give the roles publisher, platform and reader their rights; run it as an administrator of the brokers.

    The rights are those of cluster/security/acls.yaml, for `topics.prefix`, `kafka.group` and what `flows` publish.
    What is missing is added. What these users may do beyond the list is shown, and stays.

    Example: `hydrodask topics grant --profile local-admin --set kafka.group=plant-2`
    """
    from hydrodask import kafka
    from hydrodask.doors import access

    effective = to_named_broker(profile, sets, bootstrap, refused="rights are not given at")
    admin = kafka.admin(effective.kafka)
    kafka.connect(admin, effective.kafka)
    added, beyond = access.grant(admin, effective)
    if as_json:
        print_json({"added": [asdict(right) for right in added], "beyond": [asdict(right) for right in beyond]})
        return
    for right in added:
        console.print(f"added: {right}", highlight=False)
    for right in beyond:
        console.print(f"not on the list: {right}", highlight=False)
    console.print(f"{len(added)} rights added, {len(beyond)} beyond the list")


@group.command()
def renew(
    name: Annotated[str, typer.Argument(help="analytics, cycles or dead-letter.", show_default=False)],
    bootstrap: Bootstrap = None,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Delete a topic of ours and make it anew, empty: a record that is wrong can't be taken back.

    Only an administrator of the brokers can; stop the platform first. `hydrodask backfill --topics --write` then
    publishes what has to be on it. Rows of open windows, which only live views show, come with the next change.

    Example: `hydrodask topics renew dead-letter --profile local-admin`
    """
    from hydrodask.run.datadir import DataDir

    effective = with_options(settings(profile, sets), bootstrap)
    if name not in topics.RENEWABLE or effective.kafka.embedded:
        raise UsageError(f"NAME has value {name[:60]!r}; want {', '.join(topics.RENEWABLE)}, on a broker of its own")
    with DataDir(effective.data_dir), DataDir(effective.data_dir, "maintenance-lock"):
        made = topics.renew(effective, name)
    console.print(f"{made} is empty now; `hydrodask backfill --topics --write` publishes what belongs there")


@group.command("list")
def list_(
    bootstrap: Bootstrap = None,
    profile: Profile = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """List the platform's topics with partitions, replicas, offsets (summed) and retention.

    Example: `hydrodask topics list --profile local-services --json`
    """
    effective = with_options(settings(profile, sets), bootstrap)
    found = topics.list_topics(effective)
    if as_json:
        print_json([asdict(topic) for topic in found])
        return
    console.print(_table(found))
    missing = len(topics.all_topics(effective)) - len(found)
    if missing:
        console.print(f"{missing} topics are missing; `hydrodask topics create` makes them")


def _table(found: list[TopicInfo]) -> Table:
    table = Table("topic")
    for title in ("partitions", "replicas", "first", "next", "retention"):
        table.add_column(title, justify="right")
    for t in found:
        retention = "" if t.retention_s is None else f"{t.retention_s / 86_400:g} d"
        table.add_row(t.name, str(t.partitions), str(t.replication), f"{t.first:,}", f"{t.last:,}", retention)
    return table
