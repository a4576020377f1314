"""Metrics and the live view, or plain lines, round a running platform."""

from collections.abc import Iterator
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
        stack.callback(page.publish(overview, rigs_max=platform.settings.observe.rigs_max).close)
        dashboard = platform.cluster.dashboard
        platform.links = {"metrics": metrics.url}
        if dashboard:
            platform.links |= {"dashboard": dashboard, "hydro page": dashboard.replace("/status", "/hydro")}
        if terminal:
            stack.enter_context(LiveView(overview, platform.documents, platform.settings, platform.links))
        else:
            stack.enter_context(Lines(overview, platform.documents, platform.settings))
        yield
