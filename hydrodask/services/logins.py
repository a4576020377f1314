"""Who gets into the local Kafka: the logins that its listeners ask for, and what a client needs for one.

INTERNAL knows the administrator by PLAIN, whose password is in the brokers' settings, and the roles by SCRAM, whose
passwords the brokers keep themselves. So data that was formatted without any user needs none to be made in it, and a
new password of the administrator is a restart. CONTROLLER knows the administrator alone, EXTERNAL the roles, over TLS.
"""

import re
from pathlib import Path

from hydrodask.errors import ConfigError
from hydrodask.settings.model import Kafka

ADMIN = "admin"
"""Who may do all: the brokers themselves, and whoever can read the password's file."""
OPERATOR = "operator"
"""The role of a platform that is all on this machine."""

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_GUARDED = re.compile(r"(listener\.security\.|super\.users|sasl\.|listener\.name\.(internal|controller)\.).*")


def guards(password_file: Path) -> dict[str, str]:
    """Return the settings of a broker that say who gets in."""
    admin = f'{_PLAIN} required username="{ADMIN}" password="{{0}}" user_{ADMIN}="{{0}}";'.format(_read(password_file))
    return {
        "listener.security.protocol.map": "INTERNAL:SASL_PLAINTEXT,EXTERNAL:SASL_SSL,CONTROLLER:SASL_PLAINTEXT",
        "super.users": f"User:{ADMIN}",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.internal.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.internal.plain.sasl.jaas.config": admin,
        "listener.name.internal.scram-sha-512.sasl.jaas.config": _SCRAM,
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": admin,
        "listener.name.external.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.external.scram-sha-512.sasl.jaas.config": _SCRAM,
    }


def differ(one: str, other: str) -> bool:
    """Say whether two texts of settings let other people in."""
    first, second = ({line for line in text.splitlines() if _GUARDED.fullmatch(line)} for text in (one, other))
    return first != second


def login(bootstrap: str, role: str, password_file: Path) -> Kafka:
    """Return how a role, or the administrator, reaches the INTERNAL listener."""
    mechanism = "PLAIN" if role == ADMIN else "SCRAM-SHA-512"
    client: dict[str, str | int | float | bool] = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism}
    return Kafka(embedded=False, bootstrap=bootstrap, username=role, password_file=password_file, client=client)


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
