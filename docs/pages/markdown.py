"""The few pieces of Markdown that the reference pages are made of."""

from collections.abc import Iterable, Sequence

MADE = "<!-- Made from the code by `python -m docs.pages`; whoever changes this file by hand changes nothing. -->"


def page(title: str, intro: str, *parts: str) -> str:
    """Return a page."""
    return "\n\n".join((MADE, f"# {title}", intro, *parts)) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a table; a bar inside a cell is kept from ending it.

    >>> table(("a", "b"), [("1", "x | y")]).splitlines()
    ['| a | b |', '| --- | --- |', '| 1 | x \\| y |']
    """
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|").replace("\n", " ") for cell in r] for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: object) -> str:
    """Return a text as code, nothing as nothing.

    >>> code("x"), code("")
    ('`x`', '')
    """
    return f"`{text}`" if str(text) else ""


def block(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.strip()}\n```"
