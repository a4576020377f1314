"""The Helm chart without a cluster: it renders, Kubernetes would take it, and it is as safe as it says."""

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hydrodask.doctor import machine
from hydrodask.doors import access
from hydrodask.driver.cluster import CONFIG
from hydrodask.services import hdfs, kafkanodes
from hydrodask.settings import CONF, Settings, load
from tests import charted
from tests.charted import SETS, Object, containers, objects, pods
from tests.conftest import needs

Chart = Callable[..., str]


@pytest.fixture(scope="module")
def helms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return both Helms."""
    folder = tmp_path_factory.mktemp("helm")
    return {version: charted.helm(version, folder) for version in charted.HELMS}


@pytest.fixture(scope="module")
def texts(helms: dict[str, Path]) -> dict[str, str]:
    """Return what Helm 4 makes of each set of values."""
    return {name: charted.rendered(helms["helm 4"], values) for name, values in SETS.items()}


@pytest.fixture(scope="module", params=SETS)
def found(request: pytest.FixtureRequest, texts: dict[str, str]) -> list[Object]:
    """Return the objects of one set of values."""
    return objects(texts[request.param])


def of_kind(found: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind by name."""
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def test_both_helms_make_the_same_of_it(helms: dict[str, Path], texts: dict[str, str]) -> None:
    """But for what is random: passwords, keys and certificates."""

    def shape(text: str) -> list[Object]:
        parts = objects(text)
        for one in parts:
            if one["kind"] == "Secret":
                one["data"] = sorted(one["data"])
        return sorted(
            parts, key=lambda one: (one["kind"], str(one["metadata"].get("namespace")), one["metadata"]["name"])
        )

    for name, values in SETS.items():
        assert shape(charted.rendered(helms["helm 3"], values)) == shape(texts[name]), name


