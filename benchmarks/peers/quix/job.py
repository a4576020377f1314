"""One process of the benchmarks' job on Quix Streams: `PYTHON -m benchmarks.peers.quix.job ORDER` (JSON, see peer.py).

Runs in an environment of its own, and imports nothing of this project but its neighbours.
"""

import importlib
import json
import sys
from concurrent.futures import wait
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from quixstreams import Application

from benchmarks.peers.quix.lake import Lake

MADE_S = 30.0


def time_ms(record: dict[str, Any], *_: Any) -> int:
    """Return a record's event time; its text becomes a time on the way, which Parquet gets."""
    moment = datetime.fromisoformat(record["timestamp"])
    record["timestamp"] = moment  # without a zone: where a stream branches records are pickled, and zones take long
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def make_changelogs(order: SimpleNamespace) -> None:
    """Make the changelogs of all topics' states at once: Quix Streams takes a second for each."""
    names = [f"changelog__{order.group}--{topic}--default" for topic in order.inputs.values()]
    changelogs = [NewTopic(name, 1, config={"cleanup.policy": "compact"}) for name in names]
    admin = AdminClient({"bootstrap.servers": order.bootstrap})  # alive until they are made: else nobody is told
    wait(admin.create_topics(changelogs).values(), timeout=MADE_S)


def main(order: SimpleNamespace) -> None:
    """Run until somebody ends the process."""
    if order.windows == "tuned":
        make_changelogs(order)
    application = Application(
        order.bootstrap,
        consumer_group=order.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=order.state,
        commit_interval=order.commit_s,
        consumer_poll_timeout=order.poll_s,
        # Who starts again under the same names has its topics at once, and ends the transaction that it left open.
        consumer_extra_config={"group.instance.id": order.group, **order.consumer},
        producer_extra_config={"transactional.id": order.group},
        loglevel="WARNING",
    )
    windows = importlib.import_module(f"benchmarks.peers.quix.{order.windows}").windows
    output = application.topic(order.output)
    lake = Lake(Path(order.lake), order.inputs)
    for sensor, topic in order.inputs.items():
        records = application.dataframe(application.topic(topic, timestamp_extractor=time_ms))
        if order.job != "raw":
            windows(records, sensor, live=order.live).to_topic(output)
        if order.job != "windows":
            records.sink(lake)
    application.run()


if __name__ == "__main__":
    main(SimpleNamespace(**json.loads(sys.argv[1])))
