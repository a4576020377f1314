"""The settings, section by section. `conf/default.yaml` has the same keys with a comment each; a test compares."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hydrodask.settings.hidden import Url
from hydrodask.settings.kinds import Client, Count, Duration, Memory, PositiveDuration, Speed, Timezone, iso
from hydrodask.settings.notify import Notify
from hydrodask.settings.relations import broken
from hydrodask.settings.section import Login, Section


class Rig(Section):
    """Rigs."""

    default_id: Annotated[str, Field(min_length=1, max_length=128)] = "rig-1"
    from_key: bool = False


class Topics(Section):
    """How topics are made when they are missing."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=200)] = "hydraulic-"
    partitions: Count = 1
    replication: Count = 1
    min_insync: Count = 1
    retention: Duration = 7 * 86400.0
    retention_dead: Duration = 30 * 86400.0
    each: dict[str, dict[str, str | int | float | bool]] = {}

    @model_validator(mode="after")
    def _check(self) -> "Topics":
        if self.min_insync > self.replication:
            raise ValueError(f"topics.min_insync ({self.min_insync}) must be at most replication ({self.replication})")
        for name, special in self.each.items():
            for key in ("partitions", "replication"):
                value = special.get(key, 1)
                if not isinstance(value, int) or value < 1:
                    raise ValueError(f"topics.each.{name}.{key} is {value!r}; want a whole number from 1 on")
        return self


class Kafka(Login):
    """The broker."""

    embedded: bool = True
    bootstrap: str = "127.0.0.1:9092"
    group: Annotated[str, Field(min_length=1, max_length=200)] = "hydrodask"
    start: Literal["earliest", "latest"] = "earliest"
    on_data_loss: Literal["continue", "fail"] = "continue"
    discover_every: PositiveDuration = 10.0
    timeout: PositiveDuration = 30.0
    ca_file: Path | None = None
    client: Client = {}
    consumer: Client = {}
    producer: Client = {}


class Window(Section):
    """Sliding windows of event time."""

    length: PositiveDuration = 60.0
    slide: PositiveDuration = 10.0
    lateness: Duration = 10.0
    future_max: PositiveDuration = 60.0
    emit: Literal["updates", "final"] = "updates"
    emit_every: Duration = 0.5

    @model_validator(mode="after")
    def _check(self) -> "Window":
        length_us, slide_us = round(self.length * 1e6), round(self.slide * 1e6)
        if slide_us < 1:
            raise ValueError(f"window.slide ({self.slide} s) must be at least 1us")
        if not length_us or length_us % slide_us:
            raise ValueError(f"window.length ({self.length} s) must be a multiple of slide ({self.slide} s)")
        return self


class Step(Section):
    """The worker's step and its commits."""

    trigger: PositiveDuration = 0.5
    rows_max: Count = 10_000
    commit_every: Duration = 0.5
    snapshot_every: PositiveDuration = 30.0
    time_max: PositiveDuration = 60.0
    patience: PositiveDuration = 300.0
    decoder: Literal["canonical", "flat", "general"] = "canonical"


class Lake(Section):
    """Parquet files."""

    url: Url | None = None
    roll_rows: Count = 100_000
    roll_age: PositiveDuration = 300.0
    key_file: Path | None = None


class Documents(Login):
    """Anomalies, incidents, components, status."""

    url: Url | None = None
    database: str = "hydrodask"
    timeout: PositiveDuration = 10.0
    keep: PositiveDuration | None = None
    keep_removed: PositiveDuration = 7 * 86400.0


class Cluster(Section):
    """The Dask cluster."""

    address: str | None = None
    workers: Count = 1
    memory_limit: Memory = "4GiB"
    dashboard: str | None = "127.0.0.1:8787"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False


class Source(Section):
    """What publishes into Kafka while `run` runs."""

    kind: str = "simulator"
    speed: Speed = "1"
    start: Annotated[str | None, BeforeValidator(iso)] = None
    rigs: Count = 1
    seed: int = 1
    faults: str | None = "faults-demo.yaml"
    unconsumed_max: Count = 20_000


class Baseline(Section):
    """Robust baselines of each (rig, sensor, statistic)."""

    statistics: tuple[str, ...] = ("avg_value", "stddev_value")
    warm_up: Count = 90
    floor: Annotated[float, Field(gt=0, le=1)] = 0.05
    enter: Annotated[float, Field(gt=0)] = 10.0
    exit: Annotated[float, Field(gt=0)] = 5.0


