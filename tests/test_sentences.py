"""What a library says is cut to the sentence that matters; stack traces come only with --debug."""

import logging
import subprocess
import sys

import pytest

from hydrodask.audit.log import BrokerLog
from hydrodask.cli.speaking import complain, wants_debug
from hydrodask.errors import ConfigError, FatalError, UnreachableError, sentence
from hydrodask.kafka import KafkaError, KafkaException
from hydrodask.logs import Text
from hydrodask.settings.model import Kafka
from tests.delivery import ROOT

MONGO = (
    'not authorized on hydrodask to execute command { update: "incidents", ordered: false, lsid: { id: UUID("4f") }, '
    'txnNumber: 1, $clusterTime: { clusterTime: Timestamp(1, 2), signature: { hash: BinData(0, 33) } }, $db: "x" }, '
    "full error: {'ok': 0.0, 'errmsg': 'not authorized', 'code': 13}"
)
GONE = (
    "127.0.0.1:1: [Errno 111] Connection refused (configured timeouts: socketTimeoutMS: 500.0ms), Timeout: 0.5s, "
    "Topology Description: <TopologyDescription id: 68, topology_type: Unknown, servers: [<ServerDescription>]>"
)
HTML = "API request to endpoint /api failed with error code 502 != 200. Response body: '<html><body>Bad</body></html>'"
POOL = "HTTPConnectionPool(host='x', port=1): Max retries exceeded with url: /api (Caused by NewConnectionError('<x>'))"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (MONGO, "not authorized on hydrodask to execute command"),
        (GONE, "127.0.0.1:1: [Errno 111] Connection refused"),
        (HTML, "API request to endpoint /api failed with error code 502 != 200."),
        (POOL, "HTTPConnectionPool(host='x', port=1): Max retries exceeded"),
        (
            "Couldn't deserialize thrift: No more data\nDeserializing page header failed.\n",
            "Couldn't deserialize thrift",
        ),
        (
            "open failed. Detail: Python exception: Traceback (most recent call last):\n  File x\nKeyError",
            "open failed.",
        ),
        (
            "(sqlite3.OperationalError) no such table: x\n[SQL: SELECT 1]\n(Background on this error at: x)",
            "(sqlite3.Op",
        ),
        ("\n\n  two   blanks\nand more", "two blanks"),
        ("", "ValueError"),
        ("x" * 5000, "x" * 298 + " …"),
    ],
    ids=lambda text: text[:20],
)
def test_sentence_that_matters(text: str, wanted: str) -> None:
    """Of what MongoDB, MLflow, requests, Arrow and SQLAlchemy say: one line, no command, no page, never nothing."""
    found = sentence(ValueError(text))

    assert found.startswith(wanted)
    assert "\n" not in found
    assert len(found) <= 300
    assert not any(noise in found for noise in ("lsid", "Topology", "html>", "Caused by", "Traceback", "Background"))


def test_kafka_says_its_sentence_too() -> None:
    """And not its structure."""
    error = KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))

    assert sentence(error) == "1/1 brokers are down (_ALL_BROKERS_DOWN)"


def test_log_has_a_sentence_in_place_of_a_trace() -> None:
    """Unless traces are asked for."""
    error = ValueError(MONGO)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "could not tell", None, (ValueError, error, None))

    wanted = "could not tell: ValueError: not authorized on hydrodask to execute command"
    assert Text().format(record).endswith(wanted)
    assert "lsid" in Text(traces=True).format(record)


@pytest.mark.parametrize(("error", "code"), [(FatalError("a"), 1), (ConfigError("a"), 3), (KeyError("a"), 1)])
def test_every_error_is_a_sentence(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One of ours with its exit code; another one says that it is our mistake, and how to see more."""
    assert complain(error) == code
    said = capsys.readouterr().err

    assert said.count("\n") == 1
    assert ("--debug" in said) == isinstance(error, KeyError)


def test_debug_is_a_flag_of_every_command() -> None:
    """Before or after its name; with it an error of ours has its trace, without it has none."""
    arguments = ["verify", "--debug", "--json"]
    assert wants_debug(arguments)
    assert arguments == ["verify", "--json"]
    command = [sys.executable, "-m", "hydrodask", "config", "check", "--set", "detect.rules=nowhere.yaml"]
    for given, traces in ((command, 0), ([*command, "--debug"], 1), ([*command[:3], "--debug", *command[3:]], 1)):
        done = subprocess.run(given, cwd=ROOT, capture_output=True, check=False, text=True)
        assert done.returncode == 3, done.stderr
        assert min(done.stderr.count("Traceback"), 1) == traces, done.stderr


def test_a_broker_that_is_away_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """Commands read logs through clients that try again and again: none of these tries is a line of the log."""
    log = BrokerLog(Kafka(bootstrap="127.0.0.1:1", embedded=False, timeout=3.0))
    with pytest.raises(UnreachableError, match=r"could not list the topics of 127\.0\.0\.1:1"):
        log.sources(["hydraulic-dead-letter"])
    for _ in range(3):
        log._reader.poll(0.1)
    log.close()

    assert [record.getMessage() for record in caplog.records] == []
