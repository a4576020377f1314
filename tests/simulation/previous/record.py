"""Record what the previous release leaves behind: states of its own simulation, made by its own code, as small files.

`python tests/simulation/previous/record.py` takes that release from git, has it live some lives, and keeps what there
is at some time in each: as if it were killed then, in the middle of steps, some with a transaction open. The files are
read by `tests.simulation.recorded`. To be run when another release is the previous one; it needs this repository's
history.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

RELEASE = "9a63580"
HERE = Path(__file__).resolve().parent

CASES = ((0, 1.3), (1, 2.1), (2, 2.9), (3, 3.7), (4, 1.7), (5, 3.3))
"""Input, which is the seed of the schedule, too, and when it ends."""

INSIDE = """
import builtins, gzip, logging, zlib
import msgspec
from tests.simulation import broker
from tests.simulation.platform import Platform
from tests.simulation.schedule import Event, Schedule

logging.disable(logging.CRITICAL)
# Its fake broker chose partitions by the sum of a key's bytes; librdkafka does, and ours does now, by their CRC.
broker.sum = lambda of: zlib.crc32(of) if isinstance(of, bytes) else builtins.sum(of)


def state(platform, when_s):
    broker, transactions = platform.broker, []

    def number(one):
        if one is None:
            return None
        if not any(one is known for known in transactions):
            transactions.append(one)
        return next(i for i, known in enumerate(transactions) if known is one)

    logs = [
        [*source, [[e.value, e.key, [list(h) for h in e.headers], e.stamp_ms, number(e.transaction), e.marker]
         for e in log.entries]]
        for source, log in sorted(broker.logs.items())
    ]
    ids = [[name, one.epoch, number(one.open)] for name, one in sorted(broker._ids.items())]
    return {
        "release": RELEASE, "kind": platform.schedule.kind, "sets": list(platform.schedule.sets), "when_s": when_s,
        "files": dict(sorted(platform.disk.data.items())),
        "logs": logs, "ids": ids,
        "offsets": [[*source, *said] for source, said in sorted(broker.offsets.items())],
        "transactions": [
            [one.state, [[*source, *said] for source, said in sorted(one.offsets.items())]] for one in transactions
        ],
        "documents": {
            name: [[id_, revision, body] for id_, (revision, body) in sorted(stored.items())]
            for name, stored in sorted(platform.documents.collections.items())
        },
    }


def keep(platform, when_s, path):
    data = msgspec.msgpack.encode(state(platform, when_s))
    open(path, "wb").write(gzip.compress(data, 9, mtime=0))


for kind, when_s in CASES:
    sets = (("commit_every", 0.4), ("emit_every", 0.5), ("snapshot_every", 0.8), ("roll_rows", 12), ("roll_age", 0.8),
            ("rows_max", 60))
    events = (Event(0.9, "kill worker", 0.3),) if kind % 2 else ()
    platform = Platform(Schedule(kind, kind, workers=2, shared=bool(kind % 2), sets=sets, events=events))
    platform.world.loop.call_at(when_s, keep, platform, when_s, f"{TO}/{kind}.msgpack.gz")
    platform.run()
"""


def main() -> None:
    """Record every case."""
    root = HERE.parents[2]
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", RELEASE], cwd=root, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        names = f"RELEASE, TO, CASES = {RELEASE!r}, {str(HERE)!r}, {CASES!r}\n"
        subprocess.run([sys.executable, "-c", names + INSIDE], cwd=folder, check=True)


if __name__ == "__main__":
    main()
