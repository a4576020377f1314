"""The metrics: which there are, and their values from one overview. Pure; `metrics` serves them.

The names that begin with `hydraulic_` are those that dashboards already use; they have the label
`rig`. The engine's own begin with `hydrodask_`.
"""

import math
from collections.abc import Callable, Iterator

from hydrodask.channels import SENSORS
from hydrodask.health import BEST, PENALTY
from hydrodask.observe.attention import look_first
from hydrodask.observe.figures import FINE, STATES, Figures, part_delay_s, part_lag_s, sum_by
from hydrodask.observe.furthest import furthest
from hydrodask.observe.onemetric import Series, Value, counter, gauge
from hydrodask.observe.outside import channel_series, flow_series
from hydrodask.reports import STANDING, WHOLE_RIG, PartitionReport

PARTITIONS_MAX = 1_000
"""Partitions that get series of their own; beyond, only sums by topic tell of them."""

ALARMS_MAX = 10_000
"""Alarms that are remembered, to say 0 once they are over."""

Alarm = tuple[str, str, str]


def every_series(figures: Figures, now_us: int, seen: dict[Alarm, None]) -> Iterator[Series]:
    """Yield each metric once. `seen` remembers alarms from scrape to scrape."""
    yield from sensor_series(figures)
    yield from limit_series(figures)
    yield alarm_series(figures, seen)
    yield anomaly_series(figures, seen)
    yield from component_series(figures)
    yield from rig_series(figures)
    yield from topic_series(figures, now_us)
    yield from partition_series(figures)
    yield from engine_series(figures)
    yield from flow_series(figures.overview.flows)
    yield from channel_series(figures.overview.channels)


_READINGS: tuple[tuple[str, str, str], ...] = (
    ("avg", "avg", "Mean"),
    ("max", "high", "Largest value"),
    ("min", "low", "Smallest value"),
    ("range", "span", "Largest less smallest value"),
    ("stddev", "stddev", "Sample standard deviation"),
)


def sensor_series(figures: Figures) -> Iterator[Series]:
    """Yield the statistics of the window up to the newest sample, and the health of each sensor."""
    rigs = set(figures.rigs)
    labels = ("rig", "sensor")
    readings = [(key, reading) for key, reading in figures.readings.items() if key[0] in rigs]
    for name, attribute, what in _READINGS:
        values: list[Value] = [(key, getattr(reading, attribute)) for key, reading in readings]
        text = f"{what} of the window up to the newest sample, in the sensor's unit."
        yield Series("gauge", f"hydraulic_sensor_{name}_1m", text, labels, values)
    here = {key: value for key, value in figures.health.items() if (key[0], WHOLE_RIG) not in figures.silent}
    health: list[Value] = [(key, value) for key, value in here.items() if key[0] in rigs]
    text = "100, less 10 for each active warning and 20 for each active critical."
    sensors = [one for one in health if one[0][1] in SENSORS]
    yield Series("gauge", "hydraulic_sensor_health_score", text, labels, sensors)
    parts = [one for one in health if one[0][1] not in SENSORS]
    text = "The same of each component, by its incidents, and of the load cycle as a whole (`cycle`)."
    yield Series("gauge", "hydraulic_component_health_score", text, ("rig", "component"), parts)
    whole: list[Value] = [((rig,), figures.rig_health(rig)) for rig in dict.fromkeys(key[0] for key, _ in health)]
    text = "Health of the worst sensor, component or load cycle of a rig."
    yield Series("gauge", "hydraulic_rig_health_score", text, ("rig",), whole)


def limit_series(figures: Figures) -> Iterator[Series]:
    """Yield what each sensor is measured by: the rules' limits, and what a rig's own mean usually is."""
    labels = ("sensor", "type", "statistic", "severity")
    limits: list[Value] = list({key: limit for part in figures.parts for key, limit in part.limits.items()}.items())
    yield Series("gauge", "hydraulic_sensor_limit", "Where a rule is broken, in its statistic's unit.", labels, limits)
    rigs = set(figures.rigs)
    every = {key: band for part in figures.parts for key, band in part.bands.items()}
    bands = {key: band for key, band in every.items() if key[0] in rigs and not figures.gone(*key)}
    for place, side, what in ((0, "low", "Lowest"), (1, "high", "Highest")):
        values: list[Value] = [(key, band[place]) for key, band in bands.items()]
        text = f"{what} mean of a window that the baseline takes for usual, in the sensor's unit."
        yield Series("gauge", f"hydraulic_sensor_usual_{side}", text, ("rig", "sensor"), values)


