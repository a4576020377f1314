"""Whose a group's slots are: claims, generations that were given up, and workers that two runs share."""

import uuid
from unittest.mock import MagicMock

import pytest

from hydrodask import clock
from hydrodask.errors import FatalError, FencedError, RetryableError
from hydrodask.protocol.order import Order
from hydrodask.protocol.ownership import CLAIMS_MAX, FOLDER_MAX, Claim, Ownership, folder_of
from hydrodask.store.files import Files
from hydrodask.worker import step as module
from hydrodask.worker.step import Lease, step
from tests.simulation.platform import settings_of


@pytest.fixture
def ownership() -> Ownership:
    """Return the claims on a group that has never run."""
    return Ownership(Files(f"memory://{uuid.uuid4().hex}"), "group")


def test_each_run_has_the_next_number(ownership: Ownership) -> None:
    """A group's runs are numbered from 1 on, and the newest is known."""
    assert ownership.newest() == 0
    assert [ownership.claim(name) for name in ("a", "b", "c")] == [1, 2, 3]
    assert ownership.newest() == 3


def test_claims_of_older_runs_go(ownership: Ownership) -> None:
    """A group that is started every hour for years has one claim, and its number goes on."""
    for number in range(1, 30):
        assert ownership.claim("again") == number
        ownership.use(0)
        ownership.give_up(number, 1)

    assert sorted(name.rsplit("/", 1)[-1] for name in ownership._names()) == ["given-up-29-1", "run-29", "slot-0"]


def test_a_claim_that_comes_late_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that stood still between its look and its claim finds the name free again, and is the newest."""
    files = Files(f"memory://{uuid.uuid4().hex}")
    put, others = files.put_if_absent, ["b", "c"]

    def late(path: str, data: bytes) -> bool:
        if path.endswith("/run-1") and others:
            monkeypatch.undo()
            assert [Ownership(files, "group").claim(name) for name in others] == [1, 2]
        return put(path, data)

    monkeypatch.setattr(files, "put_if_absent", late)
    mine = Ownership(files, "group").claim("a")

    assert mine == Ownership(files, "group").newest() == 3


def test_a_claim_that_is_lost_is_made_again(ownership: Ownership) -> None:
    """Nobody has taken over from a run whose claim a disk has lost, and the next one has a later number."""
    number = [ownership.claim(name) for name in ("a", "b")][-1]
    ownership._files.remove(f"{ownership._folder}/run-{number}")

    ownership.check(number, 1)

    assert ownership.newest() == number
    assert ownership.claim("c") == number + 1


def test_older_run_gets_no_slot(ownership: Ownership) -> None:
    """Who initialises a slot for an older run is told that there is a newer one."""
    first = ownership.claim("a")
    ownership.check(first, 1)
    second = ownership.claim("b")

    with pytest.raises(FencedError, match="run 2 of this group has taken over from run 1"):
        ownership.check(first, 1)
    ownership.check(second, 1)


def test_generation_that_was_given_up_gets_no_slot(ownership: Ownership) -> None:
    """A worker that wakes up after its slot went to somebody else must not have it back."""
    run = ownership.claim("a")
    ownership.give_up(run, 4)

    with pytest.raises(FencedError, match="generation 4 was given up"):
        ownership.check(run, 4)
    ownership.check(run, 5)


def test_slots_are_remembered_for_the_next_run(ownership: Ownership) -> None:
    """A successor fences every slot that was ever used, and old generations are forgotten."""
    run = ownership.claim("a")
    for slot in (3, 11, 3):
        ownership.use(slot)
    ownership.give_up(run, 1)

    ownership.claim("b")

    assert ownership.slots() == [3, 11]
    assert not any("given-up" in name for name in ownership._names())


def test_a_claim_that_others_are_always_faster_with_has_an_end(
    ownership: Ownership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each name is taken just before: the run does not begin, and says so."""
    monkeypatch.setattr(ownership._files, "put_if_absent", lambda *_: False)

    with pytest.raises(FatalError, match=f"could not claim the group in memory://.*: {CLAIMS_MAX} were faster"):
        ownership.claim("a")


@pytest.mark.parametrize("run", [1, 0])
def test_a_run_that_has_claimed_nothing_leaves_and_minds_nothing(ownership: Ownership, run: int) -> None:
    """Our own group on an embedded broker has nobody to dispute it."""
    claim = Claim(ownership, run, 4)
    ownership.claim("a")
    claim.check()
    claim.use(3)
    ownership.give_up(run, 4)

    assert ownership.slots() == [3] * run
    if run:
        with pytest.raises(FencedError, match="generation 4 was given up"):
            claim.check()
    else:
        claim.check()


def test_a_group_has_a_folder_of_its_own_whatever_its_name_holds() -> None:
    """One level, never hidden, never cut so that two are one."""
    long = "a" * FOLDER_MAX
    names = ["plant-2", "team/a", "team=2Fa", ".x", "..", "é", long, long + "a", long + "b"]
    folders = [folder_of(name) for name in names]

    assert folders[:7] == ["plant-2", "team=2Fa", "team=3D2Fa", "=2Ex", "=2E.", "=C3=A9", long]
    assert len(set(folders)) == len(names)
    assert all(len(folder) <= FOLDER_MAX for folder in folders)


def test_groups_do_not_meet() -> None:
    """Two groups on one file system have numbers of their own."""
    files = Files(f"memory://{uuid.uuid4().hex}")

    assert [Ownership(files, name).claim("a") for name in ("one", "two")] == [1, 1]


def test_worker_that_two_runs_share_works_for_the_newer() -> None:
    """An order of the older run is refused, or both would take turns for ever."""
    settings = settings_of({})
    lease = Lease(group=(settings.kafka.group, str(settings.snapshots_url)), run=7)

    with pytest.raises(FencedError, match="works for run 7 of this group, which came later"):
        step(Order("older", 1, 0, "w1", settings, run=6), lease=lease)


def test_a_run_that_claims_its_group_anew_gets_new_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow that begins again on an embedded broker has the same run id, and counts its generations from 1 again."""
    settings = settings_of({})
    host, fresh = MagicMock(run_id="same", generation=1), MagicMock()
    monkeypatch.setattr(module, "Host", lambda *_, **__: fresh)
    failed = MagicMock()
    lease = Lease(host=host, group=(settings.kafka.group, str(settings.snapshots_url)), run=1, failures=failed)

    step(Order("same", 1, 0, "w1", settings, run=2), lease=lease)

    host.close.assert_called_once()
    assert (lease.run, lease.host) == (2, fresh)
    assert lease.failures is not failed  # its flows may be others


def test_worker_that_another_group_uses_is_waited_for() -> None:
    """Neither group's runs are newer than the other's: while the worker is in use, who comes has to wait."""
    settings = settings_of({})
    host = MagicMock()
    lease = Lease(host=host, group=("other", "memory://other"), run=7, used_s=clock.monotonic_s())

    with pytest.raises(RetryableError, match=r"works for group 'other'.*one group at a time"):
        step(Order("first", 1, 0, "w1", settings, run=1), lease=lease)
    host.close.assert_not_called()


def test_worker_that_another_group_has_left_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of any number takes it, and what the other one has left behind is let go of."""
    settings = settings_of({})
    host, fresh = MagicMock(), MagicMock()
    monkeypatch.setattr(module, "Host", lambda *_, **__: fresh)
    lease = Lease(host=host, group=("other", "memory://other"), run=7)

    step(Order("first", 1, 0, "w1", settings, run=1), lease=lease)

    host.close.assert_called_once()
    assert (lease.run, lease.host) == (1, fresh)
