"""Seal by the newest key what was there before it: files and snapshots that no key, or an older one, has sealed.

Nothing that is damaged, or whose seal is not ours, is sealed: it would look like ours from then on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from hydrodask.audit.links import parse, read_bytes
from hydrodask.errors import ConfigError, sentence
from hydrodask.protocol import snapshot
from hydrodask.settings import Settings
from hydrodask.store import seal
from hydrodask.store.files import Files
from hydrodask.store.keyring import Keyring
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile, named
from hydrodask.store.schemas import FOLDERS

Say = Callable[[str], None]

_OURS_ALONE = (seal.KEY, seal.KEYED, seal.NAME, b"ARROW:schema", b"hydrodask.first", b"hydrodask.end")
"""Metadata that is made anew with a file."""


@dataclass(slots=True)
class Sealed:
    """What was sealed, what was by the newest key already, and what was left alone and why."""

    files: int = 0
    snapshots: int = 0
    known: int = 0
    left: list[str] = field(default_factory=list)


def seal_all(settings: Settings, *, say: Say = lambda _said: None) -> Sealed:
    """Seal all files and snapshots by the newest key, each in one step; their rows and states stay.

    May be repeated after it was killed, and works beside a running platform. Raises ConfigError without keys, and
    RetryableError when the file system refuses.
    """
    keyring = Keyring.of(settings)
    if keyring is None:
        raise ConfigError("lake.key_file has no value: there is no key to seal by; see docs/audit.md")
    done, lake = Sealed(), Lake.of(settings)
    for folder in FOLDERS:
        say(f"{folder}/")
        for file in filter(None, map(named, lake.files.names(folder))):
            _count(done, _file(lake, keyring, file), file.path, "files")
    say("snapshots")
    snapshots = Files(settings.snapshots_url)
    for path in _snapshots(snapshots):
        _count(done, _snapshot(snapshots, keyring, path), path, "snapshots")
    return done


def _count(done: Sealed, why: str | None, path: str, kind: str) -> None:
    """Count what became of a file: empty says that it was sealed, None that it was already."""
    if why is None:
        done.known += 1
    elif why:
        done.left.append(f"{path}: {why}")
    else:
        setattr(done, kind, getattr(done, kind) + 1)


def _file(lake: Lake, keyring: Keyring, file: LakeFile) -> str | None:
    data = read_bytes(lake, file.path)
    if not seal.intact(data):
        return "it is damaged; see `hydrodask verify`"
    try:
        table, metadata = parse(data)
        first, end = (int(metadata[name]) for name in (b"hydrodask.first", b"hydrodask.end"))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        return f"it can't be read ({sentence(error)}); see `hydrodask verify`"
    name = metadata.get(seal.NAME, b"").decode(errors="replace")
    if name and not seal.holds(data, keyring, name, file.path):
        return f"its seal by key {name!r} does not hold; see `hydrodask verify`"
    if name == keyring.newest:
        return None
    kept = {key: value for key, value in metadata.items() if key not in _OURS_ALONE}
    lake.files.replace(file.path, lake.encoded(file.path, table, first, end, kept))
    return ""


def _snapshot(files: Files, keyring: Keyring, path: str) -> str | None:
    try:
        data = files.read(path)
        name, state = snapshot.key_of(data), snapshot.decode(data)
    except (FileNotFoundError, ValueError) as error:
        return f"it can't be used: {sentence(error)}"
    if name and not snapshot.holds(data, keyring, path):
        return f"its seal by key {name!r} does not hold; see `hydrodask verify`"
    if name == keyring.newest:
        return None
    files.replace(path, snapshot.encode(state, keyring, path))
    return ""


def _snapshots(files: Files) -> Iterator[str]:
    """Give the paths of snapshots of partitions."""
    return (path for path in files.names("") if path.endswith(".snapshot"))
