"""Metrics, probes and the live view, or plain lines, round a running platform."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hydrodask import clock
from hydrodask.cli.platform import Platform
from hydrodask.observe import page
from hydrodask.observe.lines import Lines
from hydrodask.observe.live import LiveView
from hydrodask.observe.metrics import Metrics
from hydrodask.reports import Overview, Pulse

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
def watching(platform: Platform, *, terminal: bool) -> Iterator[None]:
    """Show what happens until the block ends."""

    def overview() -> Overview:
        return platform.coordinator.board.overview

    with ExitStack() as stack:
        rigs_max = platform.settings.observe.rigs_max
        published = page.publish(overview, send=_sender(platform), rigs_max=rigs_max)
        stack.callback(published.close)
        dashboard = platform.cluster.dashboard
        if dashboard:
            platform.links |= {"dashboard": dashboard, "hydro page": dashboard.replace("/status", "/hydro")}
        if terminal:
            view: LiveView | Lines = LiveView(overview, platform.documents, platform.settings, platform.links)
        else:
            view = Lines(overview, platform.documents, platform.settings)
        stack.enter_context(view)
        platform.beside += [thread for thread in (published.thread, view.thread) if thread is not None]
        yield


def _sender(platform: Platform) -> Callable[[page.Point], object] | None:
    """Return what takes the page's points to a scheduler that is not in this process."""
    if platform.settings.cluster.address is None:
        return None
    loop, cluster = asyncio.get_running_loop(), platform.cluster
    # The page samples in a thread of its own; Dask's client belongs to our loop.
    return lambda point: asyncio.run_coroutine_threadsafe(cluster.log_event(page.TOPIC, point), loop)
