"""Routes of the page and of the API: with `door`, the only importer of starlette."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any
from zlib import crc32

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hydrodask import clock
from hydrodask.answers import ANSWERS, Answer
from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.console import schema
from hydrodask.console.curves import PIXELS_MAX, RANGES_S, SUM_S, CurveReader
from hydrodask.console.door import Door, as_json, said
from hydrodask.console.roster import NoSuchRigError, Roster
from hydrodask.console.sight import LatestDocuments, Sight
from hydrodask.console.visitors import COOKIE, SESSION_S, Access, Visitor
from hydrodask.errors import HydrodaskError, UsageError, sentence
from hydrodask.hosts import Hosts
from hydrodask.learn.told import about
from hydrodask.records import Upsert

log = logging.getLogger(__name__)

READERS_MAX = 4
"""Requests that read the lake at a time; others wait for their turn."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGES = {"/": "index.html", "/login": "login.html"}


@dataclass
class Rooms:
    """What the routes work with."""

    sight: Sight
    curves: CurveReader
    access: Access
    hosts: Hosts
    secure: bool

    def __post_init__(self) -> None:
        self.readers: anyio.CapacityLimiter | None = None  # belongs to the loop that serves
        self.roster = Roster(self.sight)
        self.files = {
            f"/static/{one.name}": one.read_bytes()
            for one in (resources.files("hydrodask.console") / "static").iterdir()
            if one.is_file()
        }


class Endpoints:
    """What is answered at each path."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def page(self, request: Request) -> Response:
        return _file(self._rooms, f"/static/{PAGES[request.url.path]}")

    async def static(self, request: Request) -> Response:
        return _file(self._rooms, request.url.path)

    async def me(self, request: Request) -> Response:
        visitor: Visitor = request.scope["visitor"]
        zone, now_us = self._rooms.sight.zone, clock.now_us()
        times = {"zone": zone.named(now_us), "zone_labels": {str(k): v for k, v in zone.labels(now_us).items()}}
        who = {"name": visitor.name, "may_answer": visitor.may_answer, "locked": self._rooms.access.locked}
        return as_json(who | times)

    async def sensors(self, _request: Request) -> Response:
        return as_json({"sensors": self._rooms.curves.sensors, "ranges": list(RANGES_S)})

    async def fleet(self, _request: Request) -> Response:
        return as_json(await _read(self._rooms, self._rooms.sight.fleet))

    async def live(self, request: Request) -> Response:
        return await _live(self._rooms, request)

    async def rig(self, request: Request) -> Response:
        asked = request.query_params
        end = asked.get("end")
        if asked.get("range") not in RANGES_S:
            raise UsageError(f"want rig, and range as one of {', '.join(RANGES_S)}")
        seconds, end_us = RANGES_S[asked["range"]], None if end is None else _time_us(end)
        name, rooms, pixels = asked.get("rig", ""), self._rooms, _pixels(request)

        def read() -> dict[str, Any]:  # in one thread: to find another one takes a while beside busy ones
            rooms.roster.check(name)
            return rooms.curves.rig(name, seconds, end_us, pixels, wait_s=SUM_S)

        return as_json(await _read(rooms, read))

    async def story(self, request: Request) -> Response:
        start_us, end_us = (_time_us(request.query_params.get(name, "")) for name in ("from", "to"))
        name = await _rig(self._rooms, request)
        return as_json(await _read(self._rooms, self._rooms.curves.story, name, start_us, end_us))

    async def episode(self, request: Request) -> Response:
        name, which = await _rig(self._rooms, request), request.query_params.get("id", "")
        return as_json({"episode": await _read(self._rooms, self._rooms.sight.episode, name, which)})

    async def zoom(self, request: Request) -> Response:
        asked = request.query_params
        sensor = asked.get("sensor", "")
        start_us, end_us = _time_us(asked.get("from", "")), _time_us(asked.get("to", ""))
        if sensor not in {one["sensor"] for one in self._rooms.curves.sensors} or not start_us < end_us:
            raise UsageError("want rig, a sensor, and from before to, in seconds since the epoch or ISO 8601")
        name = await _rig(self._rooms, request)
        return as_json(
            await _read(self._rooms, self._rooms.curves.zoom, name, sensor, start_us, end_us, _pixels(request))
        )

    async def answers(self, request: Request) -> Response:
        if request.method == "GET":
            return as_json(await _read(self._rooms, lambda: _given(self._rooms)))
        return await _answer(self._rooms, request)

    async def login(self, request: Request) -> Response:
        body = await _body(request)
        entered = self._rooms.access.login(str(body.get("token", "")))
        if entered is None:
            return said(403, "that is no token of anybody's here")
        response = as_json({"name": entered[1].name})
        response.set_cookie(
            COOKIE, entered[0], max_age=int(SESSION_S), httponly=True, samesite="strict", secure=self._rooms.secure
        )
        return response

    async def logout(self, request: Request) -> Response:
        self._rooms.access.logout(request.cookies.get(COOKIE, ""))
        response = as_json({})
        response.delete_cookie(COOKIE)
        return response

    async def described(self, _request: Request) -> Response:
        return as_json(schema.described())


def made(rooms: Rooms) -> ASGIApp:
    """Return the application."""
    pages = Endpoints(rooms)
    routes: list[tuple[str, Callable[[Request], Awaitable[Response]], str]] = [
        ("/", pages.page, "GET"),
        ("/login", pages.page, "GET"),
        ("/static/{name}", pages.static, "GET"),
        ("/api/me", pages.me, "GET"),
        ("/api/sensors", pages.sensors, "GET"),
        ("/api/fleet", pages.fleet, "GET"),
        ("/api/live", pages.live, "GET"),
        ("/api/rig", pages.rig, "GET"),
        ("/api/story", pages.story, "GET"),
        ("/api/episode", pages.episode, "GET"),
        ("/api/zoom", pages.zoom, "GET"),
        ("/api/answers", pages.answers, "GET POST"),
        ("/api/login", pages.login, "POST"),
        ("/api/logout", pages.logout, "POST"),
        ("/api/schema", pages.described, "GET"),
    ]
    inner = Starlette(routes=[Route(path, _careful(call), methods=methods.split()) for path, call, methods in routes])
    # A rig's curves are half a megabyte, a fourth of it compressed; the quickest level does nearly as well as the best.
    return Door(GZipMiddleware(inner, minimum_size=1_000, compresslevel=1), rooms.access, rooms.hosts)


def _careful(call: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return `call`, whose errors are answers: what was asked for, or that a store does not answer."""

    async def answered(request: Request) -> Response:
        try:
            return await call(request)
        except NoSuchRigError as error:
            return said(404, sentence(error))
        except UsageError as error:
            return said(400, sentence(error))
        except HydrodaskError as error:
            return said(503, sentence(error))

    return answered


