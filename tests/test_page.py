"""The page on the Dask dashboard."""

import logging
import queue
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from distributed.dashboard import scheduler as dashboard

from hydrodask.doors.local import local_cluster
from hydrodask.observe import page, points
from hydrodask.observe.example import NOW_US, example_overview
from hydrodask.reports import Overview
from hydrodask.settings.model import Cluster, Health, Observe
from tests.delivery import until
from tests.doors.http import ask


@pytest.fixture(autouse=True)
def nothing_published() -> Iterator[None]:
    """Begin and end with an empty history and Dask's own pages."""
    points.forget()
    before = dict(dashboard.applications)
    yield
    points.forget()
    dashboard.applications.clear()
    dashboard.applications.update(before)


class Events:
    """A scheduler as far as the page needs one."""

    def __init__(self) -> None:
        self.events: list[tuple[float, Any]] = []

    def get_events(self, topic: str) -> tuple[tuple[float, Any], ...]:
        """Return the events of the only topic."""
        assert topic == points.TOPIC
        return tuple(self.events)


def give(overview: Overview) -> None:
    """Let the page have one point."""
    points._published.append(points.point(overview, now_us=NOW_US))


def test_publishing_gives_the_page_points() -> None:
    """The first comes at once; a new run begins with an empty history, an old one stops cleanly."""
    give(replace(example_overview(), state="of the run before"))
    seen = threading.Event()

    def overview() -> Overview:
        seen.set()
        return example_overview()

    publisher = points.publish(overview)
    assert seen.wait(60)
    publisher.close()
    publisher.close()

    assert {point["state"] for point in points.points_of(Events())} == {"running"}


def test_points_for_a_remote_scheduler_are_sent() -> None:
    """With `send`, nothing stays in this process."""
    sent: queue.Queue[points.Point] = queue.Queue()
    publisher = points.publish(example_overview, send=sent.put)
    point = sent.get(timeout=60)
    publisher.close()

    assert point["lag"] == 0
    assert points.points_of(Events()) == []


def test_a_page_that_fails_does_not_stop_the_run() -> None:
    """It is known by its thread, and that is all."""

    def broken() -> Overview:
        raise ConnectionError("the scheduler went away")

    published = points.publish(broken)
    published.thread.join(60)
    published.close()

    assert published.thread.trouble == "has ended: ConnectionError: the scheduler went away"


def test_a_remote_scheduler_shows_the_events_sent_to_it() -> None:
    """Without anything published in its process, the page draws events of the topic."""
    events = Events()
    events.events = [(0.0, points.point(example_overview(), now_us=NOW_US))]

    assert points.points_of(events)[0]["records_per_s"] == 728


def test_the_page_draws_what_was_published() -> None:
    """Lines, bars and the heat map hold the figures of the overview."""
    give(example_overview(3, trouble=True))
    shown = page.Page()
    shown.update(points.points_of(Events()))

    assert shown.history.data["lag"] == [5_000]
    assert dict(zip(*shown.lags.data.values(), strict=True))["hydraulic-PS1/0"] == 5_000
    assert shown.delays.data["delay_s"] == pytest.approx([10.35] * 17)
    cells = zip(*(shown.health.data[name] for name in ("rig", "sensor", "health")), strict=True)
    assert ("rig-1", "CE", 70.0) in list(cells)
    assert len(shown.health.data["rig"]) == 3 * 17


def test_colours_of_health_change_where_the_settings_say() -> None:
    """In the heat map as on every page."""
    overview = example_overview()
    overview.partitions["hydraulic-analytics", 0].health |= {("rig-1", "CE"): 80.0, ("rig-1", "PS1"): 30.0}
    found = []
    for limits in (Health(), Health(warning_below=50.0, critical_below=40.0)):
        columns = page.cells(points.point(overview, now_us=NOW_US, observe=Observe(health=limits)))
        by_sensor = dict(zip(columns["sensor"], columns["colour"], strict=True))
        found.append([by_sensor[name] for name in ("PS2", "TS1", "CE", "PS1")])
    good, warning, critical = (points.COLOURS[one] for one in ("", "warning", "critical"))

    assert found == [[good, warning, critical, critical], [good, good, good, critical]]
    assert len({good, warning, critical}) == 3


def test_a_page_without_a_run_says_so() -> None:
    """Neither an empty history nor an empty overview is an error."""
    shown = page.Page()
    shown.update([])
    assert "No run has reported" in shown.headline.text

    give(Overview("r", NOW_US))
    shown.update(points.points_of(Events()))
    assert "hydrodask starting" in shown.headline.text
    assert "no step is done yet" in shown.headline.text
    assert "records/s" not in shown.headline.text


def test_the_headline_is_escaped() -> None:
    """What comes from outside is text, not HTML."""
    overview = example_overview()
    overview.state = "<script>alert(1)</script>"

    assert "<script>" not in page.headline(points.point(overview, now_us=NOW_US))


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_dashboard_serves_the_page_by_itself() -> None:
    """Scripts and styles come from the dashboard, and the link is in its navigation bar."""
    page.register()
    settings = Cluster(dashboard="127.0.0.1:0")
    with local_cluster(settings, workers=0, dashboard=settings.dashboard, silence_logs=logging.ERROR) as cluster:
        url = cluster.dashboard_link.replace("/status", page.ROUTE)
        with Client(cluster) as client:
            client.log_event(points.TOPIC, points.point(example_overview(), now_us=NOW_US))
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback
            html = answer.read().decode()
        with urllib.request.urlopen(cluster.dashboard_link, timeout=60) as answer:  # noqa: S310 - loopback
            status = answer.read().decode()

    assert 'health are on <a href="hydro">' in status
    assert "task_stream" in status or "Task Stream" in status
    assert "static/js/bokeh.min.js" in html
    assert 'src="http' not in html
    assert "cdn." not in html
    assert 'href="hydro"' in html


@pytest.mark.cluster
def test_a_remote_scheduler_serves_the_page(tmp_path: Path) -> None:
    """With the preload, a scheduler in another process has the page, linked from all pages, and our guard."""
    where = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    command += ["--port", "0", "--dashboard-address", "127.0.0.1:0"]
    command += ["--preload", "hydrodask.observe.preload", "--scheduler-file", str(where)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with Client(scheduler_file=str(where), timeout=200) as client:
                publisher = points.publish(example_overview, send=partial(client.log_event, points.TOPIC))
                until(lambda: client.get_events(points.TOPIC), "a point has come")
                publisher.close()
                for path in (page.ROUTE, "/status"):
                    url = client.dashboard_link.replace("/status", path)
                    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback
                        assert b'href="hydro"' in answer.read()
                        assert answer.headers["X-Frame-Options"] == "DENY"
                assert ask(url.split("/")[2], "/eventstream", {})[0] == 404
        finally:
            process.terminate()
