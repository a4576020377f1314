"""The whole platform on Kubernetes, installed by its chart: what tests ask of it, and do to it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydrodask import clock
from tests.kubernetes.kit import ROOT, Kit

CHART = ROOT / "cluster" / "kubernetes" / "hydrodask"
VALUES = CHART.parent / "values" / "kit.yaml"
ROWS = Path(__file__).with_name("rows.py")
PROFILE = "/etc/hydrodask/platform.yaml"
NAME = "hydrodask"
READY_S = 600.0
DRAINED_S = 300.0
VERIFY_S = 300.0

PLACES = {
    "worker": (NAME, "dask.org/component=worker"),
    "scheduler": (NAME, "dask.org/component=scheduler"),
    "driver": (NAME, "app.kubernetes.io/component=driver"),
    "kafka": (f"{NAME}-kafka", "app.kubernetes.io/component=kafka"),
    "mongodb": (f"{NAME}-storage", "app.kubernetes.io/component=mongodb"),
    "namenode": (f"{NAME}-storage", "app.kubernetes.io/component=namenode"),
    "datanode": (f"{NAME}-storage", "app.kubernetes.io/component=datanode"),
}
"""Namespace and label of each part's pods."""


@dataclass(frozen=True)
class Platform:
    """A release of the chart, called `NAME`, in namespaces that begin so."""

    kit: Kit

    def install(self, recording: Path) -> float:
        """Install the chart in an empty cluster; return how many seconds it took until the driver was ready."""
        self.kit.kubectl("create", "namespace", NAME)
        self.kit.kubectl("label", "namespace", NAME, "pod-security.kubernetes.io/enforce=restricted")
        self.store(recording)
        began_s = clock.monotonic_s()
        self._helm("install")
        self.kit.until("the driver is ready", lambda: self.ready("driver") == 1, READY_S)
        return clock.monotonic_s() - began_s

    def remove(self) -> None:
        """Take it down, with all that it has stored."""
        self.kit.inside("helm", "uninstall", NAME, "--namespace", NAME, "--wait", timeout_s=READY_S)
        for namespace in {place for place, _ in PLACES.values()} | {f"{NAME}-observe"}:
            self.kit.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")

    def publish(self, *arguments: str) -> str:
        """Let a Job of the chart publish the recording; return the Job's name."""
        before = self._jobs()
        job = {"enabled": True, "volume": {"persistentVolumeClaim": {"claimName": "recording"}}, "arguments": arguments}
        self._helm("upgrade", json.dumps({"jobs": {"recording": job}}))
        (name,) = self._jobs() - before
        return name

    def published(self, job: str, timeout_s: float = DRAINED_S) -> None:
        """Wait until a Job has published all of it, and the platform has worked on it."""
        self.kit.kubectl(
            "wait", "--namespace", NAME, "--for=condition=Complete", f"job/{job}", f"--timeout={timeout_s:.0f}s",
            timeout_s=timeout_s + 60,
        )  # fmt: skip
        self.kit.until("all is worked on", self._idle, timeout_s)

    def status(self) -> dict[str, Any]:
        """Return what `hydrodask status` says; nothing while the driver or its store is not there."""
        try:
            found: dict[str, Any] = json.loads(self.driver("hydrodask", "status", "--profile", PROFILE, "--json"))
        except AssertionError:
            return {}
        return found

    def consumed(self) -> int:
        """Return how many records the driver that runs has seen consumed."""
        return int(self.status().get("totals", {}).get("consumed", 0))

    def verify(self) -> dict[str, Any]:
        """Return what `hydrodask verify` has found; fails when something is wrong."""
        found: dict[str, Any] = json.loads(
            self.driver("hydrodask", "verify", "--profile", PROFILE, "--json", timeout_s=VERIFY_S)
        )
        return found

    def written_ms(self) -> list[int]:
        """Return when each row of the windows' topic was written."""
        written: list[int] = json.loads(
            self.driver("python3", "-", PROFILE, stdin=ROWS.read_text(encoding="utf-8"), timeout_s=VERIFY_S)
        )
        return written

    def driver(self, *argv: str, timeout_s: float = 60.0, stdin: str | None = None) -> str:
        """Run a command in the driver's pod."""
        place = ("--namespace", NAME, f"deploy/{NAME}-driver", "--container=driver")
        return self.kit.kubectl("exec", "--stdin", *place, "--", *argv, timeout_s=timeout_s, stdin=stdin or "")

    def pods(self, part: str) -> list[dict[str, Any]]:
        """Return a part's pods that are not being deleted."""
        namespace, label = PLACES[part]
        found = self.kit.get("pods", "--namespace", namespace, f"--selector={label}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, part: str) -> int:
        """Return how many of a part's pods are ready."""
        statuses = [pod["status"].get("containerStatuses", []) for pod in self.pods(part)]
        return sum(bool(found) and all(status["ready"] for status in found) for found in statuses)

    def kill(self, part: str) -> None:
        """Delete one of a part's pods at once: no time to say goodbye."""
        namespace, _ = PLACES[part]
        name = self.pods(part)[0]["metadata"]["name"]
        self.kit.kubectl("delete", "pod", "--namespace", namespace, name, "--force", "--grace-period=0")

    def _idle(self) -> bool:
        status = self.status()
        return bool(status) and status["state"] == "running" and status["lag"] == 0 and len(status["workers"]) > 0

    def _jobs(self) -> set[str]:
        found = self.kit.get("jobs", "--namespace", NAME)["items"]
        return {job["metadata"]["name"] for job in found if "recording" in job["metadata"]["name"]}

    def _helm(self, verb: str, values: str = "{}") -> None:
        argv = ("helm", verb, NAME, str(CHART), "--namespace", NAME, "--values", str(VALUES), "--values=-")
        self.kit.inside(*argv, stdin=values)

    def store(self, recording: Path) -> None:
        """Put the recording into a claim: volumes of the kit are folders."""
        self.kit.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "recording", "namespace": NAME},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        )
        self.kit.kubectl("wait", "--namespace", NAME, "--for=jsonpath={.status.phase}=Bound", "pvc/recording")
        volume = self.kit.get("pvc", "--namespace", NAME, "recording")["spec"]["volumeName"]
        folder = self.kit.get("pv", volume)["spec"]["hostPath"]["path"]
        self.kit.inside("cp", "--recursive", f"{recording}/.", folder)
        self.kit.inside("chmod", "--recursive", "a+rX", folder)