def test_every_kubernetes_that_it_claims_takes_it(texts: dict[str, str]) -> None:
    """Strictly: a key that a version does not know is a fault; the CRD of dask-kubernetes is asked, too."""
    claims = yaml.safe_load((charted.CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert claims == f">={charted.KUBERNETES[0]}-0"
    every = [one for text in texts.values() for one in objects(text)]
    for version in (charted.KUBERNETES[0], charted.KUBERNETES[3], charted.KUBERNETES[-1]):
        schemas = charted.Schemas(version)

        assert [fault for one in every for fault in schemas.faults(one)] == [], version

    pod = next(one for one in every if one["kind"] == "Deployment")
    pod["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    assert len(schemas.faults(pod)) == 1, "the check is worth something"


def test_nothing_has_more_rights_than_it_needs(found: list[Object]) -> None:
    """No root, no writable root, no capability, no token; no Role, as nothing asks the API server."""
    for name, pod in pods(found):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not [volume for volume in pod.get("volumes", ()) if "hostPath" in volume], name
        for one in containers(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & {one["kind"] for one in found}
    assert all(one["automountServiceAccountToken"] is False for one in of_kind(found, "ServiceAccount").values())


def test_every_container_has_limits_and_a_version(found: list[Object]) -> None:
    """CPU and memory are limited everywhere, no image is `latest`, Bitnami's or MinIO's."""
    for name, pod in pods(found):
        for one in containers(pod):
            assert set(one["resources"]["limits"]) >= {"cpu", "memory"}, name
            image = one["image"]
            assert re.search(r":[\w.-]*\d[\w.-]*$|@sha256:[0-9a-f]{64}$", image), image
            assert not re.search(r"latest|bitnami|minio", image), image


def test_no_secret_is_in_clear(found: list[Object]) -> None:
    """What a Secret holds stands nowhere else, and outlives the release as the data do that it is for."""
    rest = yaml.safe_dump_all([one for one in found if one["kind"] != "Secret"])
    for name, one in of_kind(found, "Secret").items():
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", name
        for key, value in one["data"].items():
            text = base64.b64decode(value).decode()
            assert len(text) >= 20, f"{name} {key}"
            assert text.splitlines()[0 if len(text.splitlines()) == 1 else 1] not in rest, f"{name} {key}"
    for name, pod in pods(found):
        for one in containers(pod):
            plain = [item["name"] for item in one.get("env", ()) if "value" in item and "PASSWORD" in item["name"]]
            assert [each for each in plain if not each.endswith("FILE")] == [], name


def test_only_the_release_namespace_is_used_when_one_is_wanted(texts: dict[str, str]) -> None:
    """Otherwise there are four, each with its Pod Security, quota and limits."""
    four, one = objects(texts["default"]), objects(texts["one namespace"])

    assert {each["metadata"].get("namespace", "rigs") for each in one} == {"rigs"}
    assert set(of_kind(four, "Namespace")) == {"rigs-kafka", "rigs-storage", "rigs-observe"}
    for kind in ("ResourceQuota", "LimitRange"):
        found = {each["metadata"]["namespace"] for each in four if each["kind"] == kind}
        assert found == set(of_kind(four, "Namespace"))
    for each in of_kind(four, "Namespace").values():
        assert each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_what_is_in_a_namespace_exists_there(found: list[Object]) -> None:
    """Each ConfigMap, Secret and account that a pod names is in its namespace, or was promised by the user."""
    promised = {"my-kafka", "my-mongodb", "my-mlflow", "my-s3", "mirror"}
    there = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found}
    for one in found:
        for name, pod in pods([one]):
            where = one["metadata"]["namespace"]
            wanted = {("ServiceAccount", where, pod["serviceAccountName"])}
            for volume in pod.get("volumes", ()):
                for source in (volume, *volume.get("projected", {}).get("sources", ())):
                    if "configMap" in source:
                        wanted.add(("ConfigMap", where, source["configMap"]["name"]))
                    if "secret" in source:
                        wanted.add(("Secret", where, source["secret"].get("secretName") or source["secret"]["name"]))
            missing = {each for each in wanted - there if each[2] not in promised}
            assert not missing, name
    namespaces = {one["metadata"]["name"] for one in found if one["kind"] == "Namespace"} | {"rigs"}
    assert {one["metadata"].get("namespace", "rigs") for one in found} <= namespaces


def test_all_pods_are_behind_a_policy_and_a_budget(found: list[Object]) -> None:
    """In each namespace nothing goes in or out but what is said; what has replicas lets one go at a time."""
    spaces = {one["metadata"]["namespace"] for one in found for _ in pods([one])}
    closed = {
        one["metadata"]["namespace"]
        for one in found
        if one["kind"] == "NetworkPolicy" and set(one["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    }
    assert spaces <= closed
    budgets = of_kind(found, "PodDisruptionBudget")
    for kind in ("StatefulSet", "Deployment"):
        assert set(of_kind(found, kind)) <= set(budgets)
    assert {one["spec"]["maxUnavailable"] for one in budgets.values()} == {1}


def settings_in(found: list[Object], tmp_path: Path, name: str = "plant-hydrodask-config") -> Settings:
    """Return the settings that the driver is started with."""
    path = tmp_path / "platform.yaml"
    path.write_text(of_kind(found, "ConfigMap")[name]["data"]["platform.yaml"])
    return load(profile=str(path), environ={})[0]


def test_the_driver_is_started_with_settings_that_are_right(found: list[Object], tmp_path: Path) -> None:
    """They are taken; driver and workers find the same files at the same paths."""
    settings = settings_in(found, tmp_path)

    assert settings.source.kind == "none"
    assert str(settings.cluster.address).startswith("tls://")
    assert settings.kafka.client["security.protocol"] == "SASL_SSL"
    by_name = dict(pods(found))
    driver, worker = by_name["Deployment plant-hydrodask-driver"], by_name["DaskCluster plant-hydrodask worker"]
    mounts = [
        {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        for pod in (driver, worker)
    ]
    assert mounts[1].items() <= mounts[0].items()
    shared = {volume["name"]: volume for volume in worker["volumes"]}
    assert all(volume == shared[volume["name"]] for volume in driver["volumes"] if volume["name"] in shared)


def test_conf_is_the_one_of_hydrodask(texts: dict[str, str]) -> None:
    """Rules and faults come from conf/ as they are there."""
    config = of_kind(objects(texts["default"]), "ConfigMap")["plant-hydrodask-config"]["data"]

    for path in CONF.glob("*.yaml"):
        assert config[path.name] == path.read_text(), path.name


def test_dask_is_set_as_ours_is(texts: dict[str, str]) -> None:
    """Each of our settings of Dask that a cluster of others can have is in the environment of scheduler and workers."""
    ours_alone = {"distributed.deploy.lost-worker-timeout", "distributed.worker.preload"}
    for name in ("worker", "scheduler"):
        pod = dict(pods(objects(texts["default"])))[f"DaskCluster plant-hydrodask {name}"]
        environment = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
        for key, value in CONFIG.items():
            variable = "DASK_" + key.upper().replace(".", "__").replace("-", "_")
            assert key in ours_alone or environment[variable] == str(value), key
    worker = dict(pods(objects(texts["default"])))["DaskCluster plant-hydrodask worker"]["containers"][0]
    assert "--preload=hydrodask.worker.preload" in worker["args"]
    assert "--nthreads=1" in worker["args"]


def test_kafka_and_hdfs_are_set_as_those_of_services(texts: dict[str, str]) -> None:
    """What `hydrodask services up` starts is what the tests have tried."""
    maps = of_kind(objects(texts["default"]), "ConfigMap")
    lines = maps["plant-hydrodask-kafka"]["data"]["server.properties"].splitlines()

    assert {f"{key}={value}" for key, value in kafkanodes._PROPERTIES.items()} <= set(lines)
    site = maps["plant-hydrodask-hdfs"]["data"]["hdfs-site.xml"]
    own = {"dfs.datanode.http.address", "dfs.datanode.ipc.address"}
    for key, value in hdfs._SITE.items():
        assert key in own or f"<name>{key}</name><value>{value}</value>" in site, key
    three = of_kind(objects(texts["three brokers"]), "ConfigMap")["plant-hydrodask-kafka"]["data"]["server.properties"]
    assert "min.insync.replicas=2" in three


def test_images_come_from_a_mirror_by_digest(texts: dict[str, str]) -> None:
    """With an air gap each of them does, and every pod knows the mirror's login."""
    for name, pod in pods(objects(texts["air gap"])):
        assert pod["imagePullSecrets"] == [{"name": "mirror"}], name
        for one in containers(pod):
            assert re.fullmatch(r"registry\.plant\.example:5000/mirror/[\w/]+@sha256:[0-9a-f]{64}", one["image"]), name


OUTSIDE = ["kafka.external.enabled=true", "kafka.external.hosts={k.example}"]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["kafka.nodes=2"], "/kafka/nodes"),
        (["kafka.enabledd=true"], "enabledd"),
        (["mongodb.url=mongodb://me:secret@host/"], "/mongodb/url"),
        (["dask.address=tcp://host:8786"], "/dask/address"),
        (["kafka.enabled=false"], "kafka.bootstrap: want the brokers of your own"),
        (["images.kafka.digest=latest"], "/images/kafka/digest"),
        (["images.kafka.tag=4"], "/images/kafka/tag"),
        (["kafka.enabled=false", "kafka.bootstrap=k.example:9093"], "kafka.secret: want the Secret"),
        (["mongodb.enabled=false", "mongodb.url=mongodb://m.example"], "mongodb.secret: want the Secret"),
        (["dask.address=tls://d.example:8786"], "dask.secret: want the Secret"),
        (["jobs.recording.enabled=true"], "jobs.recording.volume: want a volume"),
        (["kafka.nodes=3", "kafka.external.enabled=true", "kafka.external.hosts={a,b}"], "hosts: want 3, one a node"),
        ([*OUTSIDE, "kafka.external.type=NodePort"], "kafka.external.nodePorts: want 1, one a node"),
        (["training.schedule=at night"], "/training/schedule"),
        (["driver.graceSeconds=0"], "/driver/graceSeconds"),
        (["hdfs.replication=0"], "/hdfs/replication"),
        (["driver.resources.limits.memory=1 GB"], "/driver/resources/limits/memory"),
        (["lake.claim.size=20"], "/lake/claim/size"),
        (["grafana.prometheus=http://me:secret@p.example"], "/grafana/prometheus"),
        (["prometheus.alertmanagers={http://am.example}"], "/prometheus/alertmanagers/0"),
        (["files.a/b=text"], "/files"),
        (["files.platform\\.yaml=text"], "/files"),
        (["files.rules\\.yaml=text"], "files: rules.yaml is there already"),
        (["settings.kafka.client.sasl\\.password=secret"], "settings: a password in clear"),
        (["settings.documents.url=mongodb://me:secret@m.example/"], "settings: a URL with a password in clear"),
        (["settings.notify.channels[0].url=https://:secret@n.example/"], "settings: a URL with a password in clear"),
    ],
)
def test_wrong_values_are_refused(helms: dict[str, Path], sets: list[str], said: str) -> None:
    """A misspelt key, a password in a URL, two brokers: the schema says where."""
    with pytest.raises(ValueError, match=re.escape(said)):
        charted.rendered(helms["helm 4"], sets=sets)


def test_right_values_are_taken(helms: dict[str, Path]) -> None:
    """What looks like a fault and is none: files of passwords, users in URLs, quantities as numbers, a new file."""
    sets = [
        "settings.kafka.password_file=/x",
        "settings.documents.url=mongodb://me@m.example/",
        "files.my-a\\.yaml=a: 1",
    ]
    sets += [
        "driver.resources.limits.cpu=2",
        "driver.resources.limits.memory=1500Mi",
        "training.schedule=*/5 2 * * MON-FRI",
    ]

    assert objects(charted.rendered(helms["helm 4"], sets=sets))


def test_node_ports_are_what_clients_are_told(helms: dict[str, Path]) -> None:
    """Kubernetes would choose others than those that brokers advertise."""
    sets = [*OUTSIDE, "kafka.external.type=NodePort", "kafka.external.nodePorts={30093}"]
    found = objects(charted.rendered(helms["helm 4"], sets=sets))

    [port] = of_kind(found, "Service")["plant-hydrodask-kafka-0-external"]["spec"]["ports"]
    assert port["nodePort"] == 30093
    assert "external=k.example:30093" in of_kind(found, "ConfigMap")["plant-hydrodask-kafka"]["data"]["prepare.sh"]


def test_without_mlflow_nobody_trains(helms: dict[str, Path]) -> None:
    """There is nowhere to put a model; with an address of yours there is."""
    assert not of_kind(objects(charted.rendered(helms["helm 4"], sets=["mlflow.enabled=false"])), "CronJob")
    own = ["mlflow.enabled=false", "mlflow.url=https://mlflow.example"]
    assert of_kind(objects(charted.rendered(helms["helm 4"], sets=own)), "CronJob")


def test_tag_and_digest_are_of_one_image(helms: dict[str, Path]) -> None:
    """A digest decides: that of `images.hydrodask` must not win over a nearer tag, nor be of another repository."""
    digest, other = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
    base = ["images.hydrodask.registry=r.example", f"images.hydrodask.digest={digest}", "images.hydrodask.tag=1.0"]

    def images(*sets: str) -> tuple[str, str]:
        by_name = dict(pods(objects(charted.rendered(helms["helm 4"], sets=[*base, *sets]))))
        worker = by_name["DaskCluster plant-hydrodask worker"]["containers"][0]
        waits = by_name["StatefulSet plant-hydrodask-mongodb"]["containers"]
        tools = next(one["image"] for one in waits if "hydrodask" in one["image"])
        return str(worker["image"]), str(tools)

    of_base = f"r.example/hydrodask@{digest}"
    assert images() == (of_base, of_base)
    assert images("dask.image.tag=2.0", "images.tools.tag=0.9") == (
        "r.example/hydrodask:2.0",
        "r.example/hydrodask:0.9",
    )
    assert images(f"dask.image.digest={other}") == (f"r.example/hydrodask@{other}", of_base)
    assert images("dask.image.repository=hydrodask-stream") == ("r.example/hydrodask-stream:1.0", of_base)


def test_keys_are_what_servers_take(texts: dict[str, str]) -> None:
    """Kafka wants PKCS#8; the certificate is for the names that clients use, and of the authority beside it."""
    data = of_kind(objects(texts["three brokers"]), "Secret")["plant-hydrodask-kafka-tls"]["data"]
    pem = {name: base64.b64decode(value) for name, value in data.items()}
    key, certificate = load_pem_private_key(pem["tls.key"], None), x509.load_pem_x509_certificate(pem["tls.crt"])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(pem["ca.crt"]))

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == certificate.public_key()
    assert pem["tls.key"].startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert {"kafka-0.plant.example", "*.plant-hydrodask-kafka.rigs-kafka.svc.cluster.local"} <= set(
        names.get_values_for_type(x509.DNSName)
    )
    assert pem["broker.pem"] == pem["tls.key"] + pem["tls.crt"] + pem["ca.crt"]


OPEN = {"driver": {9464}, "scheduler": {8787}, "namenode": {8020, 9870}, "datanode": {9866, 9867}}
"""Ports of Services without TLS: figures and pages, which know no password; and HDFS, which knows none either."""


def test_whatever_knows_a_password_speaks_tls(texts: dict[str, str], tmp_path: Path) -> None:
    """Servers have a certificate for the name that clients use, and clients the authority that has signed it."""
    found = objects(texts["default"])
    settings = settings_in(found, tmp_path)
    secrets = {name: data["data"] for name, data in of_kind(found, "Secret").items()}
    for url, ca_file, server, client in (
        (settings.learn.mlflow, settings.learn.ca_file, "mlflow-server", "mlflow-client"),
        (settings.observe.pushgateway, settings.observe.ca_file, "observe", "pushgateway-client"),
    ):
        keys = {key: base64.b64decode(value) for key, value in secrets[f"plant-hydrodask-{server}"].items()}
        certificate = x509.load_pem_x509_certificate(keys["tls.crt"])
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(keys["ca.crt"]))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        host = urlsplit(str(url)).hostname
        assert str(url).startswith("https://")
        assert {host, "localhost"} <= set(names.get_values_for_type(x509.DNSName))
        assert secrets[f"plant-hydrodask-{client}"]["ca.crt"] == base64.b64encode(keys["ca.crt"]).decode()
        assert str(ca_file) == f"/run/secrets/hydrodask/{client.removesuffix('-client')}/ca.crt"
    for name, one in of_kind(found, "Service").items():
        part = name.removeprefix("plant-hydrodask-")
        plain = {each["port"] for each in one["spec"]["ports"] if each["name"] in ("http", "metrics")}
        assert plain <= OPEN.get(part, set()), name
    for part in ("prometheus", "pushgateway"):
        known = json.loads(base64.b64decode(secrets["plant-hydrodask-observe"][f"{part}-web.yml"]))
        assert known["tls_server_config"] == {"cert_file": "tls.crt", "key_file": "tls.key"}
    jobs = yaml.safe_load(of_kind(found, "ConfigMap")["plant-hydrodask-prometheus"]["data"]["prometheus.yml"])
    assert {one["job_name"] for one in jobs["scrape_configs"] if one.get("scheme") != "https"} == {"hydrodask"}
    [container] = dict(pods(found))["Deployment plant-hydrodask-grafana"]["containers"]
    grafana = {one["name"]: one for one in container["env"]}
    assert grafana["HYDRODASK_PROMETHEUS"]["value"].startswith("https://")
    assert grafana["GF_SERVER_PROTOCOL"]["value"] == "https"


def test_an_authority_of_your_own_is_given_to_driver_and_workers(helms: dict[str, Path], tmp_path: Path) -> None:
    """Where MLflow or Pushgateway are yours: a Secret with `ca.crt`, beside the one with the password or without it."""
    mine = ["mlflow.url=https://mlflow.example", "mlflow.caSecret=my-ca", "mlflow.secret=my-mlflow"]
    other = ["pushgateway.url=https://push.example:9091", "pushgateway.caSecret=other-ca"]
    off = ["mlflow.enabled=false", "pushgateway.enabled=false"]
    found = objects(charted.rendered(helms["helm 4"], sets=[*off, *mine, *other]))
    settings = settings_in(found, tmp_path)

    assert str(settings.learn.ca_file) == "/run/secrets/hydrodask/mlflow-ca/ca.crt"
    assert str(settings.observe.ca_file) == "/run/secrets/hydrodask/pushgateway-ca/ca.crt"
    assert settings.observe.password_file is None
    for name in ("Deployment plant-hydrodask-driver", "DaskCluster plant-hydrodask worker"):
        [secrets] = [one for one in dict(pods(found))[name]["volumes"] if one["name"] == "secrets"]
        sources = {one["secret"]["name"]: one["secret"]["items"] for one in secrets["projected"]["sources"]}
        assert sources["my-ca"] == [{"key": "ca.crt", "path": "mlflow-ca/ca.crt"}]
        assert sources["other-ca"] == [{"key": "ca.crt", "path": "pushgateway-ca/ca.crt"}]
        assert sources["my-mlflow"] == [{"key": "password", "path": "mlflow/password"}]


def test_jobs_publish_and_the_platform_does_not(helms: dict[str, Path]) -> None:
    """Recording and simulator are Jobs that publish once, as the role that may; their password is nobody else's."""
    sets = ["jobs.simulator.enabled=true", "jobs.recording.enabled=true"]
    volume = "jobs.recording.volume.persistentVolumeClaim.claimName=mine"
    found = objects(charted.rendered(helms["helm 4"], sets=[*sets, volume]))
    jobs = {name.rpartition("-")[0]: one for name, one in of_kind(found, "Job").items()}

    for name in ("plant-hydrodask-simulator", "plant-hydrodask-recording"):
        assert jobs[name]["spec"]["backoffLimit"] == 0, "a second try would publish the first records again"
        sources = str(jobs[name]["spec"]["template"]["spec"]["volumes"])
        assert "kafka-publisher" in sources
        assert "kafka-platform" not in sources
    others = [pod for name, pod in pods(found) if "Job plant-hydrodask-" not in name]
    assert "kafka-publisher" not in str(others)


def test_each_part_can_be_put_where_its_user_wants_it(helms: dict[str, Path]) -> None:
    """Node labels, tolerations and storage classes, for all parts or for one."""
    sets = ["scheduling.nodeSelector.plant=one", "hdfs.dataScheduling.nodeSelector.disk=big"]
    found = objects(charted.rendered(helms["helm 4"], sets=[*sets, "hdfs.dataStorage.storageClass=fast"]))
    wanted = {name: pod["nodeSelector"] for name, pod in pods(found)}
    data = of_kind(found, "StatefulSet")["plant-hydrodask-datanode"]["spec"]

    assert wanted.pop("StatefulSet plant-hydrodask-datanode") == {"disk": "big"}
    assert set(map(str, wanted.values())) == {"{'plant': 'one'}"}
    assert data["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    assert data["template"]["spec"]["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"


def test_strimzi_gives_the_platform_the_rights_of_its_role(helms: dict[str, Path]) -> None:
    """The example's KafkaUser may what acls.yaml says, and its Secrets are found by the chart."""
    example = list(yaml.safe_load_all((charted.CHART.parent / "examples" / "strimzi.yaml").read_text()))
    [user] = [one for one in example if one["kind"] == "KafkaUser"]
    kinds = {"topic": "topics", "group": "groups", "transactionalId": "transactional_ids"}
    given = {
        (kinds[one["resource"]["type"]], one["resource"]["name"], one["resource"]["patternType"] == "prefix", each)
        for one in user["spec"]["authorization"]["acls"]
        for each in one["operations"]
    }
    wanted = {
        (right.kind, right.name, right.prefix, right.operation.title().replace("_", ""))
        for right in access.rights(Settings())
        if right.user == "platform"
    }
    driver = dict(pods(objects(charted.rendered(helms["helm 4"], charted.VALUES / "strimzi.yaml"))))

    assert {one["apiVersion"] for one in example} == {"kafka.strimzi.io/v1"}
    assert given == wanted
    sources = str(driver["Deployment plant-hydrodask-driver"]["volumes"])
    assert user["metadata"]["name"] in sources
    assert "hydrodask-cluster-ca-cert" in sources


def test_a_mounted_secret_is_not_open_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes gives it to root, and lets the pod's own group read it; anybody else's file is what it was."""
    needs(there=os.geteuid() == 0, what="files of root's are made by root")
    secret = tmp_path / "tls.key"
    secret.write_text("key")
    os.chown(secret, 0, 10_001)
    secret.chmod(0o440)
    assert machine.open_to_others(secret)
    monkeypatch.setattr(os, "getuid", lambda: 10_001)
    monkeypatch.setattr(os, "getgid", lambda: 10_001)

    assert not machine.open_to_others(secret)
    secret.chmod(0o444)
    assert machine.open_to_others(secret)
