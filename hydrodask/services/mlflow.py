"""An MLflow server on this machine: runs and models in SQLite, artefacts in a folder, one process on loopback.

It lives in an environment of its own in the user's cache, so that what it needs never meets what the platform needs.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydrodask.errors import ConfigError
from hydrodask.services import pinned, ports, security
from hydrodask.services.server import ServerService, ServiceProcess
from hydrodask.services.service import Say
from hydrodask.settings.hidden import USER

VERSION = "3.17.2"
PORT = 5000
ANSWER_S = 3.0
SOURCE = pinned.SOURCE / "mlflow"


class MlflowService(ServerService):
    """MLflow with database, artefacts, log and process record in `folder`."""

    name = "mlflow"
    version = VERSION

    def __init__(self, folder: Path, *, port: int | None = None, with_parent: bool = False) -> None:
        super().__init__(folder, with_parent=with_parent)
        self.port = self.choice("port", port, PORT)
        self.password_file = self.folder / "password"
        self.environment = pinned.cache_folder() / f"mlflow-{VERSION}-python{sys.version_info[0]}.{sys.version_info[1]}"

    @property
    def address(self) -> str:
        return f"{ports.LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """What clients and browsers take."""
        return f"http://{self.address}"

    def install(self, say: Say) -> None:
        """Make the environment, once: every file that pip installs is pinned by its hash."""
        wanted = SOURCE / "requirements.txt"
        if not wanted.exists():
            raise ConfigError(f"local services need a checkout of hydrodask: there is no {wanted}")
        if self.environment.exists():
            return
        self.environment.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{self.environment.name}-", dir=self.environment.parent))
        try:
            _make(fresh, wanted, say)
            pinned.rename(fresh, self.environment)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def servers(self) -> Sequence[ServiceProcess]:
        return [ServiceProcess(self.name, self.address)]

    def argv(self, server: ServiceProcess) -> Sequence[str]:  # noqa: ARG002  # there is but one
        # `mlflow server` would start this as a child, which a kill of it leaves behind.
        where = ["--host", ports.LOOPBACK, "--port", str(self.port), "--workers", "1"]
        return [str(_python(self.environment)), "-m", "uvicorn", *where, "--app-dir", str(SOURCE), "locked:app"]

    def sets(self) -> list[str]:
        return [f"learn.mlflow={self.url}", f"learn.password_file={self.password_file}"]

    def prepare(self, say: Say) -> None:  # noqa: ARG002  # it takes no time
        """Make the password, once."""
        security.secret(self.password_file)

    def environ(self, server: ServiceProcess) -> Mapping[str, str]:  # noqa: ARG002  # there is but one
        """Return what `mlflow server` tells its child; the version is pinned, and so are these names."""
        database = f"sqlite:///{self.folder / 'mlflow.sqlite'}"
        return {
            "_MLFLOW_SERVER_FILE_STORE": database,
            "_MLFLOW_SERVER_REGISTRY_STORE": database,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self.folder / "artifacts"),
            "_MLFLOW_SGI_NAME": "uvicorn",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven processes for judging language models
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HYDRODASK_MLFLOW_USER": USER,
            "HYDRODASK_MLFLOW_PASSWORD_FILE": str(self.password_file),
            "PYTHONPYCACHEPREFIX": str(self.environment / "bytecode"),  # nothing of it in our source
        }

    def answers(self) -> bool:
        """Say whether it is our version that answers, and its database does too."""
        search = "/api/2.0/mlflow/registered-models/search?max_results=1"
        return self._get("/version") == VERSION.encode() and self._get(search) is not None

    def _get(self, path: str) -> bytes | None:
        return security.ask(self.address, path, self.password_file, timeout_s=ANSWER_S)


def _make(environment: Path, requirements: Path, say: Say) -> None:
    say("making its environment")
    argv = [sys.executable, "-m", "venv", str(environment)]
    pinned.run(argv, what="make an environment for mlflow", progress=lambda: None)
    # Bytecode is made of what is imported, when it is: all of it takes a minute, and little is used.
    argv = [str(_python(environment)), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-compile"]
    pinned.run(
        [*argv, "--require-hashes", "--only-binary", ":all:", "--requirement", str(requirements)],
        what="install mlflow",
        progress=lambda: say("installing it with pip; that takes a few minutes, once"),
    )


def _python(environment: Path) -> Path:
    return environment / "bin" / "python"
