"""Dask's ports and web pages: who has no login gets no answer, on a cluster of ours as it runs and on one of others."""

import asyncio
import gc
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from hydrodask import clock
from hydrodask.doctor import named, places, reach
from hydrodask.doctor.machine import port
from hydrodask.doors import remote
from hydrodask.doors.certificates import CLIENT, SERVER, new_authority, signed
from hydrodask.doors.knocks import Knocks
from hydrodask.doors.local import explained
from hydrodask.doors.login import check
from hydrodask.driver.cluster import DaskCluster
from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.learn.compute import training_cluster, workers_of
from hydrodask.observe import page
from hydrodask.services.ports import free_port as find_free_port
from hydrodask.settings import Settings
from hydrodask.settings.model import Cluster, Learn
from tests.delivery import DaskProcesses
from tests.doors import _stranger

pytestmark = pytest.mark.cluster


def running(act: Callable[[DaskCluster], Awaitable[Any]], **settings: Any) -> Any:
    """Return what `act` returns with a cluster that is started for it."""

    async def go() -> Any:
        cluster = await DaskCluster.start(Cluster(**settings))
        try:
            return await act(cluster)
        finally:
            await cluster.close()

    return asyncio.run(asyncio.wait_for(go(), 240))


class Listening:
    """Which TCP addresses this process, and those that it starts from now on, come to listen at."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self._there = {child.pid for child in self._me.children()}
        self._mine = self._of(self._me)

    def now(self) -> set[str]:
        """Return them."""
        started = [child for child in self._me.children() if child.pid not in self._there]
        below = [process for child in started for process in (child, *child.children(recursive=True))]
        return set().union(self._of(self._me) - self._mine, *map(self._of, below))

    def _of(self, process: psutil.Process) -> set[str]:
        try:
            found = process.net_connections("tcp")
        except psutil.NoSuchProcess:  # it has ended meanwhile
            return set()
        return {f"{one.laddr.ip}:{one.laddr.port}" for one in found if one.status == psutil.CONN_LISTEN}


async def stranger(script: str, **context: Any) -> list[_stranger.Row]:
    """Return what another user's script finds, while this process goes on to answer."""
    return await asyncio.to_thread(_stranger.tried, script, context)


def ports(places: Iterable[str]) -> list[int]:
    """Return the ports of addresses."""
    return sorted(int(place.rpartition(":")[2]) for place in places)


async def opened(pages: str, name: str) -> str:
    """Return the first message of a page's socket, opened as the page itself does."""
    # The first page imports what it is made of.
    patient: dict[str, Any] = {"connect_timeout": 120.0, "request_timeout": 120.0}
    body = (await AsyncHTTPClient().fetch(f"http://{pages}/{name}", **patient)).body.decode()
    token = re.search(r'"token":"([^"]+)"', body)
    assert token is not None
    request = HTTPRequest(f"ws://{pages}/{name}/ws", headers={"Origin": f"http://{pages}"}, **patient)
    socket = await websocket_connect(request, subprotocols=["bokeh", token[1]])
    try:
        return str(await socket.read_message())
    finally:
        socket.close()


def test_without_a_dashboard_only_dask_listens() -> None:
    """A web server that nobody asked for is not there; for training neither."""
    listening = Listening()

    async def act(cluster: DaskCluster) -> tuple[str, int]:
        return cluster.dashboard, len(listening.now())

    assert running(act, dashboard=None) == ("", 3)

    with training_cluster(Settings(learn=Learn(workers=1))) as client:
        assert len(listening.now()) == 3
        (worker,) = workers_of(client)

    assert worker.startswith("tls://")