class Usual(Section):
    """What a rig's load cycles usually look like, learned without labels."""

    learn: Count | None = 120
    enter: Annotated[float, Field(gt=0)] = 4.5
    exit: Annotated[float, Field(gt=0)] = 3.5


class Detect(Section):
    """Rules, baselines, unusual cycles and health."""

    rules: str = "rules.yaml"
    coverage_min: Annotated[float, Field(ge=0, le=1)] = 0.9
    silent_after: PositiveDuration | None = 120.0
    unjudged_after: PositiveDuration | None = 300.0
    baseline: Baseline = Baseline()
    usual: Usual = Usual()


class Learn(Section):
    """Training, the registry of models, and scoring."""

    mlflow: Url | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    experiment: str = "hydrodask"
    workers: Count = 2
    boosted_max: PositiveDuration = 3600.0
    confirm: Count = 2
    refresh_every: PositiveDuration = 10.0
    drift_cycles: Count = 50
    drift_max: Annotated[float, Field(gt=0, le=1)] = 0.2


class Health(Section):
    """Where the colours of health change, on the page, in the live view and in Grafana."""

    warning_below: Annotated[float, Field(gt=0, le=100)] = 95.0
    critical_below: Annotated[float, Field(gt=0, le=100)] = 85.0


class Observe(Section):
    """Metrics and views."""

    metrics: str | None = "127.0.0.1:9464"
    hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")], ...] = ()
    pushgateway: Url | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    push_every: PositiveDuration = 2.0
    scrape_every: PositiveDuration = 1.0
    rigs_max: Count = 20
    timezone: Timezone = "UTC"
    health: Health = Health()
    log_format: Literal["text", "json"] = "text"
    alertmanager: Url | None = None
    alertmanager_password_file: Path | None = None
    alertmanager_ca_file: Path | None = None
    traces: Annotated[str, Field(pattern=r"^https?://[^/@\s]+/?$")] | None = None


class Console(Section):
    """The operator's page."""

    address: str | None = "127.0.0.1:8780"
    token_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    rigs_max: Count = 100


class Limits(Section):
    """Limits on what comes in."""

    record_bytes: Count = 65_536
    rig_bytes: Count = 128
    rigs: Count = 10_000
    rig_silence: PositiveDuration = 86_400.0


class Settings(Section):
    """Everything that can be configured."""

    data_dir: Path = Path("hydrodask-data")
    rig: Rig = Rig()
    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    window: Window = Window()
    step: Step = Step()
    lake: Lake = Lake()
    documents: Documents = Documents()
    cluster: Cluster = Cluster()
    source: Source = Source()
    detect: Detect = Detect()
    learn: Learn = Learn()
    observe: Observe = Observe()
    console: Console = Console()
    notify: Notify = Notify()
    limits: Limits = Limits()
    flows: tuple[str, ...] = ()
    _flow: str = ""

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if wrong := list(broken(self)):
            raise ValueError("; ".join(wrong))
        return self

    @property
    def lake_url(self) -> Url:
        """Where the lake is."""
        return self.lake.url or Url(str(self.data_dir / "lake"))

    @property
    def documents_url(self) -> Url:
        """Where the documents are."""
        return self.documents.url or Url(f"sqlite:///{self.data_dir / 'documents.sqlite'}")

    @property
    def snapshots_url(self) -> Url:
        """Where snapshots of state are: beside the lake's folder, on the same file system."""
        return self.snapshots_of(self._flow)

    def snapshots_of(self, flow: str) -> Url:
        """Return where those of a flow from outside are; without a name, those of the platform's own flows."""
        name = f"snapshots-{flow}" if flow else "snapshots"
        return self.lake.url.beside(f"-{name}") if self.lake.url else Url(str(self.data_dir / name))

    def of_flow(self, name: str, *, start: str) -> "Settings":
        """Return those of a flow from outside: its group and snapshots are its own."""
        kafka = self.kafka.model_copy(update={"group": f"{self.kafka.group}.{name}", "start": start})
        copy = self.model_copy(update={"kafka": kafka})
        copy._flow = name  # noqa: SLF001 - ours, of a model that is frozen
        return copy

    @property
    def mlflow_uri(self) -> Url:
        """Where runs and models are recorded."""
        return self.learn.mlflow or Url(f"sqlite:///{(self.data_dir / 'mlflow.db').absolute()}")

    def topic(self, name: str) -> str:
        """Return the full name of a topic: a sensor, `labels`, `analytics`, `cycles` or `dead-letter`."""
        return self.topics.prefix + name
