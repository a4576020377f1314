"""`hydrodask cluster settle`: what the chart's pods run inside the cluster, to make users, rights and topics.

Each part that is there is left as it is, so a second run changes nothing.
"""

from pathlib import Path
from typing import Annotated

import typer

from hydrodask.cli.common import Profile, Sets, console, settings

PATIENCE_S = 300.0
Secrets = Annotated[
    Path, typer.Option("--secrets", help="Folder with a file for each password, as the chart's Secrets have them.")
]

group = typer.Typer(no_args_is_help=True, help="Users, rights and topics; for the chart's own pods.")


def add_to(app: typer.Typer) -> None:
    """Add the commands; not shown, as people have no use for them."""
    app.add_typer(group, name="settle", hidden=True)


@group.command()
def kafka(secrets: Secrets = Path("/secrets"), profile: Profile = None, sets: Sets = None) -> None:
    """Make the users of cluster/security with their passwords, give them their rights, and make the topics.

    Example: `hydrodask cluster settle kafka --profile /config/admin.yaml`
    """
    from hydrodask import kafka as clients
    from hydrodask.doors import access
    from hydrodask.ingest import topics
    from hydrodask.services import logins, security

    effective = settings(profile, sets)
    admin = clients.admin(effective.kafka)
    clients.connect(admin, effective.kafka)
    users = (logins.ADMIN, *access.roles())
    access.enrol(admin, {user: security.password_file(secrets, user) for user in users}, effective.kafka.timeout)
    added, _ = access.grant(admin, effective)
    created = topics.create(effective)
    console.print(f"{len(users)} users; {len(added)} rights added; {len(created)} topics created", highlight=False)


@group.command()
def mongodb(
    host: Annotated[str, typer.Option("--host", help="host:port by which clients know the server in this pod.")],
    secrets: Secrets = Path("/secrets"),
) -> None:
    """Make the replica set and the users of the server that listens on this pod's loopback, with TLS.

    Example: `hydrodask cluster settle mongodb --host hydrodask-mongodb-0.hydrodask-mongodb:27017`
    """
    from hydrodask.services.members import Members

    members = Members(
        port=int(host.rpartition(":")[2]),
        member=host,
        admin_file=secrets / "admin-password",
        password_file=secrets / "password",
        ca_file=secrets / "ca.crt",
    )
    members.wait(PATIENCE_S)
    members.settle(lambda text: console.print(text, highlight=False))
    console.print(f"{host} is set up", highlight=False)
