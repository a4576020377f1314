"""Documents: anomalies, incidents, components, status, in SQLite or MongoDB.

Takes changes with an id and a revision; gives documents back, newest first. Loses nothing that
`write` has returned for. The URL decides: `sqlite:///file` or `mongodb://…`.

Another kind of store is a module here with the contract `Mendable` (`base.py`), a branch in `open_documents`, its
library's owner in `OWNERS` of `tests/test_tidy.py`, and a parameter of `opener` in `tests/test_documents.py`: the whole
battery runs on it.
"""

from pathlib import Path

from hydrodask import extras
from hydrodask.errors import ConfigError
from hydrodask.settings import Settings
from hydrodask.store.documents.base import COLLECTIONS, Correction, Documents, Mendable, declare, every_collection
from hydrodask.store.documents.sqlite import SqliteDocuments

__all__ = [
    "COLLECTIONS",
    "Correction",
    "Documents",
    "Mendable",
    "declare",
    "every_collection",
    "file_of",
    "open_documents",
]

_SQLITE = "sqlite:///"


def open_documents(settings: Settings) -> Mendable:
    """Return the store that `documents.url` names. Nothing is created before the first write.

    Raises ConfigError for a URL of another kind; a server that does not answer shows at the first
    use.
    """
    url, file = settings.documents_url.plain(), file_of(settings)
    if file is not None:
        chosen = settings.documents
        return SqliteDocuments(
            file,
            timeout_s=chosen.timeout,
            keep_s=chosen.keep,
            keep_removed_s=chosen.keep_removed,
        )
    if url.startswith(("mongodb://", "mongodb+srv://")):
        # Imported here because the client library costs 0.2 s that an embedded run need not spend.
        with extras.needed():
            from hydrodask.store.documents.mongo import MongoDocuments  # noqa: PLC0415

        return MongoDocuments(url, settings.documents)
    raise ConfigError(
        f"documents.url has value {str(settings.documents_url)!r}; want sqlite:///FILE or mongodb://HOST:PORT/"
    )


def file_of(settings: Settings) -> Path | None:
    """Return the SQLite file that `documents.url` names, None for another kind of store."""
    url = settings.documents_url.plain()
    return Path(url[len(_SQLITE) :]) if url.startswith(_SQLITE) and len(url) > len(_SQLITE) else None
