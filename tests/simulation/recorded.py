"""What the previous release has left behind, as `previous/record.py` has kept it: a life of this one begins with it."""

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hydrodask.testing.simulation.course import Sent
from hydrodask.testing.simulation.fakelogs import Entry, FakePartition, Transaction
from tests.simulation.input import records

if TYPE_CHECKING:
    from tests.simulation.platform import Fakes

FOLDER = Path(__file__).with_name("previous")
CASES = len(list(FOLDER.glob("*.msgpack.gz")))


@cache
def _kept(case: int) -> Any:
    return msgspec.msgpack.decode(gzip.decompress((FOLDER / f"{case}.msgpack.gz").read_bytes()))


def kind_of(case: int) -> int:
    """Return which input the previous release was reading."""
    return int(_kept(case)["kind"])


def put_back(case: int, fakes: "Fakes", group: str) -> None:
    """Let there be what was kept: files, logs, commits, open transactions and documents, at the time when it was."""
    kept, world, broker = _kept(case), fakes.world, fakes.broker
    world.loop.now_s = kept["when_s"]
    for path, data in kept["files"].items():
        fakes.disk.put(path, data)
    fakes.disk.settle()
    transactions = [Transaction(state) for state, _ in kept["transactions"]]
    for one, (_, offsets) in zip(transactions, kept["transactions"], strict=True):
        one.offsets = {(group, (topic, partition)): (at, said) for topic, partition, at, said in offsets}
    for topic, partition, entries in kept["logs"]:
        log = broker.logs[topic, partition] = FakePartition()
        for value, key, headers, stamp_ms, number, marker in entries:
            transaction = None if number is None else transactions[number]
            log.entries.append(Entry(value, key, [(n, v) for n, v in headers], stamp_ms, transaction, marker))
            if transaction is not None and log not in transaction.logs:
                transaction.logs.append(log)
    for name, epoch, number in kept["ids"]:
        broker.take_over(name, epoch, None if number is None else transactions[number])
    for topic, partition, at, said in kept["offsets"]:
        broker.offsets[group, (topic, partition)] = (at, said)
    for name, stored in kept["documents"].items():
        fakes.documents.collections[name] = {id_: (revision, body) for id_, revision, body in stored}


def unsent(fakes: "Fakes", kind: int) -> list[Sent]:
    """Return the records that were not sent yet."""
    there = {source: len(log.entries) for source, log in fakes.broker.logs.items()}
    waiting = []
    for one in records(kind):
        source = one.topic, one.partition
        if there.get(source, 0) > 0:
            there[source] -= 1
        else:
            waiting.append(one)
    return waiting
