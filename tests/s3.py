"""An S3 server of its own, for tests: `python -m tests.s3 PORT [deaf]`; a deaf one does not hear conditions.

It has one bucket, and who asks need not be known.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hydrodask.services.ports import free_port
from tests.delivery import ROOT, until

BUCKET = "plant"


class S3Server:
    """The server as a process, and how it is reached. Its objects are in memory."""

    def __init__(self, folder: Path, *, deaf: bool = False) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._log = folder / f"s3-{port}.log"
        command = [sys.executable, "-W", "ignore", "-m", "tests.s3", str(port), *(["deaf"] if deaf else [])]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        until(lambda: "ready" in self._log.read_text(), "the S3 server answers", seconds=120)

    @property
    def environ(self) -> dict[str, str]:
        """What a client's environment says of it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let it take connections and answer nothing for a while."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, with all that it holds."""
        self._process.kill()
        self._process.wait(120)


def _one_by_one(app: Callable[..., Iterable[bytes]], *, deaf: bool) -> Callable[..., Iterable[bytes]]:
    """Return an application that does one request at a time: moto looks for an object, and puts it a moment later."""
    lock = threading.Lock()

    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if deaf:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with lock:
            return list(app(environ, start))

    return answer


def _serve(port: int, *, deaf: bool) -> None:
    import boto3  # noqa: PLC0415 - tests import this module, and need none of these
    from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", port, _one_by_one(app, deaf=deaf), threaded=True)
    if not os.fork():  # the child makes the bucket once the server answers
        keys = {"aws_access_key_id": "tests", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys).create_bucket(Bucket=BUCKET)
        print("ready", flush=True)  # noqa: T201
        os._exit(0)
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), deaf="deaf" in sys.argv[2:])
