"""What a commit says of itself, in the metadata of its offset: whose it is, of which log, and what it knew.

`hd1 log=ID base=N emitted=N run=N gen=N snap=N`; older ones have `out=` besides. One writer and one parser: an offset
without a mark is not ours, and one whose mark names another log is no offset of this one. A broker keeps 4,096 bytes; a
mark has some 150.
"""

from dataclasses import dataclass

VERSION = "hd1"
_OLDER = "emitted="
_NUMBERS = ("base", "emitted", "run", "gen", "snap")


@dataclass(frozen=True, slots=True)
class Mark:
    """A commit's mark. Offsets are ours: the broker's plus `base`.

    `log` is the identity of the log that the offset counts in (see `identity`), None in marks of versions that did not
    know it. `emitted` is the offset up to which changes of open windows were published. `run`, `gen` and `snap` say for
    people which run and generation has committed, and which snapshot it had.
    """

    log: str | None
    base: int = 0
    emitted: int | None = None
    run: int = 0
    gen: int = 0
    snap: int = 0


def write(mark: Mark) -> str:
    """Return the metadata for a mark.

    >>> write(Mark("5L6g3n/kQ+z", base=1000000000, emitted=1000000007, run=2, gen=1))
    'hd1 log=5L6g3n/kQ+z base=1000000000 emitted=1000000007 run=2 gen=1 snap=0'
    """
    emitted = mark.base if mark.emitted is None else mark.emitted
    said = f"{VERSION} log={mark.log or ''} base={mark.base} emitted={emitted}"
    return f"{said} run={mark.run} gen={mark.gen} snap={mark.snap}"


def parse(metadata: str | None) -> Mark | None:
    """Return the mark in an offset's metadata, None when it is not ours.

    >>> parse("hd1 log=a/b base=0 emitted=7 out=a/c run=2 gen=1 snap=0")  # of a version that had `out`
    Mark(log='a/b', base=0, emitted=7, run=2, gen=1, snap=0)
    >>> parse("emitted=7")  # of a version before marks
    Mark(log=None, base=0, emitted=7, run=0, gen=0, snap=0)
    >>> parse("") is None
    True
    """
    text = metadata or ""
    if text.startswith(_OLDER) and text.removeprefix(_OLDER).isdigit():
        return Mark(None, emitted=int(text.removeprefix(_OLDER)))
    version, *fields = text.split(" ")
    said = dict(field.partition("=")[::2] for field in fields)
    if version != VERSION or "log" not in said or not all(said.get(name, "").isdigit() for name in _NUMBERS):
        return None
    return Mark(said["log"], **{name: int(said[name]) for name in _NUMBERS})
