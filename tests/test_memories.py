"""What the driver knows of Dask's workers: how full they were, and who is about to leave."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hydrodask.driver import leaving as leaving_room
from hydrodask.driver import memories
from hydrodask.driver.leaving import WAIT_S, Leaving, listens
from hydrodask.driver.memories import Memories
from hydrodask.testing.time import VirtualClock

MIB = 2**20


def worker(status: str = "running", used: int | None = 100, limit: int | None = 1000) -> dict[str, Any]:
    """Return what the scheduler says of a worker; sizes are MiB."""
    metrics = {} if used is None else {"memory": used * MIB}
    return {"status": status, "metrics": metrics, "memory_limit": None if limit is None else limit * MIB}


def test_who_is_there_is_what_the_scheduler_says_now() -> None:
    """In order; who is paused and gone is not among the paused."""
    known = Memories()

    assert known.see({"b": worker("paused", 950), "a": worker()}) == ["a", "b"]
    assert list(known.paused()) == ["b"]
    assert known.paused()["b"].startswith("Dask has paused it at 950 MiB of memory, its limit is 1,000 MiB: no step st")
    assert known.see({"a": worker()}) == ["a"]
    assert known.paused() == {}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (worker(used=901), "it had 901 MiB of memory, its limit is 1,000 MiB"),
        (worker(used=900), ""),
        (worker(used=None), ""),
        (worker(used=901, limit=None), ""),
        (worker("paused", used=300), "Dask has paused it at 300 MiB of memory, its limit is 1,000 MiB"),
    ],
)
def test_a_worker_that_was_nearly_full_died_of_it(seen: dict[str, Any], said: str) -> None:
    """By what was last heard of it, also when it is gone; one that was never heard of says nothing."""
    known = Memories()
    known.see({"a": seen, "b": worker()})
    known.see({})

    assert known.of("a", [])[: len(said) or None] == said
    assert (known.of("b", []), known.of("c", [])) == ("", "")


def test_what_a_nanny_has_told_comes_first() -> None:
    """The newest of that worker: Dask ended it at a size, or the kernel killed it, which knows none."""
    known, other = Memories(), {"worker": "b", "rss": 7 * MIB}
    known.see({"a": worker("paused")})

    assert known.of("a", [other, {"worker": "a", "rss": 960 * MIB}, other]) == (
        "Dask ended it at 960 MiB of memory, its limit is 1,000 MiB"
    )
    assert known.of("a", [{"worker": "a", "rss": 960 * MIB}, {"worker": "a"}]) == (
        "the kernel killed it, as its container was out of memory (OOM kill), its limit is 1,000 MiB"
    )
    assert known.of("c", [{"worker": "c"}]).endswith("(OOM kill)")
    assert known.of("a", [other]).startswith("Dask has paused it")


def test_of_workers_that_are_gone_only_so_many_are_remembered() -> None:
    """The oldest are forgotten; those that are there are not counted with them."""
    known, full = Memories(), worker(used=950)
    for number in range(memories._GONE_MAX):
        known.see({f"gone-{number}": full})
    known.see({"x": full, "y": full})
    known.see({"x": full, "y": full})
    assert known.of("gone-0", [])
    known.see({"x": full})

    assert not known.of("gone-0", [])
    assert known.of("gone-1", [])


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return a port of this machine that is open, and so is found open however long it takes to get to it."""
    monkeypatch.setattr(leaving_room, "CONNECT_S", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address(server: socket.socket, form: str = "tcp://127.0.0.1:{}") -> str:
    """Return it as Dask writes a worker's address."""
    return form.format(server.getsockname()[1])


async def beside(leaving: Leaving, *workers: str) -> list[str]:
    """Return who counts as there."""
    return await leaving.beside(workers)


def test_who_is_about_to_leave_counts_until_its_port_is_closed(port: socket.socket) -> None:
    """The scheduler does not know it any more; one that was killed has no port, and is not waited for."""
    leaving, leaves = Leaving(), address(port)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as closed:
        killed = address(closed)

    async def story() -> None:
        assert await beside(leaving, "tcp://127.0.0.1:9", leaves, killed) == sorted(
            ["tcp://127.0.0.1:9", leaves, killed]
        )
        assert await beside(leaving, "tcp://127.0.0.1:9") == sorted(["tcp://127.0.0.1:9", leaves])
        assert await beside(leaving) == [leaves]
        port.close()
        assert await beside(leaving) == []

    asyncio.run(story())


def test_who_leaves_is_waited_for_for_a_while(port: socket.socket) -> None:
    """Five seconds from when it was missed first; who comes back and leaves again has as long again."""
    leaving, leaves = Leaving(), address(port)
    with VirtualClock().running() as time:
        for _ in range(2):
            assert asyncio.run(beside(leaving, leaves)) == [leaves]
            time.now_s += 60
            assert asyncio.run(beside(leaving)) == [leaves]
            time.now_s += WAIT_S - 1
            assert asyncio.run(beside(leaving)) == [leaves]
        time.now_s += 1
        assert asyncio.run(beside(leaving)) == []
        assert asyncio.run(beside(leaving)) == []


@pytest.mark.parametrize("form", ["tcp://127.0.0.1:{}", "tls://[127.0.0.1]:{}", "127.0.0.1:{}"])
def test_a_port_is_looked_at_by_knocking(port: socket.socket, form: str) -> None:
    """Whoever knocks closes at once what was opened to him."""

    async def knock() -> bytes:
        assert await listens(address(port, form))
        connection, _ = port.accept()
        connection.setblocking(False)
        with connection:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 1), 10)

    assert asyncio.run(knock()) == b""


@pytest.mark.parametrize("worker", ["inproc://here", "tcp://127.0.0.1:no", "tcp://127.0.0.1:1"])
def test_what_is_no_open_port_is_nobody(worker: str) -> None:
    """An address of another kind too."""
    assert not asyncio.run(listens(worker))
