"""What the tests on a cluster have measured; `python -m tests.kubernetes.figures` puts the newest into the docs.

Kept in build/kubernetes.jsonl, each with how many processes wanted to run (load average) when it was measured.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "kubernetes.jsonl"
DOCS = ROOT / "docs" / "kubernetes.md"
MARKS = "<!-- figures: made by `python -m tests.kubernetes.figures` -->", "<!-- end of figures -->"
HEAD = "| what | seconds | load |\n|---|---|---|\n"


def note(what: str, *seconds: float) -> None:
    """Keep a figure, and print it."""
    one = {"what": what, "seconds": [round(value, 1) for value in seconds], "load": round(os.getloadavg()[0])}
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(one, ensure_ascii=False) + "\n")
    print(f"\n{row(one)}", end="")


def row(one: dict[str, object]) -> str:
    """Return a row of the table."""
    seconds = one["seconds"]
    assert isinstance(seconds, Sequence)
    return f"| {one['what']} | {' · '.join(f'{value:g}' for value in seconds)} | {one['load']} |"


def main() -> None:
    """Write the table between its marks."""
    newest: dict[str, dict[str, object]] = {}
    for line in KEPT.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        newest[one["what"]] = one
    table = HEAD + "".join(f"{row(one)}\n" for one in newest.values())
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    DOCS.write_text(f"{before}{MARKS[0]}\n{table}{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
