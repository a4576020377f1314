"""The five things that a model can say about a rig: their classes, what a class means, and which features show them.

The features of each target are what `docs/learning.md` found by trying: the phase of the load cycle in which the
component shows itself, and nothing else, so that a model has no chance to remember the oil's temperature instead.
"""

from dataclasses import dataclass

from hydrodask.learn.features import columns


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to predict. `classes` are the labels in rising order, `nominal` the one of a healthy rig.

    `ordered` says whether the distance between classes means something. `unit` follows a class where people read it;
    `names` say it of classes that are no measure. Page, messages, incidents and Grafana say it so.
    `columns` are the features of forests and logistic regression; what committees look at is in `train/plans.py`.
    """

    name: str
    classes: tuple[int, ...]
    nominal: int
    ordered: bool
    unit: str
    meaning: str
    columns: tuple[str, ...]
    names: tuple[tuple[int, str], ...] = ()

    def said(self, state: int) -> str:
        """Return a class as people say it.

        >>> TARGETS["cooler"].said(3), TARGETS["pump"].said(2)
        ('3 %', 'severe leakage')
        """
        return dict(self.names).get(state) or f"{state} {self.unit}".rstrip()

    @property
    def component(self) -> bool:
        """Whether this is a part of the rig that can fail, and not a property of the measurement."""
        return self.name != "stable"


_SHAPED = ("PS1", "PS2", "PS3", "EPS1", "FS1", "SE")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "cooler", (3, 20, 100), 100, True, "%", "cooler condition: 3 close to failure, 20 reduced, 100 full",
            columns("mean", ("CE",)),
        ),
        Target(
            "valve", (73, 80, 90, 100), 100, True, "%", "switching of the valve: 73 close to failure … 100 optimal",
            columns("mean", ("PS1", "PS2", "EPS1"), 7, 12),
        ),
        Target(
            "pump", (0, 1, 2), 0, True, "", "internal leakage of the pump: 0 none, 1 weak, 2 severe",
            columns("mean", ("EPS1", "FS1", "SE", "PS1", "TS1"), 0, 19)
            + columns("low", ("FS1",), 0, 19) + columns("high", ("FS1",), 0, 19),
            names=((0, "no leakage"), (1, "weak leakage"), (2, "severe leakage")),
        ),
        Target(
            "accumulator", (90, 100, 115, 130), 130, True, "bar",
            "pressure of the gas in the accumulator: 90 close to failure … 130 optimal",
            columns("shape", _SHAPED) + columns("centred", ("EPS1", "TS2")),
        ),
        Target(
            "stable", (0, 1), 0, False, "", "0: conditions were stable, 1: they may not have been yet",
            columns("mean", ("EPS1", "SE", "TS4")),
        ),
    )
}  # fmt: skip
"""Every target by name."""
