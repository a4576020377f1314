"""Settings come from layers, are checked once, and the files in conf/ agree with the model."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from hydrodask import clock
from hydrodask.cli.config import MASK, check_files, values
from hydrodask.detect import load_rules
from hydrodask.errors import ConfigError
from hydrodask.ingest.simulator import FaultPlan
from hydrodask.settings import CONF, Settings, load
from hydrodask.settings.load import flatten, read_yaml
from hydrodask.settings.model import Documents, Kafka, Step, Topics
from hydrodask.settings.relations import within_step

PROFILES = sorted(path.stem for path in (CONF / "profiles").glob("*.yaml"))


def fields(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return the default of every field by dotted key."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= fields(kind, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = field.default
    return found


def commented(path: Path) -> dict[str, str]:
    """Return the comment of every line that sets a key, by the key's own name and line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pattern = re.compile(r"^ *([a-z_]+): +[^# ].*?(?:  +# (.+))?$")
    return {
        f"{number} {match[1]}": match[2] or "" for number, line in enumerate(lines, 1) if (match := pattern.match(line))
    }


def test_default_file_has_exactly_the_fields() -> None:
    """A field without its line in conf/default.yaml, or the other way round, is a mistake."""
    listed = flatten(read_yaml(CONF / "default.yaml"))

    assert set(listed) == set(fields(Settings)), "add the key to both default.yaml and model.py"


def test_default_file_has_the_model_s_defaults() -> None:
    """Without any layer above, the file changes nothing."""
    loaded, origins = load(environ={})

    assert loaded == Settings()
    assert set(origins.values()) == {"default"}


@pytest.mark.parametrize("path", [CONF / "default.yaml", *(CONF / "profiles").glob("*.yaml")])
def test_every_key_has_a_comment(path: Path) -> None:
    """Whoever reads a configuration file learns there what each key means."""
    assert [key for key, comment in commented(path).items() if not comment] == []


def test_every_count_and_every_duration_says_its_unit() -> None:
    """A bare number has its unit in its comment; a duration has it in its value."""
    text = (CONF / "default.yaml").read_text(encoding="utf-8")
    bare = re.findall(r"^ *([a-z_]+): +\d[\d.]* +# (.*)$", text, re.MULTILINE)
    units = ("count", "bytes", "rows", "z-score", "share", "of the simulator", "partitions")

    assert [name for name, comment in bare if not any(u in comment for u in (*units, "replicas", "one"))] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_loads(profile: str) -> None:
    """Every profile in the repository gives valid settings, whose files load."""
    loaded, origins = load(profile=profile, environ={})

    assert f"profile {profile}" in origins.values()
    assert check_files(loaded)


@pytest.mark.parametrize("path", sorted(CONF.glob("rules*.yaml")), ids=lambda p: p.stem)
def test_rules_load(path: Path) -> None:
    """Every rule file in the repository is valid."""
    assert load_rules(path)


@pytest.mark.parametrize("path", sorted(CONF.glob("faults*.yaml")), ids=lambda p: p.stem)
def test_faults_load(path: Path) -> None:
    """Every fault file in the repository is valid."""
    assert FaultPlan.load(path)


def test_later_layers_win() -> None:
    """Default < profile < environment < --set, and each key knows its layer."""
    loaded, origins = load(
        profile="local-services",
        sets=["kafka.timeout=5s"],
        environ={"HYDRODASK_KAFKA__TIMEOUT": "7s", "HYDRODASK_KAFKA__GROUP": "mine"},
    )

    assert (loaded.kafka.embedded, loaded.kafka.group, loaded.kafka.timeout) == (False, "mine", 5.0)
    assert origins["kafka.embedded"] == "profile local-services"
    assert origins["kafka.group"] == "environment"
    assert origins["kafka.timeout"] == "--set"
    assert origins["kafka.start"] == "default"


LINKS = {
    "HYDRODASK_PORT": "tcp://10.96.0.7:8786",
    "HYDRODASK_SERVICE_HOST": "10.96.0.7",
    "HYDRODASK_SERVICE_PORT": "8786",
    "HYDRODASK_SERVICE_PORT_TCP_COMM": "8786",
    "HYDRODASK_PORT_8786_TCP": "tcp://10.96.0.7:8786",
    "HYDRODASK_PORT_8786_TCP_PROTO": "tcp",
    "HYDRODASK_PORT_8786_TCP_PORT": "8786",
    "HYDRODASK_PORT_8786_TCP_ADDR": "10.96.0.7",
}
"""What Kubernetes makes of a Service `hydrodask`."""


