"""What an engine is given, and what it has to deliver, for a benchmark to run, check and measure it.

**Input.** 17 Kafka topics of one partition, a sensor each, JSON as the producers write it:
`{"sensor":"PS1","cycle":0,"sample_idx":0,"value":151.47,"timestamp":"2026-01-01T00:00:00.010000","sampling_rate_hz":100}`
(keys in any order, microseconds left out when zero). Event time of a topic goes on without gaps, in order or with up to
8 s of disorder. One rig. Topics may have transaction markers: read committed, from the beginning.

**Windows** (`windows`, `both`): each sensor's sliding windows of 60 s every 10 s, aligned to the epoch, watermark = the
largest event time − 10 s. A window's row goes to the topic `Work.output` as JSON with `sensor`, `window_start` (ISO
8601, or milliseconds since the epoch), `avg_value`, `max_value`, `min_value`, `stddev_value` (sample standard
deviation), `range_value`, `sample_count`. Other keys are ignored. Several rows of one window are updates: the last
counts, and the driver waits for that of every window that ends 11 s or more before the sensor's last record. With
`Work.live` rows of open windows are wanted as soon as the engine can; otherwise final rows are enough.

**Raw** (`raw`, `both`): every record as a row of Parquet below `Work.lake`, in a folder or file whose path contains
`sensor=NAME`, columns `cycle`, `sample_idx`, `value` (float64), and `timestamp` (a Parquet timestamp); others are
ignored.
`Peer.files` tells which of the files a reader may trust: they must have all records once.

An engine runs until it is killed, or ends by itself when it has delivered all. What it keeps between two runs of the
same work (checkpoints, offsets) belongs below `Work.state`: run again after a kill, it goes on and delivers the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from hydrodask.services.service import Say

JOBS = ("windows", "raw", "both")


@dataclass(frozen=True, slots=True)
class Work:
    """One run's work: `job` is one of `JOBS`; `inputs` is sensor → topic; folders are there and empty at first."""

    job: str
    bootstrap: str
    inputs: Mapping[str, str]
    output: str
    lake: Path
    state: Path
    live: bool = False
    name: str = ""
    """Fit for a consumer group or an application's name, unique for the work: the same when it is run again."""
    prefix: str = ""
    """What the names of all inputs begin with."""


def root_of(root: psutil.Process) -> psutil.Process:
    """Return the process itself: most engines do all in one, and whoever supervises it starts it again."""
    return root


def parquet_files(work: Work) -> list[Path]:
    """Return every Parquet file of the lake that no name marks as unfinished (Hadoop's habit: a dot or underscore)."""
    return [p for p in work.lake.rglob("*.parquet") if not any(s[0] in "._" for s in p.relative_to(work.lake).parts)]


def given_output(work: Work) -> str:
    """Return the topic that the work names."""
    return work.output


def no_topics(_work: Work) -> tuple[str, ...]:
    """Return nothing."""
    return ()


def no_variables(_work: Work) -> Mapping[str, str]:
    """Return nothing."""
    return {}


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine with one choice of settings; the driver knows nothing else of it.

    `guarantee` is its delivery setting and `settings` what else was chosen, both for the table. `install` makes its
    environment (idempotent, pinned, below its folder's `.work`) and returns the versions of what matters. `command`
    starts it for some work; `variables` are added to the environment. `victim` is the process whose death the recovery
    job shows, given the one that was started: one that something of the engine's own restarts, else the root, which the
    driver starts again.
    """

    name: str
    guarantee: str
    settings: str
    install: Callable[[Say], Mapping[str, str]]
    command: Callable[[Work], list[str]]
    jobs: tuple[str, ...] = JOBS
    footnotes: tuple[str, ...] = ()
    variables: Callable[[Work], Mapping[str, str]] = no_variables
    files: Callable[[Work], list[Path]] = parquet_files
    output: Callable[[Work], str] = given_output
    """The topic that it writes, for who can't choose."""
    leftovers: Callable[[Work], tuple[str, ...]] = no_topics
    """Topics that it makes whose names do not contain `Work.name`: they are deleted after the run."""
    victim: Callable[[psutil.Process], psutil.Process] = root_of
    live: bool = True
    """Whether it takes part in latency and cost at rest."""
