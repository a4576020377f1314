"""Placement: everything is placed, evenly, little moves, and nobody gets what somebody else still holds."""

from hypothesis import given
from hypothesis import strategies as st

from hydrodask.channels import SENSORS
from hydrodask.driver.assignment import Assignment
from hydrodask.driver.placement import place, weight
from hydrodask.driver.seats import Seat
from hydrodask.records import PartitionId

WEIGHTS = st.dictionaries(
    st.tuples(st.sampled_from(SENSORS), st.integers(0, 3)),
    st.sampled_from([1.0, 10.0, 100.0]),
    max_size=30,
)
WORKERS = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)
RIG = {(f"hydraulic-{s}", 0): weight(f"hydraulic-{s}", "hydraulic-") for s in SENSORS}


def loads(weights: dict[PartitionId, float], placed: dict[PartitionId, str]) -> dict[str, float]:
    """Return what each worker carries."""
    found: dict[str, float] = {}
    for source, worker in placed.items():
        found[worker] = found.get(worker, 0.0) + weights[source]
    return found


@given(weights=WEIGHTS, workers=WORKERS, before=WORKERS)
def test_everything_has_one_worker_that_is_there(
    weights: dict[PartitionId, float], workers: list[str], before: list[str]
) -> None:
    """Every source is placed on a worker of now, whatever was before."""
    placed = place(weights, workers, place(weights, before, {}))

    assert set(placed) == set(weights)
    assert set(placed.values()) <= set(workers)


@given(weights=WEIGHTS, workers=WORKERS, before=WORKERS)
def test_nobody_carries_too_much(weights: dict[PartitionId, float], workers: list[str], before: list[str]) -> None:
    """No worker carries more than 1.25 fair shares, or one share and the heaviest source."""
    placed = place(weights, workers, place(weights, before, {}))
    fair = sum(weights.values()) / len(workers)

    for load in loads(weights, placed).values():
        assert load <= max(1.25 * fair, fair + max(weights.values())) + 1e-9


@given(weights=WEIGHTS, workers=WORKERS)
def test_nothing_moves_without_a_reason(weights: dict[PartitionId, float], workers: list[str]) -> None:
    """Placing again, with the same workers, changes nothing."""
    placed = place(weights, workers, {})

    assert place(weights, workers, placed) == placed


@given(weights=WEIGHTS, workers=WORKERS.filter(lambda w: len(w) > 1))
def test_what_a_lost_worker_had_is_all_that_moves(weights: dict[PartitionId, float], workers: list[str]) -> None:
    """The others keep what they have."""
    before = place(weights, workers, {})
    after = place(weights, workers[1:], before)

    assert all(after[s] == w for s, w in before.items() if w != workers[0])


def test_newcomer_takes_a_share() -> None:
    """One rig on one worker, and a second worker comes: both then carry about half."""
    after = place(RIG, ["a", "b"], place(RIG, ["a"], {}))

    found = loads(RIG, after)
    assert min(found.values()) >= 0.7 * max(found.values())


def test_nobody_there() -> None:
    """Without workers nothing is placed."""
    assert place(RIG, [], {}) == {}


def test_a_partition_costs_what_its_sensor_sends() -> None:
    """Samples a second of one rig; what is no sensor's topic costs little."""
    assert [weight(f"hydraulic-{name}", "hydraulic-") for name in ("PS1", "FS1", "TS1", "labels")] == [100, 10, 1, 1]
    assert weight("PS1", "hydraulic-") == 100
    assert weight("other-PS1", "hydraulic-") == 1


def test_a_worker_keeps_what_it_has_up_to_its_slack() -> None:
    """Five of eight with two workers is a quarter too much, which is not worth a move; six are."""
    eight = {("t", number): 1.0 for number in range(8)}
    five, six = ({source: "a" if source[1] < kept else "b" for source in eight} for kept in (5, 6))

    assert place(eight, ["a", "b"], five) == five
    assert loads(eight, place(eight, ["a", "b"], six)) == {"a": 5, "b": 3}


