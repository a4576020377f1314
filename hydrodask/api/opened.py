"""What a platform has stored, opened by its settings."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrodask import extras
from hydrodask.api.rows import Rows, Time
from hydrodask.api.running import Running
from hydrodask.flow import named
from hydrodask.settings import Settings, load
from hydrodask.store.documents import declare, open_documents

if TYPE_CHECKING:
    from hydrodask.learn.registry import Version

DOCUMENTS_MAX = 10_000
"""The newest documents that are read at once."""


class Opened:
    """A platform's lake, documents and models, as its settings name them; made by `hydrodask.open`."""

    def __init__(self, profile: str | None = None, **settings: object) -> None:
        sets = [f"{name.replace('__', '.')}={json.dumps(value, default=str)}" for name, value in settings.items()]
        self.settings: Settings = load(profile=profile, sets=sets)[0]
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
        """Return documents of a collection, for example `documents("components", rig="rig-1")`."""
        store = open_documents(self.settings)
        try:
            return [dict(one) for one in store.find(collection, where, limit=limit, newest_first=newest_first)]
        finally:
            store.close()

    def running(self, client: Any = None, *, seconds: float | None = None, until_idle: bool = False) -> Running:
        """Return a platform that runs while its block does: `with opened.running(client) as run: …`.

        `client` is a `dask.distributed.Client` of yours, whose workers need hydrodask; without one a cluster is started
        here. `seconds` and `until_idle` end it as they end `hydrodask run`; `run.wait()` waits for that.

        A cluster's worker processes import the script that has started them: what a script does belongs below
        `if __name__ == "__main__":`, or each of them would do it again.
        """
        return Running(self.settings, client, seconds=seconds, until_idle=until_idle)

    def _rows(self, folder: str, since: Time, until: Time, rig: str | None, sensor: str | None) -> Rows:
        return Rows(self.settings.lake_url, folder, since, until, rig, sensor)

    def __repr__(self) -> str:
        return f"<hydrodask {self.settings.lake_url}>"
