"""What the shell offers for values: names out of the package, rigs out of what is stored. Quick, and never an error.

`hydrodask --install-completion` makes the shell ask.
"""

from collections.abc import Callable, Iterable

import typer

from hydrodask.channels import SENSORS
from hydrodask.episodes import SEVERITIES
from hydrodask.settings import CONF, Settings, load
from hydrodask.settings.load import flatten, read_yaml

Offer = Callable[[typer.Context, str], list[str]]

SERVICES = ("kafka", "hdfs", "mongodb", "pushgateway", "alertmanager", "prometheus", "mlflow")
TARGETS = ("cooler", "valve", "pump", "accumulator", "stable")
KINDS = ("classic-forest", "classic-tree", "forest", "extra-trees", "boosted-forest", "logistic", "gaussian")
ORIGINS = ("right", "false-alarm", "found", "label", "file")
"""Written down for help and shell: what defines them takes a second to import; tests compare."""

DOCUMENTS_MAX = 500
"""Newest incidents that are asked which rigs and rules there are."""


def of(names: Callable[[typer.Context], Iterable[str]]) -> Offer:
    """Return what offers those of some names that begin as what is typed; nothing where they can't be found."""

    def offer(context: typer.Context, incomplete: str) -> list[str]:
        try:
            return sorted(name for name in dict.fromkeys(names(context)) if name.startswith(incomplete))
        except Exception:  # whoever presses Tab wants no message
            return []

    return offer


def among(*names: str) -> Offer:
    """Return what offers those of `names` that begin as what is typed."""
    return of(lambda _context: names)


def _settings(context: typer.Context) -> Settings:
    return load(profile=context.params.get("profile"), sets=context.params.get("sets") or ())[0]


def _profiles(_context: typer.Context) -> Iterable[str]:
    return (path.stem for path in (CONF / "profiles").glob("*.yaml"))


def _keys(_context: typer.Context) -> Iterable[str]:
    return (f"{key}=" for key in flatten(read_yaml(CONF / "default.yaml")))


def _faults(_context: typer.Context) -> Iterable[str]:
    return ("none", *(path.name for path in CONF.glob("faults-*.yaml")))


def _rigs(context: typer.Context) -> Iterable[str]:
    """Give the rigs that the newest run told apart, and those that have incidents."""
    from hydrodask.store.documents import open_documents

    documents = open_documents(_settings(context))
    try:
        for status in documents.find("status", {}, limit=1, newest_first="updated_us"):
            yield from status.get("rigs", {})
        for one in documents.find("incidents", {}, limit=DOCUMENTS_MAX, newest_first="opened_at"):
            yield str(one["rig"])
    finally:
        documents.close()


def _rules(context: typer.Context) -> Iterable[str]:
    """Give the rules by their names in the file, and baselines and others by their incidents."""
    from hydrodask.detect import load_rules
    from hydrodask.store.documents import open_documents

    effective = _settings(context)
    yield from (rule.name for rule in load_rules(effective.detect.rules))
    documents = open_documents(effective)
    try:
        for one in documents.find("incidents", {}, limit=DOCUMENTS_MAX, newest_first="opened_at"):
            yield str(one["rule"])
    finally:
        documents.close()


profiles, keys, faults, rigs, rules = map(of, (_profiles, _keys, _faults, _rigs, _rules))
sensors, severities, services = among(*SENSORS), among(*SEVERITIES), among(*SERVICES)
targets, kinds = among(*TARGETS), among(*KINDS)
sources = among("simulator", "recording:", "none")
