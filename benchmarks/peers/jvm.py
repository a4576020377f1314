"""What peers in Java share: jars, fetched and verified, classes compiled beside them, and the command to run."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydrodask.errors import UnreachableError
from hydrodask.services import maven, pinned
from hydrodask.services.service import Say

LOGS = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")


def install(folder: Path, names: Sequence[str], say: Say) -> Mapping[str, str]:
    """Fetch the jars that a peer's pom.xml pins, compile its Java, and return the versions of the jars `names`."""
    jars = folder / ".work" / "jars"
    maven.install(folder, jars, say)
    _compile(folder, jars)
    found = pinned.read_checksums(folder / "checksums.txt")
    return {n: next(f for f in found if f.startswith(n)).removeprefix(f"{n}-").removesuffix(".jar") for n in names}


def command(folder: Path, options: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return what runs a peer's `Job`, with the JVM's options and its own arguments."""
    work = folder / ".work"
    return ["java", *options, "-cp", f"{work}/classes:{work}/jars/*", "Job", *arguments]


def _compile(folder: Path, jars: Path) -> None:
    """Compile, unless it is done; beside the classes is kept what they were made of."""
    sources = sorted(folder.glob("*.java"))
    classes = folder / ".work" / "classes"
    if all((classes / s.name).exists() and (classes / s.name).read_bytes() == s.read_bytes() for s in sources):
        return
    compiler = shutil.which("javac")
    if compiler is None:
        raise UnreachableError("could not compile: there is no `javac` on the PATH; install a JDK, version 17 or later")
    shutil.rmtree(classes, ignore_errors=True)
    subprocess.run([compiler, "-cp", f"{jars}/*", "-d", str(classes), *map(str, sources)], check=True)
    for source in sources:
        shutil.copy(source, classes)
