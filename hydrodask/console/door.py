"""In front of all routes: who asks by our name, from a page of ours, small, and as somebody who may come in."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hydrodask.console.visitors import COOKIE, SAID, Access
from hydrodask.hosts import Hosts

BODY_BYTES_MAX = 16_384
_OPEN = ("/login", "/static/", "/api/login", "/api/schema")
"""What one may see before one has logged in."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Door:
    """In front of all routes: who asks by our name, from a page of ours, small, and as somebody who may come in."""

    def __init__(self, inner: ASGIApp, access: Access, hosts: Hosts) -> None:
        self._inner, self._access, self._hosts = inner, access, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                said = [(k.lower().encode(), v.encode()) for k, v in SAID.items()]
                message["headers"] = [*message["headers"], *((k, v) for k, v in said if k not in names)]
            await send(message)

        request = Request(scope)
        refused = self._refusal(request)
        if refused is not None:
            await refused(scope, receive, headed)
        else:
            await self._inner(scope, receive, headed)

    def _refusal(self, request: Request) -> Response | None:
        told = self._hosts.refusal(request.headers.get("host", ""), request.headers.get("origin"))
        if told is not None:
            return said(told[0], told[1])
        visitor = self._access.visitor(request.headers.get("authorization", ""), request.cookies.get(COOKIE, ""))
        request.scope["visitor"] = visitor
        path = request.url.path
        if visitor is None and not path.startswith(_OPEN):
            if path == "/":
                return Response(status_code=303, headers={"Location": "/login"})
            return said(401, "log in first: a token as `Authorization: Bearer …`, or the page /login")
        if request.method == "POST":
            return _refused_post(request)
        return None


def _refused_post(request: Request) -> Response | None:
    """Return why a POST is none of ours: a page of others can't send JSON without being asked first."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return said(415, "send application/json")
    size = request.headers.get("content-length", "")
    if not size.isdigit() or int(size) > BODY_BYTES_MAX:
        return said(413, f"send a body of a known length, {BODY_BYTES_MAX} bytes at most")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return said(403, "pages of other servers may not ask here")
    return None


def as_json(value: object, *, status: int = 200) -> Response:
    """Return a value as the answer."""
    return Response(_encode(value), status_code=status, media_type="application/json")


def said(code: int, text: str) -> Response:
    """Return why there is no other answer."""
    return as_json({"error": text}, status=code)
