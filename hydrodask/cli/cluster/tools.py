"""What the commands share: a release of the chart, and `kubectl` and `helm`, which do what is done."""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hydrodask import clock
from hydrodask.cli.common import errors
from hydrodask.errors import ConfigError, HydrodaskError, UnreachableError

CHART = Path(__file__).resolve().parents[2] / "cluster" / "kubernetes" / "hydrodask"
CALL_S = 120.0
FORWARD_S = 30.0
LINES = 4
"""Lines of a tool's complaint that people are shown."""
INSTALL = {
    "kubectl": "https://kubernetes.io/docs/tasks/tools",
    "helm": "https://helm.sh/docs/intro/install",
}

Object = dict[str, Any]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the release.")]
Name = Annotated[str, typer.Option("--release", help="Name of the release.")]
Context = Annotated[str | None, typer.Option("--context", help="Of your kubeconfig.", show_default="the current one")]
Values = Annotated[list[Path] | None, typer.Option("--values", "-f", help="File with values of the chart; repeatable.")]
ValueSets = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the chart, over all files; repeatable.")
]
Within = Annotated[int, typer.Option("--within", min=10, max=7200, help="Seconds to wait at most.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of the chart: what `helm` calls it, and where."""

    namespace: str
    name: str
    context: str | None = None
    spaces: frozenset[str] | None = None
    """Its namespaces, if it shall see no others: `spaces.bound`."""

    @property
    def full(self) -> str:
        """What the chart's objects are called; `hydrodask.name` in its templates."""
        name = self.name if "hydrodask" in self.name else f"{self.name}-hydrodask"
        return name[:40].rstrip("-")

    @property
    def labels(self) -> str:
        """The selector of all that is ours."""
        return f"app.kubernetes.io/name=hydrodask,app.kubernetes.io/instance={self.name}"

    @property
    def workers(self) -> str:
        """The selector of the workers of our Dask cluster."""
        return f"dask.org/cluster-name={self.full},dask.org/component=worker"

    def kubectl(self, *arguments: str, text: str | None = None, within_s: float = CALL_S) -> str:
        """Return what `kubectl` prints; raises UnreachableError with what it complains of."""
        context = ["--context", self.context] if self.context else []
        return run([_found("kubectl"), *context, *arguments], text=text, within_s=within_s)

    def helm(self, *arguments: str, text: str | None = None, within_s: float = 600.0) -> str:
        """Return what `helm` prints; raises UnreachableError with what it complains of."""
        context = ["--kube-context", self.context] if self.context else []
        return run([_found("helm"), *context, "--namespace", self.namespace, *arguments], text=text, within_s=within_s)

    def apply(self, *arguments: str, text: str | None = None) -> None:
        """Install the chart, or change what is there to it. Helm 4 asks who has set a value before; the chart wins."""
        forced = ["--force-conflicts"] if self.helm("version", "--template", "{{.Version}}").startswith("v4") else []
        self.helm("upgrade", "--install", self.name, str(CHART), *forced, *arguments, text=text)

    def get(
        self, kind: str, selector: str | None = None, *, fields: str = "", namespace: str | None = None
    ) -> list[Object]:
        """Return the objects of a kind, or of kinds with commas between.

        They are of all namespaces unless one is named, or of ours who may see no others.
        """
        where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        which = (["--selector", selector] if selector else []) + (["--field-selector", fields] if fields else [])
        try:
            text = self.kubectl("get", kind, *where, *which, "--output", "json")
        except UnreachableError as error:
            if namespace or "forbidden" not in str(error).lower():
                raise
            return self.get(kind, selector, fields=fields, namespace=self.namespace)
        items: list[Object] = json.loads(text)["items"]
        if namespace or self.spaces is None:
            return items
        return [one for one in items if one["metadata"].get("namespace", one["metadata"]["name"]) in self.spaces]

    def dask(self) -> Object | None:
        """Return our DaskCluster; None when there is none."""
        found = self.get("daskclusters.kubernetes.dask.org", namespace=self.namespace)
        return next((one for one in found if one["metadata"]["name"] == self.full), None)

    def installed(self) -> bool:
        """Say whether helm knows the release, whatever its state."""
        try:
            self.helm("status", self.name, "--output", "json")
        except UnreachableError as error:
            if "not found" in str(error):
                return False
            raise
        return True

    def driver(self, *command: str, within_s: float = CALL_S) -> str:
        """Return what a command prints in the driver's pod."""
        where = ["--namespace", self.namespace, f"deployment/{self.full}-driver", "--container", "driver"]
        return self.kubectl("exec", *where, "--", *command, within_s=within_s)

    def status(self) -> Object:
        """Return `hydrodask status --json` of the driver."""
        profile = ("--profile", "/etc/hydrodask/platform.yaml")
        found: Object = json.loads(self.driver("hydrodask", "status", "--json", *profile))
        return found


def run(argv: Sequence[str], *, text: str | None = None, within_s: float = CALL_S) -> str:
    """Return what a tool prints. Raises UnreachableError with the end of its complaint, or when it takes too long."""
    try:
        done = subprocess.run(  # noqa: S603  # arguments are ours, none goes through a shell
            argv, input=text, capture_output=True, text=True, check=False, timeout=within_s
        )
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(f"{_short(argv)} did not end within {within_s:g} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "symbolic link" not in line]
        raise UnreachableError(f"{_short(argv)}: {' '.join(lines[-LINES:]) or f'ended with {done.returncode}'}")
    return done.stdout


def chart_arguments(values: Sequence[Path] | None, sets: Sequence[str] | None) -> list[str]:
    """Return the arguments of helm for a chart's values."""
    found = [part for path in values or () for part in ("--values", str(path))]
    return [*found, *(part for one in sets or () for part in ("--set", one))]


def ready(pod: Object) -> bool:
    """Say whether a pod is ready, or has ended well."""
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
    leaving = "deletionTimestamp" in pod["metadata"]
    return pod["status"].get("phase") == "Succeeded" or (conditions.get("Ready") == "True" and not leaving)


def trouble(pod: Object) -> str | None:
    """Return why a pod does not start, when it does not by itself: its image, its Secret, its crashes."""
    status = pod["status"]
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = one.get("state", {}).get("waiting", {})
        if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
            return f"{waiting['reason']}: {one['image']}"
        if waiting.get("reason") in ("CrashLoopBackOff", "CreateContainerConfigError", "RunContainerError"):
            return f"{waiting['reason']}: {waiting.get('message', '')[:200]}"
    for one in status.get("conditions", ()):
        if one["type"] == "PodScheduled" and one["status"] == "False":
            return f"{one.get('reason')}: {one.get('message', '')[:200]}"
    return None


def wait_until(done: Callable[[], str], within_s: float, what: str, *, every_s: float = 1.0) -> None:
    """Ask `done` until it returns nothing; what else it returns is shown, once. Raises UnreachableError at the end.

    Between two questions is as much time as one took: on a small machine they would be what all waits for.
    """
    end_s, said = clock.monotonic_s() + within_s, ""
    while True:
        began_s = clock.monotonic_s()
        if not (missing := done()):
            return
        took_s = clock.monotonic_s() - began_s
        if clock.monotonic_s() > end_s:
            raise UnreachableError(f"{what} after {within_s:g} s: {missing}")
        if missing != said:
            say(missing)
            said = missing
        clock.sleep_s(max(every_s, took_s))


def given_back(steps: Mapping[str, Callable[[], object]], what: str) -> str:
    """Give each part back what it had, and return a sentence that says which have it; one that fails stops no other."""
    failed: dict[str, str] = {}
    for name, act in steps.items():
        try:
            act()
        except HydrodaskError as error:
            failed[name] = str(error)
    have = [name for name in steps if name not in failed]
    said = [f"{', '.join(have)} {'has' if len(have) == 1 else 'have'} {what} again"] if have else []
    return "; ".join([*said, *(f"{name} could not be given it back: {why}" for name, why in failed.items())])


def say(text: str) -> None:
    """Tell people what goes on; stdout is for what they asked for."""
    errors.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def forwarded(release: Release, namespace: str, service: str, port: int, *, here: int = 0) -> Iterator[int]:
    """Give a port of this machine that leads to a Service; `here` 0: any that is free."""
    context = ["--context", release.context] if release.context else []
    port_here = here or _free_port()
    argv = [_found("kubectl"), *context, "--namespace", namespace, "port-forward", f"service/{service}"]
    child = subprocess.Popen(  # noqa: S603  # as in `run`
        [*argv, f"{port_here}:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _refused(port_here), FORWARD_S, f"service {service} can't be reached", every_s=0.2)
        yield port_here
    finally:
        child.terminate()
        child.wait()


def _refused(port: int) -> str:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return "opening a way to it"
    return ""


def _free_port() -> int:
    from hydrodask.services import ports

    return ports.free_port()


def _found(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise ConfigError(f"there is no {tool} on the PATH, and this command needs it: {INSTALL[tool]}")
    return path


def _short(argv: Sequence[str]) -> str:
    words = [word for word in argv[1:] if not word.startswith("-")][:3]
    return " ".join([Path(argv[0]).name, *words])
