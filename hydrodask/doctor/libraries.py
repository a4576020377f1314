"""Check Python and the libraries: what the package asks for, and in a checkout the lock."""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from hydrodask.doctor.outcome import Outcome, failed, passed, warned
from hydrodask.ingest.selfcheck import unfit

PYTHON_MIN = (3, 11)
LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
NAMES_MAX = 5
"""Libraries that a finding names; it counts the rest."""

INSTALL = "run `make install`"


def python() -> Outcome:
    """Say whether this Python is new enough, and the one that the lock was made for."""
    have = sys.version_info[:2]
    text = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    if have < PYTHON_MIN:
        return failed("python", text, "install Python 3.11 and make the environment anew")
    if have > PYTHON_MIN:
        return warned("python", text, "tested with 3.11; if something fails, use that")
    return passed("python", text)


def libraries() -> list[Outcome]:
    """Say which libraries are missing or too old, and which are not the locked ones."""
    try:
        wanted = [text for text in requires("hydrodask") or [] if "extra ==" not in text]
    except PackageNotFoundError:
        return [failed("libraries", "hydrodask itself is not installed", INSTALL)]
    problems = [problem for text in wanted if (problem := unmet(text))]
    if problems:
        return [failed("libraries", _some(problems), INSTALL)]
    found = passed("libraries", f"all {len(wanted)} are there and new enough")
    locked = read_lock(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}
    other = [f"{n} {_installed(n)}, locked {v}" for n, v in locked.items() if _installed(n) not in (None, v)]
    if other:
        return [found, warned("lock", _some(other), f"{INSTALL} for the versions that were tested")]
    return [found, passed("lock", f"versions are the {len(locked)} locked ones")] if locked else [found]


def fetch() -> Outcome:
    """Say whether records are fetched through librdkafka's own interface, or one by one because that is another."""
    if why := unfit():
        return warned("fetch", f"{why}: records are fetched one by one, at several times the cost", INSTALL)
    return passed("fetch", "librdkafka is as it is known: records are fetched in columns")


def unmet(requirement: str) -> str:
    """Return why an installed library does not meet `requirement`, or "" when it does.

    >>> unmet("numpy>=2"), unmet("no-such-library>=1.0")
    ('', 'no-such-library is missing')
    """
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    name = match[0] if match else requirement
    have = _installed(name)
    if have is None:
        return f"{name} is missing"
    for sign, limit in re.findall(r"(>=|<)\s*([0-9.]+)", requirement):
        if (_numbers(have) >= _numbers(limit)) != (sign == ">="):
            return f"{name} is {have}, want {sign}{limit}"
    return ""


def read_lock(text: str) -> dict[str, str]:
    r"""Return the version of each library in a lock file.

    >>> read_lock("numpy==2.4.1 \\\n    --hash=sha256:00\n# via x\n")
    {'numpy': '2.4.1'}
    """
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """Return a version's numbers without zeros at the end: 26 and 26.0.0 are the same."""
    numbers = [int(part) for part in re.match(r"[0-9.]*", text)[0].split(".") if part]  # type: ignore[index]  # matches always
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _some(problems: list[str]) -> str:
    more = f" and {len(problems) - NAMES_MAX} more" if len(problems) > NAMES_MAX else ""
    return "; ".join(problems[:NAMES_MAX]) + more