def test_a_stranger_gets_nothing_from_a_cluster_of_ours() -> None:
    """Scheduler, nanny and worker answer to nobody without the run's keys; pages only to who asks by their name."""
    listening = Listening()
    page.register()

    async def act(cluster: DaskCluster) -> tuple[Any, ...]:
        pages = cluster.dashboard.split("/")[2]
        (worker,) = await cluster.workers()
        dask = listening.now() - {pages}
        living = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
        told = [str((child.cmdline(), child.environ())) for child in living]
        assert not any("PRIVATE KEY" in one for one in told)
        by_dask, by_http = await stranger("dask", dask=ports(dask)), await stranger("http", dashboard=pages)
        return worker, dask, by_dask, by_http, [await opened(pages, name) for name in ("status", "hydro")]

    worker, dask, by_dask, by_http, ours = running(act, dashboard="127.0.0.1:0")

    assert worker.startswith("tls://")
    assert len(dask) == 3, "scheduler, nanny, worker, and nothing else"
    assert worker.removeprefix("tls://") in dask
    assert len(by_dask) >= 3 * 8
    assert _stranger.holes(by_dask) == []
    assert len(by_http) > 20
    assert _stranger.holes(by_http) == []
    assert all("ACK" in first for first in ours), "the pages' own sockets open, and Bokeh greets"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files of two authorities: `ours` is the cluster's, `other` somebody's; and some that are none."""
    folder = tmp_path_factory.mktemp("keys")
    found = {}
    for name in ("ours", "other"):
        authority = new_authority(f"authority {name}", 1)
        made = signed(authority, name, 1, usages=(SERVER, CLIENT))
        contents = {"ca": authority.certificate_pem, "cert": made.certificate_pem, "key": made.key_pem}
        for kind, content in contents.items():
            found[f"{name}.{kind}"] = folder / f"{name}.{kind}"
            found[f"{name}.{kind}"].write_bytes(content)
    found["none"] = folder / "none.pem"
    found["text"] = folder / "text.pem"
    found["text"].write_text("no PEM")
    return found


def login(files: dict[str, Path], names: str = "ours.ca ours.cert ours.key") -> dict[str, Path]:
    """Return settings with the files of these names."""
    return dict(zip(("ca_file", "cert_file", "key_file"), (files[name] for name in names.split()), strict=True))


@pytest.fixture(scope="module")
def others(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give the ports of a cluster of others with TLS, one worker in it, and of one without."""
    folder = tmp_path_factory.mktemp("others")
    ports = {"tls": str(find_free_port()), "tcp": str(find_free_port())}
    with (
        DaskProcesses(folder, int(ports["tls"]), login=login(files)) as encrypted,
        DaskProcesses(folder, int(ports["tcp"])) as plain,
    ):
        encrypted.start_worker(nanny=True)
        plain.start_worker()
        for one in (encrypted, plain):
            one.until_it_answers()  # or a test would be told that nobody is there
        yield ports


def test_a_cluster_of_others_is_reached_with_a_login(others: dict[str, str], files: dict[str, Path]) -> None:
    """Run, training and doctor come in with three files, or with Dask's own settings; a stranger does not."""
    address = f"tls://127.0.0.1:{others['tls']}"
    cluster = Cluster(address=address, **login(files))

    async def act(cluster: DaskCluster) -> str:
        await cluster._client.wait_for_workers(1, timeout=180)
        (one,) = (await cluster._client.scheduler.identity())["workers"].values()
        return str(one["nanny"])

    nanny = running(act, **cluster.model_dump())
    assert nanny.startswith("tls://")
    with training_cluster(Settings(cluster=cluster)) as client:
        assert workers_of(client)[0].startswith("tls://")
    assert reach.cluster(cluster).text == f"{address} answers; 1 workers"
    given = {"ca-file": files["ours.ca"], "client.cert": files["ours.cert"], "client.key": files["ours.key"]}
    with dask.config.set({f"distributed.comm.tls.{key}": value for key, value in given.items()}):
        assert reach.cluster(Cluster(address=address)).state == "pass"
    assert _stranger.holes(_stranger.tried("dask", {"dask": ports([address])})) == []
    with pytest.raises(ConfigError, match="there is a Nanny, no Scheduler"):
        come_in("doctor", cluster.model_copy(update={"address": nanny}))


