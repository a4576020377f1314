"""Pictures of benchmarks, as SVG that only changes when what it shows does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

OURS = "hydrodask"


def save(figure: Figure, path: Path) -> None:
    """Write a figure without date and random ids."""
    with mpl.rc_context({"svg.hashsalt": "hydrodask", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def bars_beside(values: Mapping[str, Sequence[float]], titles: Sequence[str], path: Path, *, log: bool = False) -> None:
    """Draw a panel a figure, a bar an engine, ours in colour, into an SVG file."""
    names = list(values)[::-1]
    figure = Figure(figsize=(9, 0.8 + 0.36 * len(names)), layout="constrained")
    for place, (axes, title) in enumerate(zip(figure.subplots(1, len(titles)), titles, strict=True)):
        widths = [values[name][place] for name in names]
        colours = ["#0b6e99" if name.startswith(OURS) else "#b8bfc6" for name in names]
        bars = axes.barh(names, widths, color=colours, log=log)
        axes.bar_label(bars, [f"{w:,.3g}" if w < 100 else f"{w:,.0f}" for w in widths], padding=3)
        axes.set_title(title, loc="left", fontsize=10)
        axes.margins(x=0.18)
        axes.spines[["top", "right"]].set_visible(False)
        if place:
            axes.set_yticklabels([])
    save(figure, path)


def curves(panels: Mapping[str, Sequence[tuple[float, float]]], title: str, path: Path) -> None:
    """Draw a panel a curve beside each other on one scale from 0, `x` logarithmic unless it begins at 0."""
    figure = Figure(figsize=(2.6 * len(panels), 2.6), layout="constrained")
    highest = max(y for points in panels.values() for _x, y in points)
    for place, (axes, (name, points)) in enumerate(
        zip(np.atleast_1d(figure.subplots(1, len(panels), sharey=True)), panels.items(), strict=True)
    ):
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, "o-", color="#0b6e99")
        if xs[0] > 0:
            axes.set_xscale("log")
        axes.set_xticks(xs, [f"{x:,.0f}" for x in xs])
        axes.minorticks_off()
        axes.set_ylim(0, 1.1 * highest)  # the axis is shared: the first panel's own limits would cut the others off
        axes.set_xlabel(name, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if not place:
            axes.set_ylabel(title, fontsize=8)
    save(figure, path)
