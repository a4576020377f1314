"""`hydrodask cluster down | reset-data`: what is removed is named first, and data only after a yes."""

from typing import Annotated

import typer

from hydrodask.cli.cluster import spaces, tools
from hydrodask.cli.cluster.tools import Context, Name, Namespace, Object, Release, Within
from hydrodask.cli.cluster.up import MADE
from hydrodask.cli.common import console

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(down)
    app.command("reset-data")(reset_data)


def down(
    *,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
    data: Annotated[bool, typer.Option("--data", help="Also claims, passwords and the namespaces made here.")] = False,
    yes: Yes = False,
    within: Within = 300,
) -> None:
    """Remove the platform. Claims with your data, and the passwords for them, stay unless `--data` says otherwise.

    Example: `hydrodask cluster down --data`
    """
    release = spaces.bound(Release(namespace=namespace, name=name, context=context))
    kept, installed = _kept(release), release.installed()
    if not (kept or installed):
        raise spaces.unknown(release)
    if data:
        _ask(kept, yes=yes)
    if installed:
        tools.say("removing what runs, the driver first")
        _end_driver(release, within)
        release.helm("uninstall", name, "--wait", "--timeout", f"{within}s", within_s=within + 30)
    where = ["--namespace", namespace, "--selector", release.labels]
    release.kubectl("delete", "jobs,configmaps", *where, "--ignore-not-found")  # quick-test's are not helm's
    tools.wait_until(lambda: _running(release), within, "not all has ended")
    if data:
        _delete(release, kept)
        tools.wait_until(lambda: ", ".join(_names(_kept(release))), within, "not all is gone")
        console.print("nothing of it is left", highlight=False)
    else:
        for one in _names(kept):
            console.print(f"kept: {one}", highlight=False, soft_wrap=True)


def reset_data(
    *,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
    yes: Yes = False,
    within: Within = 300,
) -> None:
    """Delete all records, rows, models and documents: stop each part, delete its claims, start it again, empty.

    Example: `hydrodask cluster reset-data`
    """
    release = Release(namespace=namespace, name=name, context=context)
    if not release.installed():
        raise spaces.unknown(release)
    release = spaces.bound(release)
    claims = _claims(release)
    _ask(claims, yes=yes)
    stopped = [one for kind in ("deployments", "statefulsets") for one in release.get(kind, release.labels)]
    stopped = [one for one in stopped if "dask.org/cluster-name" not in one["metadata"]["labels"]]
    _scaled(release, stopped, to=0)
    tools.wait_until(lambda: _pods_of(release, stopped), within, "not all has stopped")
    _delete(release, claims)
    _renew_dask(release)
    # A pod that starts while its claim is still going gets the old data back, or waits for a claim that nobody makes.
    tools.wait_until(lambda: _there_yet(release, claims), within, "not all claims are gone")
    jobs = release.get("jobs", f"{release.labels},app.kubernetes.io/component=kafka-settle")
    _delete(release, jobs)
    _scaled(release, stopped, to=None)
    # Users, rights and topics went with the data: their Job is made again. Values of a newer chart have their defaults.
    release.apply("--reset-then-reuse-values")
    console.print(f"{len(claims)} claims were deleted; all starts again, empty: `hydrodask cluster status`")


def _renew_dask(release: Release) -> None:
    """Let the operator make scheduler and workers anew: a lake on a claim is mounted there, and is kept by that."""
    where = ["--namespace", release.namespace, "--selector", f"{release.labels},dask.org/cluster-name"]
    release.kubectl("delete", "pods", *where, "--wait=false", "--ignore-not-found")


def _there_yet(release: Release, claims: list[Object]) -> str:
    """Return which of these claims are there, and not others of their names."""
    known = {one["metadata"]["uid"] for one in claims}
    return ", ".join(_names([one for one in _claims(release) if one["metadata"]["uid"] in known]))


def _claims(release: Release) -> list[Object]:
    """Return the claims of the release: those of its StatefulSets, and the lake's."""
    return release.get("persistentvolumeclaims", release.labels)


def _kept(release: Release) -> list[Object]:
    """Return what outlives the release, the namespaces last."""
    keys = release.get("secrets", f"{release.labels},app.kubernetes.io/component=keys")
    spaces = [*release.get("namespaces", release.labels), *_made_here(release)]
    return [*_claims(release), *keys, *spaces]


def _made_here(release: Release) -> list[Object]:
    """Return the release's namespace if `cluster up` has made it."""
    found = release.get("namespaces", MADE)
    return [one for one in found if one["metadata"]["name"] == release.namespace]


def _names(objects: list[Object]) -> list[str]:
    """Return how objects are named to people: `kind name in namespace`."""
    return [
        f"{one['kind']} {one['metadata']['name']}"
        + (f" in {one['metadata']['namespace']}" if "namespace" in one["metadata"] else "")
        for one in objects
    ]


def _ask(objects: list[Object], *, yes: bool) -> None:
    for one in _names(objects):
        console.print(f"will be deleted: {one}", highlight=False, soft_wrap=True)
    if not yes:
        typer.confirm("Delete all of it? It can't be had back.", abort=True)


def _delete(release: Release, objects: list[Object]) -> None:
    for one in objects:
        meta = one["metadata"]
        where = ["--namespace", meta["namespace"]] if "namespace" in meta else []
        release.kubectl("delete", one["kind"], meta["name"], *where, "--wait=false", "--ignore-not-found")


def _end_driver(release: Release, within: int) -> None:
    """Let the driver end while its stores are there: without them it would try until its time is over."""
    where = ["--namespace", release.namespace, "--ignore-not-found", "--wait=false"]
    release.kubectl("delete", "deployment", f"{release.full}-driver", *where)
    tools.wait_until(lambda: _running(release, "driver"), within, "the driver has not ended")


def _running(release: Release, part: str | None = None) -> str:
    pods = release.get("pods", release.labels + (f",app.kubernetes.io/component={part}" if part else ""))
    return f"{len(pods)} pods are ending" if pods else ""


def _scaled(release: Release, objects: list[Object], *, to: int | None) -> None:
    """Scale each to a number, or to what it had."""
    for one in objects:
        meta = one["metadata"]
        count = one["spec"]["replicas"] if to is None else to
        what = f"{one['kind'].lower()}/{meta['name']}"
        release.kubectl("scale", what, "--namespace", meta["namespace"], f"--replicas={count}")


def _pods_of(release: Release, objects: list[Object]) -> str:
    parts = {one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] for one in objects}
    pods = release.get("pods", release.labels)
    left = [
        pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/component"] in parts
    ]
    return f"{len(left)} pods are ending" if left else ""
