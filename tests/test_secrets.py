"""What is secret is in no message, log, view, document, file, process list or order; and what is ours nobody reads."""

import contextlib
import json
import logging
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from hydrodask import redaction
from hydrodask.cli.config import values
from hydrodask.doctor.machine import rights
from hydrodask.driver.overview import StatusTracker
from hydrodask.errors import ConfigError, FatalError, HydrodaskError, UnreachableError, kind_and_sentence
from hydrodask.learn.registry import Registry
from hydrodask.observe.metrics import Metrics
from hydrodask.observe.status import places_of
from hydrodask.observe.terminal import HeldLogs
from hydrodask.protocol.order import Order
from hydrodask.redaction import redacted
from hydrodask.reports import Overview, StepReport
from hydrodask.services import processes
from hydrodask.services.pinned import run as run_tool
from hydrodask.settings import Settings, load
from hydrodask.settings.hidden import Url
from hydrodask.store.files import Files
from tests.delivery import Driver, until
from tests.heard import Logged

SECRET = "MARKED p@ss/wörd<1>'"  # noqa: S105 - nobody's
"""With all that has another form in URLs, HTML, JSON and Python."""

IN_URL = quote(SECRET, safe="")

MARKED = {
    "HYDRODASK_KAFKA__PASSWORD": "MARKED-kafka-1",
    "HYDRODASK_KAFKA__CLIENT": '{"ssl.key.password": "MARKED-key-2"}',
    "HYDRODASK_DOCUMENTS__PASSWORD": "MARKED-documents-3",
    "HYDRODASK_LEARN__MLFLOW": f"http://me:{IN_URL}-4@127.0.0.1:1",
    "HYDRODASK_OBSERVE__PUSHGATEWAY": f"http://me:{IN_URL}-5@127.0.0.1:1/?token=MARKED-token-6",
    "HYDRODASK_LAKE__URL": f"webhdfs://me:{IN_URL}-7@127.0.0.1:1/lake",
}


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Let other tests not be hidden from what these know."""
    known, patterns = set(redaction._known), list(redaction._any_known)
    hooks = sys.excepthook, threading.excepthook, warnings.formatwarning
    yield
    sys.excepthook, threading.excepthook, warnings.formatwarning = hooks
    redaction._known.clear()
    redaction._known.update(known)
    redaction._any_known[:] = patterns


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Return settings that hold a secret wherever they can."""
    for name, value in MARKED.items():
        monkeypatch.setenv(name, value)
    return load(sets=[f"data_dir={tmp_path / 'data'}"])[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://u:p@db:27017/x", "mongodb://***@db:27017/x"),
        ("http://me:p/w@h/x", "http://***@h/x"),
        ("http://me:p?w#1@h/x", "http://***@h/x"),
        ("http://me:p@w@h/x", "http://***@h/x"),
        ("// a comment and me@x.org", "// a comment and me@x.org"),
        ("see http://h/x and write to me@x.org", "see http://h/x and write to me@x.org"),
        ("hdfs://nn:8020/data@plant/lake", "hdfs://nn:8020/data@plant/lake"),
        ("http://h/x?token=abc&a=1", "http://h/x?token=***&a=1"),
        ("http://h/x?a=1&X-Amz-Signature=abc", "http://h/x?a=1&X-Amz-Signature=***"),
        ("mongodb://h/?tlsCertificateKeyFilePassword=abc", "mongodb://h/?tlsCertificateKeyFilePassword=***"),
        ("mongodb://h/?replicaSet=rs0&authSource=admin", "mongodb://h/?replicaSet=rs0&authSource=admin"),
        ("{'Authorization': 'Basic bWU6cA=='}", "{'Authorization': 'Basic ***'}"),
        ("'a://u:p@h' and 'b://v:q@i'", "'a://***@h' and 'b://***@i'"),
    ],
)
def test_what_looks_secret_is_hidden(text: str, shown: str) -> None:
    """A login, a token, a header: also in the middle of a text, and nothing else."""
    assert redacted(text) == shown


