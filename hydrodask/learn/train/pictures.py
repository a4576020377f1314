"""Pictures of a training: confusion matrices, importances, and splits side by side. The only importer of matplotlib."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hydrodask.learn.targets import Target
from hydrodask.learn.train.validation import SPLITS, ValidationScores

_DPI = 110
_INK = "#1f2a37"
_COLORS = {"random": "#b8c4d0", "grouped": "#2f6fb0", "leave-cooler": "#e08a2e"}
_NAMES = {
    "random": "random 80/20",
    "grouped": "unseen combinations of faults",
    "leave-cooler": "unseen level of the cooler",
}


def confusion(target: Target, kind: str, figures: Mapping[str, ValidationScores]) -> bytes:
    """Return the confusion matrix of each split, cells by share of the true class, as PNG."""
    figure = Figure(figsize=(4.1 * len(figures), 4.2), layout="constrained")
    figure.suptitle(f"{target.name}: {kind}", color=_INK, fontsize=13)
    names = [f"{c}{target.unit if target.unit == '%' else ''}" for c in target.classes]
    for axes, one in zip(figure.subplots(1, len(figures), squeeze=False)[0], figures.values(), strict=True):
        _matrix(axes, np.array(one.confusion), names)
        axes.set_title(f"{_NAMES[one.split]}\nmacro-F1 {one.macro_f1:.3f}", fontsize=10, color=_INK)
    return _png(figure)


def _matrix(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.6 else _INK
            axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=10)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("said")
    axes.set_ylabel("true")


def importances(target: Target, kind: str, shares: Mapping[str, float]) -> bytes:
    """Return how much macro-F1 each group of features carries, largest on top, as PNG."""
    ranked = sorted(shares.items(), key=lambda item: item[1])[-20:]
    figure = Figure(figsize=(7, 1.2 + 0.32 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in ranked], [max(value, 0.0) for _, value in ranked], color=_COLORS["grouped"])
    axes.set_xlabel("macro-F1 lost on unseen combinations when these features are shuffled", fontsize=9)
    axes.set_title(f"{target.name}: what {kind} looks at", color=_INK, fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def comparison(target: Target, models: Mapping[str, Mapping[str, ValidationScores]]) -> bytes:
    """Return macro-F1 of every model on every split, as PNG: what a random split hides."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(models))
    splits = [split for split in SPLITS if any(split in figures for figures in models.values())]
    width = 0.8 / len(splits)
    for number, split in enumerate(splits):
        heights = [figures[split].macro_f1 if split in figures else 0.0 for figures in models.values()]
        at = places + (number - (len(splits) - 1) / 2) * width
        bars = axes.bar(at, heights, width * 0.94, label=_NAMES[split], color=_COLORS[split])
        axes.bar_label(bars, [f"{h:.3f}"[1:] if h < 0.9995 else "1" for h in heights], fontsize=6, color=_INK)
    axes.set_xticks(places, list(models), fontsize=9)
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("macro-F1")
    axes.set_title(f"{target.name}: the same models, judged three ways", color=_INK, fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    return out.getvalue()
