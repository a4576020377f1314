"""Read the snapshots of a partition: each whole, of the offset of its name, and with keys sealed by one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hydrodask.audit.finding import Result
from hydrodask.audit.links import against_key
from hydrodask.audit.mending import Mend, aside
from hydrodask.protocol import snapshot
from hydrodask.records import PartitionId
from hydrodask.store.files import Files
from hydrodask.store.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored state that could be read."""

    path: str
    offset: int
    state: dict[str, Any]


def load_snapshots(files: Files, source: PartitionId, result: Result, keyring: Keyring | None) -> list[Snapshot]:
    """Return the snapshots of a partition by offset; those that can't be read, or are not ours, are said."""
    found = []
    for path in files.names(snapshot.folder_of(source)):
        name = path.rsplit("/", 1)[-1].removesuffix(".snapshot")
        if not name.isdigit():
            continue
        try:
            data = files.read(path)
            one = Snapshot(path, int(name), snapshot.decode(data))
        except FileNotFoundError:
            continue  # a newer one has come, and the oldest is removed
        except ValueError as error:
            result.found(path, f"it can't be used: {error}", mend=aside(path))
            continue
        finally:
            result.count(snapshots=1)
        problems = list(_problems(data, path, keyring))
        for problem, mend in problems:
            result.found(path, problem, mend=mend)
        found += [] if problems else [one]
    return sorted(found, key=lambda s: s.offset)


def _problems(data: bytes, path: str, keyring: Keyring | None) -> Iterator[tuple[str, Mend]]:
    if keyring is not None:
        yield from against_key(snapshot.key_of(data) or "", snapshot.holds(data, keyring, path), aside(path))
