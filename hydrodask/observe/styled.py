"""Rows of styled text with exact widths: what the live view is made of.

Cheaper than tables that measure themselves: a row is a list of (text, style), and is cut or padded
once.
"""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
Row = list[Span]

ASCII = str.maketrans("█━●⚠─▁▂▃▄▅▆▇·…°≤✗×", "#=o!-__--===..'<Xx")
"""For terminals that have no more."""


def plain(text: object) -> str:
    """Return `text` on one line without control characters: names and messages come from outside.

    >>> plain("a" + chr(27) + "[2Jb" + chr(10) + "c")
    'a?[2Jb?c'
    """
    return "".join(char if char.isprintable() else "?" for char in str(text))


def width_of(row: Row) -> int:
    """Return the width of a row in cells."""
    return sum(cell_len(text) for text, _ in row)


def fit(row: Row, width: int) -> Row:
    """Return the row cut or padded to exactly `width` cells; a cut one ends in an ellipsis.

    >>> fit([("abc", "red"), ("defg", "")], 5), fit([("a", "")], 3)
    ([('abc', 'red'), ('d…', '')], [('a', ''), ('  ', '')])
    """
    done: Row = []
    left = width
    for place, (text, style) in enumerate(row):
        size = cell_len(text)
        more = any(other for other, _ in row[place + 1 :])
        if size > left or (size == left and more):
            done.append((set_cell_size(text, max(0, left - 1)) + "…"[: max(0, left)], style))
            return done
        done.append((text, style))
        left -= size
    return [*done, (" " * left, "")] if left else done


def ends(left: Row, right: Row, width: int) -> Row:
    """Return a row with `left` at the left and `right`, if there is room, at the right end."""
    room = width - width_of(right) - 1
    if room < min(20, width_of(left)):
        return fit(left, width)
    return [*fit(left, room), (" ", ""), *right]


def heading(title: str, width: int) -> Row:
    """Return a title with a line after it."""
    return [(title, "bold cyan"), (" " + "─" * max(0, width - cell_len(title) - 1), "dim")]


def beside(left: Sequence[Row], right: Sequence[Row], widths: tuple[int, int]) -> list[Row]:
    """Return two blocks beside each other with a gap of two; the shorter one is filled up."""
    rows = []
    for place in range(max(len(left), len(right))):
        a = left[place] if place < len(left) else []
        b = right[place] if place < len(right) else []
        rows.append([*fit(a, widths[0]), ("  ", ""), *fit(b, widths[1])])
    return rows


def folded(head: Row, text: str, width: int) -> list[Row]:
    """Return `head` and `text` in one row, or, where that is too narrow, in up to three.

    >>> folded([("a", "")], "bb", 9), len(folded([("a", "")], "bbbb cccc dd", 9))
    ([[('a', ''), (' bb', '')]], 3)
    """
    if width_of(head) + 1 + cell_len(text) <= width:
        return [[*head, (f" {text}", "")]]
    return [head, *([(f"  {part}", "")] for part in wrap(text, max(8, width - 2))[:2])]


def bar(share: float, width: int, style: str) -> Row:
    """Return a bar that is filled to `share`, 0..1."""
    full = round(max(0.0, min(1.0, share)) * width)
    return [("━" * full, style), ("━" * (width - full), "grey35")]


def sparkline(values: Iterable[float], width: int, band: tuple[float, float]) -> str:
    """Return the last `width` values as a line of blocks in a band, wider if they leave it: noise stays small.

    >>> sparkline([1, 2, 3], 5, (1, 3)), sparkline([4.0, 4.1], 5, (0, 8)), sparkline([16], 2, (0, 8))
    ('▁▄█  ', '▄▄   ', '█ ')
    """
    shown = list(values)[-width:]
    if not shown:
        return " " * width
    low, high = min(*band, *shown), max(*band, *shown)
    steps = "▁▂▃▄▅▆▇█"
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        line = "▄" * len(shown)
    else:
        line = "".join(steps[int((v - low) / (high - low) * 7)] for v in shown)
    return line.ljust(width)
