"""Stream: does the platform keep up, does it lose anything, and where is its time spent."""

from docs.dashboards.panels import (
    ACT,
    COLOURED,
    GOOD,
    LOOK,
    PLATFORM,
    Json,
    curves,
    page,
    query,
    row,
    stat,
    steps,
    table,
)

_BEHIND = steps(GOOD, (10, LOOK), (30, ACT))
"""As the alert HydrodaskBehind."""
_SLOW = steps(GOOD, (2, LOOK), (5, ACT))
"""As the alert HydrodaskSlow."""
_COMMIT = steps(GOOD, (10, LOOK), (60, ACT))
"""As the alert HydrodaskNotCommitting."""
_NONE = steps(GOOD, (1, ACT))
_STATES = [
    {
        "type": "value",
        "options": {
            name: {"text": name, "color": color, "index": place}
            for place, (name, color) in enumerate((("stalled", ACT), ("waiting", ACT), ("warning", LOOK)))
        },
    }
]


def _of(metric: str) -> str:
    return f"hydrodask_{metric}{{{PLATFORM}}}"


def _rate(metric: str, over: str = "1m") -> str:
    return f"rate({_of(metric)}[{over}])"


def made() -> Json:
    """Return the page."""
    return page(
        "stream",
        "Does the platform keep up, does it lose anything, and where is its time spent.",
        [
            (5, _figures()),
            (8, _courses()),
            (8, _losses()),
            (8, [_partitions(), _late()]),
            (1, [row("Engine") | {"w": 24}]),
            (7, _engine()),
            (7, _stores()),
        ],
    )


def _figures() -> list[Json]:
    stuck = f'sum(hydrodask_partitions{{{PLATFORM}, state=~"warning|stalled|waiting"}}) or vector(0)'
    quantile = f"histogram_quantile(0.99, sum by (le) ({_rate('latency_seconds_bucket')}))"
    return [
        stat(
            "Behind", "How old the oldest record that is not read can be.", f"max({_of('lag_seconds')})", "s", _BEHIND
        ),
        stat("Latency, 99 %", "From a record's broker timestamp to the commit of its outputs.", quantile, "s", _SLOW),
        stat(
            "Newest commit",
            "How long ago; an idle platform commits nothing either.",
            f"max({_of('commit_age_seconds')})",
            "s",
            _COMMIT,
        ),
        stat(
            "Lost records",
            "Gone from the log before they were read, since the start.",
            f"sum({_of('lost_records_total')}) or vector(0)",
            "none",
            _NONE,
        ),
        stat("Partitions in trouble", "With a warning, stalled or waiting for a store.", stuck, "none", _NONE),
        stat("Workers", "Workers that take steps.", f"sum({_of('workers')})", "none", steps(ACT, (1, GOOD))),
        stat("Records read", "By all flows.", f"sum({_of('records_per_second')})", "recps", steps("blue")),
        stat("Running for", "Since the run began.", f"min(time() - {_of('start_time_seconds')})", "s", steps("blue")),
    ]


def _courses() -> list[Json]:
    shares = [
        query(f"histogram_quantile({share}, sum by (le) ({_rate('latency_seconds_bucket')}))", f"{share:.0%}")
        for share in (0.5, 0.95, 0.99)
    ]
    return [
        curves("Records read", "By flow.", [query(f"sum by (flow) ({_rate('consumed_total')})", "{{flow}}")], "recps"),
        curves(
            "Latency",
            "From a record's broker timestamp to the commit of its outputs; half of them, 95 and 99 of 100.",
            shares,
            "s",
            _SLOW,
        ),
        curves(
            "Behind",
            "How old the oldest record that is not read can be, by flow.",
            [query(f"max by (flow) ({_of('lag_seconds')})", "{{flow}}")],
            "s",
            _BEHIND,
        ),
    ]


