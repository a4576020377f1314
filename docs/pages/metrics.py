"""The page of metrics: what a scrape of the run's endpoint gives."""

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from docs.pages.markdown import code, page, table
from hydrodask.observe.example import example_overview
from hydrodask.observe.figures import Newest
from hydrodask.observe.metrics import OverviewCollector
from hydrodask.observe.series import every_series

_INTRO = """A run serves these at `observe.metrics` (`http://127.0.0.1:9464/metrics`), and pushes them to a
Pushgateway if `observe.pushgateway` names one. `conf/prometheus` has a scrape configuration and
[alert rules](../runbook.md#alerts), [`conf/grafana` four pages](../grafana.md). Metrics `hydraulic_…` are about rigs,
`hydrodask_…` about the platform. No metric costs anything a record: a scrape reads counts that are
there anyway. The Python client adds the usual `process_…`."""


def page_of_metrics() -> str:
    """Return the page."""
    found = sorted(every_metric(), key=lambda one: one.name)
    labels = _labels()
    rows = {
        prefix: [
            (code(_name(one)), one.type, ", ".join(map(code, labels.get(one.name, ()))), one.documentation)
            for one in found
            if one.name.startswith(prefix)
        ]
        for prefix in ("hydraulic_", "hydrodask_")
    }
    head = ("metric", "kind", "labels", "what it is")
    return page(
        "Metrics",
        _INTRO,
        "## Rigs",
        table(head, rows["hydraulic_"]),
        "## The platform",
        table(head, rows["hydrodask_"]),
    )


def every_metric() -> list[Metric]:
    """Return every metric that a run can have."""
    registry = CollectorRegistry()
    registry.register(OverviewCollector(_newest(), lambda: 0))
    return list(registry.collect())


def _newest() -> Newest:
    return Newest(lambda: example_overview(trouble=True, progress=0.5), "hydraulic-", 20)


def _labels() -> dict[str, tuple[str, ...]]:
    """Return the labels of each metric: a metric without samples does not say them itself."""
    return {one.name: one.labels for one in every_series(_newest()(), 0, {})}


def _name(metric: Metric) -> str:
    """Return the name as queries use it.

    >>> _name(Metric("hydrodask_steps", "", "counter"))
    'hydrodask_steps_total'
    """
    return {"counter": f"{metric.name}_total", "histogram": f"{metric.name}_bucket"}.get(metric.type, metric.name)
