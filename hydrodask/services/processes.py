"""Server processes that outlive the command that started them, and are told apart from others.

A process id alone is no proof: the system gives it to someone else later. So the record also holds
when the process started and in which boot, and nothing is ever signalled that does not match.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hydrodask import clock, durable
from hydrodask.errors import FatalError, UnreachableError

POLL_S = 0.05
KILL_WAIT_S = 30.0
LOCK_WAIT_S = 120.0
"""How long a command waits for another one that starts or stops the same service."""
CONSOLE_BYTES_MAX = 16 * 1024 * 1024
"""A longer console log is put aside at the next start; the one before it goes."""


UMASK = 0o077
INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LC_ALL", "JAVA_HOME", "LD_LIBRARY_PATH"),
        *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    }
)
"""Variables of ours that services get. Passwords of the platform, of clouds and of whoever logged in here are none."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process for good: id, start (ticks since boot), boot, and the address it serves."""

    pid: int
    started_ticks: int
    boot: str
    address: str

    def alive(self) -> bool:
        """Say whether this very process runs; a zombie does not."""
        return _started_ticks(self.pid) == self.started_ticks and _boot() == self.boot

    def ask_to_end(self) -> None:
        """Send SIGTERM, if it runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def stop(self, *, wait_s: float) -> None:
        """End it: SIGTERM, after `wait_s` SIGKILL. Raises FatalError when that does not help."""
        for number, limit_s in ((signal.SIGTERM, wait_s), (signal.SIGKILL, KILL_WAIT_S)):
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            if self._ended(limit_s):
                return
        raise FatalError(f"could not stop process {self.pid}: it is there {KILL_WAIT_S:g} s after SIGKILL")

    def _ended(self, limit_s: float) -> bool:
        end_s = clock.monotonic_s() + limit_s
        while clock.monotonic_s() < end_s:
            with contextlib.suppress(ChildProcessError):  # not ours: only its parent may reap it
                os.waitpid(self.pid, os.WNOHANG)
            if not self.alive():
                return True
            clock.sleep_s(POLL_S)
        return False


def spawn(
    argv: Sequence[str],
    *,
    console: Path,
    folder: Path,
    address: str,
    with_parent: bool,
    environ: Mapping[str, str] | None = None,
) -> Process:
    """Start `argv` in `folder` as a process of its own session, output added to `console`; return it.

    Its environment is `environ` and what of ours is in `INHERITED`; what it makes is its owner's only.

    With `with_parent` it ends when the starting thread's process does, killed or not, where the
    system can do that (util-linux's setpriv): for tests, so that a killed run leaves nothing
    behind.
    """
    setpriv = shutil.which("setpriv") if with_parent else None
    if setpriv:
        argv = [setpriv, "--pdeathsig", "TERM", "--", *argv]
    if console.exists() and console.stat().st_size > CONSOLE_BYTES_MAX:
        console.replace(console.with_suffix(".old"))
    with console.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603  # arguments are ours, none goes through a shell
            argv,
            cwd=folder,
            env=inherited() | dict(environ or {}),
            umask=UMASK,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for the command, not for the server
        )
    child.returncode = 0  # from here on it is known by its record; Popen would warn that it still runs
    ticks = _started_ticks(child.pid)
    if ticks is None:
        raise UnreachableError(f"could not start {argv[0]}: it ended at once; see {console}")
    return Process(child.pid, ticks, _boot(), address)


def inherited() -> dict[str, str]:
    """Return what a service may know of our environment: it may be logged, shown on pages and given on."""
    return {name: value for name, value in os.environ.items() if name in INHERITED}


def save(process: Process, path: Path) -> None:
    """Record `process` in `path`, whole or not at all."""
    durable.replace(path, json.dumps(asdict(process)).encode())


def running(path: Path) -> Process | None:
    """Return the process that `path` records, if it still runs."""
    try:
        process = Process(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise FatalError(
            f"could not read process record {path}: {error}; look for the process, then delete it"
        ) from error
    return process if process.alive() else None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, so that two commands do not start or stop one service at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        end_s = clock.monotonic_s() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if clock.monotonic_s() > end_s:
                    raise UnreachableError(
                        f"could not lock {path}: another command has held it for {LOCK_WAIT_S:g} s"
                    ) from error
            clock.sleep_s(POLL_S)
        yield


def _started_ticks(pid: int) -> int | None:
    """Return when process `pid` started, in ticks since boot; None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        if not Path("/proc/self/stat").exists():
            raise FatalError("local services need Linux: there is no /proc on this system") from None
        return None
    # The name, in parentheses, may hold spaces: count fields from behind it.
    # Of all fields the state is the 3rd, the number of threads the 20th, the start time the 22nd.
    fields = text.rpartition(")")[2].split()
    # A zombie whose other threads are still ending still has its ports.
    gone = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if gone else int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
