"""`hydrodask cluster upgrade IMAGE`: another image in mid-stream, one pod after the other.

dask-kubernetes reads images once, so a new one goes into DaskCluster and DaskWorkerGroup, for workers to come, and into
each Deployment that the operator has made. The driver is last, by helm, which from then on knows the image.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from hydrodask.cli.cluster import flowing, tools
from hydrodask.cli.cluster.dask import change, image_of, the_cluster
from hydrodask.cli.cluster.roll import let_driver_go
from hydrodask.cli.cluster.tools import Context, Name, Namespace, Object, Release, Within
from hydrodask.cli.common import console
from hydrodask.errors import HydrodaskError, UsageError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(upgrade)


def upgrade(
    image: Annotated[str, typer.Argument(help="registry/repository:tag or …@sha256:digest of hydrodask.")],
    *,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
    within: Within = 300,
) -> None:
    """Roll hydrodask's image: each worker, and when it works again the next; then scheduler, then driver.

    `--within` is for each of them. An image that does not start, or with which no rows flow, stops it: all that were
    rolled get the old one back.

    Example: `hydrodask cluster upgrade registry.example/hydrodask:0.2.0`
    """
    release = Release(namespace=namespace, name=name, context=context)
    parts = parsed(image)
    values = json.loads(release.helm("get", "values", name, "--all", "--output", "json"))
    given = release.helm("get", "values", name, "--output", "json")
    kept = _below(values["images"]["registry"], parts)
    old = image_of(the_cluster(release)["spec"]["worker"])
    troubled = flowing.before(release)
    found = release.get("deployments", release.workers, namespace=namespace)
    rolled: dict[tuple[str, str], str] = {}
    steps: dict[str, Callable[[], object]] = {"the DaskCluster": lambda: change(release, image=old)}
    try:
        _workers_and_scheduler(release, found, image, within, rolled=rolled, troubled=troubled)
        tools.say("driver")
        steps = {"the driver": partial(_as_before, release, given)} | steps
        _driver(release, parts, within)
        flowing.until_it_flows(release, len(found), within, "the driver does not work", troubled)
    except HydrodaskError as error:
        steps |= {one[0]: partial(_set, release, *one, before) for one, before in rolled.items()}
        raise HydrodaskError(f"{image} was not taken: {error}; {tools.given_back(steps, old)}") from error
    console.print(f"{old} → {image}", highlight=False)
    _advise(values, kept)


def _workers_and_scheduler(
    release: Release,
    workers: list[Object],
    image: str,
    within: int,
    *,
    rolled: dict[tuple[str, str], str],
    troubled: frozenset[str],
) -> None:
    """Roll one after the other, and wait each time until rows flow; note what each had before it is changed.

    Without the wait the driver would be stopped while it still looks for its scheduler: one long gap instead of two.
    """
    change(release, image=image)
    scheduler = f"{release.full}-scheduler"
    there = release.get("deployments", namespace=release.namespace)
    images = {one["metadata"]["name"]: image_of(one["spec"]["template"]) for one in there}
    names = sorted(one["metadata"]["name"] for one in workers)
    parts = [*((name, "worker") for name in names), (scheduler, "scheduler")]
    for number, (name, container) in enumerate(parts, 1):
        tools.say(container if container == "scheduler" else f"worker {number} of {len(workers)}")
        rolled[name, container] = images[name]
        _roll(release, name, container, image, within)
        flowing.until_it_flows(release, len(workers), within, f"no rows flow with {name}", troubled)


def _advise(values: Object, parts: dict[str, str]) -> None:
    """Say what has to stand in the user's own values: with the former image there the next `up` goes back to it."""
    keys = ["images.hydrodask", *(["dask.image"] if values["dask"].get("image") else [])]
    text = ", ".join(f'{key}: "{value}"' for key, value in parts.items())
    for key in keys:
        console.print(f"in your values from now on: {key}: {{{text}}}", highlight=False, markup=False, soft_wrap=True)


