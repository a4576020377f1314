"""The whole platform on Kubernetes, installed by its chart: what tests ask of it, and do to it."""

import itertools
import json
import sys
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
    "worker": ("", "dask.org/component=worker"),
    "scheduler": ("", "dask.org/component=scheduler"),
    "driver": ("", "app.kubernetes.io/component=driver"),
    "kafka": ("-kafka", "app.kubernetes.io/component=kafka"),
    "mongodb": ("-storage", "app.kubernetes.io/component=mongodb"),
    "namenode": ("-storage", "app.kubernetes.io/component=namenode"),
    "datanode": ("-storage", "app.kubernetes.io/component=datanode"),
}
"""What each part's namespace is called beyond the release's, and the label of its pods."""


@dataclass(frozen=True)
class Platform:
    """A release of the chart, called `name`, in namespaces that begin so; or in one."""

    kit: Kit
    name: str = NAME
    together: bool = False

    @property
    def full(self) -> str:
        """What its objects are called."""
        return self.name if NAME in self.name else f"{self.name}-{NAME}"

    def place(self, part: str) -> tuple[str, str]:
        """Return namespace and label of a part's pods."""
        more, label = PLACES[part]
        return (self.name if self.together else f"{self.name}{more}"), label

    def install(self, recording: Path) -> float:
        """Install the chart in an empty cluster; return how many seconds it took until the driver was ready."""
        self.kit.kubectl("create", "namespace", self.name)
        self.kit.kubectl("label", "namespace", self.name, "pod-security.kubernetes.io/enforce=restricted")
        self.store(recording)
        began_s = clock.monotonic_s()
        self.upgrade(verb="install")
        self.kit.until("the driver is ready", lambda: self.ready("driver") == 1, READY_S)
        return clock.monotonic_s() - began_s

    def remove(self) -> None:
        """Take it down, with all that it has stored."""
        where = ("--namespace", self.name, "--release", self.name)
        down = ("-m", "hydrodask", "cluster", "down", "--data", "--yes")
        self.kit.inside(sys.executable, *down, *where, timeout_s=READY_S)
        self.kit.kubectl("delete", "namespace", self.name, "--ignore-not-found", timeout_s=READY_S)

    def publish(self, *arguments: str) -> str:
        """Let a Job of the chart publish the recording; return the Job's name."""
        before = self._jobs()
        job = {"enabled": True, "volume": {"persistentVolumeClaim": {"claimName": "recording"}}, "arguments": arguments}
        self.upgrade(json.dumps({"jobs": {"recording": job}}))
        (name,) = self._jobs() - before
        return name

    def published(self, job: str, timeout_s: float = DRAINED_S) -> None:
        """Wait until a Job has published all of it, and the platform has worked on it."""
        self.kit.kubectl(
            "wait", "--namespace", self.name, "--for=condition=Complete", f"job/{job}", f"--timeout={timeout_s:.0f}s",
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

    def gap_s(self, from_ms: int, until_ms: int) -> float:
        """Return the longest time without a new row of the windows' topic that began between two moments."""
        written = [at for at in self.written_ms() if at >= from_ms]
        pairs = itertools.pairwise([from_ms, *written, max([until_ms, *written])])
        return max(later - earlier for earlier, later in pairs if earlier < until_ms) / 1000

    def written_ms(self) -> list[int]:
        """Return when each row of the windows' topic was written."""
        written: list[int] = json.loads(
            self.driver("python3", "-", PROFILE, stdin=ROWS.read_text(encoding="utf-8"), timeout_s=VERIFY_S)
        )
        return written

    def driver(self, *argv: str, timeout_s: float = 60.0, stdin: str | None = None) -> str:
        """Run a command in the driver's pod."""
        place = ("--namespace", self.name, f"deploy/{self.full}-driver", "--container=driver")
        return self.kit.kubectl("exec", "--stdin", *place, "--", *argv, timeout_s=timeout_s, stdin=stdin or "")

    def pods(self, part: str) -> list[dict[str, Any]]:
        """Return a part's pods that are not being deleted."""
        namespace, label = self.place(part)
        found = self.kit.get("pods", "--namespace", namespace, f"--selector={label}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, part: str) -> int:
        """Return how many of a part's pods are ready."""
        statuses = [pod["status"].get("containerStatuses", []) for pod in self.pods(part)]
        return sum(bool(found) and all(status["ready"] for status in found) for found in statuses)

    def kill(self, part: str) -> None:
        """Delete one of a part's pods at once: no time to say goodbye."""
        namespace, _ = self.place(part)
        name = self.pods(part)[0]["metadata"]["name"]
        self.kit.kubectl("delete", "pod", "--namespace", namespace, name, "--force", "--grace-period=0")

    def names(self, part: str) -> list[str]:
        """Return the names of a part's pods that are not being deleted."""
        return [pod["metadata"]["name"] for pod in self.pods(part)]

    def evict(self, part: str, name: str) -> None:
        """Ask for one of a part's pods to go, as `kubectl drain` does; fails when a budget forbids it."""
        namespace, _ = self.place(part)
        asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        where = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        self.kit.kubectl("create", "--raw", where, "--filename=-", stdin=json.dumps(asked))

    def _idle(self) -> bool:
        status = self.status()
        return bool(status) and status["state"] == "running" and status["lag"] == 0 and len(status["workers"]) > 0

    def _jobs(self) -> set[str]:
        found = self.kit.get("jobs", "--namespace", self.name)["items"]
        return {job["metadata"]["name"] for job in found if "recording" in job["metadata"]["name"]}

    def upgrade(self, values: str = "{}", *, verb: str = "upgrade") -> None:
        """Let helm change values, and leave the others as they are."""
        before = ("--values", str(VALUES)) if verb == "install" else ("--reuse-values",)
        self.kit.inside(
            "helm", verb, self.name, str(CHART), "--namespace", self.name, *before, "--values=-", stdin=values
        )

    def store(self, recording: Path) -> None:
        """Put the recording into a claim: volumes of the kit are folders."""
        self.kit.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "recording", "namespace": self.name},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        )
        self.kit.kubectl("wait", "--namespace", self.name, "--for=jsonpath={.status.phase}=Bound", "pvc/recording")
        volume = self.kit.get("pvc", "--namespace", self.name, "recording")["spec"]["volumeName"]
        folder = self.kit.get("pv", volume)["spec"]["hostPath"]["path"]
        self.kit.inside("cp", "--recursive", f"{recording}/.", folder)
        self.kit.inside("chmod", "--recursive", "a+rX", folder)
