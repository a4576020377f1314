"""The results of `python -m benchmarks run` as a page with tables and pictures: docs/benchmarks*.

Everything on the page is computed from the JSON, nothing is written by hand but the words.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pictures import OURS, bars_beside

DOCS = Path(__file__).resolve().parents[1] / "docs"
BARE = "bare loop"
TITLES = {
    "both": "Windows and every record as Parquet: what the platform does",
    "windows": "Windows alone",
    "raw": "Every record as Parquet, alone",
}
INTRO = """# Benchmarks

hydrodask and what its users would pick instead, doing the same job on the same topics of the same Kafka on the same
machine. A row counts only if its final windows and its Parquet rows equal DuckDB's over the same records; if they do
not, it says so. Made by `python -m benchmarks run` and `python -m benchmarks report` from
`benchmarks/results/{name}.json`: every figure below is computed from it.

**Machine:** {machine}. **Input:** {source}; 17 topics of one partition, JSON of 134 bytes a record. **Measured:**
{when}, the newest with commit {commit}, older ones with others (`benchmarks/results/history.md`). The broker runs on
the same cores and is not counted; CPU and memory are those of all other
processes of an engine, from `/proc`. Engines of a round take turns, in another order each time; some rows
were made again alone. Figures are medians over the rounds, with the smallest and the largest behind them.

*Cold* is from the command to the last result that a read-committed reader can see, start-up included, with 4,368,000
records where there are several sizes. *Warm* is what more records cost: the difference between a round's smallest and
largest run (of {sizes} records; the largest only where it would not take too long), which start-up cancels out of.
The *bare loop* is confluent-kafka's `consume()` doing nothing with the messages, in Python; hydrodask makes no Python
object a record, and can be faster than that.
"""

COLD = 4_368_000
"""Records of the runs whose cold figures are shown: a hundred minutes of one rig."""

Run = dict[str, Any]
Cell = str


def write(path: Path, folder: Path = DOCS) -> Path:
    """Write the page and the pictures of the results in `path` to `folder`, and return the page's path."""
    document = json.loads(path.read_text())
    runs: list[Run] = document["runs"]
    sizes = sorted({run["records"] for run in runs if run["job"] in TITLES})
    machine = document["machine"]
    when = sorted(run["measured_at"] for run in runs)
    text = INTRO.format(
        name=path.stem,
        machine=f"{machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {machine['system']}, shared with others",
        source=document["source"],
        when=f"{when[0][:16]} to {when[-1][:16]} UTC",
        commit=document["commit"],
        sizes=" and ".join(f"{size:,}" for size in sizes),
    )
    engines = document["engines"]
    parts = [text, *(_drained(runs, job, title) for job, title in TITLES.items() if _of(runs, job))]
    parts += [part for make in (_live, _recovery, _start, _disorder) if (part := make(runs)) is not None]
    parts.append(_about(engines))
    page = folder / "benchmarks.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    _pictures(runs, folder)
    return page


def _of(runs: Iterable[Run], job: str, engine: str | None = None) -> list[Run]:
    return [run for run in runs if run["job"] == job and engine in (None, run["engine"])]


def _names(runs: list[Run]) -> list[str]:
    """Return the engines, ours first."""
    return sorted({run["engine"] for run in runs}, key=lambda name: (not name.startswith(OURS), name))


def warm(runs: list[Run], field: str) -> list[float]:
    """Return for each round what the records between its smallest and its largest run took, a million of them."""
    found = []
    for number in sorted({run["round"] for run in runs}):
        mine = sorted((r for r in runs if r["round"] == number and r[field]), key=lambda run: run["records"])
        if len(mine) > 1 and mine[-1]["records"] > mine[0]["records"]:
            millions = (mine[-1]["records"] - mine[0]["records"]) / 1e6
            found.append((mine[-1][field] - mine[0][field]) / millions)
    return found


