"""What the chart gives MLflow, Prometheus and Pushgateway, given to real ones: they speak TLS, and our clients take it.

Commands, Secrets and settings are those of the rendered chart; only folders, ports and the names of hosts are of this
machine, whence the name `localhost`, which each certificate has besides those of its Services.
"""

import base64
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hydrodask.doctor import reach
from hydrodask.doors.trust import basic, refusals_closed, trust
from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.learn.registry import Registry
from hydrodask.learn.shelf import CHAMPION, shelf
from hydrodask.observe.example import example_overview
from hydrodask.observe.metrics import Metrics
from hydrodask.services import MlflowService, PrometheusService, PushgatewayService
from hydrodask.services.ports import free_port
from hydrodask.services.prometheus import PackagedService
from hydrodask.settings import Settings, load
from tests import charted
from tests.charted import Object, objects, pods
from tests.conftest import needs, quiet
from tests.delivery import until
from tests.heard import Logged

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # the first time packages and environment are made


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Return the chart's objects with its own values."""
    return objects(charted.rendered(charted.helm("helm 4", tmp_path_factory.mktemp("helm"))))


def secret(rendered: list[Object], name: str, into: Path) -> Path:
    """Put the keys of a Secret into a folder, as a pod has them; return the folder."""
    [found] = [one for one in rendered if one["kind"] == "Secret" and one["metadata"]["name"].endswith(name)]
    into.mkdir(parents=True, exist_ok=True)
    for key, value in found["data"].items():
        (into / key).write_bytes(base64.b64decode(value))
    return into


def container(rendered: list[Object], part: str) -> Object:
    """Return the container of a part of the chart."""
    return dict(dict(pods(rendered))[part]["containers"][0])


@contextmanager
def serving(argv: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Run a server in a folder; give the file with what it says."""
    log = folder / "log"
    with log.open("wb") as said:
        child = subprocess.Popen(argv, cwd=folder, stdout=said, stderr=said, env=environ)
        try:
            yield log
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:  # a machine that is busy with other things
                child.kill()
                child.wait()


def asked(url: str, ca_file: Path | None, password: str | None) -> Any:
    """Return the JSON at a URL, or the code of a refusal; raises OSError for a server that is not believed."""
    request = urllib.request.Request(url, headers=basic("hydrodask", password) if password else {})  # noqa: S310  # ours
    try:
        with urllib.request.urlopen(request, timeout=60, context=trust(ca_file, "the test's")) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def refused(url: str, ca_file: Path | None, password: str | None) -> str:
    """Return why nothing could be asked, nothing when there is an answer."""
    try:
        asked(url, ca_file, password)
    except OSError as error:
        return str(error)
    return ""


def started(service: PackagedService, name: str, args: Sequence[str], port: int) -> list[str]:
    """Return the command of a pinned server with the arguments of the chart."""
    needs(there=shutil.which("apt-get") is not None, what="Debian's packages need apt-get")
    service.install(quiet)
    return [service.program(name), f"--web.listen-address=127.0.0.1:{port}", *args]


def test_pushgateway_and_prometheus_speak_tls_and_are_scraped(
    rendered: list[Object], tmp_path: Path, logged: Logged
) -> None:
    """Pushed with the authority in `observe.ca_file`; without it nothing is sent, and plain HTTP is not answered."""
    keys = secret(rendered, "-observe", tmp_path / "secrets")
    client = secret(rendered, "-pushgateway-client", tmp_path / "client")
    gateway, prometheus = free_port(), free_port()
    config = next(
        one["data"] for one in rendered if one["kind"] == "ConfigMap" and one["metadata"]["name"].endswith("prometheus")
    )
    known = config["prometheus.yml"].replace("/secrets", str(keys)).replace("localhost:9090", f"localhost:{prometheus}")
    known = known.replace("plant-hydrodask-pushgateway.rigs-observe.svc.cluster.local:9091", f"localhost:{gateway}")
    (tmp_path / "prometheus.yml").write_text(known.replace("scrape_interval: 5s", "scrape_interval: 4s"))
    (tmp_path / "rules.yml").write_text(config["rules.yml"])
    part = container(rendered, "Deployment plant-hydrodask-pushgateway")["args"]
    argv = [one.replace("/secrets", str(keys)) for one in part]
    part = container(rendered, "StatefulSet plant-hydrodask-prometheus")["args"]
    more = [one.replace("/secrets", str(keys)).replace("/config", str(tmp_path)) for one in part]
    more = [one.replace("=/data", f"={tmp_path / 'data'}") for one in more]
    sets = [f"observe.pushgateway=https://localhost:{gateway}", f"observe.password_file={client / 'password'}"]

    with ExitStack() as stack:
        for service, name, args, port in (
            (PushgatewayService(tmp_path / "p"), "prometheus-pushgateway", argv, gateway),
            (PrometheusService(tmp_path / "q"), "prometheus", more, prometheus),
        ):
            (tmp_path / name).mkdir()
            stack.enter_context(serving(started(service, name, args, port), tmp_path / name))
        url = f"https://localhost:{gateway}/api/v1/metrics"
        until(lambda: not refused(url, client / "ca.crt", None), "the Pushgateway listens")
        pushed(sets, client / "ca.crt", tmp_path)
        assert "CERTIFICATE_VERIFY_FAILED" in refused(url, None, None)
        assert asked(url, client / "ca.crt", None) == 401
        with pytest.raises(OSError, match="400"), refusals_closed():
            urllib.request.urlopen(f"http://localhost:{gateway}/metrics", timeout=60)

        pusher = Metrics(example_overview, load(sets=sets, environ={})[0])._pusher
        assert pusher is not None
        pusher.push()
        assert pusher.failures == 1
        assert "CERTIFICATE_VERIFY_FAILED" in logged.text

        until(lambda: scraped(prometheus, keys) == {"hydrodask": "0", "prometheus": "1", "pushgateway": "1"}, "scraped")


def pushed(sets: Sequence[str], ca_file: Path, folder: Path) -> None:
    """Push once, as a run does."""
    settings = load(sets=[*sets, f"observe.ca_file={ca_file}", f"data_dir={folder / 'data-dir'}"], environ={})[0]
    pusher = Metrics(example_overview, settings)._pusher
    assert pusher is not None
    pusher.push()
    assert pusher.failures == 0


def scraped(port: int, keys: Path) -> dict[str, str]:
    """Return by job what Prometheus says of it: 1 for one that answers. No driver is there."""
    url = f"https://localhost:{port}/api/v1/query?query=up"
    if refused(url, keys / "ca.crt", None):
        return {}
    found = asked(url, keys / "ca.crt", (keys / "prometheus").read_text())
    return {one["metric"]["job"]: one["value"][1] for one in found["data"]["result"]}


def test_models_are_registered_and_read_over_tls(
    rendered: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By MLflow's own client, by the one of workers and by doctor; none of them believes another authority."""
    for name in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "")  # whatever a client leaves is taken back
        monkeypatch.delenv(name)
    keys, client = secret(rendered, "-mlflow-server", tmp_path / "secrets"), tmp_path / "client"
    secret(rendered, "-mlflow-client", client)
    port = free_port()
    sets = [f"learn.mlflow=https://localhost:{port}", f"learn.password_file={client / 'password'}"]
    settings = load(sets=[*sets, f"learn.ca_file={client / 'ca.crt'}", f"data_dir={tmp_path}"], environ={})[0]

    with serving(*mlflow(rendered, keys, port, tmp_path)) as log:
        until(lambda: reach.mlflow(settings).state == "pass", f"MLflow answers: {log}")
        assert refused(f"https://localhost:{port}/health", client / "ca.crt", None) == ""
        assert asked(f"https://localhost:{port}/health", client / "ca.crt", None) == 401

        registry = Registry(settings)
        registry.client.create_registered_model("hydrodask-valve")
        run = registry.client.create_run("0").info.run_id
        registry.client.log_text(run, "weights", "onnx/model.onnx")
        registry.client.create_model_version("hydrodask-valve", f"runs:/{run}/onnx", run)
        registry.client.set_registered_model_alias("hydrodask-valve", CHAMPION, "1")
        registry.digests.keep("hydrodask-valve", run, b"weights")
        found = shelf(settings)
        assert found.stored(found.champions()["valve"]) == b"weights"

        monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
        strangers = load(sets=[*sets, f"data_dir={tmp_path}"], environ={})[0]
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            shelf(strangers).champions()
        with pytest.raises(UnreachableError, match=r"not known here: see learn\.ca_file"):
            Registry(strangers).versions()
        assert reach.mlflow(strangers).state == "fail"
    assert "Traceback" not in log.read_text()


