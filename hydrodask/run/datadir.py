"""The data directory: one run at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from hydrodask import durable
from hydrodask.errors import ConfigError

_WHO = {"lock": "run", "maintenance-lock": "import, compact, backfill or aside"}


class DataDir:
    """Holds one of the directory's locks while it is open. Raises ConfigError when another process has it.

    `run` holds `lock`; what changes files of the lake, beside a run or without one, holds `maintenance-lock`.
    """

    def __init__(self, path: Path, lock: str = "lock") -> None:
        self.path = path
        self._name = lock

    def __enter__(self) -> Self:
        try:
            durable.make_folder(self.path)
            self._lock = (self.path / self._name).open("a+")
        except OSError as error:
            raise ConfigError(f"could not use data_dir {str(self.path)!r}: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise ConfigError(
                f"data_dir {str(self.path)!r} is in use by the hydrodask {_WHO[self._name]} with process id {owner}; "
                "stop that one, or set another data_dir"
            ) from error
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._lock.close()