WRONG: dict[str, tuple[str, str, type[Exception], str]] = {
    "their authority is another": (
        "tls tls",
        "other.ca ours.cert ours.key",
        ConfigError,
        "not of the authority in .*other.ca",
    ),
    "my certificate is of another": (
        "tls tls",
        "ours.ca other.cert other.key",
        ConfigError,
        "refuses the certificate in .*other.cert",
    ),
    "tcp to TLS": ("tcp tls", "", ConfigError, "as one does that speaks TLS; want cluster.address tls://"),
    "TLS to tcp": ("tls tcp", "ours.ca ours.cert ours.key", ConfigError, "does not speak TLS"),
}
"""What is wrong → protocol and cluster, files, error, and a word of it."""


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Tornado forgets a socket of "TLS to tcp"
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("who", ["run", "training", "doctor"])
def test_each_way_not_to_come_in_is_a_sentence(
    others: dict[str, str], files: dict[str, Path], what: str, who: str
) -> None:
    """One line, which names what to change; never an error of Dask's, or none at all."""
    how, names, kind, word = WRONG[what]
    protocol, port = how.split()
    cluster = Cluster(address=f"{protocol}://127.0.0.1:{others[port]}", **(login(files, names) if names else {}))

    with pytest.raises(kind, match=word) as caught:
        come_in(who, cluster)

    gc.collect()

    assert "\n" not in str(caught.value)


def come_in(who: str, cluster: Cluster) -> None:
    """Connect as a run, a training or doctor does."""
    if who == "run":
        asyncio.run(asyncio.wait_for(DaskCluster.start(cluster), 180))
    elif who == "training":
        with training_cluster(Settings(cluster=cluster)):
            pass
    elif (found := reach.cluster(cluster)).state == "fail":
        raise found.error


def test_a_scheduler_that_is_not_there_is_a_sentence(files: dict[str, Path], free_port: int) -> None:
    """It may come back: exit code 4."""
    with pytest.raises(UnreachableError, match=f"could not reach the Dask scheduler at tls://127.0.0.1:{free_port}: "):
        asyncio.run(remote.workers(Cluster(address=f"tls://127.0.0.1:{free_port}", **login(files)), timeout_s=1))


def test_dasks_own_rule_is_a_sentence(others: dict[str, str]) -> None:
    """A machine whose Dask allows TLS only says so, also on loopback."""
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(ConfigError, match="require-encryption"),
    ):
        come_in("run", Cluster(address=f"tcp://127.0.0.1:{others['tcp']}"))


REFUSED: dict[str, tuple[str, str, str]] = {
    "plain, beyond loopback": ("tcp://10.0.0.1:8786", "", "without TLS whoever is on the way"),
    "without a scheme": ("plant.example:8786", "", "without TLS"),
    "without a port": ("tls://10.0.0.1", "", "want tls://HOST:PORT"),
    "TLS without files": ("tls://10.0.0.1:8786", "", "want cluster.ca_file, cert_file and key_file, too"),
    "files and no TLS": ("tcp://127.0.0.1:8786", "ours.ca ours.cert ours.key", "and cluster.ca_file is set"),
    "no such file": (
        "tls://10.0.0.1:8786",
        "none ours.cert ours.key",
        "cluster.ca_file has value .*none.pem.*can't be read",
    ),
    "no certificate": ("tls://10.0.0.1:8786", "text ours.cert ours.key", "cluster.ca_file .* has no certificate"),
    "no key": ("tls://10.0.0.1:8786", "ours.ca ours.cert text", "want a certificate and its key"),
    "the key of another": ("tls://10.0.0.1:8786", "ours.ca ours.cert other.key", "not that of the certificate"),
}
"""What is wrong → address, files, and a word of what is said."""


@pytest.mark.parametrize("what", REFUSED)
def test_what_can_not_be_right_is_refused_before_anything_is_asked(files: dict[str, Path], what: str) -> None:
    """With one line that names the setting; `doctor`, `config check` and `run` share the check."""
    address, names, word = REFUSED[what]
    cluster = Cluster(address=address, **(login(files, names) if names else {}))

    with pytest.raises(ConfigError, match=word):
        check(cluster)
    failures = [one for one in named(Settings(cluster=cluster)) if one.state == "fail"]
    assert [(one.check, one.exit_code) for one in failures] == [("cluster", 3)]


