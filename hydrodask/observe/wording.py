"""How figures are said to people: durations, counts, reasons, and names in the order that they expect."""

import re
from collections.abc import Iterable


def span(seconds: float | None) -> str:
    """Return a duration as people say it.

    >>> [span(s) for s in (None, 0.25, 10.4, 75, 7300, 200000.0)]
    ['-', '0.2 s', '10.4 s', '1 min 15 s', '2 h 1 min', '2 d 7 h']
    """
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def amount(number: float) -> str:
    """Return a count in at most six characters or so.

    >>> [amount(n) for n in (0, 7, 999, 12345, 4370000)]
    ['0', '7', '999', '12,345', '4.37 M']
    """
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number:,.0f}"


def reasons_text(reasons: Iterable[tuple[str, int]]) -> str:
    """Return reasons of dead letters in one line.

    >>> reasons_text([("not JSON", 12), ("rig is empty", 1)])
    '12 × not JSON; 1 × rig is empty'
    """
    return "; ".join(f"{amount(count)} × {reason}" for reason, count in reasons)


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a sort key that puts rig-2 before rig-10.

    >>> sorted(["rig-10", "b", "rig-2"], key=natural)
    ['b', 'rig-2', 'rig-10']
    """
    parts = re.split(r"([0-9]{1,18})", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts if part]
