"""Build the site with Zensical, strictly, and look at what came of it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from docs.pages.reference import every_page
from docs.pages.stage import stage

ROOT = Path(__file__).resolve().parents[2]
STAGED = ROOT / "build" / "docs"
CONFIG = ROOT / "mkdocs.yml"
SECONDS_MAX = 120

SHIM = "https://unpkg.com/iframe-worker/shim"
OUR_SHIM = "assets/iframe-worker.js"
"""What lets the search work in a page that was opened as a file. The theme loads it from elsewhere."""

_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data|srcset)\s*=\s*["']?(?P<a>[^"'\s>]+)"""
    r"""|<link\b(?![^>]*rel=["']?(?:canonical|next|prev))[^>]*?\bhref\s*=\s*["']?(?P<b>[^"'\s>]+)"""
    r"""|\burl\(\s*["']?(?P<c>(?:https?:)?//[^"')]+)|@import\s+["'](?P<d>[^"']+)""",
    re.IGNORECASE,
)
"""What a browser fetches by itself when it opens a page."""


def build(to: Path) -> list[str]:
    """Build the site into `to`, and return what is wrong with it, nothing when all is well."""
    stage(STAGED, every_page())
    made = ROOT / "build" / "site"
    shutil.rmtree(made, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", str(CONFIG)]
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    if done.returncode != 0 or not (made / "index.html").exists():
        return [_plain(done.stdout + done.stderr)]
    for page in made.rglob("*.html"):
        _bring_along(page, made)
    if to.resolve() != made:
        shutil.copytree(made, to, dirs_exist_ok=True)
    return list(wrong(made))


def wrong(site: Path) -> Iterator[str]:
    """Yield each thing that a page or a style sheet of the site loads from another host, or that is not there."""
    for path in sorted((*site.rglob("*.html"), *site.rglob("*.css"))):
        for found in _LOADS.finditer(path.read_text(encoding="utf-8")):
            target = next(group for group in found.groups() if group)
            name = path.relative_to(site)
            if re.match(r"(https?:)?//", target):
                yield f"{name} loads {target} from another host"
            elif not target.startswith(("data:", "#", "javascript:")) and path.suffix == ".html":
                there = unquote(re.sub(r"[?#].*", "", target))
                if name.name != "404.html" and not (path.parent / there).exists():
                    yield f"{name} shows {target}, which is not there"


def _bring_along(page: Path, site: Path) -> None:
    """Let a page load the shim from the site itself."""
    up = "../" * (len(page.relative_to(site).parts) - 1)
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace(SHIM, up + OUR_SHIM), encoding="utf-8")


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()
