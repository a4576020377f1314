"""Names that people type: ids of incidents, rigs, sensors, rules. What was meant by one that there is not."""

import getpass
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from hydrodask.answers import FieldError
from hydrodask.channels import SENSORS
from hydrodask.cli.completion import DOCUMENTS_MAX, TARGETS
from hydrodask.episodes import STATISTICS
from hydrodask.errors import UsageError, meant
from hydrodask.observe.status import newest_status
from hydrodask.reports import STANDING, WHOLE_RIG
from hydrodask.settings import Settings
from hydrodask.store.documents import Documents

SHORT = 8
"""Characters of the ids that people are shown."""

SHORT_MIN = 4
"""Of so many characters of such an id on one may be meant."""

LOOKED_AT_MAX = 20_000
"""Newest incidents among which one is looked for, and as many open ones."""

NAMED_MAX = 5
"""Names that a sentence lists."""

COMPONENTS_MAX = 10_000

Force = Annotated[bool, typer.Option("--force", help="Also of a rig, sensor or rule of which nothing is known yet.")]


def short(id_: str) -> str:
    """Return the short id of an incident: the same in each list, whatever else there is.

    >>> short("rig-1/CE/cooler_failing/2026-11-24T22:05:00Z")
    '2c386b41'
    """
    return hashlib.sha256(id_.encode()).hexdigest()[:SHORT]


def who(by: str | None) -> str:
    """Return who answers: whoever `--by` names, else the user of this machine."""
    return getpass.getuser() if by is None else by


def the_incident(documents: Documents, given: str) -> dict[str, Any]:
    """Return the incident that an id means: a short or long one, or the beginning of one. Raises UsageError."""
    if there := documents.find("incidents", {"_id": given}, limit=1):
        return there[0]
    found: dict[str, dict[str, Any]] = {}
    for where in ({}, {"status": "open"}):
        for one in documents.find("incidents", where, limit=LOOKED_AT_MAX, newest_first="opened_at"):
            if _begins(str(one["_id"]), given):
                found[str(one["_id"])] = one
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        more = f" and {len(found) - NAMED_MAX:,} more" if len(found) > NAMED_MAX else ""
        listed = ", ".join(f"{short(id_)} ({id_})" for id_ in list(found)[:NAMED_MAX])
        raise UsageError(f"{given!r} may mean {len(found):,} incidents: {listed}{more}; give more of the id")
    raise UsageError(f"there is no incident {given!r}; `hydrodask incidents` shows their ids")


def _begins(id_: str, given: str) -> bool:
    if len(given) < SHORT_MIN:
        return False
    return id_.startswith(given) or (len(given) <= SHORT and short(id_).startswith(given.lower()))


def rigs(documents: Documents) -> set[str]:
    """Return the rigs that the newest run told apart, and those that have components or were in newest incidents."""
    found = set((newest_status(documents) or {}).get("rigs", {}))
    found |= {str(one["rig"]) for one in documents.find("components", {}, limit=COMPONENTS_MAX)}
    return found | _of_incidents(documents, "rig")


def rules(effective: Settings, documents: Documents) -> set[str]:
    """Return the rules of the file, of baselines, of what no window makes, and of newest incidents."""
    from hydrodask.detect import load_rules
    from hydrodask.learn.told import RULE
    from hydrodask.notify.conditions import CONDITIONS

    found = {rule.name for rule in load_rules(effective.detect.rules)} | {RULE, *STANDING, *CONDITIONS}
    statistics = {*STATISTICS, *effective.detect.baseline.statistics}
    return found | {f"baseline:{name}" for name in statistics} | _of_incidents(documents, "rule")


def _of_incidents(documents: Documents, field: str) -> set[str]:
    newest = documents.find("incidents", {}, limit=DOCUMENTS_MAX, newest_first="opened_at")
    return {str(one[field]) for one in newest}


def check(effective: Settings, documents: Documents, given: Mapping[str, str], option: Mapping[str, str]) -> str:
    """Return a warning where nothing is known yet to compare a rig with, else nothing.

    `given` are rig, sensor and rule as far as there are any, `option` how each was typed. Raises UsageError for one
    that there is not: what is muted under a misspelt name goes on paging.
    """
    known: dict[str, Callable[[], set[str]]] = {
        "sensor": lambda: {*SENSORS, *TARGETS, WHOLE_RIG} | _of_incidents(documents, "sensor"),
        "rule": lambda: rules(effective, documents),
        "rig": lambda: all_rigs(effective, documents),
    }
    for field, names in known.items():
        name = given.get(field, "")
        if not name or documents.find("incidents", {field: name}, limit=1):
            continue
        there = names()
        if not there:
            return f"nothing is known of any rig in {effective.documents_url}: is it the place of the run?"
        if name not in there:
            raise UsageError(
                f"{option.get(field, f'--{field}')} has value {name!r}, and there is no such {field} in "
                f"{effective.documents_url}{guess(name, there)}; --force takes it all the same"
            )
    return ""


def all_rigs(effective: Settings, documents: Documents) -> set[str]:
    """Return the rigs of documents, and those that the newest files of the lake name: a status names some of many."""
    from hydrodask.store.files import Files
    from hydrodask.store.history import History
    from hydrodask.store.lake import Lake

    found = rigs(documents)
    if Files(effective.lake_url).exists():
        found |= set(History(Lake(effective.lake_url)).rigs(("CE", "PS1")))
    return found


def strangers(effective: Settings, documents: Documents, named: set[str]) -> str:
    """Return a warning that nothing is known of some rigs, if others are known; else nothing."""
    unknown = sorted(named - rigs(documents)) if named else []
    there = all_rigs(effective, documents) if unknown else set()
    unknown = [name for name in unknown if name not in there]
    if not unknown or not there:
        return ""
    more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
    return f"nothing is known of rig {unknown[0]!r}{more}{guess(unknown[0], there)}"


def guess(name: str, known: Iterable[str]) -> str:
    """Return what may have been meant by a name that there is not, else some that there are.

    >>> guess("rig-001", {"rig-1", "press"}), guess("x", {"b", "a"}), guess("x", ())
    ('; did you mean rig-1?', '; known: a, b', '')
    """
    names = sorted(known)
    near = meant(re.sub(r"[\s_]+", "_", name), names)
    more = f" and {len(names) - NAMED_MAX:,} more" if len(names) > NAMED_MAX else ""
    return near or (f"; known: {', '.join(names[:NAMED_MAX])}{more}" if names else "")


def hint(effective: Settings, documents: Documents, wanted: Mapping[str, object]) -> str:
    """Return a sentence for each rig and rule of which nothing is known: what may have been meant; else nothing."""
    known: dict[str, Callable[[], set[str]]] = {
        "rig": lambda: rigs(documents),
        "rule": lambda: rules(effective, documents),
    }
    texts = []
    for field, names in known.items():
        name = wanted.get(field)
        if name is not None and (there := names()) and name not in there:
            text = f" Nothing is known of {field} {name!r}{guess(str(name), there)}"
            texts.append(text if text.endswith("?") else f"{text}.")
    return "".join(texts)


@contextmanager
def as_typed(**options: str) -> Iterator[None]:
    """Let a field of an answer that has a wrong value be named as it was typed. Raises UsageError."""
    try:
        yield
    except FieldError as error:
        name = options.get(error.name, f"--{error.name}")
        raise UsageError(f"{name} has value {error.value!r}; want {error.want}") from error