@pytest.mark.parametrize("form", [SECRET, IN_URL, repr(SECRET), "MARKED p@ss/w\\u00f6rd", "MARKED p@ss/wörd&lt;1&gt;"])
def test_what_is_known_is_hidden_in_each_form(form: str) -> None:
    """As it is, or as a URL, Python, JSON or HTML write it."""
    redaction.know(SECRET, "MARKED p@ss/wörd", "MARKED p@ss/wörd<1>")

    assert "MARKED" not in redacted(f"said {form}.")


def test_errors_notes_logs_and_views_hide_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever text leaves us: no message has to think of it, nor a library that we know nothing of."""
    redaction.know(SECRET)
    redaction.guard()
    tracker, held, handler = StatusTracker("r", 0), HeldLogs(), logging.StreamHandler(sys.stderr)
    tracker.note(f"could not reach {SECRET}")
    report = StepReport(slot=0, worker="w", generation=0, latency_counts=list(tracker.overview.latency_counts))
    report.notes = [f"a://u:{IN_URL}@h"]
    tracker.take(report, 0.0)
    said = [
        str(FatalError(SECRET)),
        repr(UnreachableError(SECRET)),
        kind_and_sentence(OSError(SECRET)),
        *tracker.overview.notes,
    ]
    foreign = logging.getLogger("some.library")
    foreign.addHandler(handler)
    foreign.addHandler(held)
    foreign.error("it failed with %s", SECRET, exc_info=ValueError(SECRET))
    foreign.handlers.clear()
    thread = threading.Thread(target=lambda: int(SECRET))
    thread.start()
    thread.join()
    said += [*held.texts, *capsys.readouterr()]

    assert [text for text in said if "MARKED" in text] == []
    assert len([text for text in said if "***" in text]) == 7


def test_no_setting_shows_it(marked: Settings) -> None:
    """Neither as text, nor printed by `config show`, nor among the places of views and the status document."""
    shown = [str(marked), repr(marked), f"{marked.lake_url}", str(values(marked)), marked.model_dump_json()]

    assert [text for text in [*shown, str(places_of(marked))] if "MARKED" in text] == []
    assert marked.learn.mlflow is not None
    assert marked.learn.mlflow.plain() == MARKED["HYDRODASK_LEARN__MLFLOW"]
    assert marked.snapshots_url.plain() == f"{MARKED['HYDRODASK_LAKE__URL']}-snapshots"


def test_stores_and_servers_that_fail_do_not_tell_it(marked: Settings) -> None:
    """Lake, registry and Pushgateway do not answer: what is said names the place and no secret."""
    said = []
    for ask in (lambda: Files(marked.lake_url).names(""), lambda: Registry(marked).versions()):
        with pytest.raises(HydrodaskError) as caught:
            ask()
        said.append(str(caught.value))

    assert all("127.0.0.1" in text and "MARKED" not in text for text in said), said


def test_pushgateway_gets_the_login_and_nobody_else(
    marked: Settings, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    """The client takes no login from a URL, and would print it as a port that is none."""
    metrics = Metrics(lambda: Overview("r", 0), marked)
    assert metrics._pusher is not None
    metrics._pusher.push()

    assert metrics._pusher.failures == 1
    assert "could not push metrics" in logged.text
    assert "MARKED" not in logged.text + caplog.text  # nor do libraries say it


@pytest.mark.parametrize(
    "given",
    [
        "kafka.client.sasl.password=MARKED",
        "documents.password=MARKED",
        "observe.pushgateway=http://me:MARKED/1@h",
    ],
)
def test_secrets_on_the_command_line_are_refused(given: str) -> None:
    """Everybody on the machine may list it, and files are copied: they come from the environment."""
    with pytest.raises(ConfigError, match=given.partition("=")[0].rpartition(".")[0]) as caught:
        load(sets=[given], environ={})

    assert "MARKED" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        f"lake.url=s3://me:{IN_URL}@h/x",
        f"observe.pushgateway=http://me:{IN_URL}@h",
        "learn.mlflow=http://h/?token=MARKED",
    ],
)
def test_url_with_a_password_on_the_command_line_is_warned_of(
    given: str, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have been pasted; our workers inherit it, and it is sent to nobody."""
    settings = load(sets=[given], environ={})[0]
    sent = pickle.dumps(settings)
    script = "import pickle, sys\nprint(pickle.load(sys.stdin.buffer).model_dump_json())"
    ours = subprocess.run([sys.executable, "-c", script], input=sent, capture_output=True, check=True)
    key, _, url = given.partition("=")

    assert "MARKED" not in logged.text + caplog.text + ours.stdout.decode()
    assert "list of processes; put it into HYDRODASK_" in logged.text
    assert b"MARKED" not in sent
    assert getattr(getattr(pickle.loads(sent), key.split(".")[0]), key.split(".")[1]).plain() == url  # noqa: S301 - ours


