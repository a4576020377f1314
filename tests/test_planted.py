"""More than a hundred damages of what a platform has stored: `verify` names each, or the docs say why it can't."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audited import Stored, run_embedded, wrong
from tests.planting import PLANTS, Place, Plant

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

DOCS = Path(__file__).parents[1] / "docs" / "audit.md"

BATCH = 12
"""Damages that are planted into one copy, each in a place of its own: an audit takes seconds."""

Found = tuple[dict[str, list[str]], dict[str, str | None]]
"""What is wrong, by check, and the word more of each damage."""


def batches(*, log: bool) -> list[list[Plant]]:
    """Return the damages of one kind of store in batches."""
    ours = [one for one in PLANTS if one.log in (None, log) and not one.reason]
    # What follows from windows is best seen where those are not damaged.
    documents = [one for one in ours if (one.check == "documents" or one.name == "snapshot_judged") and one.log is None]
    others = [one for one in ours if one not in documents]
    # Neighbours of the table are alike: those of one batch should be as different as can be.
    count = -(-len(others) // BATCH)
    spread = [others[start::count] for start in range(count)]
    return spread + [documents[start : start + BATCH] for start in range(0, len(documents), BATCH)]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Stored, bool, int], Found]:
    """Give what the audit says of a batch; each is planted and audited once."""
    known: dict[tuple[bool, int], Found] = {}

    def find(stored: Stored, log: bool, number: int) -> Found:
        if (log, number) not in known:
            place = Place(stored.copy(tmp_path_factory.mktemp("planted")))
            words = {one.name: planted(one, place) for one in batches(log=log)[number]}
            known[log, number] = wrong(place.stored.audit()), words
        return known[log, number]

    return find


@pytest.fixture(scope="module")
def narrow(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Return what a platform with an embedded broker has left that made a window every two seconds.

    The records come while it runs. On a slow machine a step has a few seconds of them, and some damages need a file
    with several windows.
    """
    return run_embedded(recording, tmp_path_factory.mktemp("narrow"), "window.slide=2s")


def planted(one: Plant, place: Place) -> str | None:
    """Plant a damage; what keeps it from being planted is a word that nobody says."""
    try:
        return one.act(place)
    except Exception as error:
        return repr(error)


def cases(*, log: bool) -> list[object]:
    """Return each damage with the number of its batch."""
    return [pytest.param(one, number, id=one.name) for number, batch in enumerate(batches(log=log)) for one in batch]


@pytest.mark.parametrize(("one", "batch"), cases(log=True))
def test_damage_is_named_with_a_log(
    stored: Stored, audited: Callable[[Stored, bool, int], Found], one: Plant, batch: int
) -> None:
    """Topics, lake, snapshots and documents are there."""
    check(audited(stored, True, batch), one)


@pytest.mark.parametrize(("one", "batch"), cases(log=False))
def test_damage_is_named_without_a_log(
    narrow: Stored, audited: Callable[[Stored, bool, int], Found], one: Plant, batch: int
) -> None:
    """The embedded broker has forgotten all."""
    check(audited(narrow, False, batch), one)


def check(found: Found, one: Plant) -> None:
    """Fail unless one of the findings is this damage's."""
    words = [*one.says, *filter(None, [found[1][one.name]])]
    said = found[0].get(one.check, [])
    assert any(all(word in line for word in words) for line in said), (words, found[0])


@pytest.mark.parametrize("kind", ["stored", "leftover"])
def test_what_cannot_be_found_is_in_the_docs(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """With its reason; were one found, its line would have to go."""
    place = Place(request.getfixturevalue(kind).copy(tmp_path))
    silent = [one for one in PLANTS if one.reason]
    for one in silent:
        one.act(place)

    assert not wrong(place.stored.audit())
    assert [one.name for one in silent if one.reason not in DOCS.read_text()] == []


def test_table_is_long_enough() -> None:
    """A hundred damages, and half of them with a real log."""
    assert len({one.name for one in PLANTS}) == len(PLANTS) >= 100
    assert sum(len(batch) for batch in batches(log=True)) >= 50
