"""Try every door of a platform with an embedded broker, of one on Kafka, and of services: `python -m tests.doors`.

Prints a table for people, then the same rows as one JSON document; exit code 1 if one is open.
"""

import json
import sys
import tempfile
from pathlib import Path

from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port
from tests.doors import _stranger
from tests.doors._platform import running
from tests.doors._services import services


def main() -> int:
    """Start them one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        with running(Path(folder) / "embedded") as doors:
            rows = doors.tried()
        service = KafkaService(Path(folder) / "kafka", port=free_port(3), heap="256m", with_parent=True)
        service.install(lambda _said: None)
        service.start(lambda _said: None)
        try:
            with running(Path(folder) / "local", service) as doors:
                rows += doors.tried()
        finally:
            service.stop()
        with services(Path(folder)) as web:
            rows += _stranger.tried("services", {"services": web})
    sys.stdout.write(f"{_stranger.table(rows)}\n{json.dumps(rows, indent=1)}\n")
    return 1 if _stranger.holes(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