def test_password_that_breaks_a_url_is_refused_and_not_told() -> None:
    """Nobody could say where it ends."""
    with pytest.raises(ConfigError, match=r"learn\.mlflow.*must be escaped: / is %2F") as caught:
        load(environ={"HYDRODASK_LEARN__MLFLOW": "http://me:MAR/KED@h"})

    assert "KED" not in str(caught.value)


def test_orders_hold_names_of_secrets(marked: Settings) -> None:
    """A worker finds them in its own environment; one that can't is told what it needs."""
    order = pickle.dumps(Order("r", 1, 0, "w", marked))
    script = (
        "import pickle, sys\n"
        "settings = pickle.load(sys.stdin.buffer).settings\n"
        "print(settings.kafka.secret(), settings.kafka.client['ssl.key.password'].plain(), settings.documents.secret(),"
        " settings.learn.mlflow.plain(), settings.observe.pushgateway.plain(), settings.lake_url.plain())"
    )

    assert b"MARKED" not in order
    assert IN_URL.encode() not in order
    clean = {name: value for name, value in os.environ.items() if name not in MARKED}
    there = subprocess.run(
        [sys.executable, "-c", script], input=order, env=clean | MARKED, capture_output=True, check=True
    )
    bare = subprocess.run([sys.executable, "-c", script], input=order, env=clean, capture_output=True, check=False)
    assert there.stdout.decode().split() == [
        "MARKED-kafka-1",
        "MARKED-key-2",
        *(
            MARKED[f"HYDRODASK_{name}"]
            for name in ("DOCUMENTS__PASSWORD", "LEARN__MLFLOW", "OBSERVE__PUSHGATEWAY", "LAKE__URL")
        ),
    ]
    assert b"HYDRODASK_KAFKA__PASSWORD is not in the environment of a worker" in bare.stderr


