"""Models: what they say of each component, how sure they are, and whether today's data are still what they know."""

from docs.dashboards.panels import (
    ACT,
    COLOURED,
    GOOD,
    LOOK,
    PLATFORM,
    Json,
    curves,
    link,
    matching,
    named,
    page,
    query,
    row,
    stat,
    states,
    steps,
    table,
    variable,
)
from docs.dashboards.words import COMPONENTS, STATE_OF_WEAR, WORN, state_texts, wear

_DRIFT = steps(GOOD, (0.1, LOOK), (0.25, ACT))
"""The usual reading of a population stability index: from 0.1 on look, from 0.25 on train anew."""
_SURE = steps(ACT, (0.5, LOOK), (0.8, GOOD))
_UNUSUAL = steps(GOOD, (4.5, LOOK), (9, ACT))
_RIG = link("Open this rig", "rig", rig="${__data.fields.rig}")


def _of(metric: str, more: str = "") -> str:
    return f"{metric}{{{PLATFORM}{more}}}"


def made() -> Json:
    """Return the page."""
    return page(
        "models",
        "What models say of each component, how sure they are, and whether today's data are what they know.",
        [
            (5, _figures()),
            (9, _tables()),
            (1, [row("Components over time") | {"w": 24}]),
            (7, [_strips()]),
            (1, [row("Are they still right?") | {"w": 24}]),
            (8, _courses()),
        ],
        variables=[
            variable("component", "component", 'hydraulic_component_state{instance=~"$instance", component!="stable"}')
        ],
    )


def _figures() -> list[Json]:
    return [
        stat(
            "Close to failure",
            "Components that models take for close to failure, all rigs.",
            f"count(({wear(PLATFORM)}) == 2) or vector(0)",
            "none",
            steps(GOOD, (1, ACT)),
        ),
        stat(
            "Reduced",
            "Components that are worn, and not close to failure.",
            f"count(({wear(PLATFORM)}) == 1) or vector(0)",
            "none",
            steps(GOOD, (1, LOOK)),
        ),
        stat(
            "Least sure",
            "Smallest probability that a model gives the state that it says.",
            f"min({_of('hydraulic_component_probability', _PARTS)})",
            "percentunit",
            _SURE,
        ),
        stat(
            "Largest drift",
            "Population stability index of the feature that is furthest from the training data today.",
            f"max({_of('hydrodask_feature_drift_index')})",
            "none",
            _DRIFT,
            defaults={"decimals": 2},
        ),
        stat(
            "Beyond the training data",
            "Largest share of today's cycles that lie outside it, of all features.",
            f"max({_of('hydrodask_feature_drift_outside_ratio')})",
            "percentunit",
            steps(GOOD, (0.05, LOOK), (0.25, ACT)),
        ),
        stat(
            "Most unusual load cycle",
            "In usual spreads: what no label was needed for.",
            f"max({_of('hydraulic_cycle_score')})",
            "suffix:spreads",
            _UNUSUAL,
            defaults={"decimals": 1},
        ),
    ]


_PARTS = ', component!="stable"'


def _tables() -> list[Json]:
    cell = {"custom__cellOptions": COLOURED}
    by = "max by (rig, component)"
    said = table(
        "Components, worst first",
        "What the newest model said of each. Click a rig to open its page.",
        {
            "wear": (f"{by} ({wear(PLATFORM)})", {"mappings": named(WORN), "thresholds": STATE_OF_WEAR, **cell}),
            "state": (f"{by} ({_of('hydraulic_component_state', _PARTS)})", {"unit": "none"}),
            "probability": (
                f"{by} ({_of('hydraulic_component_probability', _PARTS)})",
                {"unit": "percentunit", "thresholds": _SURE},
            ),
            "model version": (f"{by} ({_of('hydraulic_component_model_version', _PARTS)})", {"unit": "none"}),
        },
        ("wear", True),
        labels={"rig": "rig", "component": "component"},
        links={"rig": {"links": [_RIG]}},
        w=14,
    )
    drift = table(
        "Features, furthest from the training data first",
        "Of today's cycles; none before learn.drift_cycles of them.",
        {
            "drift": (
                f"max by (feature) ({_of('hydrodask_feature_drift_index')})",
                {"thresholds": _DRIFT, "decimals": 2, **cell},
            ),
            "outside": (f"max by (feature) ({_of('hydrodask_feature_drift_outside_ratio')})", {"unit": "percentunit"}),
        },
        ("drift", True),
        labels={"feature": "feature"},
        w=10,
    )
    return [said, drift]


def _strips() -> Json:
    texts = [matching(f"^{one.name} ", mappings=state_texts(one)) for one in COMPONENTS]
    return states(
        "$component",
        "The state of each rig's, over time.",
        [query(_of("hydraulic_component_state", ', component=~"$component"'), "{{component}} of {{rig}}")],
        "none",
        STATE_OF_WEAR,
        overrides=texts,
        repeat="component",
        repeatDirection="h",
        maxPerRow=2,
        w=12,
    )


def _courses() -> list[Json]:
    return [
        curves(
            "How sure",
            "Probability of the state that is said; the least sure of each component.",
            [query(f"min by (component) ({_of('hydraulic_component_probability', _PARTS)})", "{{component}}")],
            "percentunit",
            _SURE,
            defaults={"min": 0, "max": 1},
        ),
        curves(
            "Drift",
            "Population stability index of the ten features that are furthest.",
            [query(f"topk(10, max by (feature) ({_of('hydrodask_feature_drift_index')}))", "{{feature}}")],
            "none",
            _DRIFT,
        ),
        curves(
            "Load cycles, unlike usual",
            "How far each rig's newest load cycle is from what is usual for it, in usual spreads.",
            [query(f"max by (rig) ({_of('hydraulic_cycle_score')})", "{{rig}}")],
            "suffix:spreads",
            _UNUSUAL,
        ),
    ]
