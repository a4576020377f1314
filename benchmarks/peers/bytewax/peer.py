"""Bytewax, in two single processes: as its documentation writes such a flow, and as fast as we could make it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.peers import pip, shares
from benchmarks.peers.contract import JOBS, Peer, Work
from hydrodask.services.service import Say

HERE = Path(__file__).resolve().parent
EPOCH_S = 1.0
PROCESSES = f"{shares.PROCESSES} processes, sensors shared out between them, recovery store each, snapshots every 1 s"


def _install(say: Say) -> Mapping[str, str]:
    return pip.install(HERE, ("bytewax", "confluent-kafka"), say)


def _command(flow: str) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        def own(number: int) -> dict[str, object]:
            return {"flow": flow, "state": str(work.state / f"recovery-{number}"), "epoch_s": EPOCH_S}

        return shares.command(pip.python(HERE), "benchmarks.peers.bytewax.job", work, own)

    return command


PEERS = (
    Peer(
        "bytewax",
        guarantee="at least once: offsets and windows in its recovery store, the epoch's rows again after a crash",
        settings=f"{PROCESSES}; `fold_window` on an event clock, a record at a time",
        install=_install,
        command=_command("plain"),
        jobs=("windows",),
        footnotes=(
            "It has no sink for Parquet: windows only.",
            "Rows are of closed windows, 60 to 70 s after a record that begins one: `fold_window` has no updates.",
            "Its clock is the event time's alone; the default one also adds the time that the engine needs.",
        ),
    ),
    Peer(
        "bytewax-tuned",
        guarantee="windows at least once, Parquet exactly once: offsets, panes and files in its recovery store",
        settings=f"{PROCESSES}; own source of batches of 10,000 records, parsed at once by msgspec and NumPy, "
        "own stateful operator: windows from panes of 10 s",
        install=_install,
        command=_command("tuned"),
        jobs=JOBS,
        footnotes=("The sink for Parquet is ours, 30 lines: a file an epoch and sensor.",),
    ),
)
