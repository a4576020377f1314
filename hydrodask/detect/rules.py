"""Rules: what makes a window abnormal, read from YAML and checked once.

A rule looks at one statistic of one or more sensors. A window breaks it beyond `enter`; once that
has happened in `windows` final windows in a row, the rule stays broken until a window comes back to
`exit`. Several levels of the same trouble are several rules, and each is on its own: at CE = 20 %
both `< 37` and `< 23.5` hold.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.errors import ConfigError, meant
from hydrodask.reports import STANDING
from hydrodask.settings.load import CONF, read_yaml

STATISTICS = {
    "avg": "avg_value",
    "max": "max_value",
    "min": "min_value",
    "stddev": "stddev_value",
    "range": "range_value",
    "count": "sample_count",
    "coverage": "",
}
"""Statistic → field of the window row. `coverage` = samples that are there / samples that a full
window has. `judge.py` says which of them are certain before a window is final."""

SEVERITIES = ("warning", "critical")
RULES_MAX = 500
WINDOWS_MAX = 1000
SHIPPED = "rules.yaml"
CHANGES_MAX = 8
"""Differences that are named; of more there is a count."""

_FIELDS = ("rig", "sensor", "value", "threshold", "statistic", "unit", "quantity")
"""What a message may have in braces."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REQUIRED = ("name", "sensor", "statistic", "comparison", "enter", "severity", "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    `sensor` is one or more glob patterns separated by commas (`PS*`, `TS1, TS2`); `comparison` is
    `>` or `<`; `enter` and `exit` are in the statistic's unit; `windows` final windows in a row
    must break it. `message` is a template with {value}, {threshold}, {sensor}, {rig}, {unit},
    {quantity}, {statistic}. Raises ConfigError.

    >>> rule = Rule(name="hot", sensor="TS*", statistic="avg", comparison=">", enter=50, exit=48,
    ...             severity="critical", message="{sensor} {value:.1f} {unit}")
    >>> rule.sensors
    ('TS1', 'TS2', 'TS3', 'TS4')
    >>> rule.beyond(49, broken=False), rule.beyond(49, broken=True)
    (False, True)
    """

    name: str
    sensor: str
    statistic: str
    comparison: str
    enter: float
    exit: float
    severity: str
    message: str
    windows: int = 1

    def __post_init__(self) -> None:
        self._want(
            _NAME.fullmatch(self.name) is not None,
            "name",
            "1..64 letters, digits, underscores, dots or dashes",
        )
        known = all(any(fnmatchcase(s, pattern) for s in SENSORS) for pattern in self._patterns)
        self._want(known, "sensor", f"patterns that each match some of {', '.join(SENSORS)}")
        self._want(self.name not in STANDING, "name", f"none of {', '.join(STANDING)}: these are said without a rule")
        self._want(self.statistic in STATISTICS, "statistic", f"one of {', '.join(STATISTICS)}")
        self._want(self.comparison in ("<", ">"), "comparison", "> or <")
        self._want(self.severity in SEVERITIES, "severity", f"one of {', '.join(SEVERITIES)}")
        self._want(0 < self.windows <= WINDOWS_MAX, "windows", f"1..{WINDOWS_MAX}")
        side = "at most" if self.above else "at least"
        right = self.exit <= self.enter if self.above else self.exit >= self.enter
        self._want(right, "exit", f"{side} enter ({self.enter:g}), or the rule could never come to rest")
        try:
            self.text(rig="rig-1", sensor=self.sensors[0], value=0.0)
        except KeyError as error:
            name = str(error.args[0])
            self._want(False, "message", f"{{…}} of {', '.join(_FIELDS)}, and not {{{name}}}{meant(name, _FIELDS)}")
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            self._want(False, "message", f"{{…}} of {', '.join(_FIELDS)}; braces of the text are doubled ({error})")

    @property
    def above(self) -> bool:
        """Whether large values break the rule."""
        return self.comparison == ">"

    @property
    def sensors(self) -> tuple[str, ...]:
        """The sensors that the rule is about."""
        return tuple(s for s in SENSORS if any(fnmatchcase(s, pattern) for pattern in self._patterns))

    @property
    def _patterns(self) -> list[str]:
        return [pattern.strip() for pattern in self.sensor.split(",")]

    def beyond(self, value: float, *, broken: bool) -> bool:
        """Return whether `value` breaks the rule, given whether it was broken before."""
        threshold = self.exit if broken else self.enter
        return value > threshold if self.above else value < threshold

    def threshold(self, value: float) -> float:
        """Return the threshold that `value` is beyond: `exit` while it only keeps a broken rule broken."""
        return self.enter if self.beyond(value, broken=False) else self.exit

    def text(self, *, rig: str, sensor: str, value: float) -> str:
        """Return the message with its values."""
        channel = CHANNELS[sensor]
        return self.message.format(
            rig=rig,
            sensor=sensor,
            value=value,
            threshold=self.threshold(value),
            statistic=self.statistic,
            unit=channel.unit,
            quantity=channel.quantity,
        )

    def _want(self, fine: bool, key: str, want: str) -> None:
        if not fine:
            raise ConfigError(f"rule {self.name!r}: {key} has value {getattr(self, key)!r}; want {want}")


def load_rules(name: str | Path) -> tuple[Rule, ...]:
    """Return the rules in a file, see `file_of`; ConfigError names what is wrong."""
    path = file_of(name)
    tree = read_yaml(path)
    listed = tree.get("rules")
    if set(tree) != {"rules"} or not isinstance(listed, list) or len(listed) > RULES_MAX:
        raise ConfigError(f"{path}: keys are {sorted(tree)}; want `rules` alone, a list of at most {RULES_MAX}")
    try:
        rules = tuple(_rule(item, number) for number, item in enumerate(listed))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: rule name {twice[0]!r} is there twice; want each once")
    return rules


def file_of(name: str | Path) -> Path:
    """Return the file that a name means: one from the current folder on, before a shipped one. Raises ConfigError."""
    path = Path(name)
    if path.exists():
        return path
    shipped = CONF.resolve()  # in a clone the package's folder is a link to the one at the top
    if path.name == str(name) and (shipped / path).exists():
        return shipped / path
    known = ", ".join(sorted(one.name for one in shipped.glob("rules*.yaml")))
    raise ConfigError(f"there is no {path.absolute()}, and none of this name among the shipped: {known}")


def described(name: str | Path) -> str:
    """Return in a line which file a name means, how many rules it has, and how they differ from the shipped ones.

    Raises ConfigError.
    """
    path, shipped = file_of(name).absolute(), CONF.resolve()
    rules, which = load_rules(path), ""
    if path.resolve().parent == shipped:
        which = " (shipped)"
    elif (shipped / name).exists():
        which = " (of the current folder, before the shipped one of this name)"
    count = f"{path}{which} has {len(rules)} rule{'' if len(rules) == 1 else 's'}"
    if path.resolve() == shipped / SHIPPED:
        return count
    changes = differences(rules, load_rules(shipped / SHIPPED))
    more = [f"{len(changes) - CHANGES_MAX} more"] if len(changes) > CHANGES_MAX else []
    return f"{count}; unlike the shipped ones: {'; '.join(changes[:CHANGES_MAX] + more) or 'nothing'}"


def differences(rules: Sequence[Rule], shipped: Sequence[Rule]) -> list[str]:
    """Return in words how `rules` differ from those that are shipped: a clause a rule that is in both, then the rest.

    >>> from dataclasses import replace
    >>> old = Rule(name="hot", sensor="TS1", statistic="avg", comparison=">", enter=40, exit=38,
    ...            severity="warning", message="hot")
    >>> differences([replace(old, enter=35, exit=34)], [old, replace(old, name="hotter", enter=50)])
    ['hot enter 40 → 35, exit 38 → 34', 'without hotter']
    """
    mine, theirs = ({rule.name: asdict(rule) for rule in some} for some in (rules, shipped))
    clauses = []
    for name in filter(theirs.__contains__, mine):
        old, new = theirs[name], mine[name]
        if changed := [f"{key} {_shown(old[key])} → {_shown(new[key])}" for key in old if old[key] != new[key]]:
            clauses.append(f"{name} {', '.join(changed)}")
    for word, some, others in (("new", mine, theirs), ("without", theirs, mine)):
        if names := [name for name in some if name not in others]:
            clauses.append(f"{word} {', '.join(names)}")
    return clauses


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else f"{value!r}"


def _rule(item: object, number: int) -> Rule:
    if not isinstance(item, Mapping):
        raise ConfigError(f"rules[{number}] has value {item!r}; want a mapping")
    known = {field.name: field.type for field in fields(Rule)}
    where = f"rules[{number}] ({item.get('name', 'no name')})"
    for key in item:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}; known: {', '.join(known)}")
    for key in _REQUIRED:
        if key not in item:
            raise ConfigError(f"{where}: {key} is missing")
    values = {**item, "exit": item.get("exit", item["enter"])}  # last: who wrote none has to mend the other
    for key, value in values.items():
        if not _right_type(value, known[key]):
            raise ConfigError(f"{where}: {key} has value {value!r}; want {_WANT[str(known[key])]}")
    return Rule(**values)


_WANT = {
    str(float): "a finite number",
    str(int): "a whole number",
    str(str): "text",
}


def _right_type(value: object, kind: object) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    return isinstance(value, kind) and not isinstance(value, bool)  # type: ignore[arg-type]
