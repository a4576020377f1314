"""The page of packages: what each extra installs, and why, as `pyproject.toml` says."""

import re
import tomllib

from docs.pages.markdown import block, code, page, table
from docs.pages.stage import ROOT

_INTRO = """hydrodask is one package with extras: what streaming needs is always installed, the rest when you ask for
it. A part that is missing says so, with the command that installs it. From a checkout `make install` installs all."""

EXTRAS = {
    "learn": "Training, the registry of models, drift. A worker that only scores does not need it.",
    "frame": "Rows of the lake as a Dask dataframe: `hydrodask.open().raw().frame()`.",
    "hdfs": "A lake on `hdfs://` or `webhdfs://`.",
    "s3": "A lake on `s3://`.",
    "mongo": "Documents in MongoDB.",
    "services": "Local services: `hydrodask services`.",
    "dashboard": "Pages in the browser beside the metrics.",
    "kubernetes": "A Dask cluster on Kubernetes: `cluster.address: kubernetes`.",
    "all": "Everything above.",
    "testing": "Tests of a flow of your own in random lives: `hydrodask.testing.simulate`.",
}
"""What each extra is for."""

FOR_DEVELOPERS = ("build", "dev")

_LINE = re.compile(r'^  "(?P<name>[^"]+)",(?: +# (?P<why>.+))?$', re.MULTILINE)


def page_of_packages() -> str:
    """Return the page."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    why: dict[str, str] = {}
    for found in _LINE.finditer(text):
        why.setdefault(found["name"], found["why"] or "")
    project = tomllib.loads(text)["project"]
    parts = [block("sh", "pip install 'hydrodask[learn,mongo]'      # with two extras"), "## Always"]
    parts.append(_packages(project["dependencies"], why))
    for name in extras():
        parts += [f"## {name}", EXTRAS.get(name, ""), _packages(project["optional-dependencies"][name], why)]
    return page("Packages", _INTRO, *parts)


def extras() -> list[str]:
    """Return the extras that users may ask for, in the order of this page."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)["project"]["optional-dependencies"]
    names = dict.fromkeys((*EXTRAS, *found))
    return [name for name in names if name in found and name not in FOR_DEVELOPERS]


def _packages(names: list[str], why: dict[str, str]) -> str:
    return table(("package", "what for"), [(code(name), why.get(name, "")) for name in names])