def test_no_setting_of_a_kafka_client_that_is_secret_is_in_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever librdkafka calls it; what is none (a path, a certificate) is sent as it is."""
    wanted = (
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
    )
    held = {name: f"MARKED-{place:02d}" for place, name in enumerate(wanted)}
    open_ones = {"ssl.certificate.pem": "open-1", "sasl.oauthbearer.assertion.private.key.file": "open-2"}
    for section in ("CLIENT", "CONSUMER", "PRODUCER"):
        text = json.dumps({key: f"{value}-{section}" for key, value in (held | open_ones).items()})
        monkeypatch.setenv(f"HYDRODASK_KAFKA__{section}", text)
    settings = load()[0]
    order = pickle.dumps(Order("r", 1, 0, "w", settings))

    assert re.findall(rb"MARKED-..-\w+", order) == []
    assert b"open-1-CLIENT" in order
    assert b"open-2-PRODUCER" in order
    assert pickle.loads(order).settings == settings  # noqa: S301 - ours


def test_secret_of_no_variable_is_not_sent() -> None:
    """What a program put into settings itself has no name that a worker could look under."""
    with pytest.raises(ConfigError, match="can't be sent to workers"):
        pickle.dumps(Url("http://me:MARKED-nowhere@h"))


def test_services_do_not_inherit_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get a list of names; a tool that fetches gets all but our settings. What they make is closed to others."""
    monkeypatch.setenv("HYDRODASK_KAFKA__PASSWORD", "MARKED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "MARKED")
    script = "import os; print(dict(os.environ)); open('made', 'w'); os.mkdir('folder')"
    process = processes.spawn(
        [sys.executable, "-c", f"{script}; input()"],
        console=tmp_path / "console",
        folder=tmp_path,
        address="",
        with_parent=False,
        environ={"OWN": "1"},
    )
    process._ended(60.0)
    run_tool(
        [sys.executable, "-c", "import os; open('tool', 'w').write(repr(dict(os.environ)))"],
        what="look",
        progress=lambda: None,
        cwd=tmp_path,
    )
    said = (tmp_path / "console").read_text()

    assert "MARKED" not in said
    assert "'OWN': '1'" in said
    assert "'PATH'" in said
    assert "KAFKA__PASSWORD" not in (tmp_path / "tool").read_text()
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_doctor_warns_of_what_is_open_and_names_the_command(tmp_path: Path) -> None:
    """What was there before stays as it is until a person closes it."""
    folder, password = tmp_path / "da ta", tmp_path / "password"
    folder.mkdir()
    password.write_text("x")
    password.chmod(0o644)
    folder.chmod(0o755)
    settings = load(sets=[f"data_dir={folder}", f"kafka.password_file={password}"], environ={})[0]
    advice = [finding.advice for finding in rights(settings)]

    assert advice == [f"chmod 600 {password}", f"close it: chmod -R go-rwx '{folder}'"]
    for command in (f"chmod 600 {password}", f"chmod -R go-rwx '{folder}'"):
        subprocess.run(["sh", "-c", command], check=True)
    assert [finding.state for finding in rights(settings)] == ["pass"]


def test_run_leaves_no_secret_anywhere_and_nothing_open(tmp_path: Path) -> None:
    """A run whose registry and Pushgateway refuse it: process lists, files, logs and scratch folders have no secret."""
    data, scratch = tmp_path / "data", tmp_path / "scratch"
    scratch.mkdir()
    sets = [f"data_dir={data}", "observe.metrics=127.0.0.1:0", "cluster.dashboard=127.0.0.1:0", "lake.roll_age=1s"]
    sets += ["step.snapshot_every=1s", "learn.refresh_every=1s", "source.speed=20"]
    environment = {name: value for name, value in MARKED.items() if name != "HYDRODASK_LAKE__URL"}
    commands: set[str] = set()
    with Driver(sets, tmp_path / "log", source=None, environment=environment | {"TMPDIR": str(scratch)}) as driver:

        def told() -> bool:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    commands.add(path.read_text(errors="replace"))
            saved = any(data.rglob("*.snapshot")) and len(list(data.rglob("*.parquet"))) > 20
            return saved and all(text in driver.output for text in ("could not push metrics", "could not reach MLflow"))

        until(told, "the run has said what it can't reach, and stored something")
        driver.process.send_signal(signal.SIGTERM)
        assert driver.process.wait(120) == 0
    held = [path for path in tmp_path.rglob("*") if path.is_file()]
    marks = [b"MARKED", IN_URL[6:12].encode(), b"p@ss/w"]

    assert [c for c in commands if "spawn_main" in c] != []
    assert [c for c in commands if "MARKED" in c] == []
    assert len([path for path in held if path.is_relative_to(data)]) > 20
    assert [path for path in held for mark in marks if mark in path.read_bytes()] == []
    assert [p for p in (data, *data.rglob("*")) if stat.S_IMODE(p.stat().st_mode) & 0o077] == []