def test_a_key_with_a_password_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    """Dask would ask for it on the terminal."""
    key = serialization.load_pem_private_key(files["ours.key"].read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    hidden = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    (tmp_path / "key.pem").write_bytes(hidden)

    with pytest.raises(ConfigError, match="the key has a password"):
        check(Cluster(address="tls://10.0.0.1:1", **{**login(files), "key_file": tmp_path / "key.pem"}))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:1"])
def test_a_scheduler_on_this_machine_needs_no_login(address: str) -> None:
    """Whoever runs `dask scheduler` himself on loopback can go on."""
    assert check(Cluster(address=address)) == f"{address}, not encrypted"


def test_who_says_so_may_do_without_tls() -> None:
    """`cluster.insecure`: beyond loopback, and for a cluster that is started here; there a stranger runs code."""
    assert check(Cluster(address="tcp://10.0.0.1:8786", insecure=True)) == "tcp://10.0.0.1:8786, not encrypted"

    async def act(cluster: DaskCluster) -> tuple[str, list[_stranger.Row]]:
        (worker,) = await cluster.workers()
        return worker, await stranger("dask", dask=ports([worker]))

    worker, found = running(act, dashboard=None, insecure=True)
    assert worker.startswith("tcp://127.0.0.1:")
    assert {"who are you, in the clear", "run code, in the clear"} <= {one["attempt"] for one in _stranger.holes(found)}


def test_an_open_port_is_warned_of() -> None:
    """`doctor` says which setting opens metrics or dashboard to other machines; one on loopback passes."""
    states = {address: [f.state for f in port("p", "k", address)] for address in ("127.0.0.1:0", "0.0.0.0:0", None)}

    assert states == {"127.0.0.1:0": ["pass"], "0.0.0.0:0": ["pass", "warn"], None: ["pass"]}


def test_doors_that_the_settings_leave_open_are_warned_of(files: dict[str, Path], tmp_path: Path) -> None:
    """Dask without TLS, and a key that others can read; `run` says the same before it starts."""
    files["ours.key"].chmod(0o640)
    address = "tls://10.0.0.1:8786"
    wrong = Settings(data_dir=tmp_path, cluster=Cluster(address=address, insecure=True, **login(files)))
    said = " ".join(one.sentence for one in places(wrong, at_run=True) if one.state == "warn")
    files["ours.key"].chmod(0o600)
    right = Settings(data_dir=tmp_path, cluster=Cluster(address=address, **login(files)))

    assert "cluster.insecure is set: whoever reaches a port" in said
    assert f"chmod 600 {files['ours.key']}" in said
    assert [one for one in places(right, at_run=True) if one.check == "cluster"] == []


def test_who_knocks_again_and_again_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line at once and then one a minute, with how many there were; what Tornado adds is left out, errors are not."""
    now_s = [1000.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s[0])
    knocks = Knocks()

    def written(name: str, text: str, level: int = logging.WARNING) -> list[str]:
        record = logging.makeLogRecord({"name": name, "levelno": level, "msg": "%s", "args": (text,)})
        return [record.getMessage()] if knocks.filter(record) else []

    failed = "TLS handshake failed with remote 'tls://127.0.0.1:1': peer did not return a certificate"
    said = []
    for _ in range(1000):
        said += written("distributed.comm.tcp", failed)
        said += written("tornado.general", "SSL Error on 7: peer did not return a certificate")
        said += written("tornado.access", "404 GET /x (127.0.0.1)")
        now_s[0] += 0.125

    assert len(said) == 3
    assert said[1].endswith("; 479 more since")
    assert written("tornado.general", "Uncaught exception", logging.ERROR) == ["Uncaught exception"]
    assert written("tornado.access", "500 GET /status", logging.ERROR) == ["500 GET /status"]
    assert written("distributed.comm.tcp", "another") == ["another"]


def test_a_worker_that_ends_slowly_is_no_damage() -> None:
    """What Dask says when it kills one at a stop says also that nothing is lost by it."""
    told = logging.LogRecord(
        "distributed.nanny", logging.WARNING, "", 0, "Worker process still alive after 4.0 seconds, killing", (), None
    )

    assert explained(told)
    assert told.getMessage() == (
        "Worker process still alive after 4.0 seconds, killing it; "
        "nothing is lost: what it has not committed is read again"
    )
