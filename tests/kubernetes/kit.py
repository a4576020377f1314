"""A real Kubernetes for tests: the kit beside this repository, told what to do."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydrodask import clock

ROOT = Path(__file__).resolve().parents[2]
COMMAND_S = 120.0
LOG_LINES = 60


@dataclass(frozen=True)
class Kit:
    """The kit's commands, in `folder`."""

    folder: Path

    def call(self, name: str, *arguments: str, timeout_s: float = COMMAND_S, stdin: str | None = None) -> str:
        """Run a command of the kit; return what it printed, and fail with what it said."""
        done = subprocess.run(
            [str(self.folder / name), *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{name} {' '.join(arguments)}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def inside(self, *argv: str, timeout_s: float = COMMAND_S, stdin: str | None = None) -> str:
        """Run a command in the cluster's network."""
        return self.call("run-in-cluster", *argv, timeout_s=timeout_s, stdin=stdin)

    def kubectl(self, *arguments: str, timeout_s: float = COMMAND_S, stdin: str | None = None) -> str:
        """Run kubectl; return what it printed."""
        return self.inside("kubectl", *arguments, timeout_s=timeout_s, stdin=stdin)

    def get(self, *arguments: str) -> Any:
        """Return objects of the API server."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def until(self, what: str, there: Callable[[], bool], timeout_s: float) -> float:
        """Wait until `there` says yes; return how many seconds that took."""
        began_s = clock.monotonic_s()
        while not there():
            waited_s = clock.monotonic_s() - began_s
            assert waited_s < timeout_s, f"after {waited_s:.0f} s still not: {what}\n{self.state()}"
            clock.sleep_s(0.5)
        return clock.monotonic_s() - began_s

    def state(self) -> str:
        """Return all pods, and the logs of those that are not ready: for a message."""
        text = self.kubectl("get", "pods", "--all-namespaces", "--output=wide")
        for pod in self.get("pods", "--all-namespaces")["items"]:
            statuses = pod["status"].get("containerStatuses", [])
            if pod["status"].get("phase") != "Succeeded" and not all(status["ready"] for status in statuses):
                place = ("--namespace", pod["metadata"]["namespace"], pod["metadata"]["name"])
                text += f"\n== {place[1:]}\n" + self._quietly("logs", *place, "--all-containers", f"--tail={LOG_LINES}")
        return text

    def _quietly(self, *arguments: str) -> str:
        try:
            return self.kubectl(*arguments)
        except AssertionError as error:
            return str(error)


def pod(name: str, image: str, command: Sequence[str], *, uid: int) -> dict[str, Any]:
    """Return a pod as the strictest policy wants it, with nothing that can be written but /tmp."""
    container = {
        "name": "one",
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # the pod's
    }
    spec = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": uid, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def place() -> Path:
    """Return where the kit is: `K8S_KIT`, or beside this repository."""
    return Path(os.environ.get("K8S_KIT") or ROOT.parent / "shared" / "k8s")