def _losses() -> list[Json]:
    lost = {"lost": "lost_records_total", "dead letters": "dead_letters_total", "late": "late_total"}
    return [
        curves(
            "Late, dead, lost",
            "Samples a second that reach no window.",
            [query(f"sum({_rate(metric, '5m')})", name) for name, metric in lost.items()],
            "suffix:/s",
            steps(GOOD, (1, LOOK)),
        ),
        curves(
            "Records that wait",
            "By flow; drawn are the partitions' sums.",
            [query(f"sum by (flow) ({_of('lag_records')})", "{{flow}}")],
            "short",
            steps(GOOD, (100_000, LOOK)),
        ),
        curves(
            "Results",
            "Windows, load cycles, incidents a second.",
            [query(f"sum({_rate(f'{name}_total', '5m')})", name) for name in ("windows", "cycles", "incidents")],
            "suffix:/s",
        ),
    ]


def _partitions() -> Json:
    labels = ("flow", "topic", "partition", "state")
    waiting = f"{_of('partition_state')} * on (instance, flow, topic, partition) group_left () {_of('lag_records')}"
    return table(
        "Partitions in trouble, worst first",
        "`hydrodask status` says what to do. Empty: none is.",
        {
            "records that wait": (
                f"max by ({', '.join(labels)}) ({waiting})",
                {"thresholds": steps(GOOD, (100_000, LOOK))},
            )
        },
        ("records that wait", True),
        labels={name: name for name in labels},
        links={"state": {"mappings": _STATES, "custom__cellOptions": COLOURED}},
        w=12,
    )


def _late() -> Json:
    return table(
        "Topics, furthest behind first",
        "What each flow reads.",
        {
            "behind": (
                f"max by (flow, topic) ({_of('lag_seconds')})",
                {"unit": "s", "thresholds": _BEHIND, "custom__cellOptions": COLOURED},
            ),
            "records that wait": (f"sum by (flow, topic) ({_of('lag_records')})", {"unit": "short"}),
            "read": (f"sum by (flow, topic) ({_rate('consumed_total')})", {"unit": "recps"}),
            "watermark": (f"max by (flow, topic) ({_of('watermark_delay_seconds')})", {"unit": "s"}),
            "dead letters": (
                f"sum by (flow, topic) ({_of('dead_letters_total')})",
                {"thresholds": steps(GOOD, (1, LOOK))},
            ),
        },
        ("behind", True),
        labels={"flow": "flow", "topic": "topic"},
        links={"flow": {"custom__width": 80}, "(behind|read|watermark|dead letters)": {"custom__width": 100}},
        w=12,
    )


def _engine() -> list[Json]:
    return [
        curves(
            "Time by stage",
            "Seconds of work a second, all workers.",
            [query(f"sum by (stage) ({_rate('step_seconds_total')})", "{{stage}}")],
            "s",
        ),
        curves(
            "Steps",
            "Steps of workers a second.",
            [query(f"sum by (instance) ({_rate('steps_total')})", "{{instance}}")],
            "suffix:/s",
        ),
        curves("Partitions", "By state.", [query(f"sum by (state) ({_of('partitions')}) > 0", "{{state}}")], "none"),
        curves(
            "Memory",
            "Of the driver, and of the state that workers hold.",
            [
                query(f'process_resident_memory_bytes{{job="hydrodask", {PLATFORM}}}', "driver {{instance}}"),
                query(f"sum({_of('state_bytes')})", "state"),
            ],
            "bytes",
            steps(GOOD, (2 * 2**30, LOOK)),
        ),
    ]


def _stores() -> list[Json]:
    return [
        curves("Lake", "Bytes written a second.", [query(f"sum({_rate('written_bytes_total', '5m')})", "lake")], "Bps"),
        curves(
            "Files",
            "Files written to the lake a minute, by flow.",
            [query(f"sum by (flow) ({_rate('files_total', '5m')}) * 60", "{{flow}}")],
            "suffix:/min",
        ),
        curves("Keys", "Rigs and sensors with state.", [query(f"sum({_of('keys')})", "keys")], "none"),
        curves(
            "Failed pushes",
            "To the Pushgateway, a minute.",
            [query(f"sum({_rate('push_failures_total', '5m')}) * 60", "failed")],
            "suffix:/min",
            steps(GOOD, (1, LOOK)),
        ),
    ]