def alarm_series(figures: Figures, seen: dict[Alarm, None]) -> Series:
    """Return 1 for what is broken now and 0 for what was earlier; forgets the oldest ones first.

    Of a sensor that is silent, or whose rig is, nothing else is known: its other series end.
    """
    rigs = set(figures.rigs)
    active = {alarm for alarm in figures.alarms if alarm[0] in rigs}
    for alarm in sorted(active):
        seen.pop(alarm, None)
        seen[alarm] = None
    for alarm in list(seen)[: max(0, len(seen) - ALARMS_MAX)]:
        del seen[alarm]
    shown = [alarm for alarm in seen if alarm in active or not figures.gone(*alarm[:2])]
    severe = {(sensor, rule): severity for part in figures.parts for sensor, rule, _, severity in part.limits}
    values: list[Value] = [
        ((*alarm, severe.get(alarm[1:]) or _severity(alarm, figures)), float(alarm in active)) for alarm in shown
    ]
    text = "1 while this rule or baseline is broken, 0 after."
    return Series("gauge", "hydraulic_anomaly_status", text, ("rig", "sensor", "type", "severity"), values)


def _severity(alarm: Alarm, figures: Figures) -> str:
    """Return how bad it is that a component is worn, a sensor silent, or what a baseline knows unusual."""
    rig, part, rule = alarm
    failing = part not in SENSORS and figures.health.get((rig, part), BEST) <= BEST - PENALTY["critical"]
    return STANDING.get(rule, "critical" if failing else "warning")


def anomaly_series(figures: Figures, seen: dict[Alarm, None]) -> Series:
    """Return how often each rule was broken, from 0 on: `increase` does not see what a series begins with.

    An alarm comes with the first open window, an anomaly only once that is final.
    """
    rigs = set(figures.rigs)
    counts = dict.fromkeys(seen, 0) | figures.anomalies
    values: list[Value] = [(key, float(count)) for key, count in counts.items() if key[0] in rigs]
    text = "Final windows that broke this rule or baseline."
    return Series("counter", "hydraulic_anomaly", text, ("rig", "sensor", "type"), values)


def usual_series(figures: Figures) -> Iterator[Series]:
    """Yield how far each rig's load cycle is from what it usually is, and how much the rig deserves a look."""
    rigs = set(figures.rigs)
    said = {(rig,): one for rig, one in figures.usual.items() if rig in rigs}
    scores: list[Value] = [(rig, one.score) for rig, one in said.items() if math.isfinite(one.score)]
    text = "Root mean square of the ten largest deviations of the newest load cycle, in usual spreads."
    yield Series("gauge", "hydraulic_cycle_score", text, ("rig",), scores)
    worth: list[Value] = [((rig,), float(attention)) for rig, attention, _ in look_first(figures) if rig in rigs]
    yield Series("gauge", "hydraulic_rig_attention", "What to look at first, 0 to 100.", ("rig",), worth)


def component_series(figures: Figures) -> Iterator[Series]:
    """Yield what the models say of each component, and how far features are from what they were trained on."""
    rigs = set(figures.rigs)
    said = {(rig, name): one for rig, found in figures.components.items() if rig in rigs for name, one in found.items()}
    labels = ("rig", "component")
    for name, attribute, text in (
        (
            "state",
            "state",
            "State by the champion: cooler and valve in %, pump 0..2, accumulator in bar, stable 0 or 1.",
        ),
        ("probability", "probability", "Probability that the model gives the state."),
        ("model_version", "version", "Version of the model that said so."),
    ):
        values: list[Value] = [(key, float(getattr(one, attribute))) for key, one in said.items()]
        yield Series("gauge", f"hydraulic_component_{name}", text, labels, values)
    text = "1 while nothing is known of a component: too little was measured, or it is like nothing trained on."
    unknown = {key for part in figures.parts for key in part.unknown if key[0] in rigs}
    states: list[Value] = list((dict.fromkeys(said, 0.0) | dict.fromkeys(sorted(unknown), 1.0)).items())
    yield Series("gauge", "hydraulic_component_unknown", text, labels, states)
    far: list[Value] = [(key, one.severity[0]) for key, one in said.items() if one.severity is not None]
    text = "How far a component has gone between its states, in their unit: between labels, too."
    yield Series("gauge", "hydraulic_component_severity", text, labels, far)
    yield from usual_series(figures)
    for place, name, text in (
        (0, "index", "Population stability index of a feature today against the training data."),
        (1, "outside_ratio", "Share of today's cycles beyond the training data."),
    ):
        values = [((feature,), both[place]) for feature, both in furthest(figures.parts).items()]
        yield Series("gauge", f"hydrodask_feature_drift_{name}", text, ("feature",), values)


