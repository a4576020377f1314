"""Make small files of the lake into large ones, one folder at a time, so that readers never see the difference.

What is promised, and to whom:

- Whoever lists the names in a folder gets the files from before or those from after, never some of both: the new
  files are made beside the lake's folders, in `.compact`, and the two folders are exchanged in one step (Linux, local
  disks). Whoever is at listing meanwhile has `GRACE_S` to finish: so long the old folder stays whole.
- Whoever has listed before and opens after finds a file gone, which is an error and not a wrong answer: list again. A
  large file has a name that no small file ever had, so no listing leads to rows that it did not mean. Arrow's way to
  find a folder's files leaves out silently what has gone since it was listed: `Lake.table` does not.
- Elsewhere (HDFS, object stores) nothing can exchange two folders. There, and only if told to, the large file is put
  beside the small ones, which are then deleted: readers that go by `store.listing.current` see each row once at any
  time, and all others see the rows of one run of files twice for a moment.
- Killed at any point nothing is lost and no row is there twice (elsewhere: until the next compaction has finished the
  work), and the next compaction tidies up.
- A writer that was asleep while its successor wrote on, and while `compact` then replaced the file whose name would
  have stopped it, can write that name again: its rows are there twice until the next compaction, and `verify` says so.
- A file that a writer, whoever it is, puts into a folder while `compact` makes the folder anew is in the old one after
  the exchange. It is carried over at once, before the old folder goes, or by the next compaction; an old folder with a
  file that can't be carried over stays. The newest file of a partition stays as it is, for writers go on from it.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow.compute as pc

from hydrodask import clock
from hydrodask.audit.chain import FileGroup, arrange
from hydrodask.audit.finding import Result
from hydrodask.audit.links import Link, inspect, rows_of
from hydrodask.audit.replaced import Replaced, covers
from hydrodask.audit.summaries import by_rig, refresh
from hydrodask.errors import FatalError, IntegrityError
from hydrodask.settings import Settings
from hydrodask.store import rowsum
from hydrodask.store.exchange import can_exchange, exchange
from hydrodask.store.files import Files
from hydrodask.store.fiveminutes import ORDER
from hydrodask.store.lake import LOG, Lake
from hydrodask.store.listing import LakeFile, named
from hydrodask.store.schemas import FOLDERS
from hydrodask.window.geometry import METADATA

STAGING = ".compact"
"""Where new folders are made: on the lake's file system, and where no reader of its folders looks."""

BY_RIG = ("windows", "bands", "scores")
"""Folders of which people look at one rig's rows over a long time."""

_TIMES = ("timestamp", "window_start", "cycle_start")
Step = Callable[[str], None]


@dataclass(slots=True)
class Compacted:
    """What a compaction has done, or would do."""

    folders: int = 0
    small: int = 0
    large: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    tidied: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


GRACE_S = 10.0
"""How long a reader has from opening a folder to having its list: long, for a busy machine may keep it waiting."""