async def _live(rooms: Rooms, request: Request) -> Response:
    """Answer what is new of a rig since a revision, with 304 when nothing is."""
    name, after = request.query_params.get("rig", ""), request.query_params.get("after", "")

    def look() -> LatestDocuments:
        rooms.roster.check(name)
        return rooms.sight.known()

    known = await _read(rooms, look)
    live = rooms.sight.live
    stopped = known.trouble or live.why_not(name)
    revision = f"{live.changed(name)}.{known.revision}.{crc32(stopped.encode())}"
    if revision == after:
        return Response(status_code=304)
    values = {sensor: [at / US_PER_S, *rest] for sensor, (at, *rest) in live.newest(name).items()}
    behind = None if live.behind_s is None else round(live.behind_s, 1)
    return as_json(
        {
            "revision": revision,
            "documents": known.revision,
            "values": values,
            "behind_s": behind,
            "source": live.source,
            "stopped": stopped,
        }
    )


async def _answer(rooms: Rooms, request: Request) -> Response:
    """Store an answer, and say what is stored."""
    visitor: Visitor = request.scope["visitor"]
    if not visitor.may_answer:
        return said(403, f"{visitor.name} may look, and not answer")
    body = await _body(request)
    by = visitor.name or body.get("by") or ""
    if not isinstance(by, str):
        raise UsageError("by of an answer has to be text: who answers")

    def store() -> Upsert:
        which = body.get("incident")
        there = rooms.sight.documents.find("incidents", {"_id": which}, limit=1) if isinstance(which, str) else []
        if which and not there:
            raise UsageError(f"there is no incident {str(which)[:80]!r}")
        told = about(body, there[0] if there else None)
        change = Answer.made(told, by=by, now_us=clock.now_us()).change(body.get("id"))
        rooms.sight.documents.write([change])
        rooms.sight.known(fresh=True)
        return change

    change = await _read(rooms, store)
    return as_json({"_id": change.id, **change.body}, status=201)


async def _rig(rooms: Rooms, request: Request) -> str:
    """Return the rig that is asked for. Raises NoSuchRigError when nobody has heard of it."""
    name = request.query_params.get("rig", "")
    await _read(rooms, rooms.roster.check, name)
    return name


def _given(rooms: Rooms) -> list[dict[str, Any]]:
    return rooms.sight.documents.find(ANSWERS, {}, limit=1_000, newest_first="at")


async def _read(rooms: Rooms, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call that blocks returns, made in a thread; so many at a time."""
    if rooms.readers is None:
        rooms.readers = anyio.CapacityLimiter(READERS_MAX)
    return await anyio.to_thread.run_sync(call, *arguments, limiter=rooms.readers)


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise UsageError("the body is no JSON object")
    return body


def _time_us(text: str) -> int:
    try:
        return round(float(text) * US_PER_S) if text.replace(".", "", 1).isdigit() else parse_iso(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{text[:40]!r} is no time; want ISO 8601, or seconds since the epoch") from None


def _pixels(request: Request) -> int:
    text = request.query_params.get("pixels", "320")
    return min(PIXELS_MAX, max(50, int(text))) if text.isdigit() and len(text) < 6 else 320


def _file(rooms: Rooms, path: str) -> Response:
    data, kind = rooms.files.get(path), TYPES.get(f".{path.rpartition('.')[2]}")
    if data is None or kind is None:
        return said(404, "there is no such page")
    return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})
