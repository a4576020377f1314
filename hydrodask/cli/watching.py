"""Metrics and the live view, or plain lines, round a running platform."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hydrodask.cli.platform import Platform
from hydrodask.observe import page
from hydrodask.observe.lines import Lines
from hydrodask.observe.live import LiveView
from hydrodask.observe.metrics import Metrics
from hydrodask.reports import Overview


@contextmanager
def watching(platform: Platform, *, terminal: bool) -> Iterator[None]:
    """Serve metrics and show what happens until the block ends. Raises ConfigError when a port is taken."""

    def overview() -> Overview:
        return platform.coordinator.board.overview

    with ExitStack() as stack:
        metrics = Metrics(overview, platform.settings)
        stack.callback(metrics.close)
        metrics.start()
        rigs_max = platform.settings.observe.rigs_max
        published = page.publish(overview, send=_sender(platform), rigs_max=rigs_max)
        stack.callback(published.close)
        dashboard = platform.cluster.dashboard
        platform.links = {"metrics": metrics.url} if metrics.url else {}
        if dashboard:
            platform.links |= {"dashboard": dashboard, "hydro page": dashboard.replace("/status", "/hydro")}
        if terminal:
            view: LiveView | Lines = LiveView(overview, platform.documents, platform.settings, platform.links)
        else:
            view = Lines(overview, platform.documents, platform.settings)
        stack.enter_context(view)
        threads = (published.thread, metrics.pushing, view.thread)
        platform.beside += [metrics, *(thread for thread in threads if thread is not None)]
        yield


def _sender(platform: Platform) -> Callable[[page.Point], object] | None:
    """Return what takes the page's points to a scheduler that is not in this process."""
    if platform.settings.cluster.address is None:
        return None
    loop, cluster = asyncio.get_running_loop(), platform.cluster
    # The page samples in a thread of its own; Dask's client belongs to our loop.
    return lambda point: asyncio.run_coroutine_threadsafe(cluster.log_event(page.TOPIC, point), loop)
