"""The chart's NetworkPolicies without a cluster: who may reach whom, computed as Kubernetes computes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import charted
from tests.charted import Object, objects

Labels = dict[str, str]
SPACES = {"kafka": "rigs-kafka", "kafka-settle": "rigs-kafka", "dask": "rigs", "driver": "rigs", "training": "rigs"}
SPACES |= {"simulator": "rigs", "recording": "rigs", "namenode": "rigs-storage", "datanode": "rigs-storage"}
SPACES |= {"mongodb": "rigs-storage", "mlflow": "rigs-storage", "prometheus": "rigs-observe", "grafana": "rigs-observe"}


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Object]]:
    """Return the policies of the chart with values."""
    program = charted.helm("helm 4", tmp_path_factory.mktemp("helm"))

    def policies(*sets: str, values: Path | None = None) -> list[Object]:
        found = objects(charted.rendered(program, values, sets))
        return [one for one in found if one["kind"] == "NetworkPolicy"]

    return policies


def part(component: str) -> tuple[str, Labels]:
    """Return a pod of ours: its namespace and labels."""
    ours = {"app.kubernetes.io/name": "hydrodask", "app.kubernetes.io/instance": "plant"}
    return SPACES[component], ours | {"app.kubernetes.io/component": component}


def selects(selector: Object, labels: Labels) -> bool:
    """Say whether a selector is of labels."""
    for one in selector.get("matchExpressions", ()):
        if (labels.get(one["key"]) in one["values"]) != (one["operator"] == "In"):
            return False
    return set(selector.get("matchLabels", {}).items()) <= set(labels.items())


def meant(peer: Object, pod: tuple[str, Labels], home: str) -> bool:
    """Say whether a peer of a rule, in a policy of namespace `home`, is a pod."""
    if "ipBlock" in peer:
        return False
    spaces = peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": home}})
    return selects(spaces, {"kubernetes.io/metadata.name": pod[0]}) and selects(peer.get("podSelector", {}), pod[1])


def passes(rules: list[Object], side: str, pod: tuple[str, Labels], port: int, home: str) -> bool:
    """Say whether one of the rules lets a connection through."""
    return any(
        ("ports" not in rule or port in {one["port"] for one in rule["ports"] if one["protocol"] == "TCP"})
        and (side not in rule or any(meant(peer, pod, home) for peer in rule[side]))
        for rule in rules
    )


def may(policies: list[Object], one: tuple[str, Labels], other: tuple[str, Labels], port: int) -> tuple[bool, bool]:
    """Say whether a pod may open a connection to another, and whether that one lets it in."""
    verdicts = []
    for mine, peer, kind, side in ((one, other, "Egress", "to"), (other, one, "Ingress", "from")):
        held = [
            each["spec"]
            for each in policies
            if each["metadata"]["namespace"] == mine[0]
            and kind in each["spec"]["policyTypes"]
            and selects(each["spec"]["podSelector"], mine[1])
        ]
        rules = [rule for spec in held for rule in spec.get(kind.lower()) or ()]
        verdicts.append(not held or passes(rules, side, peer, port, mine[0]))
    return verdicts[0], verdicts[1]


BOTH, NEITHER = (True, True), (False, False)


def test_what_publishes_reaches_kafka_and_nothing_else(chart: Callable[..., list[Object]]) -> None:
    """Simulator, recording and the Job that makes users: no way out to stores, and none in; driver and workers have."""
    policies = chart()
    places = {"namenode": 8020, "datanode": 9866, "mongodb": 27017, "mlflow": 5000}

    for one in ("simulator", "recording", "kafka-settle"):
        assert may(policies, part(one), part("kafka"), 9092) == BOTH, one
        assert may(policies, part(one), part("kafka"), 9094) == NEITHER, one
        for name, port in places.items():
            assert may(policies, part(one), part(name), port) == NEITHER, (one, name)
    for one in ("driver", "dask", "training"):
        for name, port in (places | {"kafka": 9092}).items():
            assert may(policies, part(one), part(name), port) == BOTH, (one, name)


def test_with_a_store_of_your_own_what_publishes_does_not_go_out(chart: Callable[..., list[Object]]) -> None:
    """The way out is for driver, workers and trainer, unless Kafka is outside, too."""
    outside = ("elsewhere", {"app": "mongodb"})
    own = ["mongodb.enabled=false", "mongodb.url=mongodb://m.example:27017", "mongodb.secret=my-mongodb"]
    policies = chart(*own)

    assert may(policies, part("driver"), outside, 27017) == BOTH
    assert may(policies, part("simulator"), outside, 27017) == (False, True)
    kafka = ["kafka.enabled=false", "kafka.bootstrap=k.example:9093", "kafka.secret=my-kafka"]
    assert may(chart(*kafka), part("simulator"), outside, 9093) == BOTH


def test_the_operator_asks_the_scheduler_who_may_go(chart: Callable[..., list[Object]]) -> None:
    """By the port of its pages, from the operator's namespace; without an answer it would never scale down."""
    asks = ("dask-operator", {"app": "any"})

    assert may(chart(), asks, part("dask"), 8787) == BOTH
    assert may(chart(), asks, part("dask"), 8786) == (True, False)
    elsewhere = chart("networkPolicies.operatorNamespace=tools")
    assert may(elsewhere, asks, part("dask"), 8787) == (True, False)
    assert may(elsewhere, ("tools", {}), part("dask"), 8787) == BOTH