def test_the_lightest_worker_is_next() -> None:
    """Heavy ones first, each to who carries least then, the first of several that carry the same."""
    weights = {("heavy", 0): 5.0, ("light", 0): 1.0, ("light", 1): 1.0, ("light", 2): 1.0, ("mid", 0): 2.0}

    assert place(weights, ["a", "b", "c"], {}) == {
        ("heavy", 0): "a",
        ("mid", 0): "b",
        ("light", 0): "c",
        ("light", 1): "c",
        ("light", 2): "b",
    }
    assert place({("x", 0): 1.0}, ["a", "b"], {("kept", 0): "a"}) == {("x", 0): "a"}
    kept = {("heavy", 0): "a", ("light", 0): "a"}
    assert place(weights, ["a", "b"], kept) == {**dict.fromkeys(weights, "b"), **kept}


ONE, TWO = Seat("w1", 0, 1), Seat("w2", 1, 2)
A, B, C, D = ("hydraulic-PS1", 0), ("hydraulic-PS2", 0), ("hydraulic-PS3", 0), ("hydraulic-D", 0)


def assigned(*seats: Seat, sources: tuple[PartitionId, ...] = (A, B)) -> Assignment:
    """Return who should host what, of these."""
    assignment = Assignment("hydraulic-")
    assignment.found(dict.fromkeys(sources, "monitor"))
    assignment.place(seats)
    return assignment


def test_what_somebody_holds_goes_to_nobody_else_before_it_is_free() -> None:
    """A seat that joins gets its share once the other has reported without it; nothing that is held is stale."""
    assignment = assigned(ONE)
    assert assignment.grant(ONE) == {A: "monitor", B: "monitor"}
    assignment.place([ONE, TWO])
    [stays] = assignment.grant(ONE)
    assert assignment.grant(TWO) == {}
    assignment.free(ONE, kept={A, B})
    assert (assignment.grant(TWO), assignment.stale) == ({}, set())

    assignment.free(ONE, kept={stays})

    assert assignment.stale == {A, B} - {stays}
    assert set(assignment.grant(TWO)) == {A, B} - {stays}
    assert set(assignment.grant(ONE)) == {stays}
    assignment.free(ONE, kept=set())
    assert assignment.stale == {A, B}


def test_who_was_freed_of_all_may_hold_again() -> None:
    """A seat whose last partition went is as one that never had any."""
    assignment = assigned(ONE)
    assignment.grant(ONE)
    for _ in range(2):
        assignment.free(ONE, kept=set())
    assert set(assignment.grant(ONE)) == {A, B}
    assignment.place([TWO])
    assert assignment.grant(TWO) == {}
    assignment.free(ONE, kept=set())

    assert set(assignment.grant(TWO)) == {A, B}


def test_a_partition_that_the_broker_leaves_out_for_a_moment_is_nobody_s() -> None:
    """It is not granted; when it is back it is with its seat as before. The same partitions again move nothing."""
    assignment = assigned(ONE, sources=(A, B, C))
    assignment.grant(ONE)
    assignment.found({A: "monitor", B: "monitor"})
    assert set(assignment.grant(ONE)) == {A, B}
    assignment.place([ONE])
    assignment.found({A: "monitor", B: "labels"})
    assignment.place([ONE])
    assert assignment.grant(ONE) == {A: "monitor", B: "labels"}
    assignment.found({A: "monitor", B: "labels", D: "monitor"})
    assignment.place([ONE])
    assert D in assignment.grant(ONE)
    assert set(assignment.first or ()) == {A, B, C}
    before = assignment.sources
    assignment.found({A: "monitor", B: "labels", D: "monitor"})
    assert assignment.sources is before


def test_newcomers_are_those_that_the_group_did_not_begin_with() -> None:
    """With `latest` only: of a group that has begun before all are, of one that begins those of its first look not."""
    assignment = Assignment("hydraulic-")
    assert assignment.newcomers({A: "monitor"}, start="latest", begun=False) == {A}
    assignment.found({A: "monitor"})
    assignment.found({A: "monitor", B: "monitor"})
    sources = {A: "monitor", B: "monitor"}

    assert assignment.newcomers(sources, start="earliest", begun=False) == frozenset()
    assert assignment.newcomers(sources, start="latest", begun=False) == {B}
    assert assignment.newcomers(sources, start="latest", begun=True) == {A, B}
