"""Prometheus, its Pushgateway and its Alertmanager on this machine, out of Debian's packages.

Their settings are `conf/prometheus`, with the addresses that the services really have.
"""

import ctypes
import json
import secrets
import shutil
import string
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from hydrodask.errors import UnreachableError
from hydrodask.services import debian, pinned, ports, security
from hydrodask.services.server import ServerService, ServiceProcess
from hydrodask.services.service import Say
from hydrodask.settings import CONF
from hydrodask.settings.hidden import USER
from hydrodask.settings.load import read_yaml
from hydrodask.settings.model import Observe

ANSWER_S = 3.0
COST = 10
"""Two to this power are the rounds of a guess, 50 ms; a server remembers who was right."""
SALT_LETTERS = 22
SETTINGS = CONF / "prometheus"
PLATFORM = Observe().metrics or ""
"""Where `observe.metrics` is by default, and what `conf/prometheus` has for it."""
NOBODY = "webhook_configs: []"
"""Whom alerts are sent on to, as shipped."""
JOB = "hydrodask"
"""Of the platform, in `conf/prometheus`."""


class PackagedService(ServerService):
    """A web server of Prometheus' family; data, log and process record in `folder`."""

    port_default: ClassVar[int]
    start_s = 120.0

    def __init__(self, folder: Path, *, port: int | None = None, with_parent: bool = False) -> None:
        super().__init__(folder, with_parent=with_parent)
        self.port = self.choice("port", port, self.port_default)
        self.root = debian.place(pinned.SOURCE / self.name, f"{self.name}-{self.version}")
        self.password_file = self.folder / "password"

    @property
    def address(self) -> str:
        return f"{ports.LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """What a browser takes."""
        return f"http://{self.address}"

    def install(self, say: Say) -> None:
        """Fetch and unpack the package into the user's cache, once; the package is verified every time."""
        debian.install(pinned.SOURCE / self.name, self.root, say)

    def program(self, name: str) -> str:
        """Return the path of a program of the package."""
        return str(self.root / "usr" / "bin" / name)

    def servers(self) -> Sequence[ServiceProcess]:
        return [ServiceProcess(self.name, self.address)]

    def answers(self) -> bool:
        return self.get("/-/ready") is not None

    def get(self, path: str) -> bytes | None:
        """Return the body at `path`, asked for with our password; None when nothing or no yes comes."""
        return security.ask(self.address, path, self.password_file, timeout_s=ANSWER_S)

    def prepare(self, say: Say) -> None:  # noqa: ARG002  # it takes no time
        """Make the password, once, and what the server needs to tell it from others."""
        known = json.dumps({"basic_auth_users": {USER: bcrypt(security.secret(self.password_file).encode("ascii"))}})
        security.write_secret(self.folder / "web.yml", known.encode("ascii"))

    def _copy(self, name: str, addresses: Mapping[str, str]) -> None:
        """Write a file of `conf/prometheus` into our folder, with other addresses than the default ones."""
        text = (SETTINGS / name).read_text(encoding="utf-8")
        for default, actual in addresses.items():
            text = text.replace(default, actual)
        (self.folder / name).write_text(text, encoding="utf-8")


class PushgatewayService(PackagedService):
    """Takes metrics from platforms that can't be scraped; keeps them over a restart, in a file."""

    name = "pushgateway"
    version = "1.5.1"
    port_default = 9091

    def sets(self) -> list[str]:
        return [f"observe.pushgateway={self.url}", f"observe.password_file={self.password_file}"]

    def argv(self, server: ServiceProcess) -> Sequence[str]:
        return [
            self.program("prometheus-pushgateway"),
            f"--web.listen-address={server.address}",
            f"--web.config.file={self.folder / 'web.yml'}",
            f"--web.local-assets={self.root}/usr/share/prometheus/pushgateway",
            f"--persistence.file={self.folder / 'metrics'}",
            "--persistence.interval=10s",
        ]


