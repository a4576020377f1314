"""What an audit of the lake alone makes of rigs that were away for so long that their states were forgotten."""

import itertools
from pathlib import Path

import pytest

from hydrodask.audit.verify import verify
from hydrodask.settings import Settings, load
from hydrodask.store.documents import open_documents
from hydrodask.testing import messages_of
from tests.running import Life
from tests.test_rigs_limit import SOURCE, record

ANALYTICS = "hydraulic-analytics"
HOUR_S = 3600


def publish(settings: Settings, samples: list[tuple[str, float, float]]) -> None:
    """Let a platform without a broker take samples of TS1: rig, second, value."""
    monitor = Life(settings, topic=SOURCE[0], url=str(settings.data_dir))
    alert = Life(settings, topic=ANALYTICS, flow="alert", url=str(settings.data_dir))
    fed = read = 0
    for number, (_, together) in enumerate(itertools.groupby(samples, key=lambda one: one[1] // 600)):
        values: list[bytes | None] = [record(*one) for one in together]
        monitor.feed(messages_of(values, topic=SOURCE[0], first=read, stamp_ms=4 * 10**12))
        monitor.commit()
        read += len(values)
        rows = [one.value for one in monitor.published if one.topic == ANALYTICS][fed:]
        alert.feed(messages_of(rows, topic=ANALYTICS, first=fed, stamp_ms=4 * 10**12 + number * 20_000))
        fed += len(rows)
    monitor.end()
    alert.end()
    store = open_documents(settings)
    store.write(alert.changes)
    store.close()


@pytest.mark.parametrize("back", [False, True])
def test_an_incident_that_ended_as_its_rig_was_forgotten_is_right(tmp_path: Path, *, back: bool) -> None:
    """Only who judged it knew that nothing came of its rig for a day: the lake has it sensor by sensor."""
    settings = load(sets=[f"data_dir={tmp_path}"], environ={})[0]
    hot = [("a", float(second), 58.0) for second in range(300)]
    others = [("b", 300.0 + 600 * turn, 36.0) for turn in range(27 * 6)]
    again = [("a", 27.5 * HOUR_S + second, 36.0) for second in range(300 if back else 0)]
    publish(settings, hot + others + again)
    results = verify(settings)

    assert [str(finding) for finding in results["documents"].findings] == []
    assert (results["documents"].unchecked[-1].find("limits.rig_silence") >= 0) == back
