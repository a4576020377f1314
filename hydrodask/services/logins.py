"""Who gets into the local Kafka: the logins that its listeners ask for, and what a client needs for one.

The brokers and the administrator's first connection use PLAIN, whose password is in the brokers' settings: so data that
was formatted without any user needs none to be made in it, and a new password of the administrator is a restart. Who is
sent a password by PLAIN has it, and any user of this machine can listen on the port of a broker that is down: so it is
for TLS only, on EXTERNAL and CONTROLLER. All others, on INTERNAL too, use SCRAM, which tells a listener nothing.
"""

import re
from pathlib import Path

from hydrodask.errors import ConfigError
from hydrodask.settings.kinds import Client
from hydrodask.settings.model import Kafka

ADMIN = "admin"
"""Who may do all: the brokers themselves, and whoever can read the password's file."""
OPERATOR = "operator"
"""The role of a platform that is all on this machine."""

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_GUARDED = re.compile(
    r"(listener\.security|inter\.broker|super\.users|sasl\.|listener\.name\.\w+\.(sasl|plain|scram)).*"
)


def guards(security: Path, password_file: Path) -> dict[str, str]:
    """Return the settings of a broker that say who gets in; keys and certificates are in the folder `security`."""
    found = {
        "listener.security.protocol.map": "INTERNAL:SASL_PLAINTEXT,EXTERNAL:SASL_SSL,CONTROLLER:SASL_SSL",
        "inter.broker.listener.name": "EXTERNAL",
        "super.users": f"User:{ADMIN}",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.internal.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.external.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    }
    admin = f'{_PLAIN} required username="{ADMIN}" password="{{0}}" user_{ADMIN}="{{0}}";'.format(_read(password_file))
    for listener in ("external", "controller"):
        found |= {f"listener.name.{listener}.{key}": value for key, value in _tls(security).items()}
        found[f"listener.name.{listener}.plain.sasl.jaas.config"] = admin
    for listener in ("internal", "external"):
        found[f"listener.name.{listener}.scram-sha-512.sasl.jaas.config"] = _SCRAM
    return found


def _tls(security: Path) -> dict[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(security / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(security / "ca.pem"),
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
    }


def differ(one: str, other: str) -> bool:
    """Say whether two texts of settings let other people in."""
    first, second = ({line for line in text.splitlines() if _GUARDED.fullmatch(line)} for text in (one, other))
    return first != second


def login(bootstrap: str, role: str, password_file: Path) -> Kafka:
    """Return how a role, or the administrator, reaches the INTERNAL listener."""
    client: Client = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512"}
    return Kafka(embedded=False, bootstrap=bootstrap, username=role, password_file=password_file, client=client)


def first_login(external: str, password_file: Path, ca_file: Path) -> Kafka:
    """Return how the administrator reaches the EXTERNAL listener of brokers that know no user yet."""
    client: Client = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}
    known = {"username": ADMIN, "password_file": password_file, "ca_file": ca_file}
    return Kafka.model_validate({"embedded": False, "bootstrap": external, "client": client, **known})


def sets(kafka: Kafka) -> list[str]:
    """Return what `--set` takes for `kafka`: where it is, and who we are to it."""
    who = {"username": kafka.username, "password_file": kafka.password_file}
    return [
        "kafka.embedded=false",
        f"kafka.bootstrap={kafka.bootstrap}",
        *(f"kafka.{key}={value}" for key, value in who.items() if value is not None),
        *(f"kafka.client.{key}={value}" for key, value in kafka.client.items()),
    ]


def _read(password_file: Path) -> str:
    password = password_file.read_text(encoding="utf-8").strip()
    if not re.fullmatch(r"[\w-]+", password, re.ASCII):  # a quote would end the setting that it is put into
        raise ConfigError(f"{password_file} has a password with other characters than letters, digits, _ and -")
    return password
