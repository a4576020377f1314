"""Run the real services on this machine: install, start, check and stop each.

Takes pinned artefacts (`cluster/local/NAME`) and a data directory, gives services that answer on
loopback. Loses nothing of what a service has stored when it is stopped. Each service is one module
with a subclass of `ServerService`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hydrodask.services.hdfs import HdfsService
from hydrodask.services.kafkanodes import KafkaService
from hydrodask.services.mlflow import MlflowService
from hydrodask.services.mongodb import MongoService
from hydrodask.services.prometheus import AlertmanagerService, PrometheusService, PushgatewayService
from hydrodask.services.server import ServerService
from hydrodask.services.service import Service, State

__all__ = [
    "SERVICES",
    "AlertmanagerService",
    "HdfsService",
    "KafkaService",
    "MlflowService",
    "MongoService",
    "Options",
    "PrometheusService",
    "PushgatewayService",
    "ServerService",
    "Service",
    "State",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is chosen at a start, by a person or by the settings; None is what was the last time, or the default."""

    port: int | None = None
    heap: str | None = None
    data_nodes: int | None = None
    kafka_nodes: int | None = None
    platform: str | None = None
    """Where Prometheus scrapes a run; empty: nowhere."""
    scrape_s: float | None = None


SERVICES: Mapping[str, Callable[[Path, Options], ServerService]] = {
    "kafka": lambda folder, chosen: KafkaService(folder, port=chosen.port, nodes=chosen.kafka_nodes, heap=chosen.heap),
    "hdfs": lambda folder, chosen: HdfsService(
        folder, port=chosen.port, data_nodes=chosen.data_nodes, heap=chosen.heap
    ),
    "mongodb": lambda folder, chosen: MongoService(folder, port=chosen.port),
    "pushgateway": lambda folder, chosen: PushgatewayService(folder, port=chosen.port),
    "alertmanager": lambda folder, chosen: AlertmanagerService(folder, port=chosen.port),
    "prometheus": lambda folder, chosen: PrometheusService(
        folder, port=chosen.port, platform=chosen.platform, scrape_s=chosen.scrape_s
    ),
    "mlflow": lambda folder, chosen: MlflowService(folder, port=chosen.port),
}
"""Every service by name, in the order in which all of them start: makes it in its folder."""