def cold(runs: list[Run], field: str) -> list[float]:
    """Return what a million records took in the runs of `COLD` records, or of the most there are, start-up included."""
    sizes = {run["records"] for run in runs}
    chosen = COLD if COLD in sizes else max(sizes)
    return [run[field] / chosen * 1e6 for run in runs if run["records"] == chosen and run[field]]


def rate(seconds_per_million: Sequence[float]) -> list[float]:
    """Return records a second."""
    return [1e6 / s for s in seconds_per_million if s > 0]


def _spread(values: Sequence[float], form: str) -> Cell:
    """Return the median, and in brackets the least and the most."""
    if not values:
        return "–"
    middle = f"{statistics.median(values):{form}}"
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}}–{max(values):{form}})"


def _table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


_COUNTED = {"windows": "windows", "raw": "sensors' records"}


def _right(runs: list[Run]) -> Cell:
    wrong = [run for run in runs if not run["right"]]
    if not wrong:
        return f"{len(runs)} of {len(runs)} runs"
    checks = wrong[0]["checks"].items()
    what = [
        f"{c['wrong']:,} of {c['expected']:,} {_COUNTED[name]} missing or other" for name, c in checks if c["wrong"]
    ]
    return f"**{len(runs) - len(wrong)} of {len(runs)} runs**; {'; '.join(what) or 'not done in time'}"


def _drained(runs: list[Run], job: str, title: str) -> str:
    rounds = {run["round"] for run in _of(runs, job)}  # of other hours, a bare loop says nothing about these
    bare = [run for run in _of(runs, "bare") if run["round"] in rounds]
    bare_rate = statistics.median(rate(warm(bare, "seconds")) or rate(cold(bare, "seconds"))) if bare else None
    rows = []
    for name in _names(_of(runs, job)):
        mine = _of(runs, job, name)
        done = [run for run in mine if run["right"]]
        if not done:
            rows.append([name, *["–"] * 6, _right(mine)])
            continue
        warm_rate = rate(warm(done, "seconds"))
        of_bare = f"{statistics.median(warm_rate) / bare_rate:.2f}" if bare_rate and warm_rate else "–"
        rows.append([
            f"**{name}**" if name == OURS else name,
            _spread(warm_rate, ",.0f"),
            of_bare,
            _spread(warm(done, "cpu_s"), ".2f"),
            _spread(rate(cold(done, "seconds")), ",.0f"),
            _spread(cold(done, "cpu_s"), ".2f"),
            f"{max(run['memory_mib_max'] for run in done):,}",
            _right(mine),
        ])  # fmt: skip
    if bare:
        found = [_spread(rate(warm(bare, "seconds")), ",.0f"), "1", _spread(warm(bare, "cpu_s"), ".2f")]
        rows.append([f"*{BARE}*", *found, *["–"] * 4])
    head = (
        "engine", "records/s, warm", "of the bare loop", "CPU s a million, warm", "records/s, cold",
        "CPU s a million, cold", "MiB at most", "as DuckDB says",
    )  # fmt: skip
    largest = {f"{max(r['records'] for r in _of(runs, job, n)):,}" for n in _names(_of(runs, job))}
    note = f"Largest run of an engine: {' or '.join(sorted(largest, key=len))} records.\n"
    return f"## {title}\n\n![{title}](benchmarks-{job}.svg)\n\n{_table(head, rows)}\n{note}"


def _simple(
    runs: list[Run], job: str, title: str, words: str, columns: dict[str, Callable[[list[Run]], Cell]]
) -> str | None:
    mine = _of(runs, job)
    if not mine:
        return None
    rows = [[name, *(column(_of(mine, job, name)) for column in columns.values())] for name in _names(mine)]
    return f"## {title}\n\n{words}\n\n{_table(('engine', *columns), rows)}"


def _field(name: str, form: str, **where: object) -> Callable[[list[Run]], Cell]:
    """Return a column of a field's spread over the runs `where` other fields have these values."""

    def column(runs: list[Run]) -> Cell:
        chosen = [run for run in runs if all(run.get(key) == value for key, value in where.items())]
        return _spread([run[name] for run in chosen if run.get(name) is not None], form)

    return column


