"""`python -m tests.mutation`: run it, and say what survived."""

import argparse
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.plugin import ROOMS, Mutation, explained, key, lines

TOP = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the faults and print what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help="files of the package; without: " + ", ".join(ROOMS))
    parser.add_argument("--share", type=float, default=1.0, help="the share of all faults that is tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path("mutation.jsonl"), help="results; what is there is not tried again"
    )
    parser.add_argument("--budget", type=float, default=12.0, help="seconds of tests for each fault")
    parser.add_argument(
        "--again", action="store_true", help="try what survived again, with the tests that there are now"
    )
    parser.add_argument(
        "--marked", nargs="+", default=[], help="marks of tests that are let in, too, for example cluster: seconds each"
    )
    parser.add_argument("--tests", nargs="+", default=["tests"], help="files of tests; without: all")
    args = parser.parse_args()
    modules = args.modules or [
        str(path.relative_to(TOP)) for room in ROOMS for path in sorted((TOP / "hydrodask" / room).rglob("*.py"))
    ]
    plugin = Mutation(
        TOP,
        modules,
        share=args.share,
        seed=args.seed,
        budget_s=args.budget,
        out=args.out,
        again=args.again,
        marked=args.marked,
    )
    pytest.main(
        ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", *args.tests],
        plugins=[plugin],
    )
    why = explained()
    found = {key(one): one for one in lines(args.out) if key(one) not in why}
    counts = Counter(str(one["said"]).split(" by ")[0] for one in found.values())
    left = [
        f"{one['path']}:{one['line']} {one['owner']}: {one['what']} ({one['said']}, {one['tests']} tests)"
        for one in sorted(found.values(), key=lambda one: (str(one["path"]), one["line"]))
        if not str(one["said"]).startswith("killed")
    ]
    left += [f"explained, and not there: {one}" for one in plugin.stale]
    sys.stdout.write("\n".join(["", *left, *(f"{count} {what}" for what, count in counts.items())]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
