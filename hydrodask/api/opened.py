"""What a platform has stored, opened by its settings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrodask import extras
from hydrodask.api.rows import Rows, Time
from hydrodask.api.running import Running
from hydrodask.errors import UsageError, meant
from hydrodask.flow import named
from hydrodask.settings import Settings, load
from hydrodask.store.documents import declare, every_collection, open_documents

if TYPE_CHECKING:
    from hydrodask.learn.registry import Version

DOCUMENTS_MAX = 10_000
"""The newest documents that are read at once."""

LOOKED_AT = 100
"""Documents that say which fields those of a collection have."""


class Opened:
    """A platform's lake, documents and models, as its settings name them; made by `hydrodask.open`."""

    def __init__(self, profile: str | None = None, **settings: object) -> None:
        if profile is not None and not isinstance(profile, str):
            raise UsageError(f"profile has value {profile!r}; want the name of a profile or file, as text")
        sets = [f"{name.replace('__', '.')}={json.dumps(value, default=str)}" for name, value in settings.items()]
        self.settings: Settings = load(profile=profile, sets=sets, sets_from="hydrodask.open")[0]
        self._begun = False
        """Whether a platform of ours may run: its first documents come a little later."""
        for flow in named(self.settings.flows):
            declare(flow.collections)

    def raw(self, since: Time = None, until: Time = None, *, rig: str | None = None, sensor: str | None = None) -> Rows:
        """Return every sample, late ones too."""
        return self._rows("raw", since, until, rig, sensor)

    def windows(
        self, since: Time = None, until: Time = None, *, rig: str | None = None, sensor: str | None = None
    ) -> Rows:
        """Return the final windows."""
        return self._rows("windows", since, until, rig, sensor)

    def cycles(
        self, since: Time = None, until: Time = None, *, rig: str | None = None, sensor: str | None = None
    ) -> Rows:
        """Return the cycle profiles."""
        return self._rows("cycles", since, until, rig, sensor)

    def late(
        self, since: Time = None, until: Time = None, *, rig: str | None = None, sensor: str | None = None
    ) -> Rows:
        """Return the samples that changed no window, and how late each was."""
        return self._rows("late", since, until, rig, sensor)

    def labels(self, since: Time = None, until: Time = None, *, rig: str | None = None) -> Rows:
        """Return what was true of a rig in each cycle."""
        return self._rows("labels", since, until, rig, None)

    def scores(self, since: Time = None, until: Time = None, *, rig: str | None = None) -> Rows:
        """Return what was said of each component of a rig in each cycle, and of the cycle as a whole."""
        return self._rows("scores", since, until, rig, None)

    @property
    def incidents(self) -> list[dict[str, Any]]:
        """The newest incidents, open and over."""
        return self.documents("incidents", newest_first="opened_at")

    @property
    def anomalies(self) -> list[dict[str, Any]]:
        """The newest anomalies: each a window that broke a rule."""
        return self.documents("anomalies", newest_first="window_start")

    @property
    def models(self) -> "list[Version]":
        """All versions of our registered models, newest first in each."""
        uri = self.settings.mlflow_uri.plain()
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            return []  # asking would make one
        with extras.needed():
            from hydrodask.learn.registry import Registry  # noqa: PLC0415 - MLflow, which comes with an extra
        return Registry(self.settings).versions()

    def documents(
        self, collection: str, *, limit: int = DOCUMENTS_MAX, newest_first: str | None = None, **where: object
    ) -> list[dict[str, Any]]:
        """Return documents of a collection, for example `documents("components", rig="rig-1")`.

        Raises UsageError for a collection that there is not, for a field that no document has and that is like one
        which they have, and where nothing has ever run: no documents would be no good news there.
        """
        known = every_collection()
        if collection not in known:
            raise UsageError(
                f"there is no collection {collection!r} of documents{meant(str(collection), known)}; "
                f"there are {', '.join(known)}"
            )
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise UsageError(f"limit has value {limit!r}; want how many documents at most, 1 or more")
        fields = [*where, *([] if newest_first is None else [newest_first])]
        if odd := [one for one in fields if not (isinstance(one, str) and one.isidentifier())]:
            raise UsageError(f"documents have no field {odd[0]!r}; want a plain name")
        store = open_documents(self.settings)
        try:
            found = [dict(one) for one in store.find(collection, where, limit=limit, newest_first=newest_first)]
            unknown = [
                one
                for one in fields
                if where.get(one, "") is not None and not any(one in document for document in found)
            ]
            if unknown:
                _check_fields(unknown, store.find(collection, {}, limit=LOOKED_AT))
            if not found and not self._begun and not store.find("status", {}, limit=1):
                raise UsageError(
                    f"nothing has ever run here: no status in {self.settings.documents_url}; open it with the profile "
                    "and the settings of the run that wrote it, in the same folder"
                )
            return found
        finally:
            store.close()

    def running(self, client: Any = None, *, seconds: float | None = None, until_idle: bool = False) -> Running:
        """Return a platform that runs while its block does: `with opened.running(client) as run: …`.

        `client` is a `dask.distributed.Client` of yours, whose workers need hydrodask; without one a cluster is started
        here. `seconds` and `until_idle` end it as they end `hydrodask run`; `run.wait()` waits for that.

        A cluster's worker processes import the script that has started them: what a script does belongs below
        `if __name__ == "__main__":`, or each of them would do it again.
        """
        run = Running(self.settings, client, seconds=seconds, until_idle=until_idle)
        self._begun = True
        return run

    def _rows(self, folder: str, since: Time, until: Time, rig: str | None, sensor: str | None) -> Rows:
        return Rows(self.settings.lake_url, folder, since, until, rig, sensor)

    def __repr__(self) -> str:
        return f"<hydrodask {self.settings.lake_url}>"


def _check_fields(unknown: Iterable[str], documents: Sequence[Mapping[str, Any]]) -> None:
    """Raise UsageError for a field that no document has, if one that they have, or an option of ours, may be meant.

    Another one may be there some day: a field that only some documents have.
    """
    known = {field for one in documents for field in one}
    for name in unknown:
        if known and name not in known and (guess := meant(name, [*known, "limit", "newest_first"])):
            raise UsageError(f"no document has a field {name!r}{guess}; they have {', '.join(sorted(known))}")
