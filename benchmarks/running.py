"""One engine at work: started as its users start it, watched from outside, ended for sure."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.peers.contract import Peer, Work
from benchmarks.processes import Sampler
from hydrodask import clock

ROOT = Path(__file__).resolve().parents[1]
END_S = 15.0


class Running:
    """The processes of an engine that does some work; their output goes to `log`."""

    def __init__(self, peer: Peer, work: Work, log: Path, more: Mapping[str, str]) -> None:
        self.peer = peer
        self._work = work
        self._log = log
        self._more = more
        self._processes: list[subprocess.Popen[bytes]] = []
        self.began_s = clock.monotonic_s()
        self.root = self._start()
        self.sampler = Sampler(self.root)

    def _start(self) -> psutil.Process:
        environment = {**os.environ, **self.peer.variables(self._work), **self._more}
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self.peer.command(self._work),
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return psutil.Process(process.pid)

    def ended(self) -> bool:
        """Say whether it has ended by itself; whether well is seen from what it has delivered."""
        return self._processes[-1].poll() is not None

    def kill(self) -> None:
        """Kill -9 of the engine's victim; if that ends the engine, it is started again at once, as by a supervisor."""
        self.sampler.look()
        victim = self.peer.victim(self.root)
        victim.kill()
        if victim.pid == self.root.pid:
            _end(self._processes[-1], signal.SIGKILL)
            self.root = self._start()
            self.sampler.follow(self.root)

    def close(self) -> None:
        """End every process of it."""
        self.sampler.close()
        for process in self._processes:
            _end(process, signal.SIGTERM)


@contextmanager
def running(peer: Peer, work: Work, log: Path, more: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Run an engine for the length of the block."""
    one = Running(peer, work, log, more or {})
    try:
        yield one
    finally:
        one.close()


def _end(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """End a process and what it has started, which is its session: with `how`, and what is left then for sure."""
    tree = []
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid).children(recursive=True)
    for sign in (how, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
    for child in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(tree, END_S)
