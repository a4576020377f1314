"""A real MLflow server: started, asked through its public interface, killed, started again, stopped."""

import http.client
import json
import os
import signal
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from hydrodask.doors.trust import basic
from hydrodask.services import MlflowService, security
from hydrodask.services.ports import can_bind, free_port
from hydrodask.settings.hidden import USER
from tests.conftest import quiet
from tests.delivery import until
from tests.running import status_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # the environment is made the first time


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowService]:
    """Run a server; the first time on a machine its environment is made, which takes minutes."""
    service = MlflowService(tmp_path_factory.mktemp("mlflow"), port=free_port(), with_parent=True)
    service.install(quiet)
    service.start(quiet)
    yield service
    service.stop()
    assert can_bind(service.port)


def call(service: MlflowService, path: str, body: dict[str, object] | bytes, method: str = "POST") -> Any:
    """Ask the server as its clients do; return what it answers."""
    connection = http.client.HTTPConnection(service.address, timeout=60)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        login = basic(USER, security.secret(service.password_file))
        connection.request(method, path, data, {"Content-Type": "application/json", **login})
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        return answer if method == "GET" else json.loads(answer or b"{}")
    finally:
        connection.close()


def test_runs_models_and_artefacts_outlive_a_kill(mlflow: MlflowService) -> None:
    """What was stored is there after a kill -9 and another start; no process is left behind by either."""
    api = "/api/2.0/mlflow"
    name = f"cooler-{uuid.uuid4().hex[:8]}"
    artefact = f"/api/2.0/mlflow-artifacts/artifacts/{name}/model.onnx"
    call(mlflow, f"{api}/experiments/create", {"name": name})
    call(mlflow, f"{api}/registered-models/create", {"name": name})
    call(mlflow, artefact, b"weights", "PUT")
    pid = mlflow.state().pid
    assert pid is not None
    assert psutil.Process(pid).children(recursive=True) == []

    os.kill(pid, signal.SIGKILL)
    until(lambda: mlflow.process("mlflow") is None and can_bind(mlflow.port), "it is gone")
    assert mlflow.state().state == "stopped"
    mlflow.start(quiet)

    until(lambda: mlflow.state().state == "running", "it answers in time")
    found = json.loads(call(mlflow, f"{api}/experiments/get-by-name?experiment_name={name}", b"", "GET"))
    assert found["experiment"]["name"] == name
    assert name.encode() in call(mlflow, f"{api}/registered-models/get?name={name}", b"", "GET")
    assert call(mlflow, artefact, b"", "GET") == b"weights"
    assert any((mlflow.folder / "artifacts").rglob("model.onnx"))


def test_nobody_gets_in_without_the_password(mlflow: MlflowService) -> None:
    """Pages, interface, artefacts and health alike; the right one opens all."""
    right = security.secret(mlflow.password_file)
    for path in (
        "/",
        "/health",
        "/version",
        "/api/2.0/mlflow/registered-models/search",
        "/api/2.0/mlflow-artifacts/artifacts",
    ):
        for login in (None, (USER, "wrong"), (USER, ""), ("admin", right)):
            assert status_of(mlflow.address, path, login) == 401, path
    assert status_of(mlflow.address, "/version", (USER, right)) == 200
    assert status_of(mlflow.address, "/api/2.0/mlflow-artifacts/artifacts/x", None, "PUT") == 401


def test_its_packages_are_its_own(mlflow: MlflowService) -> None:
    """The server runs in its environment, not in ours, and keeps its database in its folder."""
    pid = mlflow.state().pid
    assert pid is not None
    assert psutil.Process(pid).cmdline()[0] == str(mlflow.environment / "bin" / "python")
    assert (mlflow.folder / "mlflow.sqlite").exists()
