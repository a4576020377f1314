"""The page of names in the code: each public class, in which file, and its first sentence."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from docs.pages.markdown import code, page, table
from docs.pages.stage import ROOT

_INTRO = """Short names stand for long thoughts. This page has each class of the package with its own first sentence,
by folder. The words of the domain are in the [glossary](../glossary.md), the folders in
[Architecture](../architecture.md)."""

PACKAGE = ROOT / "hydrodask"


def page_of_names() -> str:
    """Return the page."""
    folders: dict[str, list[tuple[str, str, str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        folder = path.parent.relative_to(PACKAGE).as_posix()
        for name, sentence in classes(path):
            row = (code(name), sentence, code(path.name))
            folders.setdefault("the package itself" if folder == "." else f"{folder}/", []).append(row)
    parts = [part for folder, rows in folders.items() for part in (f"## {folder}", _table(rows))]
    return page("Names in the code", _INTRO, *parts)


def classes(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each public class of a module, and the first sentence of its docstring."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            text = inspect.cleandoc(ast.get_docstring(node) or "")
            yield node.name, " ".join(text.partition("\n\n")[0].split())


def _table(rows: list[tuple[str, str, str]]) -> str:
    return table(("name", "what it is", "file"), rows)
