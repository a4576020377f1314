"""hydrodask: streaming anomaly platform for hydraulic test rigs, on Dask and Kafka.

The map, in the order in which a record meets the rooms:

records     what moves: records and rows (read first)
channels    the 17 sensors
reports     what workers tell people
ingest      the outside world → Messages: reader, publisher, recording, rig simulator, embedded broker, topics
decode      Messages → samples, rejects
window      samples → sliding windows, cycle profiles
detect      window rows → anomalies, incidents, health
store       rows → stored rows: lake (Parquet), documents (SQLite, MongoDB), topics (transactions)
learn       cycles, labels → models → states of components: features, registry; over them `data`, `train`, `score`
protocol    what driver and workers agree on: the order, and the files beside the snapshots
nodes       Messages → outputs that wait for a commit: the words that flows are written in
worker      order → report: hosts partitions, runs their graphs, commits (in Dask's worker processes)
driver      topics, workers → orders: who hosts what, one step in flight on each worker (in the process of `run`)
run         settings → a running platform: data directory, source, status, views
api         settings → rows, documents, models, a run, for who writes Python: `hydrodask.open`
audit       what is stored → findings: verify; and mending it: backfill, compact, dead letters
console     lake, documents → the operator's page and API: curves, episodes, answers
notify      episodes, answers → messages to people: who is told what, kept until it has arrived
observe     reports → people: metrics, live terminal view, Dask dashboard page, status
cli         arguments → exit code: one small module a command
testing     nodes, flows and records of yours → failures: `check_node`, a partition in memory, a clock that stands
settings    configuration: typed, layered, checked once
services    real servers on this machine, for those who have no cluster
doctor      checks of everything that a run needs
doors       who may come in at our ports, and how we come in at those of others: keys, logins, guards of web servers

Below all of these:

clock       what time it is; tests set it
errors      errors by what to do about them
outage      a server that is away is waited for, with a limit
kafka       Kafka clients
rigs        names of rigs as numbers
keys        which rigs are there, how many there may be, and who has left
blobs       many byte strings as one column
background  threads that nobody waits for: views, and calls that may hang
kernels     compiled functions, and where their machine code is kept
durable     files whose names stay after a power cut
redaction   what logs and messages may not show
heap        how a worker's memory is kept
hosts       by which names our web pages are known
flow        a flow as it is declared
release     which sources these are
extras      what is installed only with an extra
episodes    incidents that belong together
answers     what people said to them
health      how bad it all is
trend       whether it gets worse
failpoints  places at which a process can be made to die
logs        lines of the log, one an event, with its fields

`docs/record.md` follows one record through these files, in ten minutes.
`flows/` holds the graphs themselves (`hydrodask.flows` is a link to that folder at the top). `stream/` is a former
name, by which workers of others may still load `worker.preload`. Imports go one way:
cli → run → driver → worker → nodes → protocol → stages → records. `docs/architecture.md` has the picture.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hydrodask.api import Opened

__all__ = ["open"]


def open(profile: str | None = None, **settings: object) -> "Opened":  # noqa: A001 - `hydrodask.open`, as a file is
    """Return what a platform has stored, and what runs one; see `hydrodask.api.Opened`.

    `settings` are those of `--set`, with `__` for the dot: `hydrodask.open("production", lake__url="hdfs://…")`.
    Nothing is imported before this is called, and nothing read before it is asked for.
    """
    from hydrodask.api import Opened  # noqa: PLC0415 - importing hydrodask is quick

    return Opened(profile, **settings)
