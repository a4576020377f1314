"""`hydrodask cluster quick-test`: data in at one end, and what has to come out at each of the others."""

import base64
import json
import ssl
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer

from hydrodask import clock
from hydrodask.cli.cluster import spaces, tools
from hydrodask.cli.cluster.preflight import manifest_of
from hydrodask.cli.cluster.tools import Context, Name, Namespace, Object, Release, Within
from hydrodask.cli.common import console
from hydrodask.doors.trust import basic, refusals_closed
from hydrodask.errors import FatalError, HydrodaskError
from hydrodask.settings.hidden import USER

PROFILE = ("--profile", "/etc/hydrodask/platform.yaml")
COMPONENT = "app.kubernetes.io/component"
TRAINED, SCORED = "model trained", "cycles scored"
ANSWER_S = 10.0
SECONDS = 300
"""Event time that is published, up to now, each time by a rig of another name: nothing of it is late."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("quick-test")(quick_test)


def quick_test(
    *,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
    train: Annotated[bool, typer.Option(help="Also run the trainer once.")] = True,
    within: Within = 600,
) -> None:
    """Publish what a simulated rig sends in five minutes, and look whether it arrives everywhere.

    Windows in Kafka, rows in the lake, documents, figures in Prometheus, the page; with training, for which the lake
    needs 30 labelled cycles, a new model and cycles that are scored. Exit code 1 when one fails.

    Example: `hydrodask cluster quick-test`
    """
    release = spaces.bound(Release(namespace=namespace, name=name, context=context))
    before, written = release.status()["totals"], _written(release)
    tools.say("publishing")
    _publish(release)
    checks: dict[str, Callable[[], str]] = {
        "windows and rows": lambda: _grown(before, release.status()),
        "topic analytics": lambda: "" if _written(release) > written else "no new window in Kafka yet",
    }
    if _there(release, "statefulsets", "prometheus"):
        checks["figures in Prometheus"] = lambda: _figures(release)
    checks["page /hydro"] = lambda: _page(release)
    if train and _there(release, "cronjobs", "training"):
        _train(release)
        checks[TRAINED] = lambda: _trained(release)
        checks[SCORED] = _scoring(release)
    failed: list[str] = []
    for what, check in checks.items():
        if (what == SCORED and TRAINED in failed) or not _passes(what, check, within):
            failed.append(what)
    if failed:
        raise HydrodaskError(f"{', '.join(failed)}: not as it should be")


def _passes(what: str, check: Callable[[], str], within: int) -> bool:
    try:
        tools.wait_until(lambda: _asked(check), within, what, every_s=3.0)
    except HydrodaskError as error:
        console.print(f"[bold red]no[/] {what}: {error}", highlight=False, soft_wrap=True)
        return False
    console.print(f"[green]ok[/] {what}", highlight=False)
    return True


def _asked(check: Callable[[], str]) -> str:
    """Return what a check misses; what can't be asked yet is missing, too."""
    try:
        return check()
    except FatalError:  # it will not come by itself
        raise
    except (HydrodaskError, OSError, KeyError, ValueError) as error:
        return str(error) or type(error).__name__


def _there(release: Release, kind: str, part: str) -> bool:
    return any(one["metadata"]["name"] == f"{release.full}-{part}" for one in release.get(kind, release.labels))


def _publish(release: Release, speed: str = "max", for_s: int = 20) -> None:
    """Run the chart's simulator once, under names of its own; a Job of the last time goes."""
    start = clock.iso(clock.now_us() - SECONDS * clock.US_PER_S)
    rig = f"rig.default_id=quick-test-{uuid.uuid4().hex[:6]}"
    simulate = ["--rigs", "1", "--set", rig, "--speed", speed, "--start", start, "--for", f"{for_s}s"]
    job = json.dumps({"enabled": True, "arguments": simulate})
    values = release.helm("get", "values", release.name, "--output", "yaml", "--all")
    arguments = ["--show-only", "templates/jobs.yaml", "--values", "-", "--set-json", f"jobs.simulator={job}"]
    found = manifest_of(release.helm("template", release.name, str(tools.CHART), *arguments, text=values))
    ours = [one for one in found if one["metadata"]["labels"][COMPONENT] == "simulator"]
    name = f"{release.full}-quick-test-publish"
    for one in ours:
        one["metadata"]["name"] = name
        for volume in one.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", ()):
            if "configMap" in volume:
                volume["configMap"]["name"] = name
    where = ["--namespace", release.namespace]
    release.kubectl("delete", "job", name, *where, "--ignore-not-found")
    release.kubectl("apply", *where, "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": ours}))


