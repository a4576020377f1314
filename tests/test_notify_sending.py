"""Messages go out by webhook, mail, command and Alertmanager; what can't be delivered waits, and is told of."""

import contextlib
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from hydrodask import clock, redaction
from hydrodask.answers import Answer
from hydrodask.cli.main import app
from hydrodask.errors import RefusedError, RetryableError
from hydrodask.notify import post, text
from hydrodask.notify.alerts import alerts
from hydrodask.notify.cause import MESSAGES, Cause, ChannelNotice, Delivery
from hydrodask.notify.notifier import Notifier
from hydrodask.notify.senders import open_channels
from hydrodask.observe.figures import Figures
from hydrodask.observe.series import every_series
from hydrodask.observe.status import status_document
from hydrodask.records import Upsert
from hydrodask.reports import Overview
from hydrodask.services.ports import free_port
from hydrodask.settings import Settings, load
from hydrodask.settings.notify import Notify
from hydrodask.store.documents import open_documents
from tests.heard import Logged
from tests.test_notify import T0, incident

SLOW_S = 30.0
"""What takes up to ten seconds may take so long on a machine that has other work."""

WAIT_S = 150.0
"""A machine may be slow; nothing here takes so long."""


class Hook:
    """A server that takes messages: `got` has their bodies, with path and headers. `answer` decides what it says."""

    def __init__(self, port: int = 0) -> None:
        hook = self
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], int] = lambda _body: 200
        self.came = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code = hook.answer(body)
                with hook.came:
                    hook.got.append((self.path, dict(self.headers), body))
                    hook.came.notify_all()
                self.send_response(code)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int) -> list[Any]:
        """Return the first `count` bodies, once they have come."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.got) >= count, WAIT_S), self.got
        return [body for _, _, body in self.got[:count]]

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """Give a server that takes messages."""
    made = Hook()
    yield made
    made.close()


def settings_of(tmp_path: Path, channel: dict[str, Any], **notify: Any) -> Settings:
    """Return settings with one channel, `desk`, that is told at once."""
    found = {"channels": {"desk": channel}, "gather": 0, "calm": 0, **notify}
    return load(sets=[f"data_dir={tmp_path}", f"notify={json.dumps(found)}"], environ={})[0]


def put(settings: Settings, *changes: Upsert) -> None:
    """Store documents."""
    documents = open_documents(settings)
    documents.write(changes)
    documents.close()


def stored(one: dict[str, Any], revision: int = 1) -> Upsert:
    """Return what stores an incident."""
    return Upsert("incidents", one["_id"], revision, {name: value for name, value in one.items() if name != "_id"})


def over(one: dict[str, Any]) -> dict[str, Any]:
    """Return an incident that has ended."""
    return one | {"status": "resolved", "resolved_at": clock.iso(T0 + 90 * clock.US_PER_S)}


def until(true: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end_s = clock.monotonic_s() + WAIT_S
    while not true():
        assert clock.monotonic_s() < end_s
        clock.sleep_s(0.02)


def test_an_incident_is_at_a_webhook_within_ten_seconds_and_over_when_it_ends(tmp_path: Path, hook: Hook) -> None:
    """From the document on; twelve rigs at once are one message, and what is kept afterwards says who was told."""
    (tmp_path / "token").write_text("geheimer-schluessel")
    settings = settings_of(tmp_path, {"kind": "webhook", "url": hook.url, "password_file": "token"})
    rigs = [incident(f"rig-{n}", "cooler_failing", n) for n in range(12)]
    overview = Overview("r", T0)
    with contextlib.closing(Notifier(settings, lambda: overview, "http://127.0.0.1:8780/")) as notifier:
        until(lambda: notifier.dues.mark_us is not None)
        begun_s = clock.monotonic_s()
        put(settings, *(stored(one) for one in rigs))
        first = hook.wait(1)[0]
        assert clock.monotonic_s() - begun_s < SLOW_S
        put(settings, *(stored(over(one), 2) for one in rigs))
        second = hook.wait(2)[1]
        until(lambda: (notifier.reports[0].delivered, notifier.reports[0].waiting) == (2, 0))

        assert (first["kind"], first["rigs_count"], second["kind"], second["rigs_count"]) == ("opened", 12, "over", 12)
        assert second["until"] == "2026-11-28T12:01:30Z"
        path, headers, _ = hook.got[0]
        assert (path, headers["Authorization"]) == ("/hook", "Bearer geheimer-schluessel")
        assert headers["Idempotency-Key"] == first["id"] != second["id"]
        assert notifier.trouble == ""
        overview.channels = notifier.reports
        body = status_document(overview, now_us=T0)
        assert [(one["name"], one["delivered"], one["waiting"]) for one in body["channels"]] == [("desk", 2, 0)]
    documents = open_documents(settings)
    causes = documents.find(MESSAGES, {"kind": "cause"}, limit=9)
    documents.close()
    assert [(one["told"]["desk"]["over"], one["waiting"]) for one in causes] == [(True, [])]


def test_a_dead_webhook_loses_nothing(tmp_path: Path, logged: Logged) -> None:
    """What waits is shown, outlives the run, and comes in order once the webhook is back, each once."""
    first = Hook(free_port())  # not one that the system gives to connections: it has to be free again below
    first.close()  # nobody listens there now
    settings = settings_of(tmp_path, {"kind": "webhook", "url": first.url})
    one = incident("rig-1", "cooler_failing", 0)
    overview = Overview("r", T0)
    with contextlib.closing(Notifier(settings, lambda: overview)) as notifier:
        until(lambda: notifier.dues.mark_us is not None)
        put(settings, stored(one))
        until(lambda: notifier.reports[0].failures > 1)
        put(settings, stored(over(one), 2))
        until(lambda: notifier.reports[0].waiting == 2)
        assert "channel desk: nothing arrives since" in notifier.trouble
        overview.channels = notifier.reports
        values = {s.name: s.values for s in every_series(Figures(overview), T0, {}) if "messages_" in s.name}
        assert values["hydrodask_messages_waiting"] == [(("desk",), 2.0)]
        assert values["hydrodask_messages_failures"][0][1] >= 2
    assert "could not tell channel desk" in logged.text
    back = Hook(first.port)
    with contextlib.closing(Notifier(settings, lambda: overview)) as notifier:
        assert [body["kind"] for body in back.wait(2)] == ["opened", "over"]
        until(lambda: (notifier.reports[0].delivered, notifier.reports[0].waiting) == (2, 0))
        assert notifier.reports[0].waiting == 0
    back.close()


def test_what_can_not_be_delivered_for_long_is_given_up_and_said(tmp_path: Path, hook: Hook, logged: Logged) -> None:
    """An error names message, channel and why; the next message is still tried."""
    hook.answer = lambda _body: 503
    settings = settings_of(tmp_path, {"kind": "webhook", "url": hook.url}, give_up="1s")
    with contextlib.closing(Notifier(settings, lambda: Overview("r", T0))) as notifier:
        put(settings, stored(incident("rig-1", "cooler_failing", 0)))
        until(lambda: notifier.reports[0].given_up == 1)
    assert "to channel desk is given up: it answers 503; it said: WARNING: cooler failing on rig-1" in logged.errors


def test_a_message_that_is_refused_as_it_is_holds_no_other_one_up(
    tmp_path: Path, hook: Hook, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a few tries, with an error; a login that is refused may be put right, and is tried on."""
    monkeypatch.setattr(post, "BACKOFF_S", (0.0,))
    hook.answer = lambda body: 413 if "rig-1" in body["subject"] else 401 if len(hook.got) < 16 else 200
    settings = settings_of(tmp_path, {"kind": "webhook", "url": hook.url})
    with contextlib.closing(Notifier(settings, lambda: Overview("r", T0))) as notifier:
        put(settings, stored(incident("rig-1", "oil_warm", 0)), stored(incident("rig-2", "cooler_failing", 1)))
        until(lambda: (notifier.reports[0].given_up, notifier.reports[0].delivered) == (1, 1))
        assert notifier.trouble == ""
    assert "is given up: it answers 413; it said: WARNING: oil warm on rig-1" in logged.errors
    assert len([1 for _, _, body in hook.got if "rig-1" in body["subject"]]) == post.REFUSED_MAX
    assert len(hook.got) == 17


