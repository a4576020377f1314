"""What the pages have in common: colours of health, severities, components and units, from the code that makes them."""

from docs.dashboards.panels import ACT, GOOD, LOOK, Json, matching, named, steps
from hydrodask.channels import CHANNELS
from hydrodask.learn.score.story import worst_of
from hydrodask.learn.targets import TARGETS, Target
from hydrodask.settings import Settings

_LIMITS = Settings().observe.health
HEALTH = steps(ACT, (_LIMITS.critical_below, LOOK), (_LIMITS.warning_below, GOOD))
"""As everywhere: `observe.health`, here as it is by default."""

ALARMS = steps(GOOD, (1, LOOK))
CRITICAL = steps(GOOD, (1, ACT))

UNITS = {
    "bar": "pressurebar",
    "W": "watt",
    "l/min": "flowlpm",
    "°C": "celsius",
    "mm/s": "suffix:mm/s",
    "%": "percent",
    "kW": "kwatt",
}
"""Grafana's names of the sensors' units."""

COMPONENTS = [target for target in TARGETS.values() if target.component]
SEVERITY = [
    {"type": "value", "options": {"critical": {"text": "critical", "color": ACT, "index": 0},
                                  "warning": {"text": "warning", "color": LOOK, "index": 1}}}
]  # fmt: skip
"""Mappings of the label to a colour."""
WORN = {0.0: ("as it should be", GOOD), 1.0: ("reduced", LOOK), 2.0: ("close to failure", ACT)}
STATE_OF_WEAR = steps(GOOD, (1, LOOK), (2, ACT))


def sensor_units() -> list[Json]:
    """Return overrides that give fields whose name begins with a sensor its unit."""
    sensors = {unit: [c.name for c in CHANNELS.values() if c.unit == unit] for unit in UNITS}
    return [matching(f"^({'|'.join(names)})\\b", unit=UNITS[unit]) for unit, names in sensors.items()]


def state_texts(target: Target) -> list[Json]:
    """Return the mappings of a component's states to text and colour."""
    colors = {target.nominal: GOOD, worst_of(target): ACT}
    return named({state: (target.said(state), colors.get(state, LOOK)) for state in target.classes})


def wear(where: str) -> str:
    """Return the query of how worn each component is: 0 as it should be, 1 reduced, 2 close to failure."""
    parts = []
    for target in COMPONENTS:
        state = f'hydraulic_component_state{{component="{target.name}", {where}}}'
        parts.append(f"(({state} != bool {target.nominal}) + ({state} == bool {worst_of(target)}))")
    return " or ".join(parts)
