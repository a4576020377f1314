"""`cluster.address: kubernetes[:NAME]` finds a DaskCluster's scheduler: what is asked, and each way not to find it.

There is no Kubernetes here: `FakeApiServer` is a fake, which answers the few paths that are asked with what was put in.
That the real one answers so is for `tests/kubernetes`.
"""

import asyncio
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from hydrodask.doctor import named, reach
from hydrodask.doors import daskclusters, remote
from hydrodask.doors.certificates import CLIENT, SERVER, new_authority, signed
from hydrodask.doors.daskclusters import located
from hydrodask.doors.login import check
from hydrodask.driver.cluster import DaskCluster
from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.settings import Settings
from hydrodask.settings.model import Cluster
from tests.delivery import DaskProcesses
from tests.serving import serving

CRD = "/apis/kubernetes.dask.org/v1/namespaces/{}/daskclusters"
FORBIDDEN = 403


class FakeApiServer(BaseHTTPRequestHandler):
    """An API server that has `things` by path, and has been asked by `tokens`."""

    things: ClassVar[dict[str, Any]] = {}
    tokens: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("Authorization", ""))
        found = self.things.get(self.path.partition("?")[0], 404)
        body = json.dumps({"kind": "Status"} if isinstance(found, int) else found).encode()
        self.send_response(found if isinstance(found, int) else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def made() -> ThreadingHTTPServer:
    """Return a server that has nothing, and was told nothing."""
    FakeApiServer.things.clear()
    FakeApiServer.tokens.clear()
    return ThreadingHTTPServer(("127.0.0.1", 0), FakeApiServer)


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Give what a fake API server has, to which a kubeconfig leads, with the namespace `plant`."""
    server = made()
    with serving(server):
        kubeconfig(tmp_path / "config", server.server_port)
        somebody(tmp_path, monkeypatch)
        yield FakeApiServer.things


def somebody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in no pod, with a kubeconfig in a folder, wherever the tests run."""
    monkeypatch.setattr(daskclusters, "ACCOUNT", folder / "none")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "config"))


def kubeconfig(file: Path, port: int) -> None:
    """Write one, as a person has."""
    parts = {"clusters": {"server": f"http://127.0.0.1:{port}"}, "users": {"token": "person"}}
    body: dict[str, Any] = {kind: [{"name": "x", kind.removesuffix("s"): value}] for kind, value in parts.items()}
    body["contexts"] = [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "plant"}}]
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "x", **body}))


def put(things: dict[str, Any], *names: str, namespace: str = "plant", ip: str = "10.96.0.7", port: int = 8786) -> None:
    """Put DaskClusters with the Services of their schedulers into a namespace, as the operator makes them."""
    things[CRD.format(namespace)] = {"items": [{"metadata": {"name": name}} for name in names]}
    for name in names:
        things[f"{CRD.format(namespace)}/{name}"] = {"metadata": {"name": name}}
        things[f"/api/v1/namespaces/{namespace}/services/{name}-scheduler"] = {
            "metadata": {"name": f"{name}-scheduler", "namespace": namespace},
            "spec": {
                "clusterIP": ip,
                "ports": [{"name": "http-dashboard", "port": 8787}, {"name": "tcp-comm", "port": port}],
            },
        }


