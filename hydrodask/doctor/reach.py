"""Check what the platform talks to: lake, documents, broker, models; from where the caller is."""

import asyncio
import contextlib
import errno
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hydrodask import clock, kafka
from hydrodask.doctor.advice import start
from hydrodask.doctor.machine import existing
from hydrodask.doctor.outcome import Outcome, failed, passed, warned
from hydrodask.doors.trust import basic, refusals_closed, trust
from hydrodask.errors import ConfigError, FatalError, HydrodaskError, RetryableError, UnreachableError, sentence
from hydrodask.ingest.concerns import concerns
from hydrodask.ingest.topics import all_topics, unread
from hydrodask.services import ports
from hydrodask.settings import Settings
from hydrodask.settings.hidden import with_password
from hydrodask.settings.model import Cluster
from hydrodask.store.documents import file_of, open_documents
from hydrodask.store.files import Files

ANSWER_S = 10.0
"""How long a check waits for a broker at most."""

LAKE_S = 60.0
"""How long a run waits at its start for a lake whose server answers: HDFS's data nodes come after the name node."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What a disk says that is no mistake of whoever has named the folder."""


def lake(settings: Settings, *, at_run: bool = False) -> Outcome:
    """Say whether the lake can be written, and gives a name only once: so files commit.

    At a run's start a server that answers and refuses is waited for: it may have started a moment ago, as well.
    """
    url = settings.lake_url
    try:
        with without_traces(settings):
            first, second, kept = _put_twice(Files(url), LAKE_S if at_run else 0)
    except (HydrodaskError, OSError, ImportError) as error:
        away = isinstance(error, UnreachableError) and url.plain().startswith(("hdfs://", "webhdfs://"))
        mend = start("hdfs", url.plain()) if away else "make it writable"
        return failed("lake", str(error), f"{mend}, or set lake.url", _code(error, local="://" not in url.plain()))
    if not first or second or kept != b"1":
        advice = "use a file system that renames without overwriting"
        return failed("lake", f"{url} gave one name to two files: commits would overwrite", advice)
    return passed("lake", f"{url} can be written")


def _put_twice(files: Files, patience_s: float) -> tuple[bool, bool, bytes]:
    """Try to give one name to two files; return what came of it, and what is in the file."""
    end_s = clock.monotonic_s() + patience_s
    while True:
        name = f".doctor-{uuid.uuid4().hex}"
        try:
            found = files.put_if_absent(name, b"1"), files.put_if_absent(name, b"2"), files.read(name)
            files.remove(name)
        except RetryableError as error:
            if files.local is not None or clock.monotonic_s() > end_s:
                raise
            files.exists()  # raises where nobody answers
            clock.sleep_s(error.backoff_s)
        else:
            return found


def documents(settings: Settings) -> Outcome:
    """Say whether the document store answers, and a file of documents can be written."""
    file = file_of(settings)
    try:
        store = open_documents(settings)
        try:
            runs = store.find("status", {}, limit=100)
        finally:
            store.close()
        if file is not None:
            _write_beside(file)
    except (HydrodaskError, OSError) as error:
        where = settings.documents_url.plain()
        mend = "make it writable" if file is not None else start("mongodb", where, "start the store")
        advice = f"{mend}, or set documents.url"
        return failed("documents", str(error), advice, _code(error, local=file is not None))
    return passed("documents", f"{settings.documents_url} answers; runs known: {len(runs)}")


def broker(settings: Settings, *, at_run: bool = False) -> Outcome:
    """Say whether the broker answers, and has the platform's topics, which `run` makes."""
    if settings.kafka.embedded:
        return passed("broker", "embedded: starts with run")
    where = settings.kafka.bootstrap
    try:
        answer_s = settings.kafka.timeout if at_run else min(ANSWER_S, settings.kafka.timeout)
        patient = settings.kafka.model_copy(update={"timeout": answer_s})
        known = kafka.connect(kafka.admin(settings.kafka), patient).topics
    except HydrodaskError as error:
        advice = f"{start('kafka', settings.kafka.bootstrap)}, or set kafka.bootstrap"
        return failed("broker", str(error), advice, error.exit_code)
    missing = [topic.name for topic in all_topics(settings) if topic.name not in known]
    if missing and not at_run:
        text = f"{where} answers; {len(missing)} of {len(all_topics(settings))} topics are missing"
        return warned("broker", text, "run makes them, and so does `hydrodask topics create`")
    return passed("broker", f"{where} answers, and has all {len(all_topics(settings))} topics")


