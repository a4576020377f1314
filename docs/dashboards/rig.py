"""Rig: what is wrong with one rig, since when, and on which curve it shows."""

from docs.dashboards.panels import (
    ACT,
    COLOURED,
    GOOD,
    LOOK,
    NEUTRAL,
    Json,
    curves,
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
from docs.dashboards.words import (
    ALARMS,
    COMPONENTS,
    CRITICAL,
    HEALTH,
    SEVERITY,
    STATE_OF_WEAR,
    WORN,
    sensor_units,
    state_texts,
    wear,
)

_RIG = 'instance=~"$instance", rig="$rig"'
_SENSOR = _RIG + ', sensor=~"$sensor"'
_VARIABLES = [
    variable("rig", "rig", 'hydraulic_analytics_last_update_timestamp{instance=~"$instance"}', every=False),
    variable("sensor", "sensor", 'hydraulic_sensor_avg_1m{instance=~"$instance", rig="$rig"}'),
]


def made() -> Json:
    """Return the page."""
    components = states(
        "Components",
        "What the newest models said of each load cycle. Empty: no model has judged this rig.",
        [query(f'hydraulic_component_state{{{_RIG}, component="{one.name}"}}', one.name) for one in COMPONENTS],
        "none",
        STATE_OF_WEAR,
        overrides=[matching(f"^{one.name}$", mappings=state_texts(one)) for one in COMPONENTS],
        w=12,
    )
    sensors = states(
        "Sensors that are not well",
        "Health of each sensor below 100 at some time; none: all were well.",
        [
            query(
                f"hydraulic_sensor_health_score{{{_RIG}}} < 100 or min(hydraulic_sensor_health_score{{{_RIG}}})",
                "{{sensor}}",
            )
        ],
        "none",
        HEALTH,
        overrides=[matching("^Value|^$|^\\{", displayName="worst")],
        w=12,
    )
    return page(
        "rig",
        "What is wrong with one rig, since when, and on which curve it shows.",
        [
            (5, _figures()),
            (7, [components, sensors]),
            (7, [_broken(), _cycles()]),
            (1, [row("Curves") | {"w": 24}]),
            (8, [_curve()]),
        ],
        variables=_VARIABLES,
        where=_RIG,
    )


def _figures() -> list[Json]:
    def alarms(severity: str) -> str:
        return f'sum(hydraulic_anomaly_status{{{_RIG}, severity="{severity}"}}) or vector(0)'

    lost = " + ".join(
        f"(sum(increase(hydrodask_rig_{name}_total{{{_RIG}}}[5m])) or vector(0))"
        for name in ("late", "dead_letters", "missing")
    )
    return [
        stat(
            "Health",
            "Of the worst sensor, component or load cycle.",
            f"min(hydraulic_rig_health_score{{{_RIG}}})",
            "none",
            HEALTH,
        ),
        stat("Critical", "Rules that are broken.", alarms("critical"), "none", CRITICAL),
        stat("Warnings", "Rules and baselines that are broken.", alarms("warning"), "none", ALARMS),
        stat(
            "Worst component",
            "What models say of cooler, valve, pump and accumulator. Empty: no model has judged this rig.",
            f"max({wear(_RIG)})",
            "none",
            STATE_OF_WEAR,
            defaults={"mappings": named(WORN)},
        ),
        stat(
            "Samples lost",
            "Late, unusable or missing, in five minutes.",
            lost,
            "none",
            steps(GOOD, (10, LOOK), (1000, ACT)),
        ),
        stat(
            "Newest row",
            "How long ago the newest window row came.",
            f"min(time() - hydraulic_analytics_last_update_timestamp{{{_RIG}}})",
            "s",
            steps(GOOD, (30, LOOK), (120, ACT)),
        ),
    ]


def _broken() -> Json:
    return table(
        "What is broken now",
        "Empty: nothing is.",
        {"broken": (f"max by (severity, sensor, type) (hydraulic_anomaly_status{{{_RIG}}}) == 1", {})},
        ("severity", False),
        labels={"severity": "severity", "sensor": "sensor", "type": "rule"},
        links={"severity": {"mappings": SEVERITY, "custom__cellOptions": COLOURED, "custom__width": 90}},
        w=12,
    )


def _cycles() -> Json:
    return curves(
        "Load cycle, unlike usual",
        "How far the newest load cycle is from what is usual for this rig, in usual spreads.",
        [query(f"hydraulic_cycle_score{{{_RIG}}}", "score")],
        "suffix:spreads",
        steps(GOOD, (4.5, LOOK)),
        w=12,
    )


def _curve() -> Json:
    def of(metric: str, more: str = "") -> str:
        return f"hydraulic_sensor_{metric}{{{_SENSOR}{more}}}"

    usual = {"custom__lineWidth": 0, "color": {"mode": "fixed", "fixedColor": GOOD}, "custom__hideFrom": _HIDDEN}
    dashes = {"custom__lineStyle": {"fill": "dash", "dash": [10, 10]}, "custom__hideFrom": _HIDDEN}
    chosen = 'instance=~"$instance", sensor=~"$sensor", statistic=~"avg|max|min"'
    limit = f'max by (sensor, type) (hydraulic_sensor_limit{{{chosen}, severity="%s"}})'
    overrides = [
        *sensor_units(),
        matching("mean$", custom__lineWidth=2, color={"mode": "fixed", "fixedColor": "blue"}),
        matching(
            "highest$|lowest$",
            color={"mode": "fixed", "fixedColor": "text"},
            custom__lineWidth=1,
            custom__hideFrom=_HIDDEN,
        ),
        matching("usual from$", **usual),
        matching("usual to$", **usual, custom__fillBelowTo="$sensor usual from", custom__fillOpacity=12),
        matching("warning", color={"mode": "fixed", "fixedColor": LOOK}, **dashes),
        matching("critical", color={"mode": "fixed", "fixedColor": ACT}, **dashes),
    ]
    return curves(
        "$sensor",
        "Mean of a minute, within what is usual for this rig (green) and the limits of the rules (dashed).",
        [
            query(of("avg_1m"), "{{sensor}} mean"),
            query(of("max_1m"), "{{sensor}} highest"),
            query(of("min_1m"), "{{sensor}} lowest"),
            query(of("usual_low"), "{{sensor}} usual from"),
            query(of("usual_high"), "{{sensor}} usual to"),
            query(limit % "warning", "{{sensor}} warning: {{type}}"),
            query(limit % "critical", "{{sensor}} critical: {{type}}"),
        ],
        "none",
        NEUTRAL,
        overrides=overrides,
        legend={"showLegend": False},
        repeat="sensor",
        repeatDirection="h",
        maxPerRow=4,
        w=6,
    )


_HIDDEN = {"legend": True, "tooltip": False, "viz": False}
