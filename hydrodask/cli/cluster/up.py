"""`hydrodask cluster up`: look whether it can work, install or change, wait until all is ready."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from hydrodask.cli.cluster import complete, preflight, spaces, tools
from hydrodask.cli.cluster.roll import rolled
from hydrodask.cli.cluster.tools import Context, Name, Namespace, Object, Release, Values, ValueSets, Within
from hydrodask.cli.common import console
from hydrodask.errors import ConfigError

LABEL = "pod-security.kubernetes.io/enforce=restricted"
MADE = "hydrodask/made-by=cluster-up"
MARKS = {True: "[green]ok[/]", None: "[yellow]look[/]", False: "[red]no[/]"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    *,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
    values: Values = None,
    sets: ValueSets = None,
    check: Annotated[bool, typer.Option("--check", help="Only look whether it can work.")] = False,
    forward: Annotated[bool, typer.Option("--forward", help="Then lead ports here to it, until Ctrl-C.")] = False,
    within: Within = 900,
) -> None:
    """Install the platform, or change it to these values, and wait until each part is ready.

    What is right already stays as it is; what changes workers rolls one after the other, then scheduler and driver.
    First it looks: client, rights, operator, storage, capacity, names.

    Example: `hydrodask cluster up -f my-values.yaml`
    """
    release = Release(namespace=namespace, name=name, context=context)
    manifest = _checked(release, values, sets)
    if check:
        return
    _make_namespace(release)
    tools.say(f"installing release {name} in {namespace}")
    with rolled(release, within) if _has_workers(manifest) else nullcontext():
        release.apply(*tools.chart_arguments(values, sets))
    release = spaces.bound(release)
    tools.wait_until(lambda: complete.missing(release, manifest), within, "not all is ready")
    _addresses(release)
    if forward:
        _forward(release)


def _checked(release: Release, values: list[Path] | None, sets: list[str] | None) -> list[Object]:
    """Print the answers of the preflight; return what would be installed. Raises ConfigError when one is no."""
    arguments = tools.chart_arguments(values, sets)
    text = release.helm("template", release.name, str(tools.CHART), *arguments)
    manifest = preflight.manifest_of(text)
    refused = []
    for answer in preflight.look(release, manifest):
        console.print(f"{MARKS[answer.good]:<4} {answer.what}: {answer.says}", highlight=False, soft_wrap=True)
        refused += [answer.what] if answer.good is False else []
    if refused:
        raise ConfigError(f"nothing was installed: {', '.join(refused)}, see above")
    return manifest


def _has_workers(manifest: list[Object]) -> bool:
    """Say whether there shall be a Dask cluster of ours; who has another may have no operator to be asked of one."""
    return any(one["kind"] == "DaskCluster" for one in manifest)


def _make_namespace(release: Release) -> None:
    there = {one["metadata"]["name"] for one in release.get("namespaces")}
    if release.namespace not in there:
        release.kubectl("create", "namespace", release.namespace)
        release.kubectl("label", "namespace", release.namespace, LABEL, MADE)


def _addresses(release: Release) -> None:
    for what, (namespace, service, port, url) in _doors(release).items():
        how = f"kubectl -n {namespace} port-forward service/{service} {port}"
        console.print(f"{what}: {url} after `{how}`", highlight=False, soft_wrap=True)


def _doors(release: Release) -> dict[str, tuple[str, str, int, str]]:
    """Return what people look at: namespace, Service, port, address here. Certificates are for `localhost`."""
    wanted = {"scheduler": (8787, "/hydro"), "grafana": (3000, "/"), "prometheus": (9090, "/"), "mlflow": (5000, "/")}
    services = {one["metadata"]["name"]: one for one in release.get("services", release.labels)}
    found = {}
    for what, (port, path) in wanted.items():
        one = services.get(f"{release.full}-{what}")
        if one is not None:
            secure = any(each.get("name") == "https" for each in one["spec"]["ports"])
            url = f"https://localhost:{port}{path}" if secure else f"http://127.0.0.1:{port}{path}"
            found[what] = (one["metadata"]["namespace"], one["metadata"]["name"], port, url)
    return found


def _forward(release: Release) -> None:
    from contextlib import ExitStack

    from hydrodask import clock

    with ExitStack() as stack:
        for what, (namespace, service, port, url) in _doors(release).items():
            stack.enter_context(tools.forwarded(release, namespace, service, port, here=port))
            console.print(f"{what}: {url}", highlight=False)
        console.print("until Ctrl-C; passwords and ca.crt: `kubectl get secret` in the part's namespace")
        try:
            while True:
                clock.sleep_s(3600)
        except KeyboardInterrupt:
            return