def mlflow(rendered: list[Object], keys: Path, port: int, folder: Path) -> tuple[list[str], Path, dict[str, str]]:
    """Return command, folder and environment of MLflow's container, in the environment of local services."""
    service = MlflowService(folder / "service")
    service.install(quiet)
    there = container(rendered, "StatefulSet plant-hydrodask-mlflow")
    app, data = folder / "app", folder / "data"
    for path in (app, data):
        path.mkdir()
    config = next(
        one["data"] for one in rendered if one["kind"] == "ConfigMap" and one["metadata"]["name"].endswith("mlflow")
    )
    (app / "locked.py").write_text(config["locked.py"])
    places = {"/secrets": str(keys), "/app": str(app), "/data": str(data), "0.0.0.0": "127.0.0.1", "5000": str(port)}  # noqa: S104  # and taken away

    def here(text: str) -> str:
        for place, mine in places.items():
            text = text.replace(place, mine)
        return text

    python = str(service.environment / "bin" / "python")
    argv = [python, *map(here, there["command"][1:]), *map(here, there["args"])]
    environ = {one["name"]: here(one["value"]) for one in there["env"]}
    return argv, folder, {**environ, "PATH": os.environ["PATH"], "HOME": str(folder)}


@pytest.mark.parametrize(("key", "url"), [("learn", "mlflow"), ("observe", "pushgateway")])
def test_an_authority_that_would_not_be_asked_is_refused(key: str, url: str, tmp_path: Path) -> None:
    """Over plain HTTP a password goes in clear text, whatever the setting promises."""
    with pytest.raises(ConfigError, match=rf"{key}\.{url} \(http://host:1\) must begin with https://"):
        load(sets=[f"{key}.{url}=http://host:1", f"{key}.ca_file=ca.pem"], environ={})

    settings = load(sets=[f"{key}.{url}=https://host:1", f"{key}.ca_file=ca.pem", f"data_dir={tmp_path}"], environ={})[
        0
    ]
    assert getattr(settings, key).ca_file == tmp_path / "ca.pem"
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=rf"{key}\.ca_file has value .*which has no certificate"):
        trying(key, settings)
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(ConfigError, match=rf"{key}\.ca_file has value .*which can't be read"):
        trying(key, settings)


def trying(key: str, settings: Settings) -> None:
    """Make the client that has the setting."""
    shelf(settings) if key == "learn" else Metrics(example_overview, settings)