def parsed(image: str) -> dict[str, str]:
    """Return the parts of an image as the chart's values have them. Raises UsageError.

    >>> parsed("registry.example:5000/a/hydrodask:0.2")
    {'registry': 'registry.example:5000', 'repository': 'a/hydrodask', 'tag': '0.2', 'digest': ''}
    >>> parsed("localhost/hydrodask@sha256:" + "0" * 64)["digest"][:10]
    'sha256:000'
    """
    match = re.fullmatch(r"([^/]+)/([a-z0-9._/-]+)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?", image)
    if match is None or not (match[3] or match[4]):
        raise UsageError(f"IMAGE has value {image[:100]!r}; want registry/repository:tag or …@sha256:…")
    return dict(zip(("registry", "repository", "tag", "digest"), (part or "" for part in match.groups()), strict=True))


def _below(registry: str, parts: dict[str, str]) -> dict[str, str]:
    """Return the parts of an image where values put `registry` before every one; raises UsageError for another's."""
    whole = f"{parts['registry']}/{parts['repository']}"
    if not registry:
        return parts
    if not whole.startswith(f"{registry}/"):
        raise UsageError(f"values say images.registry: {registry}, and {whole} is not from there")
    return parts | {"registry": registry, "repository": whole.removeprefix(f"{registry}/")}


def _roll(release: Release, deployment: str, container: str, image: str, within: int) -> None:
    _set(release, deployment, container, image)
    tools.wait_until(lambda: _rolling(release, deployment, image), within, f"{deployment} does not start")


def _set(release: Release, deployment: str, container: str, image: str) -> None:
    where = ["--namespace", release.namespace]
    release.kubectl("set", "image", f"deployment/{deployment}", f"{container}={image}", *where)


def _rolling(release: Release, deployment: str, image: str) -> str:
    """Return what is missing until a Deployment runs an image and nothing else. Raises HydrodaskError for a bad one."""
    [found] = [
        one for one in release.get("deployments", namespace=release.namespace) if one["metadata"]["name"] == deployment
    ]
    labels = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
    mine = [pod for pod in release.get("pods", labels, namespace=release.namespace) if _named(pod, deployment)]
    new = [pod for pod in mine if pod["spec"]["containers"][0]["image"] == image]
    for pod in new:
        why = tools.trouble(pod)
        if why and not why.startswith("Unschedulable"):
            raise HydrodaskError(why)
    if len(new) == len(mine) == 1 and tools.ready(new[0]):
        return ""
    return f"{deployment}: {len(new)} new of {len(mine)} pods"


def _named(pod: Object, deployment: str) -> bool:
    """Say whether a pod is of a Deployment: the operator's selectors are the same for all workers."""
    return str(pod["metadata"]["name"]).startswith(f"{deployment}-")


def _tools(release: Release, values: Object) -> dict[str, str]:
    """Return the image that pods of others have with values: workers' own may have no command of ours to wait with."""
    given, found = values["images"].get("tools") or {}, dict(values["images"]["hydrodask"])
    if given.get("tag") or given.get("digest"):
        return {key: str(value) for key, value in given.items()}
    if not (found.get("tag") or found.get("digest")):
        [listed] = json.loads(release.helm("list", "--all", "--filter", f"^{release.name}$", "--output", "json"))
        found["tag"] = listed["app_version"]
    return found | {key: str(value) for key, value in given.items() if value}


def _driver(release: Release, parts: dict[str, str], within: int) -> None:
    """Let helm change the rest; what only waits or makes users in pods of Kafka, HDFS, MongoDB keeps its image."""
    values = json.loads(release.helm("get", "values", release.name, "--all", "--output", "json"))
    first = values["images"].get("registry", "")
    sets = {f"images.hydrodask.{key}": value for key, value in _below(first, parts).items()}
    sets |= {f"images.tools.{key}": value for key, value in _tools(release, values).items()}
    if values["dask"].get("image"):
        sets |= {f"dask.image.{key}": value for key, value in _below(first, parts).items()}
    arguments = [part for key, value in sets.items() for part in ("--set-string", f"{key}={value}")]
    release.apply("--reset-then-reuse-values", *arguments)
    where = ["--namespace", release.namespace]
    if values["driver"]["enabled"]:
        let_driver_go(release)  # an `up` that has not gone through may hold it
        wait = ["rollout", "status", f"deployment/{release.full}-driver", f"--timeout={within}s"]
        release.kubectl(*wait, *where, within_s=within + 30)


def _as_before(release: Release, given: str) -> None:
    """Apply the values from before. No `helm rollback`: it would bring back how many workers there were then, too."""
    release.apply("--reset-values", "--values", "-", text=given)
