"""Fleet: which rig needs somebody, and what of it is broken."""

from docs.dashboards.panels import (
    ACT,
    COLOURED,
    GOOD,
    LOOK,
    NEUTRAL,
    PLATFORM,
    Json,
    curves,
    link,
    matching,
    named,
    page,
    query,
    stat,
    states,
    steps,
    table,
)
from docs.dashboards.words import ALARMS, CRITICAL, HEALTH, SEVERITY, STATE_OF_WEAR, WORN, wear

_HEALTH = f"hydraulic_rig_health_score{{{PLATFORM}}}"
_BROKEN = f"hydraulic_anomaly_status{{{PLATFORM}}}"
_RIG = link("Open this rig", "rig", rig="${__data.fields.rig}")


def _alarms(severity: str) -> str:
    return f'hydraulic_anomaly_status{{{PLATFORM}, severity="{severity}"}}'


def made() -> Json:
    """Return the page."""
    rigs = f"hydraulic_analytics_last_update_timestamp{{{PLATFORM}}}"
    return page(
        "fleet",
        "Which rig needs somebody, and what of it is broken.",
        [
            (5, _figures(rigs)),
            (9, _tables(rigs)),
            (
                8,
                [
                    states(
                        "Health of each rig",
                        "The worst sensor, component or load cycle of each rig, over time.",
                        [query(f"bottomk(20, min by (rig) ({_HEALTH}))", "{{rig}}")],
                        "none",
                        HEALTH,
                        w=14,
                    ),
                    _alerts(),
                ],
            ),
            (7, _courses()),
        ],
    )


def _figures(rigs: str) -> list[Json]:
    silent = f'hydraulic_anomaly_status{{{PLATFORM}, type=~"rig_silent|sensor_silent"}}'
    hidden = f"(sum(hydrodask_rigs_hidden{{{PLATFORM}}}) or vector(0))"
    return [
        stat(
            "Worst health",
            "Of the worst sensor, component or load cycle: 100, less 10 for each warning and 20 for each critical.",
            f"min({_HEALTH})",
            "none",
            HEALTH,
        ),
        stat(
            "Rigs that need somebody",
            "Rigs with something critical.",
            f"count(sum by (rig) ({_alarms('critical')}) > 0) or vector(0)",
            "none",
            CRITICAL,
        ),
        stat(
            "Rigs to look at",
            "Rigs with a warning.",
            f"count(sum by (rig) ({_alarms('warning')}) > 0) or vector(0)",
            "none",
            ALARMS,
        ),
        stat("Silent", "Sensors and rigs that send nothing.", f"sum({silent}) or vector(0)", "none", ALARMS),
        stat(
            "Newest row of the quietest rig",
            "How long ago the newest window row of each rig came; the oldest of them.",
            f"max(time() - {rigs})",
            "s",
            steps(GOOD, (30, LOOK), (120, ACT)),
        ),
        stat(
            "Rigs",
            "Rigs that are watched, and below them none: those beyond observe.rigs_max are counted, not shown.",
            f"sum(hydrodask_rigs{{{PLATFORM}}}) + {hidden}",
            "none",
            NEUTRAL,
        ),
    ]


def _tables(rigs: str) -> list[Json]:
    cell = {"custom__cellOptions": COLOURED}
    ranked = table(
        "Rigs, worst first",
        "Click a rig to open its page.",
        {
            "health": (f"min by (rig) ({_HEALTH})", {"thresholds": HEALTH, **cell, "custom__width": 80}),
            "worst hour": (f"min by (rig) (min_over_time({_HEALTH}[1h]))", {"thresholds": HEALTH, "custom__width": 90}),
            "critical": (f"sum by (rig) ({_alarms('critical')})", {"thresholds": CRITICAL, "custom__width": 80}),
            "warnings": (f"sum by (rig) ({_alarms('warning')})", {"thresholds": ALARMS, "custom__width": 80}),
            "worst component": (
                f"max by (rig) ({wear(PLATFORM)})",
                {"thresholds": STATE_OF_WEAR, "mappings": named(WORN, "not judged"), **cell},
            ),
            "attention": (f"max by (rig) (hydraulic_rig_attention{{{PLATFORM}}})", {"unit": "none"}),
            "newest row": (
                f"max by (rig) (time() - {rigs})",
                {"unit": "s", "decimals": 0, "thresholds": steps(GOOD, (30, LOOK), (120, ACT))},
            ),
        },
        ("health", False),
        labels={"rig": "rig"},
        links={"rig": {"links": [_RIG]}},
        w=14,
    )
    broken = table(
        "What is broken now",
        "Rules and baselines, critical ones first. Empty: nothing is.",
        {"broken": (f"max by (severity, rig, sensor, type) ({_BROKEN}) == 1", {})},
        ("severity", False),
        labels={"severity": "severity", "rig": "rig", "sensor": "sensor", "type": "rule"},
        links={
            "rig": {"links": [_RIG]},
            "severity": {"mappings": SEVERITY, **cell, "custom__width": 90},
            "sensor": {"custom__width": 100},
        },
        w=10,
    )
    return [ranked, broken]


def _alerts() -> Json:
    """Return the table of alerts: Debian's Alertmanager has no page of its own."""
    firing = f'ALERTS_FOR_STATE{{{PLATFORM}}} and ignoring (alertstate) ALERTS{{alertstate="firing"}}'
    return table(
        "Alerts that fire",
        "Of Prometheus' rules, as they went to Alertmanager. Empty: none.",
        {"since": (f"1000 * max by (severity, alertname, rig, sensor) ({firing})", {"unit": "dateTimeFromNow"})},
        ("severity", False),
        labels={"severity": "severity", "alertname": "alert", "rig": "rig", "sensor": "sensor"},
        links={
            "rig": {"links": [_RIG]},
            "severity": {"mappings": SEVERITY, "custom__cellOptions": COLOURED, "custom__width": 90},
            "sensor": {"custom__width": 100},
            "alert": {"custom__width": 210},
        },
    )


def _courses() -> list[Json]:
    return [
        curves(
            "Broken, by severity",
            "Rules and baselines that are broken, all rigs.",
            [query(f"sum({_alarms(one)}) or vector(0)", one) for one in ("critical", "warning")],
            "none",
            overrides=_severities(),
        ),
        curves(
            "Anomalies",
            "Final windows that broke a rule, a minute.",
            [
                query(
                    f"sum by (rig) (rate(hydraulic_anomaly_total{{{PLATFORM}}}[1m])) * 60 > 0"
                    f" or sum(rate(hydraulic_anomaly_total{{{PLATFORM}}}[1m])) * 60 or vector(0)",
                    "{{rig}}",
                )
            ],
            "suffix:/min",
            overrides=[matching("^Value$", displayName="all rigs")],
        ),
        curves(
            "Rows judged",
            "Window rows that the detection has read, by rig.",
            [query(f"sum by (rig) (rate(hydraulic_analytics_messages_total{{{PLATFORM}}}[1m]))", "{{rig}}")],
            "rowsps",
        ),
    ]


def _severities() -> list[Json]:
    return [
        matching(f"^{name}$", color={"mode": "fixed", "fixedColor": color})
        for name, color in (("critical", ACT), ("warning", LOOK))
    ]
