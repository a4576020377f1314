"""Services that run on Java, from jars that Maven brings."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hydrodask.errors import ConfigError, UnreachableError, UsageError
from hydrodask.services import maven, pinned, processes
from hydrodask.services.server import ServerService, tail
from hydrodask.services.service import Say

JAVA_MIN = 17
JAVA_ADVICE = "install Java 17 or newer (Debian, Ubuntu: apt-get install default-jre-headless)"
COMMAND_S = 240.0
"""Limit of a Java command that should take a few seconds."""

SMALL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
"""A server for one user starts in half the time with these, and ends rather than limp."""


class JavaService(ServerService):
    """A service whose jars are pinned in `cluster/local/NAME`; `heap` is each JVM's, like `512m`."""

    heap_default: ClassVar[str] = "512m"

    def __init__(self, folder: Path, *, heap: str | None = None, with_parent: bool = False) -> None:
        super().__init__(folder, with_parent=with_parent)
        self.heap = self.choice("heap", heap, self.heap_default)
        if not re.fullmatch(r"[1-9]\d*[kKmMgG]", self.heap):
            raise UsageError(f"heap is {self.heap!r}; want a number with k, m or g, for example 512m")
        self.source = pinned.SOURCE / self.name
        self.jars = pinned.cache_folder() / f"{self.name}-{self.version}"

    def install(self, say: Say) -> None:
        """Fetch the jars into the user's cache, once, and verify them every time (0.1 s)."""
        if not (self.source / "pom.xml").exists():
            raise ConfigError(f"local services need a checkout of hydrodask: there is no {self.source / 'pom.xml'}")
        maven.install(self.source, self.jars, say)

    def java(self, main: str, *arguments: str, jvm: Sequence[str] = (), server: bool = False) -> list[str]:
        """Return the command for the class `main`; a server gets the heap, a tool what it likes.

        `jvm` are arguments for the virtual machine itself, such as `-Dkey=value`.
        """
        heap = [f"-Xmx{self.heap}", *SMALL] if server else []
        return [find_java(self.name), "-cp", self.class_path, *jvm, *heap, main, *arguments]

    @property
    def class_path(self) -> str:
        """Where classes and settings are looked for."""
        return f"{self.jars}/*"


def run(argv: list[str], what: str) -> str:
    """Run a command that ends by itself; return what it printed. Raises UnreachableError naming `what`."""
    done = _run(argv)
    if done.returncode != 0:
        raise UnreachableError(f"could not {what}: {tail(done.stdout)}")
    return done.stdout


def find_java(name: str) -> str:
    """Return the path of a Java that is new enough for service `name`. Raises UnreachableError."""
    java = shutil.which("java")
    if java is None:
        raise UnreachableError(f"could not start {name}: there is no `java` on the PATH; {JAVA_ADVICE}")
    said = _run([java, "-version"]).stdout
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_MIN:
        raise UnreachableError(f"could not start {name} with {java}: it says {tail(said)!r}; {JAVA_ADVICE}")
    return java


def _run(argv: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603  # arguments are ours, none goes through a shell
            argv,
            env=processes.inherited(),
            umask=processes.UMASK,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(f"could not run {argv[0]}: no end within {COMMAND_S:g} s") from error
