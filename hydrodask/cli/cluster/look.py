"""`hydrodask cluster status | logs | images`: what is there, what it says, what it is made of."""

from typing import Annotated

import typer
from rich.table import Table

from hydrodask.cli.cluster import preflight, spaces, tools
from hydrodask.cli.cluster.tools import Context, Name, Namespace, Object, Release, Values, ValueSets
from hydrodask.cli.common import Json, console, errors, print_json
from hydrodask.errors import HydrodaskError, UsageError
from hydrodask.redaction import visible

Part = Annotated[str, typer.Argument(help="driver, scheduler, worker, kafka, mongodb, namenode, training, …")]
Lines = Annotated[int, typer.Option("--lines", min=1, max=10_000, help="Newest lines of each pod.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (status, logs, images):
        app.command()(command)


def status(
    *, namespace: Namespace = "hydrodask", name: Name = "hydrodask", context: Context = None, json: Json = False
) -> None:
    """Show each pod of the platform with its state, and what the driver says of the run.

    Exit code 1 when a part is not ready.

    Example: `hydrodask cluster status`
    """
    release = spaces.bound(Release(namespace=namespace, name=name, context=context))
    pods = [_row(pod) for pod in release.get("pods", release.labels)]
    run = _run(release)
    if json:
        print_json({"pods": pods, "run": run, "replicas": _replicas(release)})
    else:
        _show(pods, run)
    if not pods or not all(pod["ready"] for pod in pods):
        raise typer.Exit(1)


def _row(pod: Object) -> dict[str, object]:
    containers = pod["status"].get("containerStatuses", [])
    return {
        "namespace": pod["metadata"]["namespace"],
        "pod": pod["metadata"]["name"],
        "part": part_of(pod),
        "ready": tools.ready(pod),
        "phase": pod["status"].get("phase"),
        "restarts": sum(one["restartCount"] for one in containers),
        "image": pod["spec"]["containers"][0]["image"],
        "says": tools.trouble(pod) or _ended(containers),
    }


def _ended(containers: list[Object]) -> str:
    """Return why a container was ended before, if for want of memory: nobody else says so of a worker."""
    for one in containers:
        last = one.get("lastState", {}).get("terminated", {})
        if last.get("reason") == "OOMKilled":
            return f"{one['name']} needed more memory than its limit, and was ended at {last.get('finishedAt')}"
    return ""


def part_of(pod: Object) -> str:
    """Return which part of the platform a pod is."""
    labels = pod["metadata"]["labels"]
    return str(labels.get("dask.org/component") or labels["app.kubernetes.io/component"])


def _replicas(release: Release) -> int | None:
    dask = release.dask()
    return None if dask is None else int(dask["spec"]["worker"]["replicas"])


def _run(release: Release) -> Object | None:
    try:
        return release.status()
    except HydrodaskError as error:
        errors.print(f"the driver was not asked: {error}", markup=False, highlight=False, soft_wrap=True)
        return None


def _show(pods: list[dict[str, object]], run: Object | None) -> None:
    table = Table("part", "namespace", "pod", "state", "restarts", "image", "says")
    for pod in sorted(pods, key=lambda one: (str(one["part"]), str(one["pod"]))):
        state = "[green]ready[/]" if pod["ready"] else f"[bold red]{pod['phase']}, not ready[/]"
        where = (str(pod[key]) for key in ("namespace", "pod"))
        table.add_row(str(pod["part"]), *where, state, str(pod["restarts"]), str(pod["image"]), str(pod["says"] or ""))
    console.print(table)
    if run is not None:
        says = f"{run['says']}; {len(run['workers'])} workers, {run['records_per_s']:,} records/s, lag {run['lag']:,}"
        console.print(says, highlight=False, markup=False, soft_wrap=True)


def logs(
    part: Part = "driver",
    *,
    lines: Lines = 50,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
) -> None:
    """Print the newest lines of the logs of a part's pods.

    Example: `hydrodask cluster logs worker --lines 20`
    """
    release = spaces.bound(Release(namespace=namespace, name=name, context=context))
    pods = release.get("pods", release.labels)
    chosen = [pod for pod in pods if part_of(pod) == part]
    if not chosen:
        raise UsageError(
            f"no pod is a {part!r}; there are {', '.join(sorted({part_of(pod) for pod in pods})) or 'none'}"
        )
    for pod in chosen:
        meta = pod["metadata"]
        where = ["--namespace", meta["namespace"], meta["name"], "--all-containers", "--prefix"]
        typer.echo(visible(release.kubectl("logs", *where, "--tail", str(lines))))


def images(
    *,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
    values: Values = None,
    sets: ValueSets = None,
) -> None:
    """Print every image that the chart would pull with these values, one a line: to mirror them, say.

    Example: `hydrodask cluster images -f my-values.yaml`
    """
    release = Release(namespace=namespace, name=name, context=context)
    text = release.helm("template", name, str(tools.CHART), *tools.chart_arguments(values, sets))
    for image in sorted(preflight.images_in(preflight.manifest_of(text))):
        typer.echo(image)
