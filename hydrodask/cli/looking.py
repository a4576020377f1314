"""What `incidents` and `anomalies` share: which ones, how far back, as lines, as CSV, and going on as they come."""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from hydrodask import clock
from hydrodask.cli import completion, naming
from hydrodask.cli.common import check_ran, compact_json, console, errors, none_found, print_json
from hydrodask.clock import US_PER_S, Zone, parse_iso
from hydrodask.episodes import SEVERITIES
from hydrodask.errors import UsageError, meant
from hydrodask.redaction import visible
from hydrodask.settings import Settings
from hydrodask.settings.kinds import duration_s
from hydrodask.store.documents import Documents, open_documents

LIMIT_MAX = 100_000
LIMIT = 20
"""Of a list that nobody has bounded."""

POLL_S = 1.0
PAGE = 1_000
"""What is looked at in each poll while one follows; more when all of it is new."""

ASKED_MAX = 100
"""Open ones that have left the page, of which one asks by id in each poll, in turns."""

SEEN_MAX = 10_000
"""What is remembered as told, while one follows."""

Rig = Annotated[str | None, typer.Option(help="Only of this rig.", show_default=False, autocompletion=completion.rigs)]
Sensor = Annotated[
    str | None, typer.Option(help="Only of this sensor.", show_default=False, autocompletion=completion.sensors)
]
Rule = Annotated[
    str | None, typer.Option(help="Only of this rule.", show_default=False, autocompletion=completion.rules)
]
Severity = Annotated[
    str | None,
    typer.Option(help="Only critical ones, or warnings.", show_default=False, autocompletion=completion.severities),
]
Since = Annotated[
    str | None,
    typer.Option(help="Only from then on: 8h (ago), 06:00 (the last), or ISO 8601.", show_default=False),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, max=LIMIT_MAX, help="At most so many.", show_default=f"{LIMIT}; all with --since or --csv"),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, times in UTC.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is new, until Ctrl-C.")]

Document = dict[str, Any]

WITHDRAWN = "withdrawn"
"""What `status` of a provisional incident that came to nothing says, while one follows: it is stored nowhere."""