def test_a_driver_of_your_own_is_let_in_by_a_value(chart: Callable[..., list[Object]]) -> None:
    """`run --cluster` in another pod: scheduler, Kafka and stores, and no port that ours does not use."""
    mine = ("elsewhere", {"app": "mine"})
    value = "networkPolicies.driverFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=elsewhere"
    policies, closed = chart("driver.enabled=false", value), chart("driver.enabled=false")
    places = {"dask": 8786, "kafka": 9092, "namenode": 8020, "datanode": 9866, "mongodb": 27017, "mlflow": 5000}

    for name, port in places.items():
        assert may(policies, mine, part(name), port) == BOTH, name
        assert may(closed, mine, part(name), port) == (True, False), name
    assert may(policies, mine, part("dask"), 8790) == (True, False)
    assert may(policies, mine, part("kafka"), 9094) == (True, False)


def test_prometheus_and_grafana_reach_what_of_yours_they_are_told_of(chart: Callable[..., list[Object]]) -> None:
    """Alertmanagers and a Prometheus elsewhere, at their ports; without them there is no way out."""
    outside = ("monitoring", {"app": "theirs"})
    policies = chart("prometheus.alertmanagers={am.example:9093}")
    assert may(policies, part("prometheus"), outside, 9093) == BOTH
    assert may(policies, part("prometheus"), outside, 443) == (False, True)
    assert may(chart(), part("prometheus"), outside, 9093) == (False, True)

    for url, port in (("https://p.example/x", 443), ("http://p.example", 80), ("https://p.example:9090", 9090)):
        policies = chart("prometheus.enabled=false", f"grafana.prometheus={url}")
        assert may(policies, part("grafana"), outside, port) == BOTH, url
    narrow = "networkPolicies.observeEgress[0].to[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=m"
    policies = chart("prometheus.enabled=false", "grafana.prometheus=http://p.example", narrow)
    assert may(policies, part("grafana"), outside, 80) == (False, True)
    assert may(policies, part("grafana"), ("m", {}), 80) == BOTH


def test_a_prometheus_of_yours_reads_the_drivers_figures(chart: Callable[..., list[Object]]) -> None:
    """The example with all of it outside names where it runs; it sees nothing else."""
    policies = chart(values=charted.VALUES / "external.yaml")
    theirs = ("monitoring", {"app": "prometheus"})

    assert may(policies, theirs, part("driver"), 9464) == BOTH
    assert may(policies, theirs, part("dask"), 8787) == (True, False)
    assert may(policies, ("other", {}), part("driver"), 9464) == (True, False)
