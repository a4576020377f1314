"""Run in the driver's pod: print when each message of the windows' topic was written, milliseconds since 1970."""

import json
import sys

from confluent_kafka import KafkaError, TopicPartition

from hydrodask.kafka import consumer
from hydrodask.settings import load


def main(profile: str) -> None:
    """Read the topic to its end, with the settings of a profile."""
    settings = load(profile=profile)[0]
    topic = settings.topic("analytics")
    client = consumer(settings.kafka, **{"isolation.level": "read_committed", "enable.partition.eof": True})
    found = client.list_topics(topic, 30).topics[topic].partitions
    client.assign([TopicPartition(topic, partition, 0) for partition in found])
    times: list[int] = []
    ended: set[int | None] = set()
    while ended != set(found):
        for message in client.consume(1000, 1):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif error is None:
                times.append(message.timestamp()[1])
    json.dump(sorted(times), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
