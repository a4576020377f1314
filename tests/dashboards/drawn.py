"""Pictures of the pages: drawn in Debian's Chromium with Grafana's component library, not in Grafana."""

import re
import subprocess
from pathlib import Path
from typing import Any

from docs.dashboards.panels import Json
from tests.pictured import shrunk

HOST = "http://drawn.invalid"
"""Of no server: what a page asks for is read from files."""

HTML = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/drawn.css">
<body><script>window.__grafana_public_path__ = "/public/"</script><script src="/drawn.js"></script>"""

FONTS = {"Regular": "400", "Medium": "500"}
WIDTH, HEIGHT = 1596, 900
WAIT_MS = 600_000

DRAWN = """() => [...document.querySelectorAll('section[data-kind]')].map((one) => {
  const { title, kind, empty } = one.dataset;
  const colored = ({ data }) => {
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
      const color = [data[at], data[at + 1], data[at + 2]];
      count += data[at + 3] > 100 && Math.max(...color) - Math.min(...color) > 60;
    }
    return count;
  };
  const looks = {
    'stat': () => one.innerText.replace(title, '').trim().length,
    'table': () => one.querySelectorAll('[role=row] [role=gridcell]').length,
    'state-timeline': () => one.querySelectorAll('.strip').length,
    'timeseries': () => [...one.querySelectorAll('canvas')].reduce((sum, canvas) =>
      sum + colored(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)), 0),
  };
  return { title, kind, empty: empty === 'true', drawn: empty === 'true' ? 0 : looks[kind]() };
})"""
"""What is there of each panel: letters of a figure, cells of a table, strips of states, pixels of curves (not grey)."""


def bundle(tools: Path) -> None:
    """Make one script and one style sheet of our program and of what it needs of npm."""
    options = ["--bundle", "--outfile=drawn.js", '--define:process.env.NODE_ENV="production"', "--log-level=error"]
    options += [*(f"--loader:.{kind}=empty" for kind in ("woff", "ttf")), "--loader:.woff2=dataurl"]
    done = subprocess.run(
        ["node_modules/.bin/esbuild", "draw.jsx", *options], cwd=tools, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


class Drawing:
    """A tab that draws one page after the other; nothing may fail in it or be missing."""

    def __init__(self, browser: Any, tools: Path) -> None:
        self._page, self._wrong = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), list[str]()
        self._page.set_default_timeout(WAIT_MS)
        self._page.on("pageerror", lambda error: self._wrong.append(str(error)))
        self._page.on("console", lambda said: self._wrong.append(said.text) if said.type == "error" else None)
        self._page.route("**/*", lambda route: _answer(route, tools))
        self._page.goto(f"{HOST}/")

    def draw(self, given: Json, to: Path) -> list[Json]:
        """Draw what ask.mjs has made of a page, keep its picture, and return what is there of each panel."""
        self._page.evaluate("given => window.draw(given)", given)
        assert self._wrong == []
        assert "not in Grafana" in self._page.inner_text("main")
        drawn: list[Json] = self._page.evaluate(DRAWN)
        self._page.screenshot(path=to, full_page=True)
        shrunk(to)
        return drawn


def _answer(route: Any, tools: Path) -> None:
    """Answer with a file: of ours, or an icon or a font of Grafana's."""
    path = route.request.url.removeprefix(HOST)
    modules = tools / "node_modules"
    font = re.search(r"/fonts/inter/Inter-(\w+)\.woff2$", path)
    if path == "/":
        route.fulfill(body=HTML, content_type="text/html")
    elif font:
        route.fulfill(path=modules / f"@fontsource/inter/files/inter-latin-{FONTS[font[1]]}-normal.woff2")
    elif "/img/" in path:
        route.fulfill(path=modules / "@grafana/ui/dist/public" / path[path.index("/img/") + 1 :])
    else:
        route.fulfill(path=tools / path[1:])