def test_the_scheduler_of_a_daskcluster_is_found(person: dict[str, Any]) -> None:
    """The only one, one of several by name, and one of another namespace; what is before its Service is preferred."""
    put(person, "one")
    assert located("kubernetes", "tls") == "tls://10.96.0.7:8786"
    put(person, "one", "two", port=9000)
    assert located("kubernetes:two", "tcp") == "tcp://10.96.0.7:9000"
    put(person, "three", namespace="other", ip="10.96.0.8")
    assert located("kubernetes:other/three", "tcp") == "tcp://10.96.0.8:8786"
    service = person["/api/v1/namespaces/plant/services/one-scheduler"]
    service["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert located("kubernetes:one", "tls") == "tls://192.0.2.1:9000"
    assert set(FakeApiServer.tokens) == {"Bearer person"}


def test_each_way_not_to_find_one_is_a_sentence(person: dict[str, Any]) -> None:
    """None, several, another name, no operator, no right: the configuration's. No Service, an error: it may come."""
    with pytest.raises(ConfigError, match="knows no DaskClusters: install the operator"):
        located("kubernetes", "tcp")
    put(person)
    with pytest.raises(ConfigError, match="there is no DaskCluster in namespace 'plant'"):
        located("kubernetes", "tcp")
    put(person, "b", "a")
    with pytest.raises(ConfigError, match=r"there are 2 DaskClusters in namespace 'plant' \(a, b\); name one"):
        located("kubernetes", "tcp")
    with pytest.raises(ConfigError, match="no DaskCluster 'c' in namespace 'plant'; there: a, b"):
        located("kubernetes:c", "tcp")
    del person["/api/v1/namespaces/plant/services/a-scheduler"]
    with pytest.raises(UnreachableError, match="there is no Service 'a-scheduler' in namespace 'plant' yet"):
        located("kubernetes:a", "tcp")
    person[f"{CRD.format('plant')}/a"] = FORBIDDEN
    with pytest.raises(ConfigError, match=r"does not let us get daskclusters.kubernetes.dask.org in namespace 'plant'"):
        located("kubernetes:a", "tcp")
    person[f"{CRD.format('plant')}/a"] = 500
    with pytest.raises(UnreachableError, match="could not get daskclusters"):
        located("kubernetes:a", "tcp")


def test_where_nothing_leads_to_kubernetes_is_a_sentence(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a pod nor a kubeconfig; and one that leads to nobody."""
    somebody(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="nothing says where Kubernetes is: neither a service account"):
        located("kubernetes", "tcp")
    kubeconfig(tmp_path / "config", free_port)
    with pytest.raises(UnreachableError, match=f"could not reach Kubernetes at http://127.0.0.1:{free_port}"):
        located("kubernetes", "tcp")


def test_in_a_pod_we_are_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token, authority and namespace are files; the scheduler is reached by its Service's name."""
    authority = new_authority("cluster", 1)
    server = signed(authority, "api", 1, usages=(SERVER, CLIENT), hosts=["127.0.0.1"])
    for name, content in {
        "ca.crt": authority.certificate_pem,
        "api.pem": server.certificate_pem + server.key_pem,
        "token": b"pod",
        "namespace": b"plant\n",
    }.items():
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "api.pem")
    api = made()
    api.socket = context.wrap_socket(api.socket, server_side=True)
    monkeypatch.setattr(daskclusters, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    with serving(api):
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.server_port))
        put(FakeApiServer.things, "hydrodask")
        assert located("kubernetes", "tls") == "tls://hydrodask-scheduler.plant.svc:8786"
        assert {token.lower() for token in FakeApiServer.tokens} == {"bearer pod"}


@pytest.mark.parametrize("address", ["kubernetes:", "kubernetes:A", "kubernetes:a/b/c", "kubernetes://x"])
def test_an_address_that_is_no_name_is_refused(address: str) -> None:
    """`doctor`, `config check` and `run` say the form."""
    (found,) = [one for one in named(Settings(cluster=Cluster(address=address))) if one.state == "fail"]

    assert (found.check, found.exit_code) == ("cluster", 3)
    assert "want kubernetes, kubernetes:NAME or kubernetes:NAMESPACE/NAME" in found.text


def test_a_daskcluster_is_not_reached_in_the_clear_unless_somebody_says_so() -> None:
    """It is beyond this machine, as any other."""
    with pytest.raises(ConfigError, match=r"without TLS .* want cluster.ca_file, cert_file and key_file"):
        check(Cluster(address="kubernetes"))
    assert check(Cluster(address="kubernetes:a", insecure=True)) == "kubernetes:a, not encrypted"


@pytest.mark.cluster
def test_a_run_comes_in_at_the_scheduler_that_is_found(person: dict[str, Any], tmp_path: Path, free_port: int) -> None:
    """Run and doctor, with real scheduler and worker, to which the fake's Service leads."""
    put(person, "plant", ip="127.0.0.1", port=free_port)
    settings = Cluster(address="kubernetes:plant", insecure=True)

    async def run() -> list[str]:
        cluster = await DaskCluster.start(settings, patience_s=180)
        try:
            return await cluster.workers()
        finally:
            await cluster.close()

    with DaskProcesses(tmp_path, free_port) as dask:
        dask.start_worker()
        asyncio.run(remote.wait(settings, 180, for_worker=True))
        (worker,) = asyncio.run(asyncio.wait_for(run(), 180))
        assert reach.cluster(settings).text == "kubernetes:plant answers; 1 workers"

    assert worker.startswith("tcp://127.0.0.1:")
