"""An object store that speaks S3: a name is given once by a conditional put.

Where, and who we are there, is in the environment, as all that speaks S3 has it: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and the like. None of it is a setting of ours, so none of it is sent to anybody.
"""

import contextlib
import uuid
from typing import Any

from hydrodask.errors import FatalError
from hydrodask.store.contract import FileSystem

S3_OPTIONS: dict[str, Any] = {
    "use_listings_cache": False,  # others write, too
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 10,
        "retries": {"total_max_attempts": 1},  # s3fs tries again, and so do we
    },
}
"""Settings of the client, and why they differ from its defaults."""

TRIES = 2
"""Of each request, one that was refused a connection or had no answer; the default is 5."""

WAIT_S = 30.0
"""Limit of each call: a server that stands still when it is asked whether it wants an object's bytes has none."""

SLOW_BYTES = 1_000_000
"""So many bytes to put may take a second longer."""

_proved: set[tuple[int, str]] = set()
"""Clients and buckets of which it is known that they give a name once."""


class S3(FileSystem):
    """Objects. One that is put appears as a whole, so that a hidden name is not needed: its bytes wait here instead."""

    def __init__(self, fs: Any) -> None:
        super().__init__(fs)
        fs.retries = TRIES
        self._waiting: dict[str, bytes] = {}

    def make_folder(self, path: str) -> None:
        """Do nothing: a folder is there when something is in it."""

    def write(self, path: str, data: bytes) -> None:
        self._waiting[path] = data

    def name(self, hidden: str, final: str) -> None:
        self._prove(final)
        self._create(final, self._waiting[hidden])

    def replace(self, hidden: str, final: str) -> None:
        self._put(final, self._waiting[hidden], "overwrite")
        self.remove(hidden)

    def read(self, path: str) -> bytes:
        return bytes(self._ask("cat_file", path))

    def find(self, folder: str) -> list[str]:
        """Return the files at any depth below `folder`, none when it is not there: one request lists a thousand."""
        return list(self._ask("find", folder))

    def exists(self, path: str) -> bool:
        try:
            self._ask("info", path)
        except FileNotFoundError:
            return False
        return True

    def remove(self, path: str) -> None:
        if self._waiting.pop(path, None) is None:
            self._ask("rm_file", path)

    def _put(self, path: str, data: bytes, mode: str) -> None:
        self._ask("pipe_file", path, data, mode=mode, more_s=len(data) / SLOW_BYTES)

    def _ask(self, call: str, *arguments: Any, more_s: float = 0.0, **options: Any) -> Any:
        limit_s = WAIT_S + more_s
        try:
            return getattr(self.fs, call)(*arguments, timeout=limit_s, **options)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {limit_s:.0f} s") from error

    def _create(self, path: str, data: bytes) -> None:
        """Put an object if there is none of that name. Raises FileExistsError."""
        try:
            self._put(path, data, "create")
        except OSError as error:
            if _code(error) == "PreconditionFailed":
                raise FileExistsError(path) from error
            raise

    def _prove(self, path: str) -> None:
        """Raise FatalError unless a second put of a name is refused: some servers do not know what they are asked."""
        bucket = path.partition("/")[0]
        if (id(self.fs), bucket) in _proved:
            return
        probe = f"{path.rpartition('/')[0]}/.once-{uuid.uuid4().hex}"
        try:
            self._create(probe, b"")
            self._create(probe, b"")
        except FileExistsError:
            _proved.add((id(self.fs), bucket))
            return
        except OSError as error:
            if _code(error) != "NotImplemented":
                raise
        finally:
            with contextlib.suppress(OSError):  # what went wrong before is what counts
                self.remove(probe)
        raise FatalError(
            f"the server of s3://{bucket} gives one name to two files: it does not know conditional puts "
            "(If-None-Match: *), by which files commit; use one that does, or another file system"
        )


def _code(error: OSError) -> str:
    """Return what the server calls an error."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
