"""A Dask cluster of others: it is waited for, looked at before anything begins, and found again once it was away.

Everything here is real: scheduler and workers are processes, Kafka and MongoDB are the session's.
"""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hydrodask import kafka as clients
from hydrodask.doctor import Outcome, check_up, named, workers
from hydrodask.doors import remote
from hydrodask.driver.cluster import DaskCluster
from hydrodask.errors import UnreachableError
from hydrodask.services import MongoService
from hydrodask.services.ports import free_port as find_free_port
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Cluster, Documents, Kafka, Lake
from tests.delivery import (
    ROOT,
    DaskProcesses,
    Driver,
    Progress,
    documents_of,
    publish,
    sets_of,
    settings_of,
    until,
)
from tests.running import status_of

pytestmark = pytest.mark.cluster


def test_a_scheduler_that_was_away_is_found_again(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of Dask's gives up after its limit, for good; ours answers as long as it is asked."""
    monkeypatch.setattr(remote, "CONNECT_S", 2.0)

    async def story(dask: DaskProcesses) -> None:
        starting = asyncio.create_task(DaskCluster.start(Cluster(address=dask.address), patience_s=200))
        await asyncio.sleep(0)
        dask.start_scheduler()
        cluster = await starting
        try:
            assert await cluster.workers() == []
            dask.scheduler.kill()
            dask.scheduler.wait(120)
            while cluster._client.status != "closed":
                with pytest.raises(UnreachableError, match="the Dask scheduler"):
                    await cluster.workers()
            dask.start_scheduler()
            dask.start_worker()
            found: list[str] = []
            while not found:
                try:
                    found = await cluster.workers()
                except UnreachableError:
                    await asyncio.sleep(0.1)
            assert found[0].startswith("tcp://127.0.0.1:")
        finally:
            await cluster.close()

    processes = DaskProcesses(tmp_path, free_port)
    try:
        asyncio.run(asyncio.wait_for(story(processes), 400))
    finally:
        processes.__exit__()


def test_a_scheduler_that_does_not_come_is_waited_for_as_long_as_patience_says(free_port: int) -> None:
    """The sentence names the setting; a login that is wrong would be said at once."""
    with pytest.raises(UnreachableError, match=rf"gave up after 1 s \(step.patience\): .*127.0.0.1:{free_port}"):
        asyncio.run(DaskCluster.start(Cluster(address=f"tcp://127.0.0.1:{free_port}"), patience_s=1))


@pytest.mark.integration
def test_a_run_waits_for_its_scheduler_and_outlives_it(
    kafka: Kafka, mongodb: MongoService, short: Path, tmp_path: Path, free_port: int
) -> None:
    """It begins before there is one; probes say so all the time; one that dies in mid-stream is found again."""
    port = find_free_port()
    mongo = documents_of(mongodb)
    sets = sets_of(kafka, tmp_path, "outlives", *mongo, f"observe.metrics=127.0.0.1:{port}")
    settings = settings_of(kafka, tmp_path, "outlives")
    dask = DaskProcesses(tmp_path, free_port)

    def says(path: str) -> int:
        try:
            return status_of(f"127.0.0.1:{port}", path)
        except OSError:
            return 0

    try:
        with (
            Driver(sets, tmp_path / "log", "--cluster", dask.address) as driver,
            Progress(settings) as progress,
        ):
            until(lambda: "is waited for" in driver.output, "the scheduler is waited for")
            until(lambda: (says("/live"), says("/ready")) == (200, 503), "probes say so")
            dask.start_scheduler()
            dask.start_worker(nanny=True)
            until(lambda: says("/ready") == 200, "steps move")
            dask.scheduler.kill()
            dask.scheduler.wait(120)
            until(lambda: "slot 0 lost" in driver.output, "it is missed")
            total = publish(settings, short)
            dask.start_scheduler()
            dask.start_worker(nanny=True)
            until(lambda: progress.records() == total, "all is committed")
            assert driver.stop() == 0
    finally:
        dask.__exit__()


PRELOAD = ("--preload", "hydrodask.worker.preload", "--memory-limit", "1GiB")

MONGO = Documents(url="mongodb://127.0.0.1:1/")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a cluster of others whose only worker is as it should be, but works in another folder."""
    with DaskProcesses(tmp_path_factory.mktemp("others"), find_free_port()) as dask:
        dask.start_worker(*PRELOAD, nanny=True)
        asyncio.run(remote.wait(Cluster(address=dask.address), 200, for_worker=True))
        yield dask.address


def failures(found: Sequence[Outcome]) -> list[tuple[str, int]]:
    """Return what failed, and with which exit code."""
    return [(one.check, one.exit_code) for one in found if one.state == "fail"]


@pytest.mark.parametrize(
    ("kafka", "documents", "said"),
    [
        (Kafka(), MONGO, "kafka.embedded is true, and cluster.address is set"),
        (Kafka(embedded=False), Documents(), "documents.url has value 'sqlite:///"),
        (Kafka(embedded=False), Documents(url="sqlite:////data/d.sqlite"), "want documents.url mongodb://"),
    ],
)
def test_what_is_of_one_machine_is_refused_with_a_cluster_of_others(
    kafka: Kafka, documents: Documents, said: str
) -> None:
    """With one sentence and exit code 3, before anybody is asked; `config check` and `doctor` say the same."""
    settings = Settings(kafka=kafka, documents=documents, cluster=Cluster(address="tcp://127.0.0.1:1"))
    found = [one for one in named(settings) if one.state == "fail"]

    assert failures(found) == [("cluster", 3)]
    assert said in found[0].sentence


def test_a_worker_that_sees_what_the_driver_sees_is_fine(others: str, tmp_path: Path) -> None:
    """Nothing fails, and nothing is left behind: not in folders that were there, and no folder that was not."""
    lake = tmp_path / "lake"
    lake.mkdir()
    (tmp_path / "password").write_text("secret")
    mongo = Documents(url="mongodb://127.0.0.1:1/", password_file=tmp_path / "password")
    for chosen in (Lake(url=str(lake)), Lake()):
        settings = Settings(data_dir=tmp_path / "data", lake=chosen, documents=mongo, cluster=Cluster(address=others))
        found = list(workers(settings, at_run=True))

        assert failures(found) == [], found
        passed = dict.fromkeys(("workers", "memory", "preloads", "shared"), "pass")
        assert {one.check: one.state for one in found} == {**passed, "page": "warn"}  # its scheduler has no preload
    assert list(lake.iterdir()) == []
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(), "the lake at hydrodask-data/lake is another one there"),
        (
            Settings(lake=Lake(url="{0}/lake"), documents=Documents(password_file=Path("password"))),
            "documents.password_file has value 'password', which can't be read there: No such file",
        ),
        (
            Settings(lake=Lake(url="{0}/lake"), kafka=Kafka(ca_file=Path("Makefile"))),
            "kafka.ca_file has value 'Makefile', which is another file there",
        ),
        (Settings(lake=Lake(url="{0}/lake"), detect={"rules": "rules-mine.yaml"}), "detect.rules: there is no /"),
    ],
)
def test_what_a_worker_does_not_see_as_the_driver_does_is_refused(
    others: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, said: str
) -> None:
    """Names without a folder are others for a worker that works in another one: one sentence, exit code 3."""
    monkeypatch.chdir(tmp_path)
    for name in ("password", "Makefile"):
        Path(name).write_text("mine")
    shutil.copy(ROOT / "conf" / "rules.yaml", "rules-mine.yaml")
    url = settings.lake.url
    lake = settings.lake if url is None else Lake(url=url.plain().format(tmp_path))
    changed = {"cluster": Cluster(address=others), "lake": lake}
    found = list(workers(settings.model_copy(update=changed), at_run=True))

    assert failures(found) == [("shared", 3)], found
    assert said in next(one.text for one in found if one.state == "fail")


ANOTHER = """
from distributed import versions

told = versions.told = getattr(versions, "told", versions.get_package_info)  # Dask loads it more than once
versions.get_package_info = lambda names: {**told(names), "python": "3.10.1.final.0", "distributed": "2026.1.0"}
"""
"""Loaded by a worker, it stands for one with another Python and another Dask: there is only one of each here."""


def test_workers_with_another_hydrodask_dask_or_python_are_refused(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is named with what it has: one with other code, however small the change, and one with other libraries."""
    shutil.copytree(ROOT / "hydrodask", tmp_path / "other" / "hydrodask", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "hydrodask" / "flows" / "alert.py").open("a", encoding="utf-8") as file:
        file.write("\n# another line\n")
    (tmp_path / "another.py").write_text(ANOTHER)
    settings = Settings(data_dir=tmp_path / "data", cluster=Cluster(address=f"tcp://127.0.0.1:{free_port}"))

    def refused(process: DaskProcesses, *options: str, cwd: Path = ROOT) -> str:
        worker = process.start_worker(*options, nanny=False, cwd=cwd)
        asyncio.run(remote.wait(settings.cluster, 200, for_worker=True))
        found = list(workers(settings, at_run=True))
        assert failures(found) == [("workers", 3)], found
        worker.kill()
        worker.wait(120)
        while asyncio.run(remote.workers(settings.cluster)):
            pass  # asking takes its time
        return found[0].text

    with DaskProcesses(tmp_path, free_port) as dask:
        libraries = refused(dask, "--preload", str(tmp_path / "another.py"))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
        code = refused(dask, cwd=tmp_path / "other")

    assert "Python 3.10 instead of 3.11, distributed 2026.1.0 instead of" in libraries
    assert "has another release of hydrodask" in code


@pytest.mark.integration
def test_a_run_refuses_before_it_makes_a_topic(
    kafka: Kafka, mongodb: MongoService, others: str, tmp_path: Path
) -> None:
    """A lake that the worker does not see: one line, exit code 3, and Kafka has not heard of us."""
    sets = sets_of(kafka, Path("hydrodask-data"), "not-begun", *documents_of(mongodb))
    with Driver(sets, tmp_path / "log", "--cluster", others, cwd=tmp_path) as driver:
        assert driver.wait() == 3
        said = driver.output.splitlines()

    assert sum("lake at hydrodask-data/lake is another one there" in line for line in said) == 1, said
    assert not [
        topic for topic in clients.connect(clients.admin(kafka), kafka).topics if topic.startswith("not-begun-")
    ]


@pytest.mark.integration
def test_doctor_looks_at_a_cluster_of_others(kafka: Kafka, mongodb: MongoService, others: str, tmp_path: Path) -> None:
    """Versions, memory, preloads, shared folders, and what each worker reaches; what it does not is named."""
    mongo = documents_of(mongodb)
    away = f"learn.mlflow=http://127.0.0.1:{find_free_port()}"
    sets = sets_of(kafka, tmp_path / "data", "looked-at", *mongo, f"cluster.address={others}", "source.kind=none", away)
    load(sets=sets, environ={})
    states = {one.check: (one.state, one.text) for one in check_up(profile=None, sets=sets)}

    assert states["cluster"] == ("pass", f"{others} answers; 1 workers")
    assert states["memory"] == ("pass", "limits are 1,024 MiB; none is paused, or will be")
    for check in ("workers", "preloads", "shared", "documents from workers", "lake from workers"):
        assert states[check][0] == "pass", states[check]
    assert states["page"][0] == "warn"
    assert states["broker from workers"][0] == "warn", "it answers, and topics are missing"
    assert "from 1 of 1 workers" in states["broker from workers"][1]
    assert states["MLflow from workers"][0] == "fail"
    assert "Connection refused" in states["MLflow from workers"][1]
