"""What a file system has to do: write whole files, give a name once, list, read, remove."""

from typing import Any


class FileSystem:
    """A file system as fsspec has it. Paths are absolute. Raises OSError, or RuntimeError from some servers."""

    def __init__(self, fs: Any) -> None:
        self.fs: Any = fs

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it; one that is there is fine."""
        self.fs.makedirs(path, exist_ok=True)

    def write(self, path: str, data: bytes) -> None:
        """Write a file that nobody else writes."""
        self.fs.pipe_file(path, data)

    def name(self, hidden: str, final: str) -> None:
        """Give a file its name in one step. Raises FileExistsError, and changes nothing, if it is taken."""
        raise NotImplementedError

    def replace(self, hidden: str, final: str) -> None:
        """Give a file its name in one step, in place of the file that may have it."""
        self.fs.mv(hidden, final, overwrite=True)

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError."""
        return bytes(self.fs.cat_file(path))

    def find(self, folder: str) -> list[str]:
        """Return the files at any depth below `folder`, none when it is not there.

        fsspec's own `find` leaves out what it could not list: a server that is down would pass for an empty lake.
        """
        self.fs.invalidate_cache()
        found: list[str] = []
        folders = [folder or self.fs.root_marker]
        while folders:
            try:
                entries = self.fs.ls(folders.pop(), detail=True)
            except FileNotFoundError:  # it is gone since its parent was listed, or never was
                continue
            found += [entry["name"] for entry in entries if entry["type"] != "directory"]
            folders += [entry["name"] for entry in entries if entry["type"] == "directory"]
        return found

    def exists(self, path: str) -> bool:
        """Say whether there is a file or folder of that name."""
        try:
            self.fs.info(path)  # fsspec's own `exists` takes a server that is down for an answer
        except FileNotFoundError:
            return False
        return True

    def remove(self, path: str) -> None:
        """Delete a file. Raises FileNotFoundError, or not, when it is not there."""
        self.fs.rm_file(path)
