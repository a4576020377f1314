"""The replica set of a MongoDB, and its users: made once, from the machine or pod that the server runs in.

A server without users trusts loopback until it has one.
"""

from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from hydrodask import clock
from hydrodask.errors import UnreachableError
from hydrodask.services import ports
from hydrodask.services.mongodb import DATABASE, REPLICA_SET, USER
from hydrodask.services.service import Say

ADMIN = "admin"
ANSWER_MS = 10_000
PRIMARY_S = 90.0
POLL_S = 0.1
_AUTHENTICATION_FAILED = 18

_Client = MongoClient[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """A replica set of one, which listens on loopback at `port`, and whose clients know it as `member`."""

    port: int
    member: str
    admin_file: Path
    password_file: Path
    ca_file: Path | None = None
    """Of the authority of its certificate, which is for `localhost`, too; None: it speaks no TLS."""

    def wait(self, patience_s: float) -> None:
        """Wait until the server takes connections. Raises UnreachableError."""
        end_s = clock.monotonic_s() + patience_s
        while True:
            try:
                with self._client(None, None) as client:
                    client.admin.command("hello")
            except PyMongoError as error:
                if clock.monotonic_s() > end_s:
                    raise UnreachableError(f"mongodb at port {self.port} does not answer: {error}") from error
                clock.sleep_s(POLL_S)
            else:
                return

    def settle(self, say: Say) -> None:
        """Make the replica set and the users, once; each part that is there is left as it is."""
        try:
            if not self._admitted(ADMIN, self.admin_file):
                say("creating the replica set and its users")
                self._create_admin()
            with self._client(ADMIN, self.admin_file) as client:
                self._adopt_address(client)
                self._wait_for_primary(client)
                self._ensure_user(client)
        except PyMongoError as error:
            raise UnreachableError(f"could not set up mongodb on {self.member}: {error}") from error

    def answers(self) -> bool:
        """Say whether it takes writes from the platform's user."""
        try:
            with self._client(USER, self.password_file) as client:
                return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False

    def _create_admin(self) -> None:
        """Use that a server without users trusts loopback until it has one."""
        with self._client(None, None) as client:
            if "setName" not in client.admin.command("hello"):
                members = [{"_id": 0, "host": self.member}]
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
            self._wait_for_primary(client)
            client.admin.command("createUser", ADMIN, pwd=_read(self.admin_file), roles=["root"])

    def _adopt_address(self, client: _Client) -> None:
        """Tell the replica set its address if that is another than the last time."""
        config = client.admin.command("replSetGetConfig")["config"]
        if config["members"][0]["host"] != self.member:
            config["members"][0]["host"] = self.member
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
                raise UnreachableError(f"could not set up mongodb: {self.member} is no primary after {PRIMARY_S:g} s")
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
            ports.LOOPBACK if self.ca_file is None else "localhost",
            self.port,
            directConnection=True,
            username=user,
            password=_read(password) if password else None,
            serverSelectionTimeoutMS=ANSWER_MS,
            socketTimeoutMS=ANSWER_MS,
            appname="hydrodask services",
            tls=self.ca_file is not None,
            tlsCAFile=None if self.ca_file is None else str(self.ca_file),
        )


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
