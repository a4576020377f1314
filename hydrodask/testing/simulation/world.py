"""A world of its own for the engine: virtual time, processes that can die or stand still anywhere, one thread.

Every process of the simulated platform is a greenlet that is left, and gone on with, at each call of a fake and at each
fail point. A seed decides how long each call takes and, as a `Schedule` says, which of them go wrong. Nothing depends
on the machine's clock, on memory addresses or on hashes, so a seed always tells the same story.
"""

import asyncio
import random
import signal
from asyncio import base_events
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

import greenlet

from hydrodask import clock
from hydrodask.errors import WorkerLostError

T = TypeVar("T")

START_S = 1_767_229_200.0
"""What the clocks say when a world begins: 2026-01-01T01:00:00Z."""

LATENCY_S = 0.002
"""How long a call takes, on average, if it takes any time at all."""

TRACE_MAX = 4000
"""Entries of the trace that are kept."""


OWNER: "ContextVar[SimulatedProcess | None]" = ContextVar("owner", default=None)
"""Whose asyncio tasks these are."""


class Killed(BaseException):
    """The process is dead: its frames unwind, and whatever they try on their way, nothing comes of it."""


class StuckError(AssertionError):
    """Nobody waits for anything any more, and it is not over."""


class _Timeless:
    """Stands for the selector of a loop whose time passes only while everybody waits."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let the time pass that a real selector would wait."""
        if timeout is None:
            raise StuckError("everybody waits, and nothing is to come")
        self._loop.now_s += max(0.0, timeout)
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """An event loop in virtual time. What goes to threads elsewhere becomes a call of the process that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._selector = _Timeless(self)
        self._clock_resolution = 1e-9
        self._signals: set[int] = set()

    def time(self) -> float:
        return self.now_s

    def _process_events(self, _events: object) -> None:
        """Take note of nothing: there are no sockets."""

    def _write_to_self(self) -> None:
        """Wake nobody: there is one thread."""

    def run_in_executor(self, _executor: object, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]
        owner = OWNER.get()
        assert owner is not None
        return owner.run(lambda: func(*args))

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """Have the loop call `callback` when this process gets a signal, as a loop of the machine's does."""
        self._signals.add(sig)
        signal.signal(sig, lambda *_: self.call_soon(callback, *args))

    def remove_signal_handler(self, sig: int) -> bool:
        """Let a signal do again what it does without us."""
        signal.signal(sig, signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL)
        known = sig in self._signals
        self._signals.discard(sig)
        return known

    def close(self) -> None:
        for sig in list(self._signals):
            self.remove_signal_handler(sig)
        super().close()


class Thread(greenlet.greenlet):  # type: ignore[misc]  # greenlet has no types
    """One line of execution of a process."""

    def __init__(self, process: "SimulatedProcess", work: Callable[[], Any], done: "asyncio.Future[Any]") -> None:
        super().__init__(self._main)
        self.process = process
        self.done = done
        self.wake: asyncio.TimerHandle | None = None
        self._work = work

    def _main(self, *_: object) -> None:
        result, error = None, None
        try:
            result = self._work()
        except Killed:
            pass
        except Exception as caught:
            error = caught
        self.process.threads.remove(self)
        self.process.world.loop.call_soon(self.process.next_call)
        if self.done.done() or not self.process.alive:
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(result)


