"""Let workers and scheduler have what the values say now: the operator reads a DaskCluster once, and never again.

The order is that of an upgrade: one worker after the other, scheduler, driver. The driver is held until it is its turn:
with new settings it would refuse the old workers, and start again for ever.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

from hydrodask.cli.cluster import flowing, tools
from hydrodask.cli.cluster.dask import GROUPS
from hydrodask.cli.cluster.tools import Object, Release
from hydrodask.errors import HydrodaskError

OPERATORS = ("DASK_WORKER_NAME", "DASK_SCHEDULER_ADDRESS")
"""Variables that the operator gives each worker."""

TEMPLATE = "/spec/template/spec"


@contextmanager
def rolled(release: Release, within: int) -> Iterator[None]:
    """Let the values that are applied inside reach what is there: nothing is rolled that they do not change.

    Raises HydrodaskError at the first part that does not start with them; it gets back what it had, and the driver
    keeps what it has until this goes through.
    """
    before = release.dask()
    if before is None:
        yield
        return
    unfinished = _of_workers(release) not in (None, before["spec"]["worker"]["spec"])
    _hold_driver(release, held=True)
    try:
        yield
    except BaseException:
        let_driver_go(release)
        raise
    after = release.dask()
    if after is not None:
        _roll(release, after["spec"], within, scheduler=unfinished or _scheduler(before) != _scheduler(after))
    let_driver_go(release)


def let_driver_go(release: Release) -> None:
    """Let a driver that was held have what it should."""
    _hold_driver(release, held=False)


def _roll(release: Release, wanted: Object, within: int, *, scheduler: bool) -> None:
    """Roll workers if they have another template, and the scheduler if it is said to."""
    workers = _of_workers(release) not in (None, wanted["worker"]["spec"])
    if not (workers or scheduler):
        return
    found = sorted(one["metadata"]["name"] for one in _deployments(release, release.workers))
    parts = [(name, "worker") for name in found] if workers else []
    parts += [(f"{release.full}-scheduler", "scheduler")] if scheduler else []
    worked, troubled = not flowing.not_working(release, len(found)), flowing.before(release)
    old: dict[str, Object] = {}
    try:
        for number, (name, part) in enumerate(parts, 1):
            tools.say(f"other values for {part} {name}, {number} of {len(parts)}")
            old[name] = _the(release, name)["spec"]["template"]["spec"]
            _renew(release, name, wanted[part]["spec"], within)
            if worked:
                what = f"{name} has these values, and the driver, held until then, does not work with it"
                flowing.until_it_flows(release, len(found), within, what, troubled)
    except HydrodaskError as error:
        # Half of them with other values is worse than none.
        steps = {name: partial(_patch, release, "deployments", name, TEMPLATE, spec) for name, spec in old.items()}
        raise HydrodaskError(
            f"{error}; {tools.given_back(steps, 'the values from before')}; the driver keeps its own until "
            f"`hydrodask cluster up` goes through"
        ) from error
    if workers:  # last: by it the next `up` sees that this one has gone through
        _patch(release, GROUPS, f"{release.full}-default", "/spec/worker/spec", wanted["worker"]["spec"])
    if not worked:  # it waits longer and longer before it tries again
        for pod in flowing.drivers(release):
            where = ["--namespace", release.namespace, "--wait=false", "--ignore-not-found"]
            release.kubectl("delete", "pod", pod["metadata"]["name"], *where)


def _renew(release: Release, name: str, spec: Object, within: int) -> None:
    """Give a Deployment of the operator's another pod. Raises HydrodaskError for one that does not start."""
    found = _the(release, name)
    old = found["spec"]["template"]["spec"]
    before = {pod["metadata"]["name"] for pod in _pods(release, found)}
    _patch(release, "deployments", name, TEMPLATE, _with_operators(spec, old))
    try:
        tools.wait_until(lambda: _unsettled(release, name, before), within, f"{name} does not start")
    except HydrodaskError as error:
        raise HydrodaskError(f"{name} did not start with these values: {error}") from error


def _with_operators(spec: Object, old: Object) -> Object:
    """Return a pod with the variables that the operator has given the one before."""
    new = deepcopy(spec)
    environment = new["containers"][0].setdefault("env", [])
    own = {one["name"] for one in environment}
    given = [one for one in old["containers"][0].get("env", ()) if one["name"] in OPERATORS]
    environment += [one for one in given if one["name"] not in own]
    return new


def _unsettled(release: Release, name: str, before: set[str]) -> str:
    """Return what is missing until a Deployment has its new pod and no other. Raises HydrodaskError for a bad one."""
    found = _the(release, name)
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("updatedReplicas", "replicas", "readyReplicas")]
    if status.get("observedGeneration", 0) >= found["metadata"]["generation"] and counts == [wanted] * 3:
        return ""
    new = [pod for pod in _pods(release, found) if pod["metadata"]["name"] not in before]
    why = next((why for pod in new if (why := tools.trouble(pod))), "")
    if why and not why.startswith("Unschedulable"):
        raise HydrodaskError(why)
    return why or f"{name}: {counts[0]} new, {counts[2]} ready of {counts[1]} pods"


def _hold_driver(release: Release, *, held: bool) -> None:
    """Let a driver that is there keep what it has, or let it have what it should."""
    name = f"{release.full}-driver"
    if any(one["metadata"]["name"] == name for one in _deployments(release)):
        where = ["--namespace", release.namespace, "--type", "merge"]
        release.kubectl("patch", "deployments", name, *where, "--patch", json.dumps({"spec": {"paused": held}}))


def _patch(release: Release, kind: str, name: str, path: str, value: Object) -> None:
    patch = json.dumps([{"op": "replace", "path": path, "value": value}])
    release.kubectl("patch", kind, name, "--namespace", release.namespace, "--type", "json", "--patch", patch)


def _of_workers(release: Release) -> Object | None:
    """Return the pod of workers to come, as the operator has it; None as long as it has made none."""
    found = {one["metadata"]["name"]: one for one in release.get(GROUPS, namespace=release.namespace)}
    group = found.get(f"{release.full}-default")
    return None if group is None else dict(group["spec"]["worker"]["spec"])


def _scheduler(cluster: Object) -> Object:
    return dict(cluster["spec"]["scheduler"]["spec"])


def _deployments(release: Release, labels: str | None = None) -> list[Object]:
    return release.get("deployments", labels, namespace=release.namespace)


def _the(release: Release, deployment: str) -> Object:
    [found] = [one for one in _deployments(release) if one["metadata"]["name"] == deployment]
    return found


def _pods(release: Release, deployment: Object) -> list[Object]:
    """Return a Deployment's pods: the operator's selectors are the same for all workers, so by their names."""
    labels = ",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items())
    found = release.get("pods", labels, namespace=release.namespace)
    return [pod for pod in found if str(pod["metadata"]["name"]).startswith(f"{deployment['metadata']['name']}-")]
