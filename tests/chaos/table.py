"""Make the table of `docs/guarantees.md` of what chaos tests noted: `python -m tests.chaos.table RESULTS.jsonl`."""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path


def table(lines: list[dict[str, float | str]]) -> str:
    """Return a row a case: how many recoveries, seconds until something is committed again, records replayed."""
    cases: dict[str, list[dict[str, float | str]]] = defaultdict(list)
    for line in lines:
        if "recovery_s" in line:
            cases[str(line["case"])].append(line)
    rows = ["| case | recoveries | seconds, median | most | records replayed, most |", "|---|---|---|---|---|"]
    for case, found in sorted(cases.items()):
        seconds = [float(one["recovery_s"]) for one in found]
        replayed = max(int(one["replayed"]) for one in found)
        rows.append(f"| {case} | {len(found)} | {statistics.median(seconds):.1f} | {max(seconds):.1f} | {replayed:,} |")
    return "\n".join(rows)


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.stdout.write(table([json.loads(line) for line in text.splitlines()]) + "\n")