SCRIPT = """
import sys
from hydrodask import clock
from hydrodask.notify.notifier import Notifier
from hydrodask.reports import Overview
from hydrodask.settings import load

notifier = Notifier(load(sets=sys.argv[1:], environ={})[0], lambda: Overview("r", 0))
clock.sleep_s(300)
"""


def test_a_message_outlives_kill_9_under_the_same_id(tmp_path: Path, hook: Hook) -> None:
    """The driver dies when the message has arrived, before it knows; the next one sends it again, and then no more."""
    settings = settings_of(tmp_path, {"kind": "webhook", "url": hook.url})
    put(settings, stored(incident("rig-1", "cooler_failing", 0)))
    sets = [f"data_dir={tmp_path}", f"notify={settings.notify.model_dump_json()}"]
    driver = subprocess.Popen([sys.executable, "-c", SCRIPT, *sets])

    def kill(_body: Any) -> int:
        if not hook.got:
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
        return 200

    hook.answer = kill
    first = hook.wait(1)[0]
    with contextlib.closing(Notifier(settings, lambda: Overview("r", T0))) as notifier:
        assert hook.wait(2)[1]["id"] == first["id"]
        until(lambda: notifier.reports[0].delivered == 1)
    with contextlib.closing(Notifier(settings, lambda: Overview("r", T0))) as notifier:
        put(settings, Answer.made({"kind": "note", "incident": "x", "text": "x"}, by="a", now_us=T0).change("12345678"))
        until(lambda: notifier.dues.causes != {} and notifier.reports[0].waiting == 0)
    assert len(hook.got) == 2


