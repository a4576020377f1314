"""The same windows as fast as Bytewax goes, and raw records as Parquet: batches go through the flow, not records."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage
from bytewax.dataflow import Dataflow

from benchmarks.peers.bytewax import batches, panes
from benchmarks.peers.bytewax.lake import Lake

RECORDS_MAX = 10_000
ENCODE = msgspec.json.Encoder().encode


def message(found: tuple[str, panes.Window]) -> KafkaSinkMessage[Any, Any]:
    """Return a window as it is published."""
    sensor, window = found
    return KafkaSinkMessage(sensor.encode(), ENCODE(panes.row(sensor, window)))


def flow(order: SimpleNamespace) -> Dataflow:
    """Return the flow from the topics to the windows' topic, to the lake, or to both."""
    made = Dataflow("tuned")
    values = op.input("topics", made, batches.Topics(order.bootstrap, order.inputs, RECORDS_MAX))
    parse = batches.readings if order.job == "windows" else batches.records
    readings = op.map_value("parse", values, parse)
    if order.job != "raw":
        windows = op.stateful_batch("panes", readings, lambda state: panes.Panes(state, updates=order.live))
        op.output("analytics", op.map("row", windows, message), KafkaSink([order.bootstrap], order.output))
    if order.job != "windows":
        op.output("lake", readings, Lake(Path(order.lake), list(order.inputs)))
    return made