@dataclass(frozen=True, kw_only=True)
class DocumentQuery:
    """What is asked for of a collection. `newest` is the field that says how new a document is."""

    collection: str
    newest: str
    columns: Sequence[str]
    where: Mapping[str, object]
    since_us: int | None
    limit: int | None
    beside: Callable[[Settings, list[Document]], list[Document]] | None = None
    """What adds to documents that are printed as JSON."""

    def find(self, effective: Settings, limit: int) -> list[Document]:
        """Return what is stored, the newest first; those that were over before `since_us` are left out."""
        documents = open_documents(effective)
        try:
            found = documents.find(self.collection, self.where, limit=limit, newest_first=self.newest)
        finally:
            documents.close()
        return [one for one in found if self.since_us is None or self._reaches(one, self.since_us)]

    def _reaches(self, one: Document, since_us: int) -> bool:
        """Say whether something was so since a time: what is open is so now, however long ago it began."""
        return one.get("status") == "open" or parse_iso(str(one.get("resolved_at") or one[self.newest])) >= since_us

    def some(self, effective: Settings, *, every: bool) -> list[Document]:
        """Return as many as are wanted, or `every` one where nobody said how many; say so when there are more."""
        limit = self.limit or (LIMIT_MAX if every or self.since_us is not None else LIMIT)
        found = self.find(effective, limit + 1)
        if len(found) > limit and self.limit is None:
            errors.print(f"these are the newest {limit:,}; for more use --limit or --since", highlight=False)
        return found[:limit]

    def tell(
        self,
        effective: Settings,
        table: Callable[[list[Document], Zone], RenderableType],
        line: Callable[[Document, Zone], str],
        *,
        follow: bool,
        as_csv: bool,
        as_json: bool,
    ) -> None:
        """Print what is stored as JSON, CSV, or the table that `table` makes; to follow, each by `line`.

        Where nothing has ever run it says so, with exit code 1; one who follows may wait for the first run.
        """
        if follow:
            with suppress(KeyboardInterrupt):
                self._follow(effective, line, as_json=as_json, as_csv=as_csv)
            return
        found = self.some(effective, every=as_csv)
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(cells(one, self.columns) for one in found)
        elif as_json:
            print_json(self.completed(effective, found))
        elif found:
            console.print(table(found, Zone(effective.observe.timezone)))
        if not found:
            check_ran(effective, self.collection)
        if not (found or as_csv or as_json):
            self._say_nothing(effective)

    def completed(self, effective: Settings, found: list[Document]) -> list[Document]:
        """Return documents with what is beside them."""
        return found if self.beside is None else self.beside(effective, found)

    def _say_nothing(self, effective: Settings) -> None:
        """Say that there is nothing, since when, how new the newest is, and which rig or rule may have been meant."""
        zone, documents = Zone(effective.observe.timezone), open_documents(effective)
        try:
            hint = naming.hint(effective, documents, self.where)
            newest = documents.find(self.collection, self.where, limit=1, newest_first=self.newest)
            newest = newest or documents.find(self.collection, {}, limit=1, newest_first=self.newest)
        finally:
            documents.close()
        since = "" if self.since_us is None else f" since {zone.full(self.since_us)}"
        if newest:
            hint = f" The newest one there is: {zone.full(parse_iso(str(newest[0][self.newest])))}.{hint}"
        none_found(self.collection, effective, self.where, since=since, hint=hint)

    def _follow(
        self, effective: Settings, line: Callable[[Document, Zone], str], *, as_json: bool, as_csv: bool
    ) -> None:
        """Print what is stored, the oldest first, then each that is new or another, until Ctrl-C."""
        writer = csv.writer(sys.stdout, lineterminator="\n")
        zone = Zone(effective.observe.timezone)
        if as_csv:
            writer.writerow(self.columns)
        for one in NewDocuments(self).without_end(effective):
            if as_csv:
                writer.writerow(cells(one, self.columns))
            elif as_json:
                sys.stdout.write(compact_json(one))
            else:
                console.print(line(one, zone), highlight=False, markup=False, soft_wrap=True)
            sys.stdout.flush()


