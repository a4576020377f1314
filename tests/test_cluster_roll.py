"""`hydrodask cluster up` where a platform runs: other values reach its workers, without a cluster of Kubernetes."""

from pathlib import Path

import pytest

from hydrodask.cli.cluster import flowing, roll
from hydrodask.errors import HydrodaskError
from tests import kubelike
from tests.kubelike import PATIENCE_S, RELEASE, Cluster, pod


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a platform that runs, and let `kubectl` be a stand-in."""
    return kubelike.started(tmp_path, monkeypatch)


HELD, FREE = ["hydrodask-driver", {"spec": {"paused": True}}], ["hydrodask-driver", {"spec": {"paused": False}}]
A, B = ["hydrodask-default-worker-a", "spec"], ["hydrodask-default-worker-b", "spec"]
GROUP, SCHEDULER = ["hydrodask-default", "spec"], ["hydrodask-scheduler", "spec"]


def test_other_values_reach_workers_one_by_one_and_the_driver_last(cluster: Cluster) -> None:
    """Mounts, limits, variables; the operator's variables stay, and the scheduler is left alone if it is the same."""
    other = pod("one", resources={"limits": {"memory": "2Gi"}})
    with roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("worker", other)

    assert cluster.done() == [HELD, A, B, GROUP, FREE]
    found = cluster.read()["hydrodask-default-worker-b"]["spec"]["template"]["spec"]["containers"][0]
    assert found["resources"] == {"limits": {"memory": "2Gi"}}
    assert [one["name"] for one in found["env"]] == ["MINE", "DASK_WORKER_NAME"]

    with roll.rolled(RELEASE, PATIENCE_S):
        pass
    assert cluster.done() == [HELD, FREE], "the second time changes nothing"

    with roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("scheduler", other)
    assert cluster.done() == [HELD, SCHEDULER, FREE]


def test_values_that_no_worker_starts_with_stop_at_the_first(cluster: Cluster) -> None:
    """It gets back what it had, the driver keeps what it has; right values then reach all of them."""
    said = "worker-a did not start with these values: .*worker-a has the values from before again"
    with pytest.raises(HydrodaskError, match=said), roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("worker", pod("bad"))

    assert cluster.done() == [HELD, A, A]
    there = cluster.read()
    for name in ("a", "b"):
        assert there[f"hydrodask-default-worker-{name}"]["spec"]["template"]["spec"]["containers"][0]["image"] == "one"
    assert there["hydrodask-driver"]["spec"]["paused"]

    with roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("worker", pod("two"))
    assert cluster.done() == [HELD, A, B, SCHEDULER, GROUP, FREE], "it was not known what the scheduler has"
    assert not cluster.read()["hydrodask-driver"]["spec"]["paused"]


def test_a_driver_that_refuses_old_workers_is_started_anew(cluster: Cluster) -> None:
    """An older release's `up` has left it so: nobody waits for it, and it does not wait for its next try either."""
    found = cluster.read()
    found["hydrodask-driver"]["spec"]["template"]["spec"]["containers"][0]["image"] = "bad"
    found["hydrodask"]["spec"]["worker"]["spec"] = pod("two")
    cluster.write(list(found.values()))

    with roll.rolled(RELEASE, PATIENCE_S):
        pass

    done = cluster.done()
    assert done[:5] == [HELD, A, B, SCHEDULER, GROUP]
    assert done[5][0] == "delete"
    assert done[-1] == FREE


def test_what_helm_refuses_holds_nobody(cluster: Cluster) -> None:
    """The driver goes on as it was."""
    with pytest.raises(HydrodaskError, match="no"), roll.rolled(RELEASE, PATIENCE_S):
        raise HydrodaskError("no")

    assert cluster.done() == [HELD, FREE]


def test_no_row_with_other_values_gives_all_of_them_back(cluster: Cluster) -> None:
    """A worker that starts, and with which the driver does not get on: those before it have the new values already."""
    cluster.fail(stands=("hydrodask-default-worker-b two",))
    said = (
        "worker-b has these values.* has not finished steps.*worker-a, hydrodask-default-worker-b have the values from"
    )
    with pytest.raises(HydrodaskError, match=said), roll.rolled(RELEASE, 3):
        cluster.apply("worker", pod("two"))

    assert cluster.done() == [HELD, A, B, A, B]
    for name in ("a", "b"):
        there = cluster.read()[f"hydrodask-default-worker-{name}"]["spec"]["template"]["spec"]
        assert there["containers"][0]["image"] == "one"


def test_rows_flow_when_new_documents_say_so(cluster: Cluster) -> None:
    """Not by the last one of before, which has all workers; nor by one step more, which may be of before, too."""
    check = flowing.flows(RELEASE, 2)

    moving = "the driver has not finished steps since"
    assert [check(), check(), check()] == [moving, moving, ""]
    cluster.fail(stands=("hydrodask-scheduler one",))
    assert check() == moving
    cluster.fail()
    cluster.say(steps=100, run_id="another")
    assert [check(), check(), check()] == [moving, moving, ""]


def test_a_driver_that_works_on_no_partition_is_waited_for(cluster: Cluster) -> None:
    """Steps alone are no rows: who waits for a store or has not committed for long does not work yet."""
    waits = {"topic": "t", "partition": 3, "state": "waiting"}
    fine = {"topic": "t", "partition": 0, "state": "catching up"}
    for status, says in (
        ({"partitions": [fine, waits]}, "partition t/3 does not run"),
        ({"partitions": [fine], "commit_age_s": 11.0}, "the driver does not commit"),
        ({"commit_age_s": 1.0, "workers": {"a": 0}}, "the driver has 1 of 2 workers"),
        ({"workers": {"a": 0, "b": 1}}, ""),
    ):
        cluster.say(**status)
        check = flowing.flows(RELEASE, 2)
        assert [check(), check(), check()][-1] == says
    cluster.say(partitions=[waits])
    check = flowing.flows(RELEASE, 2, flowing.before(RELEASE))
    assert [check(), check(), check()][-1] == "", "it waited before, and another image may be the cure"
