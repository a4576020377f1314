"""MLflow's web application behind a password: `hydrodask services up mlflow` runs it in MLflow's own environment.

Every request needs it, of browsers too (they ask). It knows nothing of users and rights: who has it may do all.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from mlflow.server.fastapi_app import app as mlflow_app

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_WANTED = (
    f"{os.environ['HYDRODASK_MLFLOW_USER']}:{Path(os.environ['HYDRODASK_MLFLOW_PASSWORD_FILE']).read_text().strip()}"
)


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Let MLflow answer who has the password, and nobody else."""
    if scope["type"] == "lifespan" or _admitted(dict(scope["headers"]).get(b"authorization", b"")):
        await mlflow_app(scope, receive, send)
    elif scope["type"] == "http":
        headers = [(b"www-authenticate", b'Basic realm="hydrodask"'), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"this server wants a password"})
    else:
        await send({"type": "websocket.close", "code": 1008})


def _admitted(header: bytes) -> bool:
    kind, _, given = header.partition(b" ")
    try:
        said = base64.b64decode(given, validate=True)
    except binascii.Error:
        return False
    return kind.lower() == b"basic" and hmac.compare_digest(said, _WANTED.encode())
