"""`python -m docs.dashboards`: write the pages into conf/grafana."""

import sys

from docs.dashboards.written import FOLDER, texts


def main() -> int:
    """Write each page, and say where."""
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{FOLDER / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
