"""A topic of ours that is deleted, and made anew: what its new life lacks is put back, exactly once."""

from pathlib import Path

import pytest

from hydrodask import kafka as clients
from hydrodask.audit.restore import restore_topics
from hydrodask.audit.verify import verify
from hydrodask.ingest.topics import create
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.audited import BAD, run_real, wrong
from tests.delivery import read, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]


def delete(settings: Settings, name: str) -> None:
    """Delete a topic, and wait until the broker does not know it any more."""
    admin, topic = clients.admin(settings.kafka), settings.topic(name)
    admin.delete_topics([topic])[topic].result(10)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic is gone", seconds=20)


def finals(settings: Settings, name: str) -> list[str]:
    """Return what is on a topic for good, in an order of its own: open rows depend on timing."""
    rows = read(settings, name, parse=name != "dead-letter")
    return sorted(str(row) for row in rows if name == "dead-letter" or row.get("final", True))


def test_rows_that_a_new_topic_lacks_are_published_once(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """All three outputs are made anew while nobody runs: `verify` names them, one command brings back byte for byte."""
    settings = run_real(kafka, recording, tmp_path, "remade").settings
    names = ("analytics", "cycles", "dead-letter")
    before = {name: finals(settings, name) for name in names}
    for name in names:
        delete(settings, name)
    create(settings)

    found = verify(settings)
    said = restore_topics(settings, write=False)
    done = restore_topics(settings, write=True)
    again = restore_topics(settings, write=True)

    for check in ("analytics", "profiles", "dead"):
        assert "`hydrodask backfill --topics --write` publishes them" in str(found[check].findings[0])
    assert [one.missing for one in said] == [one.restored for one in done], (said, done)
    assert done[2].restored >= BAD
    assert [(one.missing, one.restored) for one in again] == [(0, 0)] * 3
    after = {name: finals(settings, name) for name in names}
    assert after == before
    assert not {"analytics", "profiles", "dead"} & set(wrong(verify(settings)))
