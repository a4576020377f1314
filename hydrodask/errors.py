"""Every error of hydrodask; its class tells the caller what to do.

HydrodaskError            base, exit code 1
├── UsageError            the command line makes no sense             exit 2
├── ConfigError           stop before starting, name key and value    exit 3
├── RetryableError        wait `backoff_s`, then repeat               exit 4 once attempts are used up
│   ├── UnreachableError  a dependency does not answer                exit 4
│   ├── RefusedError     what is sent is refused as it is: repeat it a few times, then give it up
│   ├── WorkerLostError   a worker went away with its step: fence its slot, let others go on
│   └── StartOverError    what came of the last commit is open: begin anew from what is committed
├── IntegrityError        stored data contradicts itself              exit 5
└── FatalError            stop; repeating will not help               exit 1
    └── FencedError       another owner has taken over; let go of everything
"""

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from hydrodask.redaction import redacted

SENTENCE_MAX = 300
"""Characters of what a library says that people are shown at most."""

_REST = re.compile(
    r"(?<=to execute command) ?\{.*"  # MongoDB: the command, its session and the cluster's clock
    r"|,? ?full error: .*|,? ?Timeout: \d.*|,? ?Topology Description: .*|,? ?\(configured timeouts: .*"
    r"|\bDetail: Python exception: Traceback.*|\bTraceback \(most recent call last\).*"
    r"|\s*(with url: \S+ )?\(Caused by .*|,? ?Response body: '?\s*<.*|\s*\(Background on this error at: .*",
    re.DOTALL | re.IGNORECASE,
)
"""What libraries add to their sentence, and nobody reads: commands, traces, pages."""


def sentence(error: BaseException) -> str:
    """Return the sentence that matters of what a library says, never nothing.

    >>> sentence(ValueError("not authorized on x to execute command { update: 1, lsid: {} }, full error: {'ok': 0.0}"))
    'not authorized on x to execute command'
    >>> sentence(OSError()), len(sentence(ValueError("x" * 1000)))
    ('OSError', 300)
    """
    cause: Any = error.args[0] if error.args else None
    text = str(error)
    if callable(getattr(cause, "str", None)) and callable(getattr(cause, "name", None)):  # librdkafka's
        text = f"{cause.str()} ({cause.name()})"
    first = next((line for line in _REST.sub("", text).splitlines() if line.strip()), "")
    short = " ".join(first.split()) or type(error).__name__
    short = redacted(short)
    return short if len(short) <= SENTENCE_MAX else f"{short[: SENTENCE_MAX - 2]} …"


def kind_and_sentence(error: BaseException) -> str:
    """Return the kind of an error that nobody has foreseen, and its sentence.

    >>> kind_and_sentence(OSError("no room")), kind_and_sentence(BrokenPipeError())
    ('OSError: no room', 'BrokenPipeError')
    """
    kind, said = type(error).__name__, sentence(error)
    return said if said == kind else f"{kind}: {said}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return what somebody who has misspelt a name may have meant, as the end of a sentence.

    >>> meant("coler", ["cooler", "valve"]), meant("x", ["cooler"])
    ('; did you mean cooler?', '')
    >>> meant("rgi", ["rig", "sensor"])
    '; did you mean rig?'
    """
    known = list(known)
    turned = [one for one in known if sorted(one) == sorted(name)]  # two letters in each other's place
    found = turned[:1] or get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {found[0]}?" if found else ""


def forbidden(error: BaseException | None) -> bool:
    """Say whether an error comes of a folder or file that this user has no rights on, or a disk that is read-only.

    >>> forbidden(PermissionError(13, "no")), forbidden(OSError(30, "read-only")), forbidden(OSError(28, "full"))
    (True, True, False)
    """
    while error is not None:
        sqlite = str(getattr(error, "sqlite_errorname", ""))
        if getattr(error, "errno", None) in _FORBIDDEN or sqlite.startswith(_FORBIDDEN_SQLITE):
            return True
        error = error.__cause__
    return False


_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_FORBIDDEN_SQLITE = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")


class HydrodaskError(Exception):
    """Base of all errors that hydrodask raises on purpose."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))


class UsageError(HydrodaskError):
    """The command line makes no sense."""

    exit_code = 2


class ConfigError(HydrodaskError):
    """A setting has a value that cannot work; the message names key and value."""

    exit_code = 3


class RetryableError(HydrodaskError):
    """The same call may succeed after `backoff_s` seconds."""

    exit_code = 4

    def __init__(self, message: str, *, backoff_s: float = 1.0) -> None:
        super().__init__(message)
        self.backoff_s = backoff_s


class UnreachableError(RetryableError):
    """A broker, store or cluster does not answer."""


class RefusedError(RetryableError):
    """The other side refuses this as it is: repeat it a few times, then give it up."""


class WorkerLostError(RetryableError):
    """A worker went away with what it was doing: fence its slot, then let others go on."""


class StartOverError(RetryableError):
    """What came of a commit is not known: repeat nothing, let go of all state and begin from what is committed."""


class IntegrityError(HydrodaskError):
    """Stored data contradicts itself; nobody should write on top of it."""

    exit_code = 5


class FatalError(HydrodaskError):
    """Repeating will not help; the run has to stop."""


class FencedError(FatalError):
    """Another owner has taken over this slot or this run."""
