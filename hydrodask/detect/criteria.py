"""Criteria: everything that decides what a document says of a window, by content, and known by its digest.

Two files of rules that say the same in another order, with other comments or under another name have one digest.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Self

from hydrodask.detect.baseline import FLOOR_BEFORE
from hydrodask.detect.rules import STATISTICS, Rule, load_rules
from hydrodask.errors import ConfigError
from hydrodask.settings import Settings, model

JUDGING = 1
"""Raise it when the same rows and criteria give other documents: those of an older number can't be judged any more."""

DIGEST_CHARACTERS = 12


@dataclass(frozen=True)
class Criteria:
    """The rules, the settings of baselines, and how much of a window of which length must be there. Raises ConfigError.

    And after how long who sends nothing is silent, a rig forgotten, and a sensor said that is not judged; None: never.

    >>> Criteria((), model.Baseline(), 0.9, 60).digest == Criteria((), model.Baseline(), 0.9, 60.0).digest
    True
    """

    rules: tuple[Rule, ...]
    baseline: model.Baseline
    coverage_min: float
    window_s: float
    slide_s: float = 10.0
    silent_after_s: float | None = None
    forgotten_after_s: float | None = None
    unjudged_after_s: float | None = None

    def __post_init__(self) -> None:
        fields = [name for name in STATISTICS.values() if name and name != "sample_count"]
        for name in self.baseline.statistics:
            if name not in fields:
                raise ConfigError(f"detect.baseline.statistics has {name!r}; want some of {', '.join(fields)}")
        if self.baseline.exit > self.baseline.enter:
            raise ConfigError(
                f"detect.baseline.exit is {self.baseline.exit:g}; want at most detect.baseline.enter "
                f"({self.baseline.enter:g})"
            )

    @cached_property
    def limits(self) -> dict[tuple[str, ...], float]:
        """Where a window is abnormal, by sensor, rule, statistic and severity."""
        return {
            (sensor, rule.name, rule.statistic, rule.severity): rule.enter
            for rule in self.rules
            for sensor in rule.sensors
        }

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of the configuration. Raises ConfigError."""
        detect = settings.detect
        window = settings.window
        return cls(
            load_rules(detect.rules), detect.baseline, detect.coverage_min, window.length, window.slide,
            detect.silent_after, settings.limits.rig_silence, detect.unjudged_after,
        )  # fmt: skip

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Return what was encoded. Raises ValueError when this release can't judge by it."""
        tree = json.loads(data)
        if not isinstance(tree, dict) or tree.get("judging") != JUDGING:
            raise ValueError("another release has judged by it")
        try:
            rules = tuple(Rule(**rule) for rule in tree["rules"])
            numbers = [tree[name] for name in ("coverage_min", "window_s", "slide_s", "silent_after_s")]
            numbers += [tree.get("forgotten_after_s"), tree.get("unjudged_after_s")]
            baseline = model.Baseline(**{"floor": FLOOR_BEFORE} | tree["baseline"])
            return cls(rules, baseline, *numbers)
        except (KeyError, TypeError, ConfigError) as error:
            raise ValueError(f"it is not what was encoded ({error!r})") from error

    @cached_property
    def encoded(self) -> bytes:
        """The canonical content: equal criteria, equal bytes."""
        # Numbers as they were written: 30 and 30.0 may read differently in a message.
        rules = sorted((asdict(rule) for rule in self.rules), key=lambda rule: str(rule["name"]))
        baseline = self.baseline.model_dump(mode="json")
        if baseline["floor"] == FLOOR_BEFORE:
            del baseline["floor"]  # as it was before that was a setting: its digest is in documents
        tree = {
            "judging": JUDGING,
            "rules": rules,
            "baseline": baseline,
            "coverage_min": float(self.coverage_min),
            "window_s": float(self.window_s),
            "slide_s": float(self.slide_s),
            "silent_after_s": self.silent_after_s,
            "forgotten_after_s": self.forgotten_after_s,
        }
        if self.unjudged_after_s is not None:  # as it was before that was said
            tree["unjudged_after_s"] = float(self.unjudged_after_s)
        return json.dumps(tree, sort_keys=True, indent=1).encode()

    @cached_property
    def digest(self) -> str:
        """What documents and snapshots name the criteria by."""
        return hashlib.sha256(self.encoded).hexdigest()[:DIGEST_CHARACTERS]
