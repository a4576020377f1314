"""Labels obey the rules of samples, in the present layout and in the older platform's; the audit agrees."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from hydrodask.audit.letters import Letter, why_again
from hydrodask.blobs import Blobs
from hydrodask.clock import parse_iso
from hydrodask.settings import Settings
from hydrodask.settings.model import Rig
from hydrodask.testing import messages_of
from tests.running import Life

SETTINGS = Settings()
OLDER = {"label_cooler": 20, "label_valve": 100, "label_pump": 0, "label_accumulator": 130, "label_stable": 0}
LABEL = {"cycle": 3, "timestamp": "2026-01-01", "cooler": 1, "valve": 1, "pump": 0, "accumulator": 1, "stable": 0}


def stored(
    *labels: dict[str, Any], settings: Settings = SETTINGS, keys: Sequence[bytes | None] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows that labels become, and the reasons of those that are dead letters."""
    life = Life(settings, topic="hydraulic-labels", flow="labels")
    values: list[bytes | None] = [json.dumps(label).encode() for label in labels]
    messages = messages_of(values, topic="hydraulic-labels", stamp_ms=0)
    messages.keys = Blobs.of(keys) if keys else messages.keys
    life.feed(messages)
    life.end()
    reasons = [dict(letter.headers)["reason"] for letter in life.published]
    rows: list[dict[str, Any]] = life.table("labels").to_pylist()
    return rows, [reason.decode() if isinstance(reason, bytes) else str(reason) for reason in reasons]


def test_older_layout_gives_the_same_rows() -> None:
    """No rig, names of their own, and seconds since 1970: as the older platform publishes them."""
    rows, reasons = stored(*({"cycle": n, **OLDER, "timestamp": 1767225600.0 + 60 * n} for n in range(5)))

    assert not reasons
    assert [(row["rig"], row["cycle"], row["cooler"], row["stable"]) for row in rows] == [
        ("rig-1", n, 20.0, 0) for n in range(5)
    ]
    minutes = [parse_iso(row["timestamp"].isoformat()) - parse_iso("2026-01-01") for row in rows]
    assert minutes == [n * 60_000_000 for n in range(5)]


@pytest.mark.parametrize(
    "changed",
    [{"cycle": 3.0}, {"stable": 1.0}, {"rig": None}, {"rig": "x"}, {"timestamp": 1767225600}, {"cooler": 3.5}],
    ids=str,
)
def test_label_is_taken(changed: dict[str, Any]) -> None:
    """Whole numbers may be written as 1.0, and the default rig is that of samples."""
    rows, reasons = stored(LABEL | changed)

    assert not reasons
    assert rows[0]["rig"] == changed.get("rig") or "rig-1"
    assert (rows[0]["cycle"], rows[0]["cooler"]) == (3, changed.get("cooler", 1))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"rig": ""}, "rig is empty"),
        ({"rig": "a\nb"}, "unprintable"),
        ({"rig": "r" * 129}, "rig is longer than 128 bytes"),
        ({"note": "x" * 70_000}, "too large"),
        ({"cycle": 3.5}, "$.cycle"),
        ({"cycle": 1e300}, "$.cycle"),
        ({"timestamp": "1677-12-31T23:59:59Z"}, "before 1678 or after 2261"),
        ({"timestamp": "2262-01-01"}, "before 1678 or after 2261"),
        ({"timestamp": 1767225600000}, "before 1678 or after 2261"),
        ({"timestamp": 1e300}, "before 1678 or after 2261"),
        ({"timestamp": "soon"}, "not ISO 8601"),
        ({"cooler": "cold"}, "mistyped field"),
        ({"label_cooler": 3}, "missing field"),
    ],
    ids=str,
)
def test_label_is_a_dead_letter(changed: dict[str, Any], reason: str) -> None:
    """With its reason; publishing it again would fail in the same way."""
    rows, reasons = stored(LABEL | changed)

    assert not rows
    assert reason in reasons[0]
    value = json.dumps(LABEL | changed).encode()
    letter = Letter(0, 0, 0, ("hydraulic-labels", 0), 0, "", None, value, None, None)
    assert why_again(letter, SETTINGS) == reasons[0]


def test_the_key_names_the_rig_of_a_label_as_it_does_of_samples() -> None:
    """With `rig.from_key`: a name of its own counts more, no key is the default rig, and no name is a dead letter."""
    settings = Settings(rig=Rig(from_key=True))
    labels = (LABEL, LABEL | OLDER, LABEL | {"rig": "named"}, LABEL, LABEL)
    keys = (b"press-7", b"press-8", b"press-7", None, b"\xff")
    rows, reasons = stored(*labels, settings=settings, keys=keys)

    assert [row["rig"] for row in rows] == ["press-7", "press-8", "named", "rig-1"]
    assert ["the key is no rig's name" in reason for reason in reasons] == [True]
    assert [row["rig"] for row in stored(LABEL, keys=[b"press-7"])[0]] == ["rig-1"]  # without the setting
    letter = Letter(0, 0, 0, ("hydraulic-labels", 0), 0, "", b"\xff", json.dumps(LABEL).encode(), None, None)
    assert why_again(letter, settings) == reasons[0]


@pytest.mark.parametrize(
    "more", [{"label_source": "bob"}, {"note": "label_cooler"}, {"note": '"label_cooler":'}], ids=str
)
def test_the_layout_is_told_by_a_field_and_not_by_text(more: dict[str, Any]) -> None:
    """A label with another field, or with that name in a text, stays what it is."""
    rows, reasons = stored(LABEL | more)

    assert not reasons
    assert rows[0]["cooler"] == 1
