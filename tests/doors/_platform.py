"""A running platform, and what a stranger can find out about it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hydrodask.doors import access
from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port
from hydrodask.settings import Settings, load
from tests.delivery import Driver, until
from tests.doors import _stranger

QUICK = ("lake.roll_age=1s", "source.speed=20")
ENDS_S = 180.0


@dataclass
class Doors:
    """A platform that works, and the context of those who try its doors."""

    driver: Driver
    settings: Settings
    context: dict[str, Any]

    def tried(self) -> list[_stranger.Row]:
        """Try every door; the platform has not failed by it, unless its embedded broker was ended."""
        rows = _stranger.try_all(self.context)
        if "broker" in self.context:
            assert self.driver.wait(ENDS_S) == 1, self.driver.output[-3000:]
            assert "the embedded broker died (signal" in self.driver.output
        else:
            assert self.driver.process.poll() is None, self.driver.output[-3000:]
            assert self.driver.stop() == 0, self.driver.output[-3000:]
        assert "Traceback" not in self.driver.output, self.driver.output[-6000:]
        return rows


@contextmanager
def running(folder: Path, kafka: KafkaService | None = None, sets: Sequence[str] = ()) -> Iterator[Doors]:
    """Run `hydrodask run`, with its embedded broker or on a local Kafka, until it works; its log is in `folder`.

    Everybody has a way to the folder that its data is in, as to one in a home: that has to close itself.
    """
    with tempfile.TemporaryDirectory() as reachable:
        Path(reachable).chmod(0o755)
        yield from _running(folder, Path(reachable) / "data", kafka, sets)


def _running(folder: Path, data: Path, kafka: KafkaService | None, sets: Sequence[str]) -> Iterator[Doors]:
    dashboard, metrics, console = (f"127.0.0.1:{free_port()}" for _ in range(3))
    sets = [
        f"data_dir={data}",
        f"cluster.dashboard={dashboard}",
        f"observe.metrics={metrics}",
        f"console.address={console}",
        *sets,
        *QUICK,
    ]
    if kafka is not None:
        sets += kafka.sets()
    settings = load(sets=sets, environ={})[0]
    with Driver(sets, folder / "log", source=None) as driver:
        until(lambda: any((data / "lake").rglob("*.parquet")) or driver.process.poll() is not None, "it works")
        assert driver.process.poll() is None, driver.output
        context = {
            "dashboard": dashboard,
            "metrics": metrics,
            "console": console,
            "services": {},
            **_known(settings),
            **_seen(driver, kafka),
        }
        if kafka is None:
            context["broker"] = driver.output.partition("embedded broker on ")[2].split(": ")[0]
        else:
            context["kafka"] = {
                name: kafka.nodes[0].at(n) for n, name in enumerate(("INTERNAL", "EXTERNAL", "CONTROLLER"))
            }
        named = {
            int(context[key].rpartition(":")[2])
            for key in ("dashboard", "metrics", "console", "broker")
            if key in context
        }
        ours = [one["port"] for one in context["ports"] if one["process"] in ("driver", "worker")]
        yield Doors(driver, settings, {**context, "dask": [port for port in ours if port not in named]})


def _known(settings: Settings) -> dict[str, Any]:
    names = {"topic": settings.topic("PS1"), "group": settings.kafka.group, "roles": access.roles()}
    return {"data_dir": str(settings.data_dir), **names}


def _seen(driver: Driver, kafka: KafkaService | None) -> dict[str, Any]:
    """Return which processes there are, and on what they listen."""
    root = psutil.Process(driver.process.pid)
    family = {root: "driver", **{child: _kind(child) for child in root.children(recursive=True)}}
    if kafka is not None:
        servers = [server.pid for server in kafka.state().servers]
        family |= {psutil.Process(pid): "kafka" for pid in servers if pid is not None}
    ports = [
        {"port": one.laddr.port, "process": kind}
        for process, kind in family.items()
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    return {"ports": ports, "pids": [process.pid for process in family]}


def _kind(process: psutil.Process) -> str:
    command = process.cmdline()
    if any(part.endswith("ingest/broker.py") for part in command):
        return "broker"
    return "worker" if "--multiprocessing-fork" in command else "helper"
