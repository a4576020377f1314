"""Pictures of benchmarks, as SVG that only changes when what it shows does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
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