class Smtp(socketserver.ThreadingTCPServer):
    """A mail server of a few commands: `mails` has what it took, `logins` who came."""

    daemon_threads = True
    allow_reuse_address = True
    mails: ClassVar[list[str]] = []
    logins: ClassVar[list[str]] = []

    class Handler(socketserver.StreamRequestHandler):
        """One connection."""

        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for raw in self.rfile:
                command = raw.decode().strip()
                verb = command.upper().split(" ")[0]
                if verb == "EHLO":
                    self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
                elif verb == "AUTH":
                    Smtp.logins.append(command)
                    self.wfile.write(b"235 fine\r\n")
                elif verb == "DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    Smtp.mails.append(b"".join(lines).decode())
                    self.wfile.write(b"250 taken\r\n")
                elif verb == "RCPT" and "gone@" in command:
                    self.wfile.write(b"550 no such user\r\n")
                else:
                    self.wfile.write(b"250 fine\r\n")
                if verb == "QUIT":
                    return


def trial() -> dict[str, Any]:
    """Return a message."""
    return text.trial("desk", "0123456789abcdef-1", T0, "http://page/")


def sender(channel: dict[str, Any]) -> Any:
    """Return a sender for a channel."""
    return open_channels(Notify.model_validate({"channels": {"desk": channel}, "timeout": 60}))["desk"]


