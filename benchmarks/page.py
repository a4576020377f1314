"""How fast the operator's page is: `python -m benchmarks.page [--rigs 100] [--days 7]`, or `--rigs 1000 --days 0.1`.

Makes a fleet's history (kept in `--folder`), serves it by `hydrodask console` beside a Kafka of its own, and measures
in Debian's Chromium, each time in a fresh browser context: first paint, all 17 curves of a rig (on the screen, not only
loaded), a window row on its topic → its value on the page, the same for `--viewers` at once, and the server's memory.
Then what so many viewers cost who look on live, and what is left of them ten seconds after they have gone.
"""

import argparse
import importlib
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.broker import TIMEOUT_S, broker
from benchmarks.results import save
from benchmarks.viewers import cost
from benchmarks.week import DAY_US, LENGTH_US, MEANS, Week
from hydrodask import clock
from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S
from hydrodask.kafka import NewTopic, admin, producer
from hydrodask.nodes.outgoing import window_rows
from hydrodask.records import Windows
from hydrodask.rigs import RIGS
from hydrodask.services.ports import can_bind, free_port
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka

END_US = 1_796_616_000 * US_PER_S
"""Where the history ends: 2026-12-07T04:00:00Z."""

FOLDER = Path.home() / ".cache" / "hydrodask" / "page"
ROUNDS, UPDATES = 5, 10
WAIT_MS = 120_000
WATCH = """
new MutationObserver((found) => { if (found.length) requestAnimationFrame(() => requestAnimationFrame(() => {
  document.documentElement.dataset.drawn ??= performance.now(); })); })
  .observe(document, { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
"""
"""Notes when the page says that it shows everything, as of the frame after."""

SEEN = """(text) => { const root = document.documentElement; delete root.dataset.seen; const look = () => {
  const card = [...document.querySelectorAll(".card")].find((one) => one.textContent.startsWith("PS1"));
  if (card?.querySelector(".value").textContent === text) root.dataset.seen = Date.now();
  else requestAnimationFrame(look); };
  look(); }"""
"""Notes when PS1's card shows a text."""

Row = dict[str, Any]


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=100)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--open", type=int, help="rigs of which an incident is open; default a twelfth")
    parser.add_argument("--viewers", type=int, default=12)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--bootstrap")
    options = parser.parse_args()
    with broker(options.bootstrap) as (bootstrap, _):
        prefix = f"page-{clock.now_us()}-"
        sets = [f"data_dir={options.folder / f'{options.rigs}-{options.days:g}'}", "kafka.embedded=false"]
        sets += [f"kafka.bootstrap={bootstrap}", f"topics.prefix={prefix}", f"console.address=127.0.0.1:{free_port()}"]
        settings = load(sets=sets, environ={})[0]
        week = made(settings, options)
        feed = Feed(settings, week.rigs)
        with served(settings, sets) as server, chromium() as browser:
            found = measured(Tabs(browser, f"http://{settings.console.address}"), server, week, feed, options.viewers)
    found = {"rigs": options.rigs, "days": options.days, "open": week.open_rigs, **found}
    for name, value in found.items():
        print(f"{name}: {value}")
    print(save(f"page-{options.rigs}", found))


