"""The model card: what a model was trained on, how it was judged, and what it can't do. Markdown."""

from hydrodask.learn.data.labelling import LAKE
from hydrodask.learn.features import sensors_of
from hydrodask.learn.told import FILE
from hydrodask.learn.train.results import TrainedModel
from hydrodask.learn.train.validation import LEAVE_COOLER

_LOW = 0.9
"""Recall below which a class is named among the limits."""

_UNEVEN = 0.05
"""Spread over folds, and error of calibration, above which they are named among the limits."""

_PERFECT = 0.9995
"""Macro-F1 that is shown as 1.000."""

_SAYS = {
    "random": "80/20 by chance",
    "grouped": "combinations of faults that it has not seen",
    "leave-cooler": "a level of the cooler that it has not seen",
}

_FROM = {
    LAKE: "the lake: the stream, or an import",
    "label": "`label`: people, by hand",
    FILE: "`file`: people, by file",
    "right": "`right`: incidents that were right",
    "false-alarm": "`false-alarm`: incidents that were none",
    "found": "`found`: what was found at incidents",
}


def card(result: TrainedModel) -> str:
    """Return the card of a result."""
    target, data = result.target, result.data
    return f"""# {target.name}: {result.kind}

{result.says.capitalize()}. Says the state of one load cycle of 60 s: {target.meaning}.

## Data

{data.cycles:,} labelled cycles of {", ".join(data.rigs)}, {data.first} to {data.last}, in {data.combinations}
combinations of faults, in {data.source}. Fingerprint `{data.fingerprint}`. Code `{result.code}`.
{_learned(result)}
{_origins(result)}

## Input

{len(result.columns)} features of {", ".join(sensors_of(result.columns))}, from cycle profiles, computed by
`hydrodask.learn.features`; {_missing(result)}.
{_chosen(result)}
## Figures

| split | what it says | macro-F1 | over folds ± | accuracy | mean absolute error |
|---|---|---|---|---|---|
{_rows(result)}

`random` flatters: neighbours in time are nearly the same cycle. `grouped` holds out combinations of faults,
`leave-cooler` a level of the cooler, and with it an oil temperature. Judge by these two.
{_sure(result)}
## Limits

{_limits(result)}
Trained on one kind of rig with one load cycle; what another rig's healthy state looks like it does not know.
"""


def _learned(result: TrainedModel) -> str:
    """Say of how many cycles it was learned, and on how many it was judged."""
    data, notes = result.data, "".join(f"{note[0].upper()}{note[1:]}. " for note in result.notes)
    if data.chosen_on < data.cycles:
        notes += f"Choices were made, and figures measured, on {data.chosen_on:,} of the cycles, evenly of each state."
    return notes.strip()


def _origins(result: TrainedModel) -> str:
    """Return where labels are from, what the cycles of each weigh, and how those of people are left out."""
    rows = [f"| {_FROM[one.name]} | {one.people or '–'} | {one.labels:,} | {one.share:.1%} |" for one in result.origins]
    if not rows:
        return ""
    left = "" if len(rows) < 2 else "\n\n`hydrodask train --without ORIGIN`, or `--without by=NAME`, leaves labels out."
    return "\n| labels from | people | cycles | of all weight |\n|---|---|---|---|\n" + "\n".join(rows) + left + "\n"


def _chosen(result: TrainedModel) -> str:
    """Say what was chosen, and by which figures."""
    if not result.plain:
        return "\nWhich features it sees was chosen with an eye on these figures, so they flatter.\n"
    plan, tried = result.parameters["plan"], result.parameters["plans_tried"]
    return f"\nIt looks at {plan}: chosen inside each fold among {tried}, so that no choice saw the figures below.\n"


def _sure(result: TrainedModel) -> str:
    """Return the figures of a model that may say unknown."""
    rows = []
    for split, one in result.figures.items():
        if (s := one.sure) is not None:
            figures = (s.macro_f1_answered, s.macro_f1_unknown_wrong, s.log_loss, s.calibration_error, s.coverage)
            rows.append(f"| {split} | {s.answered:.1%} | {' | '.join(f'{value:.3f}' for value in figures)} |")
    if not rows:
        return ""
    head = (
        "\n| split | answered | macro-F1 of these | with unknown as wrong | log-loss | calibration error "
        "| truth in the 95 % set |\n|---|---|---|---|---|---|---|\n"
    )
    stored = ""
    if LEAVE_COOLER in result.figures:
        stored = (
            f"\nOn `{LEAVE_COOLER}` temperature and limits are those it is registered with: the folds of `grouped` "
            "set\nthem, which had cycles of each level. The gate's limits are set by all of them, the judged one too.\n"
        )
    lows = [
        f"\nOf 20 draws of as many combinations as a fold has, from the verdicts on `{split}`, 19 have a macro-F1 "
        f"of {one.sure.macro_f1_low:.3f} or more: expect as much of others that it has not seen.\n"
        for split, one in result.figures.items() if one.sure is not None and one.sure.macro_f1_low is not None
    ]  # fmt: skip
    if any(one.sure is not None and (one.sure.macro_f1_low or 0.0) >= _PERFECT for one in result.figures.values()):
        rare = max(result.data.combinations // 3, 1)
        lows.append(f"\nIt may be wrong all the same: what is rarer than one combination in {rare} nobody has seen.\n")
    return head + "\n".join(rows) + "\n" + stored + "".join(lows)


def _limits(result: TrainedModel) -> str:
    """Return the states that it misses, split by split, as its figures say."""
    found = []
    for split, one in result.figures.items():
        low = [f"{name} ({value:.0%} found)" for name, value in one.recall.items() if value < _LOW]
        if split == "random":
            continue
        if low:
            found.append(f"On {_SAYS[split]} it misses {', '.join(low)}.")
        if one.spread is not None and one.spread > _UNEVEN:
            found.append(f"On {_SAYS[split]} macro-F1 differs by {one.spread:.3f} from fold to fold: expect as much.")
        if one.sure is not None and one.sure.answered < _LOW:
            found.append(f"On {_SAYS[split]} it calls {1 - one.sure.answered:.0%} of cycles unknown.")
        if one.sure is not None and one.sure.calibration_error > _UNEVEN:
            found.append(f"On {_SAYS[split]} probabilities are off by {one.sure.calibration_error:.1%} on average.")
    return "\n".join(found) or "On the splits above it finds nine in ten cycles of each state, or more."


def _rows(result: TrainedModel) -> str:
    rows = []
    for split, one in result.figures.items():
        error = "–" if one.mean_error is None else f"{one.mean_error:.2f} {result.target.unit}".strip()
        spread = "–" if one.spread is None else f"{one.spread:.3f}"
        rows.append(f"| {split} | {_SAYS[split]} | {one.macro_f1:.3f} | {spread} | {one.accuracy:.3f} | {error} |")
    return "\n".join(rows)


def _missing(result: TrainedModel) -> str:
    if result.plain:
        return "seconds that were not measured are left out exactly, and a cycle is unknown when too little is left"
    what = "scored with what there is" if result.kind == "boosted-forest" else "unknown"
    return f"a cycle that misses one of these sensors is {what}"
