"""Whose a group's slots are: the newest run's, and of its generations those that were not given up.

Fencing a slot stops whoever has initialised it before. It can't stop one that initialises it afterwards: a worker that
stood still on its way there, or the workers of an older run that does not know yet. So who takes something over says so
here first, then fences; and who initialises a slot looks here afterwards, before it publishes anything. Whatever the
order of these four, the older one is either fenced or sees that it is.

Files beside the snapshots, each put once and never changed: `run-N` for the N-th run of the group, `given-up-N-G` for
generation G of run N, `slot-S` for each slot that was ever used. Those of older runs go when a run has its claim.
"""

import hashlib
import string
from dataclasses import dataclass

from hydrodask.errors import FatalError, FencedError
from hydrodask.store.files import Files

_PLAIN = frozenset(string.ascii_letters + string.digits + "-_.")
"""What a folder's name may hold on every file system."""

FOLDER_MAX = 200
"""Longer names are cut, and told apart by a hash: file systems take 255 bytes."""

CLAIMS_MAX = 100
"""Runs that may start at the same time."""


class Ownership:
    """The claims on one group. Every method raises RetryableError when the file system refuses."""

    def __init__(self, files: Files, group: str) -> None:
        self._files = files
        self._folder = f"owners/{folder_of(group)}"

    def claim(self, run_id: str) -> int:
        """Make the group that of a new run, and return the run's number; from now on older ones get no slot."""
        for _ in range(CLAIMS_MAX):
            number = self.newest() + 1
            # One that stood still may put a name that was there and went: then others have come since.
            if self._put(f"run-{number}", run_id) and self.newest() == number:
                self._forget(number)
                return number
        raise FatalError(f"could not claim the group in {self._files.url}/{self._folder}: {CLAIMS_MAX} were faster")

    def newest(self) -> int:
        """Return the number of the newest run, 0 when there was none."""
        return max(_numbers(self._names(), "run-"), default=0)

    def slots(self) -> list[int]:
        """Return every slot that was ever used."""
        return sorted(_numbers(self._names(), "slot-"))

    def use(self, slot: int) -> None:
        """Say that a slot is to be initialised: a successor will fence it."""
        self._put(f"slot-{slot}", "")

    def give_up(self, run: int, generation: int) -> None:
        """Say that a generation has lost its slot; fence the slot next."""
        self._put(f"given-up-{run}-{generation}", "")

    def check(self, run: int, generation: int) -> None:
        """Raise FencedError unless a generation that has just initialised its slot may go on."""
        names = self._names()
        newest = max(_numbers(names, "run-"), default=0)
        if run > newest:
            self._put(f"run-{run}", "")  # the claim was lost, and whoever comes next has to know of it
        if run < newest:
            raise FencedError(f"run {newest} of this group has taken over from run {run}")
        if f"given-up-{run}-{generation}" in names:
            raise FencedError(f"generation {generation} was given up")

    def _forget(self, number: int) -> None:
        """Remove the claims of older runs, and what they have given up: that they are older is enough."""
        for name in self._names():
            run = name.removeprefix("given-up-").removeprefix("run-").partition("-")[0]
            if not name.startswith("slot-") and int(run) < number:
                self._files.remove(f"{self._folder}/{name}")

    def _put(self, name: str, text: str) -> bool:
        return self._files.put_if_absent(f"{self._folder}/{name}", text.encode())

    def _names(self) -> list[str]:
        return [path.rsplit("/", 1)[-1] for path in self._files.names(self._folder)]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one generation of a run needs of them. Run 0 is one that has claimed nothing."""

    ownership: Ownership
    run: int
    generation: int

    def use(self, slot: int) -> None:
        """Say that a slot is to be initialised."""
        if self.run:
            self.ownership.use(slot)

    def check(self) -> None:
        """Raise FencedError when it was given up, or another run has come."""
        if self.run:
            self.ownership.check(self.run, self.generation)


def folder_of(group: str) -> str:
    """Return a group's folder: one level, whatever its name holds, and no two groups have the same.

    >>> folder_of("plant-2"), folder_of("team/a"), folder_of("..")
    ('plant-2', 'team=2Fa', '=2E.')
    """
    data = group.encode()
    plain = "".join(chr(byte) if chr(byte) in _PLAIN else f"={byte:02X}" for byte in data)
    if plain.startswith("."):  # hidden, or the folder above
        plain = "=2E" + plain[1:]
    return plain if len(plain) <= FOLDER_MAX else f"{plain[:64]}=={hashlib.sha256(data).hexdigest()}"


def unclaimed(group: str, where: object, times: int, error: Exception) -> str:
    """Return what there is to say when slots are taken away again and again, and there is no later run."""
    return (
        f"slots of group {group!r} were taken away {times} times, and no other run has claimed it in {where}: end "
        f"whoever uses its transactional ids, and give workers the driver's snapshots: {error}"
    )


def _numbers(names: list[str], kind: str) -> list[int]:
    """Return the numbers of one kind of name."""
    return [int(name.removeprefix(kind)) for name in names if name.startswith(kind)]
