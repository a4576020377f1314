"""The model card: what a model was trained on, how it was judged, and what it can't do. Markdown."""

from hydrodask.learn.features import sensors_of
from hydrodask.learn.results import Result

_LIMITS = {
    "cooler": "In the first minutes after a cold start the cooling efficiency is not what it will be: the cycles that "
    "it gets wrong are the first of the recording.",
    "valve": "It looks at seconds 7 to 11 of the load cycle. A rig with another load cycle needs a model of its own.",
    "pump": "In hot oil (above 55 °C) weak and severe leakage are close; most of its errors are there.",
    "accumulator": "At a level of the cooler that it has not seen it is right for seven cycles in ten; neighbouring "
    "pressures are confused. Retrain with cycles of the rig's own temperature.",
    "stable": "The label says that conditions had been changed shortly before; one cycle shows that only partly.",
}


def card(result: Result) -> str:
    """Return the card of a result."""
    target, data = result.target, result.data
    return f"""# {target.name}: {result.kind}

{result.says.capitalize()}. Says the state of one load cycle of 60 s: {target.meaning}.

## Data

{data.cycles:,} labelled cycles of {", ".join(data.rigs)}, {data.first} to {data.last}, in {data.combinations}
combinations of faults. Fingerprint `{data.fingerprint}`. Code `{result.code}`.

## Input

{len(result.columns)} features of {", ".join(sensors_of(result.columns))}, from cycle profiles, computed by
`hydrodask.learn.features`; a cycle that misses one of these sensors is {_missing(result)}.

## Figures

| split | what it says | macro-F1 | accuracy | mean absolute error |
|---|---|---|---|---|
{_rows(result)}

`random` flatters: neighbours in time are nearly the same cycle. `grouped` holds out combinations of faults,
`leave-cooler` a level of the cooler, and with it an oil temperature. Judge by these two.

## Limits

{_LIMITS[target.name]}
Trained on one kind of rig with one load cycle; what another rig's healthy state looks like it does not know. Seconds
without samples are interpolated, up to 15 a cycle. Probabilities are not calibrated: use them to compare, not to bet.
"""


def _rows(result: Result) -> str:
    says = {
        "random": "80/20 by chance",
        "grouped": "combinations of faults that it has not seen",
        "leave-cooler": "a level of the cooler that it has not seen",
    }
    rows = []
    for split, one in result.figures.items():
        error = "–" if one.mean_error is None else f"{one.mean_error:.2f} {result.target.unit}".strip()
        rows.append(f"| {split} | {says[split]} | {one.macro_f1:.3f} | {one.accuracy:.3f} | {error} |")
    return "\n".join(rows)


def _missing(result: Result) -> str:
    return "scored with what there is" if result.kind == "boosted-forest" else "not scored"