@pytest.mark.parametrize("service", ["HYDRODASK", "HYDRODASK_SCHEDULER", "HYDRODASK_KAFKA", "HYDRODASK_KAFKA__GROUP"])
def test_names_that_kubernetes_makes_of_services_are_no_settings(service: str) -> None:
    """They stop nothing and set nothing; what is misspelled beside them is still named."""
    links = {name.replace("HYDRODASK", service): value for name, value in LINKS.items()}
    loaded, _ = load(environ={**links, "HYDRODASK_KAFKA__TIMEOUT": "7s"})

    assert loaded == load(environ={"HYDRODASK_KAFKA__TIMEOUT": "7s"})[0]
    for wrong, said in (
        ("KAFKA__PORT", "kafka.port"),
        ("PROT", "prot"),
        ("DATA_PORT", "data_port"),
        ("SERVICES", "serv"),
    ):
        with pytest.raises(ConfigError, match=f"{said}.*is no setting"):
            load(environ={**links, f"HYDRODASK_{wrong}": "9092"})


@pytest.mark.parametrize(
    ("sets", "environ", "words"),
    [
        (["kafka.start=never"], {}, ["kafka.start", "never", "--set"]),
        (["kafka.strat=latest"], {}, ["kafka.strat", "no setting"]),
        (["kafka.start"], {}, ["kafka.start", "key=value"]),
        (["flows=energy:FLOW"], {}, ["flows", "'energy:FLOW'", "--set", "want a list"]),
        (["observe.hosts=x"], {}, ["observe.hosts", "want a list"]),
        (["kafka.client=x"], {}, ["kafka.client", "want a mapping"]),
        (["window=x"], {}, ["window", "want a mapping"]),
        (["notify.zone=Mars/Base"], {}, ["notify.zone", "is no setting any more: it is observe.timezone now"]),
        (["window.length=25s"], {}, ["window", "multiple"]),
        (["window.lateness=ten"], {}, ["window.lateness", "ten", "duration"]),
        (["window.lateness=.inf"], {}, ["window.lateness", "inf", "finite"]),
        (["window.slide=0.0000001"], {}, ["window.slide", "1us"]),
        (["window.length=0.0000001", "window.slide=1us"], {}, ["window.length", "multiple"]),
        (["rig.default_id=@x"], {}, ["rig.default_id=@x", "quotes"]),
        (["topics.partitions=0"], {}, ["topics.partitions", "0"]),
        (["topics.min_insync=2"], {}, ["topics", "min_insync (2)", "replication (1)"]),
        (["topics.each.labels.partitions=none"], {}, ["topics.each.labels.partitions", "none"]),
        (["kafka.password=x"], {}, ["kafka.password", "HYDRODASK_KAFKA__PASSWORD"]),
        (
            ["window.emit=final", "window.length=5m", "window.slide=5m"],
            {},
            ["detect.silent_after (120 s)", "window.slide (300 s)"],
        ),
        (
            ["detect.silent_after=1s", "step.commit_every=10m"],
            {},
            ["detect.silent_after (1 s)", "commit_every (600 s)"],
        ),
        (["topics.each={PS1: {retention.ms: 60000}}"], {}, ["topics.each.PS1.retention.ms (60 s)", "630 s"]),
        (["topics.each={PS1: {retention.ms: 1h}}"], {}, ["topics.each.PS1.retention.ms", "'1h'", "whole number"]),
        (["topics.each={cycles: {min.insync.replicas: 2}}"], {}, ["topics.each.cycles", "(2)", "replication (1)"]),
        (
            ["topics.each={TS1: {replication: 1}}", "topics.replication=3", "topics.min_insync=2"],
            {},
            ["topics.each.TS1", "topics.min_insync (2)", "replication (1)"],
        ),
        (["topics.each={cycles: {min.insync.replicas: x}}"], {}, ["topics.each.cycles.min.insync.replicas", "'x'"]),
        (["topics.each={analytics: {cleanup.policy: compact}}"], {}, ["analytics.cleanup.policy (compact)", "delete"]),
        (["step.time_max=800ms"], {}, ["step.time_max (0.8 s)", "twice step.trigger (0.5 s)", "--set"]),
        (["documents.keep_removed=90s"], {}, ["documents.keep_removed (90 s)", "step.time_max (60 s)"]),
        (["topics.retention=10m"], {}, ["topics.retention (600 s)", "lake.roll_age", "630 s"]),
        (["source.unconsumed_max=100000"], {}, ["source.unconsumed_max (100,000)", "30,000", "kafka.embedded"]),
        (["kafka.group=team.marks"], {}, ["kafka.group ('team.marks')", "group 'team'"]),
        (["limits.rig_bytes=4"], {}, ["rig.default_id ('rig-1')", "limits.rig_bytes (4)"]),
        (["detect.baseline.exit=20"], {}, ["detect.baseline.exit (20)", "detect.baseline.enter (10)"]),
        ([], {"HYDRODASK_KAFKA__STRAT": "latest"}, ["kafka.strat", "environment", "no setting"]),
        ([], {"HYDRODASK_NONE": "1"}, ["HYDRODASK_NONE"]),
        ([], {"HYDRODASK_STEP__ROWS_MAX": "many"}, ["step.rows_max", "many", "environment"]),
    ],
)
def test_mistake_names_key_and_value(sets: list[str], environ: dict[str, str], words: list[str]) -> None:
    """The message holds what a person needs to find the mistake."""
    with pytest.raises(ConfigError) as caught:
        load(sets=sets, environ=environ)

    assert [word for word in words if word not in str(caught.value)] == []


