"""Collect what the site is made of in one folder: `docs/`, the repository's own pages, the reference pages.

Inside the repository links go from file to file. On the site a link to a page goes to that page, and a link to a file
that is no page becomes its name, since a site that is copied somewhere else has no repository beside it.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

OWN = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that lie at the top of the repository, and their places on the site."""

_LINK = re.compile(r"(?<!!)\[(?P<label>[^\]]+)\]\((?P<target>[^)\s]+)\)")
_PICTURE = re.compile(r"!\[(?P<label>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_OUTSIDE = re.compile(r"^([a-z]+:|#)")


def stage(to: Path, made: Mapping[str, str]) -> None:
    """Put all pages into the folder `to`, which is made anew; `made` has reference pages by their place."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(DOCS, to, ignore=shutil.ignore_patterns("pages"))  # what makes the site is no page of it
    for place, text in made.items():
        (to / place).parent.mkdir(parents=True, exist_ok=True)
        (to / place).write_text(text, encoding="utf-8")
    pages = {path.relative_to(to).as_posix() for path in to.rglob("*.md")} | set(OWN.values())
    for path in to.rglob("*.md"):
        place = path.relative_to(to).as_posix()
        path.write_text(relinked(path.read_text(encoding="utf-8"), f"docs/{place}", place, pages), encoding="utf-8")
    for source, place in OWN.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        (to / place).write_text(relinked(text, source, place, pages), encoding="utf-8")


def relinked(text: str, source: str, place: str, pages: set[str]) -> str:
    """Return a page's text with links for the site; `source` is its path in the repository, `place` that on the site.

    >>> relinked("[a](docs/audit.md#x) [b](conf/rules.yaml) ![c](docs/live.svg)", "README.md", "index.md", {"audit.md"})
    '[a](audit.md#x) b (`conf/rules.yaml`) ![c](live.svg)'
    >>> relinked("[rules](../../conf/rules.yaml)", "docs/tutorial/a.md", "tutorial/a.md", set())
    'rules (`conf/rules.yaml`)'
    """
    pictured = _PICTURE.sub(lambda found: _picture(found, source, place), text)
    return _LINK.sub(lambda found: _link(found, source, place, pages), pictured)


def _link(found: re.Match[str], source: str, place: str, pages: set[str]) -> str:
    label, target = found["label"], found["target"]
    if _OUTSIDE.match(target):
        return found[0]
    path, hash_, anchor = target.partition("#")
    full = normpath((PurePosixPath(source).parent / path).as_posix())
    there = OWN.get(full, full.removeprefix("docs/"))
    if there in pages:
        return f"[{label}]({_from(place, there)}{hash_}{anchor})"
    if full.startswith("docs/") and full.endswith(".md"):
        return found[0]  # no page: the strict build names it
    return label if label.strip("`") == full else f"{label} (`{full}`)"


def _picture(found: re.Match[str], source: str, place: str) -> str:
    full = normpath((PurePosixPath(source).parent / found["target"]).as_posix())
    return f"![{found['label']}]({_from(place, full.removeprefix('docs/'))})"


def _from(place: str, there: str) -> str:
    return relpath(there, PurePosixPath(place).parent.as_posix())