def cluster(settings: Cluster) -> Outcome:
    """Say whether a Dask scheduler of others answers, and takes our login."""
    from hydrodask.doors import remote  # noqa: PLC0415  # slow, and few have such a cluster

    try:
        workers = asyncio.run(remote.workers(settings, timeout_s=ANSWER_S))
    except HydrodaskError as error:
        return failed("cluster", str(error), "start it, or correct the setting", error.exit_code)
    text = f"{settings.address} answers; {workers} workers"
    return passed("cluster", text) if workers else warned("cluster", text, "start some: dask worker ADDRESS")


def mlflow(settings: Settings) -> Outcome:
    """Say whether the server of models answers a worker."""
    uri = with_password(settings.mlflow_uri, settings.learn.password_file, "learn.password_file")
    if not uri.plain().startswith("http"):
        advice = "workers find the models in it only where they share data_dir; set learn.mlflow to a server"
        return warned("MLflow", f"{uri} is a file of the driver's", advice)
    login = [unquote(part) for part in uri.login()]
    headers = basic(*login) if login[1] else {}
    request = urllib.request.Request(f"{uri.bare().rstrip('/')}/health", headers=headers)  # noqa: S310 - checked above
    try:
        believed = trust(settings.learn.ca_file, "learn.ca_file")
        with refusals_closed():
            urllib.request.urlopen(request, timeout=ANSWER_S, context=believed).close()  # noqa: S310
    except (OSError, HTTPException) as error:
        advice = f"{start('mlflow', uri.bare())}, or set learn.mlflow; cycles are not scored"
        return failed("MLflow", f"{uri}: {sentence(error)}", advice, 4)
    return passed("MLflow", f"{uri} answers")


def beside(settings: Settings) -> Iterator[Outcome]:
    """Say of each server beside the stream that the settings name whether it answers; a run goes on without."""
    if settings.learn.mlflow is not None:
        yield mlflow(settings)
    for service, url in (
        ("pushgateway", settings.observe.pushgateway),
        ("alertmanager", settings.observe.alertmanager),
    ):
        if url is None:
            continue
        parts = urlsplit(url.bare())
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if parts.hostname and ports.answers(port, parts.hostname):
            yield passed(service, f"{url} answers")
        else:
            yield warned(service, f"{url} does not answer", f"{start(service, url.bare())}, or set observe.{service}")


def topics(settings: Settings) -> list[Outcome]:
    """Say which topics would lose records, and which nobody reads; nothing without a broker: `broker` has said so."""
    if settings.kafka.embedded:
        return []
    try:
        found = concerns(settings)
        names = kafka.connect(kafka.admin(settings.kafka), settings.kafka).topics
    except HydrodaskError:
        return []
    warnings = [warned("topics", one.text, one.advice) for one in found]
    advice = "send to one of `hydrodask topics list`, or give the topic another name"
    warnings += [warned("topics", said, advice) for said in unread(settings, names).values()]
    return warnings or [passed("topics", "none is compacted, stamped by producers, or short of replicas")]


def _code(error: Exception, *, local: bool) -> int:
    """Return the exit code of a store that can't be used.

    One that refuses for good, or a place on this machine, is the configuration's; a server that is away is not.
    """
    cause = error if isinstance(error, OSError) else error.__cause__
    full = isinstance(cause, OSError) and cause.errno in _FULL
    if isinstance(error, FatalError) or (local and not full):
        return ConfigError.exit_code
    return error.exit_code if isinstance(error, HydrodaskError) else 4


def _write_beside(file: Path) -> None:
    """Write to the folder where `file` is or will be, as SQLite does. Raises OSError; nothing stays behind."""
    folder = existing(file.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "there is no place for the documents below this file", str(folder))
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, f"could not write the documents: {error.strerror}", str(folder)) from error


@contextlib.contextmanager
def without_traces(settings: Settings) -> Iterator[None]:
    """Remove the local folders that were not there before and are empty again."""
    folders = (settings.data_dir / "lake", settings.data_dir / "snapshots", settings.data_dir)
    made = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
