"""What a check found."""

from dataclasses import dataclass
from typing import Literal

from hydrodask.errors import ConfigError, FatalError, HydrodaskError, UnreachableError

_ERRORS: dict[int, type[HydrodaskError]] = {3: ConfigError, 4: UnreachableError}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check's result; `advice` says what to do, and is empty for a pass."""

    check: str
    state: Literal["pass", "warn", "fail"]
    text: str
    advice: str = ""
    exit_code: int = 0
    """That of a fail: 3 configuration, 4 something does not answer, else what the error says."""

    @property
    def sentence(self) -> str:
        """All that it says."""
        return f"{self.check}: {self.text}" + (f"; {self.advice}" if self.advice else "")

    @property
    def error(self) -> HydrodaskError:
        """A fail as the error that ends a command."""
        return _ERRORS.get(self.exit_code, FatalError)(self.sentence)


def passed(check: str, text: str) -> Outcome:
    """Return a finding that needs nothing."""
    return Outcome(check, "pass", text)


def warned(check: str, text: str, advice: str) -> Outcome:
    """Return a finding that does not stop the platform."""
    return Outcome(check, "warn", text, advice)


def failed(check: str, text: str, advice: str, exit_code: int = 1) -> Outcome:
    """Return a finding with which the platform can't run."""
    return Outcome(check, "fail", text, advice, exit_code)
