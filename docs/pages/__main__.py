"""`python -m docs.pages [FOLDER]`: build the site into FOLDER, or build/site; exit code 1 with what is wrong."""

import sys
from pathlib import Path

from docs.pages.site import ROOT, build


def main() -> int:
    """Build, and say where the first page is or what is wrong."""
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    wrong = build(to)
    sys.stdout.write("\n".join(wrong) + "\n" if wrong else f"{to / 'index.html'}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
