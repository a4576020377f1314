"""Many lives to which harm is done, and a table of how they ended: `python -m tests.simulation.tally FIRST END`."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.simulation.lives import live_harmed
from tests.simulation.outcome import HEALED, SENTENCE, VERIFY

ENDS = (HEALED, SENTENCE, VERIFY, "a third thing")


def table(ended: Iterable[tuple[tuple[str, ...], str]]) -> str:
    """Return, as Markdown, how many lives with each harm ended in which way; with two harms a life counts for both."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for harms, end in ended:
        for harm in harms:
            counts[harm][end] += 1
    rows = [f"| {harm} | {' | '.join(str(of[end]) for end in ENDS)} |" for harm, of in sorted(counts.items())]
    return "\n".join([f"| harm | {' | '.join(ENDS)} |", f"|---|{'---|' * len(ENDS)}", *rows])


def main(first: int, end: int) -> int:
    """Live the lives of these seeds; print what is wrong with each that ends in a third way, then the table."""
    ended = []
    for harms, how, wrong in live_harmed(range(first, end)):
        ended.append((harms, how))
        if wrong:
            sys.stdout.write(f"{wrong}\n\n")
            sys.stdout.flush()
    sys.stdout.write(f"{table(ended)}\n{len(ended)} lives\n")
    return sum(how == ENDS[-1] for _, how in ended)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])) > 0)
