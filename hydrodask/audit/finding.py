"""What an audit says: findings, gathered a check."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hydrodask.audit.mending import LOST, RECORDS, Mend

KEPT_MAX = 20
"""Findings of one check that are kept in full; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where it is, what is wrong, the first difference in numbers, and what puts it right."""

    where: str
    what: str
    first: str
    mend: Mend

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.first}" if self.first else "")


@dataclass(slots=True)
class Result:
    """What one check has looked at, found, and could not look at."""

    check: str
    title: str
    looked_at: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    wrong: int = 0
    unchecked: list[str] = field(default_factory=list)

    def count(self, **numbers: int) -> None:
        """Add to what was looked at."""
        for name, number in numbers.items():
            self.looked_at[name] = self.looked_at.get(name, 0) + number

    def found(self, where: str, what: str, first: str = "", *, mend: Mend) -> None:
        """Take note of something that is wrong."""
        self.wrong += 1
        if len(self.findings) < KEPT_MAX:
            self.findings.append(Finding(where, what, first, mend))

    def skip(self, what: str) -> None:
        """Take note of something that could not be checked, and why; each is said once."""
        if what not in self.unchecked and len(self.unchecked) < KEPT_MAX:
            self.unchecked.append(what)


CHECKS = {
    "files": "every file opens, is what was written, and agrees with its name",
    "chain": "each file begins where the one before it ends",
    "records": "every record of the log is kept or dead, exactly once",
    "dead": "every dead letter belongs to one record, and is there once",
    "windows": "windows equal a recomputation from the raw rows",
    "cycles": "cycle profiles equal a recomputation from the raw rows",
    "late": "late samples equal a recomputation from the raw rows",
    "labels": "labels equal the log",
    "bands": "bands are the baselines that have judged",
    "scores": "scores are what can be said, and what documents say",
    "doubles": "no import has put a cycle of a rig there again",
    "analytics": "final windows are published exactly once",
    "profiles": "cycle profiles are published exactly once",
    "documents": "documents are what the final windows imply",
    "snapshots": "snapshots can be read, are right, and not ahead of the commits",
    "flows": "flows from outside: positions, snapshots, files and documents agree",
}
"""Every check, in the order in which a report shows them."""


class Results:
    """The results of all checks by name."""

    def __init__(self) -> None:
        self.by_name = {name: Result(name, title) for name, title in CHECKS.items()}

    def __getitem__(self, check: str) -> Result:
        return self.by_name[check]

    def __iter__(self) -> Iterator[Result]:
        return iter(self.by_name.values())

    def without_log(self) -> None:
        """Take note that there is no log: what only it could mend is lost."""
        for result in self:
            result.findings = [replace(one, mend=LOST) if one.mend == RECORDS else one for one in result.findings]

    @property
    def wrong(self) -> int:
        """How many things are wrong in all."""
        return sum(result.wrong for result in self.by_name.values())
