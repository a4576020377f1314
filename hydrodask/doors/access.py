"""Who may do what on Kafka: `cluster/security/acls.yaml` as Kafka's access control lists."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydrodask import kafka
from hydrodask.channels import SENSORS
from hydrodask.errors import ConfigError, FatalError
from hydrodask.flow import named
from hydrodask.settings import Settings
from hydrodask.settings.load import read_yaml

FILE = Path(__file__).resolve().parents[1] / "cluster" / "security" / "acls.yaml"
"""The list, which the wheel brings along, too."""

SCRAM_ITERATIONS = 8192

_KINDS = {
    "topics": kafka.ResourceType.TOPIC,
    "groups": kafka.ResourceType.GROUP,
    "transactional_ids": kafka.ResourceType.TRANSACTIONAL_ID,
}


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One right: `user` may do `operation` on a resource; with `prefix` on all whose name begins so."""

    user: str
    kind: str
    name: str
    prefix: bool
    operation: str

    def __str__(self) -> str:
        star = "*" if self.prefix else ""
        return f"{self.user} may {self.operation.lower()} {self.kind.removesuffix('s')} {self.name}{star}"


def roles(path: Path = FILE) -> list[str]:
    """Return the roles of a list; each is the name of a user."""
    return list(read_yaml(path))


def rights(settings: Settings, path: Path = FILE) -> list[Right]:
    """Return every right that a list gives. Raises ConfigError, which names the role and what is wrong."""
    return sorted(
        right
        for role, rules in read_yaml(path).items()
        for rule in rules
        for right in _rights_of(role, rule, settings, path)
    )


def enrol(admin: kafka.AdminClient, passwords: Mapping[str, Path], timeout_s: float) -> None:
    """Make users, or change their passwords: user → file that holds it."""
    changes: list[kafka.UserScramCredentialAlteration] = [
        kafka.UserScramCredentialUpsertion(
            user,
            kafka.ScramCredentialInfo(kafka.ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS),
            path.read_bytes(),
        )
        for user, path in passwords.items()
    ]
    for request in admin.alter_user_scram_credentials(changes, request_timeout=timeout_s).values():
        request.result(timeout_s)


def grant(admin: kafka.AdminClient, settings: Settings, path: Path = FILE) -> tuple[list[Right], list[Right]]:
    """Give the rights that are missing; return those, and the ones that these users have beyond the list.

    What is beyond the list is left alone: it may be for another platform on the same brokers.
    """
    wanted, timeout_s = rights(settings, path), settings.kafka.timeout
    where = settings.kafka.bootstrap
    try:
        known = _known(admin, roles(path), timeout_s)
        missing = [right for right in wanted if right not in known]
        if missing:
            requests = admin.create_acls([_binding(right) for right in missing], request_timeout=timeout_s)
            for request in requests.values():
                request.result(timeout_s)
    except kafka.KafkaException as error:
        if error.args[0].code() == kafka.KafkaError.CLUSTER_AUTHORIZATION_FAILED:  # its own text is a page long
            raise FatalError(
                f"could not give rights on {where} as user {settings.kafka.username!r}:"
                " only an administrator of the brokers can do that (CLUSTER_AUTHORIZATION_FAILED)"
            ) from error
        kafka.raise_from(error, f"give rights on {where}")
    return missing, sorted(known - set(wanted))


def _rights_of(role: str, rule: Mapping[str, Any], settings: Settings, path: Path) -> Iterator[Right]:
    kinds = [kind for kind in _KINDS if kind in rule]
    if len(kinds) != 1 or set(rule) != {*kinds, "allow"}:
        raise ConfigError(
            f"{path}: a rule of {role} has keys {', '.join(rule)}; want allow and one of {', '.join(_KINDS)}"
        )
    for operation in rule["allow"]:
        if not hasattr(kafka.AclOperation, operation.upper()):
            raise ConfigError(f"{path}: {role} may {operation!r}, which is no operation of Kafka's")
        for name in _names(kinds[0], rule[kinds[0]], settings):
            yield Right(role, kinds[0], name.removesuffix("*"), name.endswith("*"), operation.upper())


def _names(kind: str, listed: list[str], settings: Settings) -> Iterator[str]:
    for name in listed:
        if kind != "topics":
            yield name.replace("{group}", settings.kafka.group)
        elif name == "sensors":
            yield from map(settings.topic, SENSORS)
        elif name == "flows":
            yield from (settings.topic(topic) for flow in named(settings.flows) for topic in flow.publishes)
        else:
            yield settings.topic(name)


def _binding(right: Right) -> kafka.AclBinding:
    pattern = kafka.ResourcePatternType.PREFIXED if right.prefix else kafka.ResourcePatternType.LITERAL
    return kafka.AclBinding(
        _KINDS[right.kind],
        right.name,
        pattern,
        f"User:{right.user}",
        "*",  # from any host
        kafka.AclOperation[right.operation],
        kafka.AclPermissionType.ALLOW,
    )


def _known(admin: kafka.AdminClient, users: list[str], timeout_s: float) -> set[Right]:
    """Return the rights that `users` have now."""
    kinds = {kind: name for name, kind in _KINDS.items()}
    anything: Any = None  # the client's types know no "any", but the client does
    every = kafka.AclBindingFilter(
        kafka.ResourceType.ANY,
        anything,
        kafka.ResourcePatternType.ANY,
        anything,
        anything,
        kafka.AclOperation.ANY,
        kafka.AclPermissionType.ALLOW,
    )
    found = admin.describe_acls(every, request_timeout=timeout_s).result(timeout_s)
    return {
        Right(
            user,
            kinds[b.restype],
            b.name,
            b.resource_pattern_type == kafka.ResourcePatternType.PREFIXED,
            b.operation.name,
        )
        for b in found
        if (user := b.principal.removeprefix("User:")) in users and b.restype in kinds
    }