def _live(runs: list[Run]) -> str | None:
    return _simple(
        runs,
        "live",
        "Latency and cost at rest: one rig, 728 records/s",
        "Record published → window row that counts it visible to a read-committed reader.\n\n"
        "![Latency](benchmarks-live.svg)",
        {
            "p50 s": _field("p50_s", ".3f"),
            "p99 s": _field("p99_s", ".3f"),
            "p99.9 s": _field("p999_s", ".3f"),
            "cores": _field("cores", ".3f"),
            "MiB at most": _field("memory_mib_max", ",.0f"),
            "records": lambda mine: f"{sum(run['records'] for run in mine):,}",
            "in no row": lambda mine: f"{sum(run['unseen'] for run in mine):,}",
        },
    )


def _recovery(runs: list[Run]) -> str | None:
    return _simple(
        runs,
        "recovery",
        "Kill -9 in mid-stream",
        "The worker is killed when three tenths of the windows are there; an engine that does not restart it by itself "
        "is started again at once. Rows twice: final rows of windows that had one.",
        {
            "job": lambda mine: "both" if "raw" in mine[0]["checks"] else "windows",
            "s to the first new row": _field("kill_to_row_s", ".1f"),
            "s until all is done": _field("kill_to_done_s", ".1f"),
            "final rows twice": lambda mine: f"{max(run['repeated_rows'] for run in mine):,}",
            "as DuckDB says": _right,
        },
    )


def _start(runs: list[Run]) -> str | None:
    return _simple(
        runs,
        "start",
        "Start: from the command to the first window row",
        "Cold: after the system's file cache was dropped, with empty caches of compiled code. The records are there.",
        {"cold, s": _field("first_row_s", ".1f", cold=True), "warm, s": _field("first_row_s", ".1f", cold=False)},
    )


def _disorder(runs: list[Run]) -> str | None:
    return _simple(
        runs,
        "disorder",
        "Up to 8 s of disorder",
        "The same windows, records shuffled by up to 8 s: with a watermark 10 s behind, none is late.",
        {"s, cold": _field("seconds", ".1f"), "CPU s": _field("cpu_s", ".1f"), "as DuckDB says": _right},
    )


def _about(engines: dict[str, Any]) -> str:
    lines = ["## The engines and their settings\n"]
    for name in sorted(engines, key=lambda one: (not one.startswith(OURS), one)):
        engine = engines[name]
        versions = ", ".join(f"{key} {value}" for key, value in engine["versions"].items())
        lines.append(f"- **{name}** ({versions}). Delivery: {engine['guarantee']}. Settings: {engine['settings']}.")
        lines += [f"  {note}" for note in engine["footnotes"]]
    return "\n".join(lines) + "\n"


def _pictures(runs: list[Run], folder: Path) -> None:
    for job in TITLES:
        done = [run for run in _of(runs, job) if run["right"]]
        bars = {}
        for name in _names(done):
            mine = _of(done, job, name)
            found = rate(warm(mine, "seconds")) or rate(cold(mine, "seconds"))
            cost = warm(mine, "cpu_s") or cold(mine, "cpu_s")
            if found and cost:
                bars[name] = (statistics.median(found) / 1e3, statistics.median(cost))
        if bars:
            bars_beside(
                bars, ("thousand records a second", "CPU seconds a million records"), folder / f"benchmarks-{job}.svg"
            )
    waited = {n: [r for r in _of(runs, "live", n) if "p99_s" in r] for n in _names(_of(runs, "live"))}
    late = {n: tuple(statistics.median(r[k] for r in f) for k in ("p50_s", "p99_s")) for n, f in waited.items() if f}
    if late:
        bars_beside(late, ("p50, seconds", "p99, seconds"), folder / "benchmarks-live.svg", log=True)