class SimulatedProcess:
    """A process of the simulated platform. Calls run at once, or one after the other as they came."""

    def __init__(self, world: "World", name: str, *, serial: bool = False) -> None:
        self.world, self.name, self.alive = world, name, True
        self.skew_s: Callable[[], float] | None = None
        """By how much its clock is wrong, if not as everybody's."""
        self.threads: list[Thread] = []
        self._serial = serial
        self._queue: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Run `work` as this process does; its future fails with WorkerLostError when the process dies."""
        done: asyncio.Future[T] = self.world.loop.create_future()
        self._queue.append((work, done))
        self.world.loop.call_soon(self.next_call)
        return done

    def kill(self) -> None:
        """Kill -9: nothing that it does from now on comes to anything."""
        if not self.alive:
            return
        self.alive = False
        self.world.note(f"{self.name} is killed")
        waiting = [done for _, done in self._queue] + [thread.done for thread in self.threads]
        self._queue.clear()
        for done in waiting:
            self.world.loop.call_later(0.01, _fail, done, WorkerLostError(f"{self.name} is dead"))
        for thread in list(self.threads):
            if thread.wake is not None:
                thread.wake.cancel()
            if thread is not greenlet.getcurrent():
                self.world.enter(thread.throw, Killed)

    def next_call(self) -> None:
        """Begin what waits, if it can."""
        while self.alive and self._queue and not (self._serial and self.threads):
            work, done = self._queue.popleft()
            if done.cancelled():
                continue  # nobody wants it any more, and it had not begun
            thread = Thread(self, work, done)
            self.threads.append(thread)
            self.world.enter(thread.switch)


def _right() -> float:
    return 0.0


def _fail(done: "asyncio.Future[Any]", error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


class World:
    """Time, chance and processes; also the clock that `hydrodask.clock` is replaced by."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.loop = VirtualLoop()
        self.trace: deque[str] = deque(maxlen=TRACE_MAX)
        self.calls: Counter[str] = Counter()
        self.skew_s: Callable[[], float] = _right
        """By how much all clocks are wrong, those of the broker and of the rigs excepted."""
        self.on_call: Callable[[SimulatedProcess, str, str], None] = lambda _process, _name, _when: None
        """Told of each call of a process: its name, and `before` or `after` its effect. May kill, stall or raise."""
        self._hub = greenlet.getcurrent()

    def live(self, story: Coroutine[Any, Any, T]) -> T:
        """Return what comes of a story that is told by one process in this world's time; then the world is over."""
        process, context = SimulatedProcess(self, "driver"), copy_context()
        context.run(OWNER.set, process)
        try:
            with clock.replaced_by(self), asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                return runner.run(story, context=context)
        finally:
            process.alive = False

    def now_us(self) -> int:
        thread = greenlet.getcurrent()
        who = thread.process if isinstance(thread, Thread) else OWNER.get()
        skew_s = who.skew_s if who is not None and who.skew_s is not None else self.skew_s
        return round((START_S + self.loop.now_s + skew_s()) * 1e6)

    def monotonic_s(self) -> float:
        return 100.0 + self.loop.now_s

    def sleep_s(self, seconds: float) -> None:
        """Let the calling thread of a process stand still; the test itself never waits."""
        thread = greenlet.getcurrent()
        if not isinstance(thread, Thread):
            return
        self.check()
        thread.wake = self.loop.call_later(max(1e-6, seconds), self.enter, thread.switch)
        self._hub.switch()
        thread.wake = None
        self.check()

    def enter(self, switch: Callable[..., Any], *args: Any) -> None:
        """Go on with a thread from the loop, until it waits again or ends."""
        outer = greenlet.getcurrent()
        if outer is self._hub:
            switch(*args)
        else:
            self.loop.call_soon(self.enter, switch, *args)

    def check(self) -> None:
        """Raise Killed when the calling process is dead."""
        thread = greenlet.getcurrent()
        if isinstance(thread, Thread) and not thread.process.alive:
            raise Killed

    def call(self, name: str, effect: Callable[[], T]) -> T:
        """Have the effect of a call by a process: it takes a while, and what is in store for it happens."""
        thread = greenlet.getcurrent()
        if not isinstance(thread, Thread):
            return effect()
        self.check()
        self.calls[name] += 1
        if self.random.random() < 0.3:
            self.sleep_s(self.random.expovariate(1 / LATENCY_S))
        self.on_call(thread.process, name, "before")
        self.check()
        result = effect()
        self.on_call(thread.process, name, "after")
        self.check()
        return result

    def come_to(self, name: str) -> None:
        """Be at a fail point, which processes and asyncio tasks of a process come to."""
        if isinstance(greenlet.getcurrent(), Thread):
            self.call(name, lambda: None)
            return
        owner = OWNER.get()
        if owner is not None:
            self.calls[name] += 1
            self.on_call(owner, name, "before")
            if not owner.alive:
                raise Killed

    def note(self, text: str) -> None:
        """Write into the trace."""
        self.trace.append(f"{self.loop.now_s:8.3f} {text}")
