"""`cluster/compose.yaml` without a Docker engine: the Compose Specification's schema, and what must be true of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydrodask.services import SERVICES, Options
from hydrodask.settings import CONF, load
from hydrodask.settings.load import read_yaml

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "cluster" / "compose.yaml"
ADDRESS = re.compile(r"\b[\w.-]+:\d{4,5}\b")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return the file as Docker would read it, with anchors and merges resolved."""
    return read_yaml(COMPOSE)


def published(service: dict[str, Any]) -> list[str]:
    """Return the ports that a container publishes, as host:port:port."""
    return [str(port) for port in service["ports"]]


def test_schema_accepts_it() -> None:
    """The schema of the Compose Specification, which check-jsonschema brings, finds nothing wrong."""
    checker = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    assert checker is not None
    command = [checker, "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)

    assert done.returncode == 0, done.stdout + done.stderr


def test_schema_would_find_a_mistake(tmp_path: Path) -> None:
    """The check is worth something: a misspelt key fails."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("healthcheck:", "healthchek:", 1))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong)]

    assert subprocess.run(command, capture_output=True, check=False, timeout=240).returncode == 1


def test_it_has_the_services_that_there_are(compose: dict[str, Any]) -> None:
    """Each service of `hydrodask services`, HDFS as its two parts, and Grafana, which Debian does not have."""
    assert set(compose["services"]) == set(SERVICES) - {"hdfs"} | {"namenode", "datanode", "grafana"}


def test_versions_are_those_of_the_local_services(compose: dict[str, Any], tmp_path: Path) -> None:
    """Whoever uses Docker runs what the tests ran; every image has a tag that is a version."""
    versions = {name: make(tmp_path, Options()).version for name, make in SERVICES.items()}
    versions |= {"namenode": versions["hdfs"], "datanode": versions["hdfs"]}
    tags = {
        name: service["image"].rpartition(":")[2].removeprefix("v") for name, service in compose["services"].items()
    }

    assert re.fullmatch(r"\d+\.\d+\.\d+", tags.pop("grafana"))
    assert tags == {name: versions[name] for name in tags}


def test_only_loopback_is_open_and_where_the_profile_looks(compose: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is published to the network, and the default addresses of the profile are among the published ones."""
    ports = [port for service in compose["services"].values() for port in published(service)]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    open_at = {port.rpartition(":")[0] for port in ports}

    settings = load(profile="compose", environ={})[0]
    wanted = [settings.kafka.bootstrap, *ADDRESS.findall(f"{settings.lake.url} {settings.documents.url}")]
    defaults = [SERVICES[name](tmp_path / name, Options()).address for name in ("prometheus", "alertmanager", "mlflow")]
    assert {*wanted, *defaults} <= open_at


def test_every_service_is_watched_bounded_and_kept(compose: dict[str, Any]) -> None:
    """A health check, bounded logs, no new privileges, data in a volume that is declared."""
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"], name
        assert service["logging"]["options"]["max-size"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        mounts = [str(mount).split(":")[0] for mount in service["volumes"]]
        named = [mount for mount in mounts if not mount.startswith(".")]
        assert named, name
        assert set(named) <= set(compose["volumes"]), name
        assert [mount for mount in mounts if mount.startswith(".") and not (COMPOSE.parent / mount).exists()] == [], (
            name
        )


def test_no_secret_is_in_it(compose: dict[str, Any]) -> None:
    """Passwords come from files that are named from outside."""
    for service in compose["services"].values():
        secret = {key: value for key, value in service.get("environment", {}).items() if "PASSWORD" in key}
        assert all(key.endswith("_FILE") for key in secret)
    assert all("${" in secret["file"] for secret in compose["secrets"].values())


def test_prometheus_is_configured_as_on_one_machine(compose: dict[str, Any]) -> None:
    """But for the addresses, the settings in the file are those of conf/prometheus."""

    def without_addresses(text: str) -> Any:
        return yaml.safe_load(ADDRESS.sub("ADDRESS", text))

    ours = (CONF / "prometheus" / "prometheus.yml").read_text()
    assert without_addresses(compose["configs"]["prometheus"]["content"]) == without_addresses(ours)