def test_a_mail_has_subject_text_and_an_id_of_its_own(tmp_path: Path) -> None:
    """With a login from a file; mails of one cause refer to it; a refused connection says so.

    One recipient that is refused keeps the mail from no other one, and makes it come to nobody twice.
    """
    (tmp_path / "password").write_text("mail-geheimnis")
    with Smtp(("127.0.0.1", 0), Smtp.Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        channel = {
            "kind": "email", "host": "127.0.0.1", "port": server.server_address[1], "tls": "none", "username": "me",
            "password_file": str(tmp_path / "password"), "sender": "rigs@plant.example", "to": ["anna@plant.example"],
        }  # fmt: skip
        assert sender(channel).send(trial()) == ""
        mail, count = Smtp.mails[-1], len(Smtp.mails)
        some = sender({**channel, "to": ["gone@plant.example", "anna@plant.example"]}).send(trial())
        assert (some, len(Smtp.mails)) == ("127.0.0.1 refuses gone@plant.example", count + 1)
        with pytest.raises(RefusedError, match="no such user"):
            sender({**channel, "to": ["gone@plant.example"]}).send(trial())
        server.shutdown()

    assert "Subject: test: hydrodask reaches the channel desk" in mail
    assert "Message-ID: <0123456789abcdef-1.hydrodask@" in mail
    assert "References: <0123456789abcdef.hydrodask@" in mail
    assert "Nothing is wrong." in mail
    assert len(Smtp.logins) == 3
    with pytest.raises(RetryableError, match="refused"):
        sender(channel).send(trial())


def test_a_command_gets_the_message_and_none_of_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard input, without a shell; one that fails says why."""
    monkeypatch.setenv("HYDRODASK_KAFKA__PASSWORD", "kafka-geheimnis")
    out = tmp_path / "out"
    script = f"import sys, os; open({str(out)!r}, 'w').write(sys.stdin.read() + str(dict(os.environ)))"
    sender({"kind": "command", "command": [sys.executable, "-c", script]}).send(trial())
    assert '"id": "0123456789abcdef-1"' in out.read_text()
    assert "kafka-geheimnis" not in out.read_text()
    failing = {"kind": "command", "command": [sys.executable, "-c", "import sys; sys.exit('no pager')"]}
    with pytest.raises(RetryableError, match="ends with 1: no pager"):
        sender(failing).send(trial())


def test_an_alertmanager_gets_an_alert_a_rig() -> None:
    """That ends when it is over, and under its former severity when it gets worse."""
    rig = {
        "rule": "oil_warm",
        "rig": "rig-1",
        "sensor": "TS1",
        "since": "2026-11-28T12:00:00Z",
        "until": None,
        "message": "m",
        "link": "",
    }
    message = {
        "kind": "worse", "cause": "c", "subject": "s", "rigs": [{**rig, "severity": "critical"}], "text": "t",
        "link": "", "rule": "oil_warm", "severity": "critical", "since": "2026-11-28T12:00:00Z",
        "ended": [["oil_warm", "rig-1", "TS1", "warning"]],
    }  # fmt: skip
    worse, former = alerts(message, T0)
    assert worse["labels"] == {
        "alertname": "oil_warm", "rig": "rig-1", "sensor": "TS1", "severity": "critical", "cause": "c",
        "job": "hydrodask",
    }  # fmt: skip
    assert (former["labels"]["severity"], former["endsAt"]) == ("warning", "2026-11-28T12:00:00Z")
    assert worse["endsAt"] == "2026-11-28T13:00:00Z"
    assert {one["endsAt"] for one in alerts({**message, "kind": "over"}, T0)} == {"2026-11-28T12:00:00Z"}


def test_no_secret_is_in_what_a_channel_says(tmp_path: Path, hook: Hook) -> None:
    """An address that is a secret comes from a file; a redirect, which would take a token along, is not followed."""
    secret = "T0KEN-in-the-path"  # noqa: S105 - made up
    (tmp_path / "url").write_text(f"http://127.0.0.1:{hook.port}/{secret}")
    hook.answer = lambda _body: 302
    with pytest.raises(RetryableError) as caught:
        sender({"kind": "webhook", "url_file": str(tmp_path / "url")}).send(trial())

    assert str(caught.value) == "it answers 302"
    assert [path for path, _, _ in hook.got] == [f"/{secret}"]
    assert secret not in redaction.redacted(f"no route to http://127.0.0.1:{hook.port}/{secret}")


def test_notify_test_says_channel_by_channel_whether_it_arrives(tmp_path: Path, hook: Hook) -> None:
    """Exit code 4 if one does not; without channels it says where to begin."""
    dead = Hook(free_port())
    dead.close()
    channels = {"desk": {"kind": "webhook", "url": hook.url}, "pager": {"kind": "webhook", "url": dead.url}}
    sets = ["--set", f"data_dir={tmp_path}", "--set", f"notify.channels={json.dumps(channels)}"]
    runner = CliRunner()
    fine = runner.invoke(app, ["notify", "test", "--to", "desk", *sets])
    assert (fine.exit_code, fine.stdout) == (0, "desk: arrived\n")
    both = runner.invoke(app, ["notify", "test", *sets])
    assert "pager" in str(both.exception)
    assert getattr(both.exception, "exit_code", 0) == 4
    assert [body["kind"] for _, _, body in hook.got] == ["test", "test"]
    none = runner.invoke(app, ["notify", "test", "--set", f"data_dir={tmp_path}"])
    assert "notify.channels is empty" in str(none.exception)
    shown = runner.invoke(app, ["notify", *sets])
    assert "Nobody was told of anything" in shown.stdout


def test_a_channel_that_has_not_heard_yet_is_not_listed_as_told(tmp_path: Path) -> None:
    """What waits for a dead channel was told nobody; times in words are those of the zone that is shown."""
    told = ChannelNotice("warning", ["rig-1"], 1)
    cause = Cause("c", 1, 1, 1, told={"pager": told, "desk": told}, waiting=[Delivery("m", "pager", 1, {})])
    cause.waiting[0].error = "connection refused"
    cause.rigs = [{"rig": "rig-1", "severity": "warning", "since": "2026-01-01T00:00:00Z", "message": "oil is warm"}]
    cause.kept_back = "muted until 2026-01-01T00:10:00Z by anna"
    documents = open_documents(Settings(data_dir=tmp_path))
    documents.write([cause.change()])
    documents.close()
    sets = ["--set", f"data_dir={tmp_path}", "--set", "observe.timezone=Asia/Kolkata"]

    shown = CliRunner().invoke(app, ["notify", *sets], env={"COLUMNS": "200"}).stdout

    row = next(line for line in shown.splitlines() if "connection refused" in line)
    assert [cell.strip() for cell in row.split("│")[3:5]] == ["desk", "pager: connection refused"]
    assert "muted until 2026-01-01 05:40:00 IST by anna" in shown
