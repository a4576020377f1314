"""Who is told of what, and how: channels by name, and routes to them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hydrodask.errors import ConfigError
from hydrodask.hosts import is_loopback
from hydrodask.settings.hidden import Url, secret_of
from hydrodask.settings.kinds import Duration, PositiveDuration
from hydrodask.settings.section import Login, Section

NAME = r"^[a-z][a-z0-9-]{0,39}$"
"""Names of channels: they stand in variables of the environment, metrics and documents."""

DAY_MIN = 24 * 60

_WEB = re.compile(r"(https?)://(?:[^/@]*@)?(\[[^\]]*\]|[^:/?#]+)")
"""The scheme and the host of an address."""

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Server(Login):
    """A channel that is an HTTP server. With a user the password is one of Basic, without one a bearer's token.

    `url_file` is for an address that is a secret itself, as those of chat systems are.
    """

    url: Url | None = None
    url_file: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> "Server":
        if (self.url is None) == (self.url_file is None):
            raise ValueError("want either url, or url_file")
        if self.url is not None:
            self._checked(self.url)
        return self

    def address(self, key: str) -> Url:
        """Return where it is; `key` is the channel's. Raises ConfigError when its file can't be read."""
        if self.url is not None:
            return self.url
        try:
            return self._checked(Url(secret_of(Path(str(self.url_file)), f"{key}.url_file")))
        except ValueError as error:
            raise ConfigError(f"{key}.url_file has value {str(self.url_file)!r}: {error}") from None

    def _checked(self, url: Url) -> Url:
        found = _WEB.match(url.plain())
        if found is None:
            raise ValueError("want an address that begins with http:// or https://")
        if url.login()[1]:
            raise ValueError("a password may stand in no address: set username, and password_file")
        if found[1] == "http" and (self.password or self.password_file) and not is_loopback(found[2].strip("[]")):
            raise ValueError(f"a password would go to {found[2]} as it is; want https://")
        return url


class Webhook(Server):
    """A server that takes messages as JSON."""

    kind: Literal["webhook"]


class Alertmanager(Server):
    """A Prometheus Alertmanager."""

    kind: Literal["alertmanager"]


class Email(Login):
    """A mail server, and who gets mail."""

    kind: Literal["email"]
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(gt=0, lt=65_536)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    sender: Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")]
    to: Annotated[tuple[Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")], ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _check(self) -> "Email":
        if self.tls == "none" and (self.password or self.password_file) and not is_loopback(self.host):
            raise ValueError(f"tls is none, and a password would go to {self.host} as it is; want starttls or tls")
        return self


class Command(Section):
    """A program of this machine, which gets a message as JSON on its standard input. No shell is between."""

    kind: Literal["command"]
    command: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]


Channel = Annotated[Webhook | Alertmanager | Email | Command, Field(discriminator="kind")]


class Route(Section):
    """Which channels are told of what: of this severity and worse, of rigs whose names match, not in quiet hours."""

    to: Annotated[tuple[str, ...], Field(min_length=1)]
    severity: Literal["warning", "critical"] = "warning"
    rigs: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    quiet: Annotated[str, Field(pattern=f"^{_HOURS.pattern}$")] | None = None

    def quiet_at(self, minute: int) -> bool:
        """Say whether this minute of a day is in the quiet hours, which may go over midnight.

        >>> night = Route(to=("desk",), quiet="22:00-06:00")
        >>> [night.quiet_at(hour * 60) for hour in (21, 22, 3, 6)]
        [False, True, True, False]
        """
        if self.quiet is None:
            return False
        numbers = [int(part) for part in _HOURS.fullmatch(self.quiet).groups()]  # type: ignore[union-attr] # checked
        begin, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        return (minute - begin) % DAY_MIN < (end - begin) % DAY_MIN


class Notify(Section):
    """Being told: channels, routes, and when."""

    channels: Annotated[dict[Annotated[str, Field(pattern=NAME)], Channel], Field(max_length=20)] = {}
    routes: Annotated[tuple[Route, ...], Field(max_length=200)] = ()
    gather: Duration = 3.0
    calm: Duration = 60.0
    repeat: PositiveDuration | None = 4 * 3600.0
    give_up: PositiveDuration = 86_400.0
    timeout: PositiveDuration = 10.0
    link: Url | None = None

    @model_validator(mode="after")
    def _check(self) -> "Notify":
        known = ", ".join(sorted(self.channels)) or "none"
        for number, route in enumerate(self.routes):
            if strange := [name for name in route.to if name not in self.channels]:
                raise ValueError(f"notify.routes.{number}.to names {strange[0]!r}, which is no channel; known: {known}")
        return self

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Pickle as nothing: settings go to workers, which tell nobody and need no passwords for it."""
        return Notify, ()


def place_files(notify: object, folder: Path) -> None:
    """Look for the files of channels below the data directory, unless their paths are absolute."""
    channels = notify.get("channels") if isinstance(notify, Mapping) else None
    for channel in channels.values() if isinstance(channels, Mapping) else ():
        for key in ("password_file", "url_file", "ca_file") if isinstance(channel, dict) else ():
            if isinstance(channel.get(key), str):
                channel[key] = str(folder / channel[key])
