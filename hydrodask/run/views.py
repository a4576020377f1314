"""Metrics, probes and the live view, or plain lines, round a running platform."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from hydrodask import clock, extras, kernels
from hydrodask.errors import ConfigError
from hydrodask.observe import points
from hydrodask.observe.lines import Lines
from hydrodask.observe.metrics import Metrics
from hydrodask.observe.terminal import LiveView
from hydrodask.reports import Overview, Pulse
from hydrodask.run.platform import Platform

BEAT_EVERY_S = 1.0


@contextmanager
def serving(platform: Platform) -> Iterator[None]:
    """Serve metrics and probes until the block ends, also while the platform waits for what it needs to start.

    Raises ConfigError when the port is taken.
    """
    with ExitStack() as stack:
        metrics = Metrics(lambda: platform.overview, platform.settings, platform.pulse)
        stack.callback(metrics.close)
        metrics.start()
        beating = asyncio.create_task(_beat(platform.pulse), name="beat")
        stack.callback(beating.cancel)
        platform.links = {"metrics": metrics.url} if metrics.url else {}
        platform.beside += [metrics, *([metrics.pushing] if metrics.pushing is not None else [])]
        yield


async def _beat(pulse: Pulse) -> None:
    """Show that the event loop turns."""
    while True:
        pulse.loop_s = clock.monotonic_s()
        await asyncio.sleep(BEAT_EVERY_S)


@contextmanager
def consoling(platform: Platform, say: Callable[[str], None]) -> Iterator[None]:
    """Serve the operator's page until the block ends; if its address is taken the run goes on, and says so."""
    if platform.settings.console.address is None:
        yield
        return
    from hydrodask.console import Console  # noqa: PLC0415 - a run without a page needs no web server

    try:
        console = Console(platform.settings, lambda: platform.overview)
    except ConfigError as error:
        say(f"warning: {error}")
        yield
        return
    platform.links = {"operator's page": console.url} | platform.links
    platform.beside += console.threads
    say(f"operator's page: {console.url}")
    try:
        yield
    finally:
        console.close()


@contextmanager
def notifying(platform: Platform) -> Iterator[None]:
    """Tell people of what is wrong until the block ends. Raises ConfigError for a channel that can't be used."""
    if not platform.settings.notify.channels:
        yield
        return
    from hydrodask.notify.notifier import Notifier  # noqa: PLC0415 - a run that tells nobody needs none

    link = platform.settings.notify.link
    notifier = Notifier(
        platform.settings, lambda: platform.overview, str(link or platform.links.get("operator's page", ""))
    )
    platform.telling = lambda: notifier.reports
    platform.beside.append(notifier)
    try:
        yield
    finally:
        notifier.close()


@contextmanager
def watching(platform: Platform, *, terminal: bool, paged: bool = True, again: str = "") -> Iterator[None]:
    """Show what happens until the block ends. `paged`: the scheduler has our page.

    `again` are the options with which other commands find what this run has stored.
    """

    def overview() -> Overview:
        return platform.coordinator.tracker.overview

    with ExitStack() as stack:
        dashboard = platform.cluster.dashboard
        if dashboard and not extras.lacking("bokeh"):
            from hydrodask.observe.page import ROUTE  # noqa: PLC0415 - Bokeh, which comes with an extra

            sender, observe = _sender(platform, points.TOPIC), platform.settings.observe
            published = points.publish(overview, send=sender, observe=observe)
            stack.callback(published.close)
            platform.beside.append(published.thread)
            hydro = {"hydro page": dashboard.replace("/status", ROUTE)} if paged else {}
            platform.links |= {"dashboard": dashboard} | hydro
        compiled = kernels.progress if platform.compiles else None
        if terminal:
            view: LiveView | Lines = LiveView(
                overview,
                platform.documents,
                platform.settings,
                platform.links,
                next_steps=next_steps(again),
                kernels=compiled,
            )
        else:
            view = Lines(
                overview,
                platform.documents,
                platform.settings,
                next_steps=next_steps(again),
                kernels=compiled,
            )
        stack.enter_context(view)
        platform.beside += [view.thread] if view.thread is not None else []
        yield


def next_steps(again: str) -> dict[str, str]:
    """Return what one may do after a run: what it is for, and the command.

    >>> next_steps("--profile plant")["what was found"]
    'hydrodask incidents --profile plant'
    """
    asked = {"what was found": "incidents", "is all there": "verify", "look at curves": "console"}
    return {what: f"hydrodask {command} {again}".strip() for what, command in asked.items()}


def _sender(platform: Platform, topic: str) -> Callable[[dict[str, Any]], object] | None:
    """Return what takes the page's points to a scheduler that is not in this process."""
    if platform.settings.cluster.address is None:
        return None
    loop, cluster = asyncio.get_running_loop(), platform.cluster
    # The page samples in a thread of its own; Dask's client belongs to our loop.
    return lambda point: asyncio.run_coroutine_threadsafe(cluster.log_event(topic, point), loop)