def made(settings: Settings, options: argparse.Namespace) -> Week:
    """Return the history, made unless an earlier run has made it whole."""
    count = options.rigs // 12 if options.open is None else options.open
    rigs = [f"rig-{number + 1:04d}" for number in range(options.rigs)]
    week = Week(settings, rigs, END_US, round(options.days * 288) * (DAY_US // 288), count)
    whole = settings.data_dir / "made"
    if not whole.exists():
        shutil.rmtree(settings.data_dir, ignore_errors=True)
        for said in week.make():
            print(said, flush=True)
        whole.write_text("whole\n")
    return week


class Feed:
    """Publishes window rows that go on where the history ends; `rigs` are those that it has news of."""

    def __init__(self, settings: Settings, rigs: Sequence[str]) -> None:
        kafka, self._topic = settings.kafka, settings.topic("analytics")
        client = admin(Kafka(embedded=False, bootstrap=kafka.bootstrap))
        client.create_topics([NewTopic(self._topic, 1, 1)])[self._topic].result(TIMEOUT_S)
        self._producer, self._rigs, self._end_us = producer(kafka), list(rigs), END_US
        self._codes = np.array([RIGS.code(rig) for rig in self._rigs], np.int32)

    @property
    def shows(self) -> str:
        """What PS1's card is to show after the next call."""
        return f"{self._next():.1f}"

    def _next(self) -> float:
        return round(160.1 + (self._end_us - END_US) / US_PER_S / 100, 1)

    def __call__(self) -> float:
        """Publish the next window of every rig's sensors, and return when that began."""
        value = self._next()
        self._end_us += 10 * US_PER_S
        rows = [row for sensor in CHANNELS for row in self._rows(sensor, value if sensor == "PS1" else MEANS[sensor])]
        began_s = clock.now_us() / US_PER_S
        for key, record in rows:
            self._producer.produce(self._topic, record, key)
            self._producer.poll(0)
        self._producer.flush(TIMEOUT_S)
        return began_s

    def _rows(self, sensor: str, value: float) -> Iterator[tuple[bytes, bytes]]:
        count, rate_hz = len(self._rigs), CHANNELS[sensor].rate_hz
        flat, places = np.full(count, value), np.zeros(count, np.int64)
        at_us = places + self._end_us - LENGTH_US
        windows = Windows(
            sensor, self._codes, at_us, places + rate_hz * 60, flat, flat * 0, flat, flat, np.ones(count, np.bool_),
            places, np.full(count, float(rate_hz)),
        )  # fmt: skip
        return window_rows(windows, length_us=LENGTH_US, partition=0)


@contextmanager
def served(settings: Settings, sets: list[str]) -> Iterator[psutil.Process]:
    """Serve the page, as a process of its own."""
    command = [sys.executable, "-m", "hydrodask", "console", *(word for one in sets for word in ("--set", one))]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    end_s = clock.monotonic_s() + TIMEOUT_S * 4
    try:
        while can_bind(int(str(settings.console.address).rpartition(":")[2])):
            if process.poll() is not None or clock.monotonic_s() > end_s:
                raise SystemExit(f"the page did not start: {' '.join(command)}")
            clock.sleep_s(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Debian's Chromium, without a screen."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise SystemExit("there is no chromium on the PATH: apt-get install chromium")
    with importlib.import_module("playwright.sync_api").sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tabs:
    """Opens places of the page, each in a browser context that has seen nothing yet."""

    def __init__(self, browser: Any, base: str) -> None:
        self._browser, self._base = browser, base

    def open(self, hash_: str) -> Any:
        """Return a tab that begins to load."""
        tab = self._browser.new_context(viewport={"width": 1400, "height": 950}).new_page()
        tab.set_default_timeout(WAIT_MS)
        tab.add_init_script(WATCH)
        tab.goto(f"{self._base}/{hash_}", wait_until="commit")
        return tab


def measured(tabs: Tabs, server: psutil.Process, week: Week, feed: Feed, viewers: int) -> Row:
    """Return all figures, in seconds and MiB; the first of each row is of a server that has just started."""
    memory = {"start": _mib(server)}
    found: Row = {"load_before": _load()}
    names = [week.rigs[-1 - number * 7 % len(week.rigs)] for number in range(ROUNDS)]
    found["first_paint_s"], found["fleet_s"] = _columns(partial(fleet, tabs), ROUNDS)
    for range_ in ("1h", "1w"):
        found[f"curves_{range_}_s"] = [curves(tabs, name, range_) for name in names]
    memory["curves"] = _mib(server)
    tab = tabs.open(f"#/rig/{week.rigs[0]}/1h")
    feed()
    tab.wait_for_selector("html[data-live]")
    found["live_s"] = [update([tab], feed)[0] for _ in range(UPDATES)]
    tab.context.close()
    tab = tabs.open("#/")
    tab.wait_for_selector("html[data-ready]")
    found["says"] = [" ".join(text.split()) for text in tab.locator(".count, .more").all_inner_texts()]
    found["tiles"] = tab.locator(".tiles .tile").count()
    tab.context.close()
    open_ = [tabs.open(f"#/rig/{week.rigs[number % len(week.rigs)]}/1w") for number in range(viewers)]
    found["viewers"], found["viewers_curves_s"] = viewers, [drawn(tab) for tab in open_]
    times = [update(open_, feed) for _ in range(UPDATES // 2)]
    found["viewers_live_s"] = {
        "median": _round(statistics.median(one for row in times for one in row)),
        "worst": max(map(max, times)),
    }
    memory["viewers"] = _mib(server)
    for tab in open_:
        tab.context.close()
    found["live_viewers"] = cost(server, feed, viewers, partial(looking, tabs, week))
    return found | {"load_after": _load(), "server_mib": memory}


def looking(tabs: Tabs, week: Week, number: int) -> Any:
    """Return the tab of somebody who looks at the last hour of a rig."""
    tab = tabs.open(f"#/rig/{week.rigs[number % len(week.rigs)]}/1h")
    drawn(tab)
    return tab


def fleet(tabs: Tabs) -> tuple[float, float]:
    """Return when something was on the screen, and when all tiles were."""
    tab = tabs.open("#/")
    ready_s = drawn(tab)
    paint_ms = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    tab.context.close()
    return _round(paint_ms / 1000), ready_s


def curves(tabs: Tabs, rig: str, range_: str) -> float:
    """Return when all curves of a rig were on the screen, from when the page was asked for on."""
    tab = tabs.open(f"#/rig/{rig}/{range_}")
    took_s = drawn(tab)
    there = tab.locator(".card .uplot").count()
    if there != len(CHANNELS):
        raise SystemExit(f"{rig} shows {there} curves")
    tab.context.close()
    return took_s


def drawn(tab: Any) -> float:
    """Return when a tab showed everything, by its own clock."""
    tab.wait_for_selector("html[data-drawn]")
    return _round(float(tab.get_attribute("html", "data-drawn")) / 1000)


def update(tabs: list[Any], feed: Feed) -> list[float]:
    """Return what a published value took to each of the tabs."""
    for tab in tabs:
        tab.evaluate(SEEN, feed.shows)
    sent_s = feed()
    for tab in tabs:
        tab.wait_for_selector("html[data-seen]")
    return [_round(float(tab.get_attribute("html", "data-seen")) / 1000 - sent_s) for tab in tabs]


def _columns(call: Callable[[], tuple[float, float]], count: int) -> list[list[float]]:
    return [list(column) for column in zip(*(call() for _ in range(count)), strict=True)]


def _mib(process: psutil.Process) -> int:
    return int(process.memory_info().rss / 2**20)


def _load() -> float:
    return _round(os.getloadavg()[0])


def _round(value: float) -> float:
    return round(value, 3)


if __name__ == "__main__":
    main()
