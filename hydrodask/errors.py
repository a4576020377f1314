"""Every error of hydrodask; its class tells the caller what to do.

HydrodaskError            base, exit code 1
├── UsageError            the command line makes no sense             exit 2
├── ConfigError           stop before starting, name key and value    exit 3
├── RetryableError        wait `backoff_s`, then repeat               exit 4 once attempts are used up
│   ├── UnreachableError  a dependency does not answer                exit 4
│   ├── WorkerLostError   a worker went away with its step: fence its slot, let others go on
│   └── StartOverError    what came of the last commit is open: begin anew from what is committed
├── IntegrityError        stored data contradicts itself              exit 5
└── FatalError            stop; repeating will not help               exit 1
    └── FencedError       another owner has taken over; let go of everything
"""


class HydrodaskError(Exception):
    """Base of all errors that hydrodask raises on purpose."""

    exit_code = 1


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