class AlertmanagerService(PackagedService):
    """Groups alerts and sends them on, to `webhook` if there is one."""

    name = "alertmanager"
    version = "0.25.0"
    port_default = 9193  # its usual 9093 is our Kafka's EXTERNAL listener

    def __init__(
        self, folder: Path, *, port: int | None = None, webhook: str | None = None, with_parent: bool = False
    ) -> None:
        super().__init__(folder, port=port, with_parent=with_parent)
        self.webhook = self.choice("webhook", webhook, "")

    def sets(self) -> list[str]:
        return [f"observe.alertmanager={self.url}", f"observe.alertmanager_password_file={self.password_file}"]

    def install(self, say: Say) -> None:
        """Fetch and unpack the package, and make its program look for its templates where it runs.

        Debian's build looks for them below /usr/share only, and there is no option for that. The name in the program is
        replaced by one of the same length, which is relative to our folder.
        """
        super().install(say)
        moved = self.root / "usr" / "bin" / "alertmanager-moved"
        if not moved.exists():
            name = b"/usr/share/prometheus/alertmanager"
            program = (self.root / "usr" / "bin" / "prometheus-alertmanager").read_bytes()
            fresh = moved.with_suffix(f".{uuid.uuid4().hex}")
            fresh.write_bytes(program.replace(name, b"share".ljust(len(name), b"/")))
            fresh.chmod(0o755)
            fresh.replace(moved)

    def argv(self, server: ServiceProcess) -> Sequence[str]:
        return [
            self.program("alertmanager-moved"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={server.address}",
            f"--web.config.file={self.folder / 'web.yml'}",
            "--cluster.listen-address=",  # there is but one
        ]

    def prepare(self, say: Say) -> None:
        """Write the settings, and the templates of messages."""
        super().prepare(say)
        shutil.copytree(self.root / "usr/share/prometheus/alertmanager", self.folder / "share", dirs_exist_ok=True)
        receiver = f"webhook_configs: [{{url: {json.dumps(self.webhook)}, send_resolved: true}}]"
        self._copy("alertmanager.yml", {NOBODY: receiver} if self.webhook else {})


def scraped(metrics: str | None) -> str:
    """Return where Prometheus finds what is served at `observe.metrics`; empty when that is nothing, or any free port.

    >>> scraped("127.0.0.1:9464"), scraped("0.0.0.0:9500"), scraped("[::]:9500"), scraped("127.0.0.1:0"), scraped(None)
    ('127.0.0.1:9464', '127.0.0.1:9500', '127.0.0.1:9500', '', '')
    """
    host, _, port = (metrics or "").rpartition(":")
    if port in ("", "0"):
        return ""
    return f"{ports.LOOPBACK}:{port}" if host in ("0.0.0.0", "[::]") else f"{host}:{port}"  # noqa: S104 - compared


class PrometheusService(PackagedService):
    """Scrapes the platform at `platform` (empty: there is none), the Pushgateway and itself every `scrape_s`.

    Alerts go to the Alertmanager. The addresses of the two others are the ones that they were last started with, in the
    folders beside ours.
    """

    name = "prometheus"
    version = "2.42.0"
    port_default = 9090

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        platform: str | None = None,
        scrape_s: float | None = None,
        with_parent: bool = False,
    ) -> None:
        super().__init__(folder, port=port, with_parent=with_parent)
        self.platform = self.choice("platform", platform, PLATFORM)
        self.scrape_s = self.choice("scrape_s", scrape_s, Observe().scrape_every)

    def install(self, say: Say) -> None:
        """Fetch and unpack the packages, and mend a link.

        The page's menu needs a library as a plain script; Debian's package of that is a module since its version 1.16,
        and has the script beside it.
        """
        super().install(say)
        link, plain = self.root / "usr/share/prometheus/web/static/popper.js", "../../../javascript/popper.js/umd"
        if str(link.readlink()) != plain:
            fresh = link.with_name(f".{uuid.uuid4().hex}")
            fresh.symlink_to(plain)
            fresh.replace(link)

    def argv(self, server: ServiceProcess) -> Sequence[str]:
        return [
            self.program("prometheus"),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=15d",
            "--storage.tsdb.retention.size=2GB",
            "--rules.alert.resend-delay=5s",  # a fresh Alertmanager would hear of an alert after a minute only
            f"--web.listen-address={server.address}",
            f"--web.config.file={self.folder / 'web.yml'}",
            f"--web.local-assets={self.root}/usr/share/prometheus/web/",
        ]

    def prepare(self, say: Say) -> None:
        """Write the settings, with the logins of the servers that are asked, and the rules."""
        super().prepare(say)
        beside = self.folder.parent
        gateway, manager = PushgatewayService(beside / "pushgateway"), AlertmanagerService(beside / "alertmanager")
        self._copy("rules.yml", {})
        self._copy(
            "prometheus.yml",
            {
                "127.0.0.1:9090": self.address,
                "127.0.0.1:9091": gateway.address,
                "127.0.0.1:9193": manager.address,
                PLATFORM: self.platform,
            },
        )
        path = self.folder / "prometheus.yml"
        settings = read_yaml(path)
        every_ms = round(self.scrape_s * 1000)
        settings["global"] = {
            "scrape_interval": f"{every_ms}ms",
            "scrape_timeout": f"{every_ms}ms",
            "evaluation_interval": f"{every_ms}ms",
        }
        if not self.platform:  # or a healthy run that is not to be scraped would be told as dead
            settings["scrape_configs"] = [one for one in settings["scrape_configs"] if one["job_name"] != JOB]
        asked = {self.address: self, gateway.address: gateway, manager.address: manager}
        for one in (*settings["scrape_configs"], *settings["alerting"]["alertmanagers"]):
            service = asked.get(one["static_configs"][0]["targets"][0])
            if service is not None:
                one["basic_auth"] = {"username": USER, "password_file": str(service.password_file)}
        path.write_text(json.dumps(settings, indent=1), encoding="utf-8")  # which is YAML, too


def bcrypt(password: bytes) -> str:
    """Return how the family's servers keep a password. Debian's own library makes it: Python's way to it is going."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    letters = "./" + string.ascii_letters + string.digits
    salt = "".join(secrets.choice(letters) for _ in range(SALT_LETTERS - 1)) + "."
    made = library.crypt(password, f"$2b${COST}${salt}".encode("ascii"))
    if made is None or not made.startswith(b"$2b$"):
        raise UnreachableError("could not make a password for Prometheus' servers: this libcrypt knows no bcrypt")
    return str(made.decode("ascii"))