class Compaction:
    """One pass over the lake. `step` is told what was done last: tests stop there.

    Nobody else may compact or backfill the same lake at the same time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rows_max: int,
        in_place: bool,
        grace_s: float = GRACE_S,
        step: Step = lambda _done: None,
    ) -> None:
        self.lake = Lake.of(settings)
        self.done = Compacted()
        self._prefix = settings.topics.prefix
        self._rows_max = rows_max
        self._in_place = in_place
        self._grace_s = grace_s
        self._step = step
        self._local = self.lake.files.local
        self._old = None if self._local is None else Replaced(self._local, self._local / STAGING)
        self._replaced: deque[tuple[float, str]] = deque()

    def run(self, *, say: Callable[[str], None] = lambda _said: None, settled_s: float = 0.0) -> Compacted:
        """Compact every folder that has not changed for `settled_s`, where that can be known. Blocks.

        Raises FatalError where folders can't be exchanged, unless told to do without, and RetryableError when the file
        system refuses: run it again then.
        """
        if not self._in_place and (self._local is None or (self._local.exists() and not can_exchange(self._local))):
            raise FatalError(
                f"the file system of {self.lake.files.url} can't exchange two folders in one step, so readers which "
                "list folders would see rows twice for a moment; --in-place does it all the same"
            )
        self.tidy()
        say("reading which files there are")
        plan = self.plan()
        for place, (folder, runs) in enumerate(plan.items(), 1):
            if self._age_s(folder) < settled_s:
                self.done.left.append(f"{folder}: it has changed just now")
                continue
            if self._old and not self._in_place and self._old.is_there(folder):
                self.done.left.append(f"{folder}: {STAGING} still holds an old folder of it; move away what is in it")
                continue
            say(f"folder {place} of {len(plan)}: {folder}")
            self._compact(folder, runs)
            self._remove(wait=False)
        say("five-minute rows of windows/")
        self.done.tidied += refresh(self.lake, self._prefix)
        if self._replaced:
            say("old folders stay for a moment: readers may be at listing them")
        self._remove(wait=True)
        return self.done

    def _age_s(self, folder: str) -> float:
        """Return how long ago something was put into a folder; for ever ago where that can't be known."""
        if self._local is None:
            return float("inf")
        return clock.now_us() / 1e6 - (self._local / folder).stat().st_mtime

    def plan(self) -> dict[str, list[FileGroup]]:
        """Return what would become one file, by folder. Damaged files, and those of unknown ends, are left alone."""
        plan: dict[str, list[FileGroup]] = defaultdict(list)
        for chain in self._chains():
            for run in self._runs(chain[:-1]):  # never the newest one
                plan[run.folder].append(run)
        return dict(plan)

    def tidy(self) -> None:
        """Finish or undo what an earlier compaction has left when it was killed."""
        for folder in self._old.folders() if self._old else ():
            self._delete(folder)
        replaced = Result("replaced", "")
        files = self._files()
        large = [file for file in files if file.end is not None]
        for file in files if large else []:
            cover = next((big for big in large if big != file and covers(big, file)), None)
            if cover is not None and inspect(self.lake, cover, self._sensor(cover), replaced).usable:
                self.lake.files.remove(file.path)
                self.done.tidied.append(file.path)

    def _files(self) -> list[LakeFile]:
        found = (named(path) for folder in FOLDERS for path in self.lake.files.names(folder))
        return [file for file in found if file is not None and file.topic.startswith(self._prefix)]

    def _sensor(self, file: LakeFile) -> str:
        return file.topic.removeprefix(self._prefix)

    def _chains(self) -> Iterator[list[LakeFile]]:
        for folders in arrange(self._files(), Result("replaced", "")).values():
            yield from (files for files in folders.values() if files)

    def _runs(self, files: list[LakeFile]) -> Iterator[FileGroup]:
        """Cut a chain into runs of at least two files: same folder, date and windows, no gap, not too many rows."""
        doubts, rows, day = Result("files", ""), 0, ""
        run: list[Link] = []
        for file in files:
            link = inspect(self.lake, file, self._sensor(file), doubts)
            date = self._date(link) if link.usable else ""
            folder = file.path.rpartition("/")[0]
            fits = bool(run) and run[-1].end == link.first and date in ("", day) and rows + link.rows <= self._rows_max
            fits = (
                fits and run[-1].windows == link.windows and (run[-1].sums or [0, None])[1] == (link.sums or [None])[0]
            )
            full = link.rows * 2 >= self._rows_max  # or it would be written anew with each few rows that follow
            if full or not link.usable or not fits or folder != run[0].path.rpartition("/")[0]:
                if len(run) > 1:
                    yield FileGroup(run[0].path.rpartition("/")[0], tuple(run))
                run, rows, day = [], 0, ""
            if link.usable and not full:
                run.append(link)
                rows, day = rows + link.rows, day or date
        if len(run) > 1:
            yield FileGroup(run[0].path.rpartition("/")[0], tuple(run))
        self.done.left += [str(finding) for finding in doubts.findings]

    def _date(self, link: Link) -> str:
        """Return the event date of a file's first row; nothing for one without rows."""
        if "date" in link.named.parts or not link.rows:
            return link.named.parts.get("date", "")
        rows = rows_of(self.lake, link)
        column = next(name for name in _TIMES if name in rows.column_names)
        return str(pc.min(rows.column(column)).as_py())[:10]

    def _compact(self, folder: str, runs: list[FileGroup]) -> None:
        if self._old is None or self._in_place:
            self._beside(runs)
        else:
            self._exchanged(self._old, folder, runs)
        self.done.folders += 1

    def _exchanged(self, old: Replaced, folder: str, runs: list[FileGroup]) -> None:
        """Make the folder anew beside the lake's folders, check it, and exchange the two."""
        live, staged = old.lake / folder, old.staging / folder
        gone = {link.path.rpartition("/")[2] for run in runs for link in run.links}
        staged.mkdir(parents=True)
        for path in live.iterdir():
            if not path.name.startswith(".") and path.name not in gone:
                (staged / path.name).hardlink_to(path)
        beside = Files(str(old.staging))
        for run in runs:
            self._write(beside, run)
        self._step("staged")
        for run in runs:
            self._check(run, beside)
        self._step("checked")
        exchange(staged, live)
        self._step("exchanged")
        self.done.tidied += old.carry_over(folder)
        self._step("carried over")
        self._replaced.append((clock.monotonic_s(), folder))

    def _remove(self, *, wait: bool) -> None:
        """Delete old folders that nobody can be listing any more; those of which this is not so yet too, after a wait.

        Who has opened an old folder before the exchange still lists it: rows would go from under the list silently.
        """
        while self._replaced:
            exchanged_s, folder = self._replaced[0]
            left_s = exchanged_s + self._grace_s - clock.monotonic_s()
            if left_s > 0 and not wait:
                return
            clock.sleep_s(max(0.0, left_s))
            self._delete(folder)
            self._replaced.popleft()
            self._step("removed")
        if wait and self._old:
            self._old.prune()

    def _delete(self, folder: str) -> None:
        """Delete an old folder, unless it holds what can't be carried over."""
        assert self._old is not None  # noqa: S101 - only folders of a local disk are replaced
        # Once more: a writer that had found the folder before its exchange may have added a file since the first time.
        self.done.tidied += self._old.carry_over(folder)
        self.done.left += self._old.delete(folder)

    def _beside(self, runs: list[FileGroup]) -> None:
        """Put the large file beside the small ones, check it, then delete those."""
        for run in runs:
            self._write(self.lake.files, run)
            self._step("staged")
            self._check(run, self.lake.files)
            self._step("checked")
            for link in run.links:
                self.lake.files.remove(link.path)
                self._step("removed")

    def _write(self, files: Files, run: FileGroup) -> None:
        first, end = run.links[0].first, run.links[-1].end
        assert end is not None  # noqa: S101 - only files with known ends are in runs
        windows, log = run.links[0].windows, run.links[-1].log
        says = ({} if windows is None else {METADATA: windows}) | ({LOG: log} if log else {})
        rows, sums = run.rows(self.lake), run.links[0].sums
        says |= rowsum.said(sums[0] if sums else None, rows)
        if run.folder.partition("/")[0] in BY_RIG and (ordered := by_rig(rows)) is not None:
            rows, says = ordered, says | {ORDER: b"rig"}
        data = self.lake.encoded(run.path, rows, first, end, says)
        if not files.put_if_absent(run.path, data):
            raise IntegrityError(f"{run.path} is there already; run `hydrodask verify`, and move it away")
        self.done.small += len(run.links)
        self.done.large += 1
        self.done.bytes_after += len(data)
        self.done.bytes_before += sum(len(self.lake.files.read(link.path)) for link in run.links)

    def _check(self, run: FileGroup, files: Files) -> None:
        """Read the large file back: what replaces others must be whole."""
        file, doubts = named(run.path), Result("large", "")
        assert file is not None  # noqa: S101 - we have named it
        lake = Lake(files.url, keyring=self.lake.keyring)
        link = inspect(lake, file, self._sensor(file), doubts)
        if not link.usable or not rows_of(lake, link).equals(run.rows(self.lake)):
            said = f": {doubts.findings[0]}" if doubts.findings else ""
            raise IntegrityError(f"{run.path} was written and does not hold what the small files do{said}")