def rig_series(figures: Figures) -> Iterator[Series]:
    """Yield the totals of each rig."""
    values: list[Value] = [((rig,), count) for rig, count in figures.by_rig("consumed").items()]
    text = "Window rows read by the detection."
    yield Series("counter", "hydraulic_analytics_messages", text, ("rig",), values)
    for name, total, text in (
        ("hydrodask_rig_late", "late", "Samples of a rig whose windows were all final."),
        ("hydrodask_rig_dead_letters", "dead", "Records of a rig that could not be used, as far as they name it."),
        ("hydrodask_rig_missing", "missing", "Samples of a rig that its final windows lack."),
        ("hydrodask_rig_unprofiled", "unprofiled", "Samples of a rig that are in no cycle profile."),
        ("hydrodask_rig_short_seconds", "short", "Seconds that a rig's profiles lack, for the next cycle had begun."),
    ):
        values = [((rig,), figures.refused.get(rig, {}).get(total, 0)) for rig in figures.rigs]
        yield Series("counter", name, text, ("rig",), values)
    newest = {rig: max(part.per_rig.get(rig, {}).get("newest_ms", 0) for part in figures.parts) for rig in figures.rigs}
    times: list[Value] = [((rig,), at_ms / 1e3) for rig, at_ms in newest.items() if at_ms]
    text = "Broker time of the newest window row of a rig, s since 1970."
    yield Series("gauge", "hydraulic_analytics_last_update_timestamp", text, ("rig",), times)
    yield gauge("hydrodask_rigs", "Rigs with series of their own.", len(figures.rigs))
    text = "Rigs beyond observe.rigs_max, without series of their own."
    yield gauge("hydrodask_rigs_hidden", text, figures.rigs_hidden)


_TOTALS: tuple[tuple[str, str, str], ...] = (
    ("consumed", "consumed", "Records read."),
    ("kept", "kept", "Records that were used."),
    ("late", "late", "Samples whose windows were all final."),
    ("dead_letters", "dead", "Records that could not be used."),
    (
        "lost_records",
        "lost",
        "Records that were gone from the log before they were stored: retention, or a topic made anew.",
    ),
    ("windows", "windows", "Final windows."),
    ("cycles", "cycles", "Cycle profiles."),
    ("short_seconds", "short", "Seconds that cycle profiles lack, for the next cycle had begun."),
    ("incidents", "incidents", "Incidents opened."),
    ("files", "files", "Files written to the lake."),
    ("written_bytes", "file_bytes", "Bytes written to the lake."),
)

_FROM_ZERO = ("dead", "lost")
"""Totals that a partition has only once it has had one: a series that began there would hide it from `increase`."""


def topic_series(figures: Figures, now_us: int) -> Iterator[Series]:
    """Yield the totals, lags and watermark delays of each (flow, topic)."""
    labels = ("flow", "topic")
    flows = {part.topic: part.flow for part in figures.parts}
    for name, total, text in _TOTALS:
        sums = dict.fromkeys(flows, 0) if total in _FROM_ZERO else {}
        sums |= sum_by(figures.parts, total, lambda part: part.topic)
        values: list[Value] = [((flows[topic], topic), count) for topic, count in sums.items()]
        yield Series("counter", f"hydrodask_{name}", text, labels, values)
    yield _unprofiled(figures)
    text = "Logs that the topic's name has stood for: one more each time that it was made anew."
    yield _worst("hydrodask_log_incarnations", text, figures, lambda part: float(part.logs))
    text = "How old the oldest record that is not read can be; 0 when there is none."
    yield _worst("hydrodask_lag_seconds", text, figures, lambda part: part_lag_s(part, now_us))
    text = "Broker time of the newest record read, less the smallest watermark."
    yield _worst("hydrodask_watermark_delay_seconds", text, figures, part_delay_s)