class NewDocuments:
    """What is new of a look since one has read it last: documents, and those that are another by now."""

    def __init__(self, look: DocumentQuery, *, page: int = PAGE) -> None:
        self._look, self._page = look, page
        self._first = True
        self._known: dict[str, tuple[object, ...]] = {}
        """What was seen, by id, the longest ago first: how it was."""
        self._doubtful: dict[str, Document] = {}
        """Those provisional ones that were told, by id: they may come to nothing."""
        self._floor = ""
        """Nothing older than this is news: it was there before, and has moved up since."""

    def without_end(self, effective: Settings) -> Iterator[Document]:
        """Give what there is, then what comes."""
        while True:
            yield from self._look.completed(effective, self.read(effective))
            clock.sleep_s(POLL_S)

    def read(self, effective: Settings) -> list[Document]:
        """Return the news, the oldest first. The first time that is what is there, as many as are wanted."""
        found = self._found(effective)
        gone, nothing = self._of_those_gone(effective, {str(one["_id"]) for one in found})
        news = [one for one in (*gone, *reversed(found)) if self._known.get(str(one["_id"])) != _how(one)]
        for one in (*gone, *reversed(found)):
            self._known.pop(str(one["_id"]), None)
            self._known[str(one["_id"])] = _how(one)
        for old in list(self._known)[: -max(SEEN_MAX, 2 * len(found))]:
            del self._known[old]
        if self._first and (self._look.limit or self._look.since_us is None):
            news = news[-(self._look.limit or LIMIT) :]
        self._first = False
        self._doubtful |= {str(one["_id"]): one for one in news if one.get("provisional")}
        self._doubtful = {name: one for name, one in self._doubtful.items() if self._known.get(name, _OVER)[1]}
        return [*nothing, *news]

    def _found(self, effective: Settings) -> list[Document]:
        """Return the newest page; so many that something known is among them, when there were some before."""
        size = LIMIT_MAX if self._first and self._look.since_us is not None else self._page
        found = self._look.find(effective, size)
        if self._first and len(found) == size:
            self._floor = str(found[-1][self._look.newest])
        while not self._first and len(found) == size < LIMIT_MAX and self._is_new(found[-1]):
            size = min(2 * size, LIMIT_MAX)
            found = self._look.find(effective, size)
        return [one for one in found if self._first or str(one["_id"]) in self._known or self._is_new(one)]

    def _is_new(self, one: Document) -> bool:
        return str(one["_id"]) not in self._known and str(one[self._look.newest]) > self._floor

    def _of_those_gone(self, effective: Settings, there: set[str]) -> tuple[list[Document], list[Document]]:
        """Return how those are now that were open and are not on the newest page any more, and what came to nothing."""
        asked = [name for name, how in self._known.items() if name not in there and how != _OVER][:ASKED_MAX]
        documents = open_documents(effective)
        try:
            found = {name: documents.find(self._look.collection, {"_id": name}, limit=1) for name in asked}
            removed = [self._removed(documents, name) for name, one in found.items() if not one]
        finally:
            documents.close()
        return [one for each in found.values() for one in each], [one for one in removed if one is not None]

    def _removed(self, documents: Documents, name: str) -> Document | None:
        """Forget one that is there no more, and return it as withdrawn if it was told and no other took its place."""
        del self._known[name]
        one = self._doubtful.pop(name, None)
        if one is None:
            return None
        if "opened_at" not in one:  # an anomaly is of one window, and its final one has its id
            return one | {"status": WITHDRAWN}
        same = {field: one[field] for field in ("rig", "sensor", "rule")}
        newest = documents.find(self._look.collection, same, limit=1, newest_first=self._look.newest)
        replaced = newest and (newest[0]["resolved_at"] or one["opened_at"]) >= one["opened_at"]
        return None if replaced else one | {"status": WITHDRAWN}


_OVER = (False, False)


def _how(one: Document) -> tuple[object, ...]:
    """Return what makes a document another one: whether it is open, and whether it is final."""
    return one.get("status") == "open", bool(one.get("provisional"))


def wanted(**fields: str | None) -> dict[str, object]:
    """Return those fields that were asked for. Raises UsageError for a severity that there is not."""
    severity = fields.get("severity")
    if severity is not None and severity not in SEVERITIES:
        want = f"{' or '.join(SEVERITIES)}{meant(severity, SEVERITIES)}"
        raise UsageError(f"--severity has value {severity!r}; want {want}")
    return {name: value for name, value in fields.items() if value is not None}


def since(text: str | None, effective: Settings) -> int | None:
    """Return the time that `--since` says, in microseconds: so long ago, the last such time of day, or ISO 8601.

    A time without an offset is in `observe.timezone`. Raises UsageError.
    """
    if text is None:
        return None
    zone, now_us = Zone(effective.observe.timezone), clock.now_us()
    readings: tuple[Callable[[str], int], ...] = (
        lambda ago: now_us - round(float(str(duration_s(ago))) * US_PER_S),
        lambda time: zone.today(time, now_us),
        zone.parse,
    )
    for read in readings:
        with suppress(ValueError):
            return read(text)
    raise UsageError(f"--since has value {text!r}; want for example 8h, 06:00, 2026-01-31 or 2026-01-31T06:00:00Z")


def cells(one: Document, columns: Sequence[str]) -> list[str]:
    """Return a row of CSV. What a spreadsheet would take for a formula is text: names and messages are others'.

    >>> cells({"rig": "=1+1", "windows": 3, "resolved_at": None}, ("rig", "windows", "resolved_at"))
    ["'=1+1", '3', '']
    """
    texts = ["" if one.get(name) is None else visible(str(one[name])) for name in columns]
    return [f"'{text}" if text[:1] in ("=", "+", "-", "@") and not _number(text) else text for text in texts]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
