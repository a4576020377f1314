"""Placement: everything is placed, evenly, and little moves."""

from hypothesis import given
from hypothesis import strategies as st

from hydrodask.channels import SENSORS
from hydrodask.driver.placement import place, weight
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