def test_a_topic_may_differ_where_it_does_no_harm() -> None:
    """Endless retention, enough replicas of its own, labels compacted, short-lived dead letters: all as told."""
    each = {
        "PS1": {"retention.ms": -1},
        "TS1": {"replication": 3, "min.insync.replicas": "2"},
        "labels": {"cleanup.policy": "compact"},
        "dead-letter": {"retention.ms": 60_000},
    }

    assert Settings(topics=Topics(each=each)).topics.each == each


@given(
    time_max=st.floats(1.0, 1e4), share=st.floats(0.01, 0.5), kafka=st.floats(0.01, 1e4), documents=st.floats(0.01, 1e4)
)
def test_requests_of_a_step_leave_it_room(time_max: float, share: float, kafka: float, documents: float) -> None:
    """A broker or store that does not answer is told as such, before the step is given up as one that hangs."""
    settings = Settings(
        step=Step(time_max=time_max, trigger=share * time_max),
        kafka=Kafka(timeout=kafka),
        documents=Documents(timeout=documents),
    )
    inside = within_step(settings)

    assert inside.step.trigger + inside.documents.timeout + inside.kafka.timeout < time_max
    assert inside.kafka.timeout <= kafka
    assert inside.documents.timeout <= documents


def test_missing_profile_names_those_there_are() -> None:
    """A mistyped profile is answered with the known ones."""
    with pytest.raises(ConfigError, match="local-services"):
        load(profile="no-such-profile", environ={})


def test_a_profile_by_another_ending_is_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files of one's own are looked for where one is, too."""
    (tmp_path / "my-flow.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)

    for name in ("my-flow.yml", "my-flow"):
        with pytest.raises(ConfigError, match=r"did you mean my-flow\.yaml\?"):
            load(profile=name, environ={})
    with pytest.raises(ConfigError, match=r"did you mean my-flow\.yaml\?"):
        load(profile="my-flaw.yaml", environ={})


def test_client_settings_keep_their_dots() -> None:
    """Any librdkafka setting can be passed through, by file layers and --set alike."""
    loaded, _ = load(sets=["kafka.consumer.fetch.wait.max.ms=7"], environ={})

    assert loaded.kafka.consumer == {"fetch.wait.max.ms": 7}


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00Z", "2026-01-01"])
def test_time_needs_no_quotes(text: str) -> None:
    """YAML reads a time as one; the setting is text."""
    loaded, _ = load(sets=[f"source.start={text}"], environ={})

    assert clock.parse_iso(str(loaded.source.start)) == clock.parse_iso(text)


def test_password_comes_from_a_file(tmp_path: Path) -> None:
    """A file below the data directory, or anywhere; the environment's password goes before it."""
    (tmp_path / "kafka-password").write_text("from a file\n")
    other = tmp_path / "other"
    other.write_text("from another")
    sets = [
        f"data_dir={tmp_path}",
        "kafka.password_file=kafka-password",
        f"documents.password_file={other}",
    ]

    loaded, _ = load(sets=sets, environ={})
    assert (loaded.kafka.secret(), loaded.documents.secret()) == ("from a file", "from another")
    loaded, _ = load(sets=sets, environ={"HYDRODASK_KAFKA__PASSWORD": "hush"})
    assert loaded.kafka.secret() == "hush"
    other.unlink()
    with pytest.raises(ConfigError, match=r"documents\.password_file has value '.*other'"):
        loaded.documents.secret()


def test_secrets_are_masked() -> None:
    """`config show` never prints a password, however it was passed."""
    loaded, _ = load(
        environ={
            "HYDRODASK_KAFKA__PASSWORD": "hush",
            "HYDRODASK_DOCUMENTS__PASSWORD": "hush",
            "HYDRODASK_KAFKA__CLIENT": '{"ssl.key.password": "hush"}',
            "HYDRODASK_LAKE__URL": "s3://me:hush@store/lake",
        },
    )
    shown = values(loaded)

    assert "hush" not in str(shown)
    assert shown["kafka.password"] == shown["documents.password"] == MASK
    assert shown["lake.url"] == "s3://***@store/lake"


def test_message_does_not_tell_a_password() -> None:
    """Nor does what is said of a value that can't work."""
    with pytest.raises(ConfigError, match=r"lake\.url has value .*\*\*\*@store") as caught:
        load(sets=["lake.url=['s3://me:hush@store/lake']"], environ={})

    assert "hush" not in str(caught.value)


def test_a_secret_that_is_no_yaml_is_not_told() -> None:
    """The message names the setting only."""
    with pytest.raises(ConfigError, match=r"--set 'kafka\.password': the value is not YAML") as caught:
        load(sets=["kafka.password=@hush"])

    assert "hush" not in str(caught.value)