def _train(release: Release) -> None:
    name = f"{release.full}-quick-test"
    where = ["--namespace", release.namespace]
    release.kubectl("delete", "job", name, *where, "--ignore-not-found")
    release.kubectl("create", "job", name, f"--from=cronjob/{release.full}-training", *where)


def _trained(release: Release) -> str:
    [job] = [
        one
        for one in release.get("jobs", namespace=release.namespace)
        if one["metadata"]["name"] == f"{release.full}-quick-test"
    ]
    if job["status"].get("succeeded"):
        return ""
    said = f"the trainer has failed {job['status'].get('failed', 0)} times; `hydrodask cluster logs training`"
    if any(one["type"] == "Failed" and one["status"] == "True" for one in job["status"].get("conditions", ())):
        raise FatalError(said)
    return said if job["status"].get("failed") else "training"


def _scoring(release: Release) -> Callable[[], str]:
    """Return a check that lets another rig send for a minute, by whose end workers know the model."""
    before: list[int] = []

    def check() -> str:
        scored = sum(part["totals"].get("scored", 0) for part in release.status()["partitions"])
        if not before:
            _publish(release, speed="5", for_s=SECONDS // 5)
            before.append(scored)
        return "" if scored > before[0] else "no cycle was scored yet"

    return check


def _grown(before: Object, found: Object) -> str:
    small = [name for name in ("windows", "kept") if found["totals"].get(name, 1) <= before.get(name, 0)]
    return f"no new {', '.join(small)} yet" if small else ""


def _written(release: Release) -> int:
    """Return how many windows there are in Kafka."""
    topics = json.loads(release.driver("hydrodask", "topics", "list", "--json", *PROFILE))
    return sum(topic["last"] for topic in topics if topic["name"].endswith("analytics"))


def _figures(release: Release) -> str:
    [found] = [
        one for one in release.get("services", release.labels) if one["metadata"]["name"].endswith("-prometheus")
    ]
    where = found["metadata"]["namespace"]
    secret = release.kubectl("get", "secret", f"{release.full}-observe", "--namespace", where, "--output", "json")
    keys = {key: base64.b64decode(value).decode() for key, value in json.loads(secret)["data"].items()}
    authority = ssl.create_default_context(cadata=keys["ca.crt"])
    with ExitStack() as stack:
        stack.enter_context(refusals_closed())
        port = stack.enter_context(tools.forwarded(release, where, f"{release.full}-prometheus", 9090))
        url, login = f"https://localhost:{port}/api/v1/query?query=up", basic(USER, keys["prometheus"])
        asked = urllib.request.Request(url, headers=login)  # https
        with urllib.request.urlopen(asked, timeout=ANSWER_S, context=authority) as answer:  # noqa: S310
            found = json.load(answer)
    up = {one["metric"]["job"]: one["value"][1] for one in found["data"]["result"]}
    down = sorted(job for job, value in up.items() if value != "1")
    return f"{', '.join(down)} can't be scraped" if down else "" if "hydrodask" in up else "nothing scraped yet"


def _page(release: Release) -> str:
    with (
        refusals_closed(),
        tools.forwarded(release, release.namespace, f"{release.full}-scheduler", 8787) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/hydro", timeout=ANSWER_S) as answer,
    ):
        return "" if answer.status == 200 else f"answers {answer.status}"
