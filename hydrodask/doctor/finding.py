"""What a check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result; `advice` says what to do, and is empty for a pass."""

    check: str
    state: Literal["pass", "warn", "fail"]
    text: str
    advice: str = ""
    exit_code: int = 0
    """That of a fail: 3 configuration, 4 something does not answer, else what the error says."""


def passed(check: str, text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, "pass", text)


def warned(check: str, text: str, advice: str) -> Finding:
    """Return a finding that does not stop the platform."""
    return Finding(check, "warn", text, advice)


def failed(check: str, text: str, advice: str, exit_code: int = 1) -> Finding:
    """Return a finding with which the platform can't run."""
    return Finding(check, "fail", text, advice, exit_code)