def _unprofiled(figures: Figures) -> Series:
    """Return how many samples of each topic no cycle profile takes, by reason."""
    values: list[Value] = []
    flows = {part.topic: part.flow for part in figures.parts if "unprofiled" in part.totals}
    for reason in ("index", "done", "time"):
        sums = dict.fromkeys(flows, 0) | sum_by(figures.parts, f"unprofiled_{reason}", lambda part: part.topic)
        values += [((flows[topic], topic, reason), count) for topic, count in sums.items()]
    text = "Samples in no cycle profile: sample_idx outside the cycle, cycle done, time that contradicts sample_idx."
    return Series("counter", "hydrodask_unprofiled_samples", text, ("flow", "topic", "reason"), values)


def _worst(name: str, text: str, figures: Figures, value_of: Callable[[PartitionReport], float | None]) -> Series:
    """Return a gauge with the largest value of each topic's partitions."""
    worst: dict[tuple[str, ...], float] = {}
    for part in figures.parts:
        value = value_of(part)
        if value is not None:
            key = (part.flow, part.topic)
            worst[key] = max(value, worst.get(key, value))
    return Series("gauge", name, text, ("flow", "topic"), list(worst.items()))


def partition_series(figures: Figures) -> Iterator[Series]:
    """Yield lag and state of each partition; only states that need somebody have series."""
    parts = figures.parts[:PARTITIONS_MAX]
    labels = ("flow", "topic", "partition")
    lags: list[Value] = [((p.flow, p.topic, str(p.partition)), p.lag) for p in parts]
    yield Series("gauge", "hydrodask_lag_records", "Records that wait.", labels, lags)
    bad: list[Value] = [((p.flow, p.topic, str(p.partition), p.state), 1) for p in parts if p.state not in FINE]
    text = "1 for a partition with a warning, stalled or waiting; no series otherwise."
    yield Series("gauge", "hydrodask_partition_state", text, (*labels, "state"), bad)
    counts = dict.fromkeys(STATES, 0)
    for part in figures.parts:
        counts[part.state] = counts.get(part.state, 0) + 1
    values: list[Value] = [((state,), count) for state, count in counts.items()]
    yield Series("gauge", "hydrodask_partitions", "Partitions in each state.", ("state",), values)


def engine_series(figures: Figures) -> Iterator[Series]:
    """Yield what is true of the run as a whole."""
    overview = figures.overview
    stages: list[Value] = [((stage,), seconds) for stage, seconds in overview.stage_s.items()]
    text = "Seconds spent in each stage, all workers."
    yield Series("counter", "hydrodask_step_seconds", text, ("stage",), stages)
    info: list[Value] = [((overview.run_id, overview.state), 1)]
    yield Series("gauge", "hydrodask_run_info", "The run.", ("run_id", "state"), info)
    yield counter("hydrodask_steps", "Steps that workers have reported.", overview.steps)
    yield gauge("hydrodask_start_time_seconds", "When the run began.", overview.started_us / 1e6)
    text = "Records read per second, over the last seconds."
    yield gauge("hydrodask_records_per_second", text, overview.records_per_s)
    text = "Age of the newest commit."
    yield gauge("hydrodask_commit_age_seconds", text, overview.commit_age_s)
    yield gauge("hydrodask_workers", "Workers that take steps.", len(overview.workers))
    yield gauge("hydrodask_keys", "Rigs and sensors with state.", sum(p.keys for p in figures.parts))
    size = sum(part.state_bytes for part in figures.parts)
    yield gauge("hydrodask_state_bytes", "Size of the state in memory.", size)
    text = "Share of a finite source that was published."
    yield gauge("hydrodask_source_progress_ratio", text, overview.progress)
