"""Whether rows flow: what is asked of the driver before the next part is replaced.

A status document alone says little: while the driver looks for its scheduler the last one still has all workers. So
three of them are wanted, one after the other, each with more steps than the one before it. A first step more may still
be of the time before; the second one is not.
"""

from collections.abc import Callable

from hydrodask.cli.cluster import tools
from hydrodask.cli.cluster.tools import Object, Release
from hydrodask.errors import HydrodaskError
from hydrodask.observe.figures import FINE

ASK_S = 3.0
"""Seconds from one question to the next: each starts a Python in the driver's pod, and documents come every two."""
DOCUMENTS = 3
COMMIT_S = 10.0
"""A commit that was longer ago than this waits for something."""


def drivers(release: Release) -> list[Object]:
    """Return the driver's pods; none when somebody runs the driver elsewhere."""
    labels = f"{release.labels},app.kubernetes.io/component=driver"
    return release.get("pods", labels, namespace=release.namespace)


def not_working(release: Release, workers: int) -> str:
    """Return what is missing until the driver has all workers; nothing when it does, as far as it has said."""
    return _missing(release, workers, lambda _: "")


def until_it_flows(release: Release, workers: int, within_s: float, what: str, troubled: frozenset[str]) -> None:
    """Wait until rows flow through all workers. Partitions that were in trouble before need not be out of it.

    Raises UnreachableError with `what` and what is missing.
    """
    check = flows(release, workers, troubled)
    tools.wait_until(check, within_s, what, every_s=ASK_S)


def flows(release: Release, workers: int, troubled: frozenset[str] = frozenset()) -> Callable[[], str]:
    """Return a check that gives what is missing until rows flow: new documents, more steps, commits, no trouble."""
    seen: list[Object] = []

    def moving(found: Object) -> str:
        if not seen or found["run_id"] != seen[-1]["run_id"]:
            seen[:] = [found]
        elif found["updated_us"] > seen[-1]["updated_us"]:
            seen[:] = [*seen, found] if found["steps"] > seen[-1]["steps"] else [found]
        if len(seen) < DOCUMENTS:
            return "the driver has not finished steps since"
        if found["commit_age_s"] > COMMIT_S:
            return "the driver does not commit"
        still = sorted(in_trouble(found) - troubled)
        return f"partition {still[0]} does not run" if still else ""

    return lambda: _missing(release, workers, moving)


def before(release: Release) -> frozenset[str]:
    """Return the partitions that are in trouble already, as far as the driver can be asked."""
    try:
        return in_trouble(release.status()) if drivers(release) else frozenset()
    except HydrodaskError:
        return frozenset()


def in_trouble(status: Object) -> frozenset[str]:
    """Return the partitions that do not run, with what they do instead."""
    parts = status.get("partitions", ())
    return frozenset(f"{one['topic']}/{one['partition']}" for one in parts if one["state"] not in FINE)


def _missing(release: Release, workers: int, more: Callable[[Object], str]) -> str:
    pods = drivers(release)
    if not pods:
        return ""
    if len(pods) != 1 or not tools.ready(pods[0]):
        return "the driver is not ready"
    try:
        found = release.status()
    except HydrodaskError as error:
        return str(error)
    there = len(found["workers"])
    return more(found) or ("" if there >= workers else f"the driver has {there} of {workers} workers")
