"""Make the table of `docs/guarantees.md` of what chaos tests noted: `python -m tests.chaos.table RESULTS.jsonl …`."""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

Line = dict[str, float | str]


def table(lines: list[Line]) -> str:
    """Return a row a case: seeds that were green, recoveries, what they took, records replayed."""
    cases: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        cases[str(line["case"])].append(line)
    rows = [
        "| case | seeds green | recoveries | seconds, median | most | records replayed, most |",
        "|---|---|---|---|---|---|",
    ]
    for case, found in sorted(cases.items()):
        green = {line["seed"] for line in found if "green" in line}
        seconds = [float(line["recovery_s"]) for line in found if "recovery_s" in line]
        shown = [f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}"] if seconds else ["–", "–"]
        replayed = max((int(line["replayed"]) for line in found if "replayed" in line), default=None)
        shown.append("–" if replayed is None else f"{replayed:,}")
        rows.append(f"| {case} | {len(green)} | {len(seconds)} | {' | '.join(shown)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    texts = [Path(name).read_text(encoding="utf-8") for name in sys.argv[1:]]
    sys.stdout.write(table([json.loads(line) for text in texts for line in text.splitlines()]) + "\n")
