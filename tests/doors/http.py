"""Ask dashboard and metrics as a stranger's page in somebody's browser does, and for what costs them.

He can have the browser of somebody who may look at a page ask for it: by a name of his own that he lets point there,
from a page of his own, or in a frame of it.

A plain script for the standard library alone; its contract is in `_stranger`.
"""

import http.client
import json
import sys
from collections.abc import Iterator
from typing import Any

WAIT_S = 30.0
EVIL = "evil.example"
WEBSOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "bokeh, token",
}
ROUTES = ("/eventstream", "/sitemap.json", "/json/counts.json", "/info/main/workers.html", "/proxy/1/a/b", "/api/v1/x")
PAGES = {"dashboard": ("/", "/status", "/hydro"), "metrics": ("/metrics",), "console": ("/",)}
FRAMES = ("X-Frame-Options", "Content-Security-Policy")
FORBIDDEN = range(400, 500)

Row = dict[str, str]


def attempts(door: str, place: str) -> Iterator[Row]:
    """Try everything at one server; first that it is there: an error of the server's is no refusal."""
    for page in PAGES[door]:
        status, headers = ask(place, page, {})
        framed = not all(headers.get(name) for name in FRAMES)
        yield row(door, page, f"public: {status}" if status in (200, 301) else f"open: {status}, and not the page")
        yield row(door, f"{page} in a frame", "open: no header forbids it" if framed else "refused: by its headers")
        yield refused(door, f"{page} by another name", ask(place, page, {"Host": EVIL}))
        yield refused(door, f"{page} from another page", ask(place, page, {"Origin": f"http://{EVIL}"}))
        yield refused(door, f"{page}, to change it", ask(place, page, {}, method="POST"))
    for route in ROUTES:
        yield refused(door, route, ask(place, route, {}))
    for page in ("/status", "/hydro"):
        socket = {**WEBSOCKET, "Origin": f"http://{EVIL}"}
        yield refused(door, f"{page}/ws from another page", ask(place, f"{page}/ws", socket))
        yield refused(door, f"{page}/ws by another name", ask(place, f"{page}/ws", {**socket, "Host": EVIL}))


def ask(place: str, path: str, headers: dict[str, str], *, method: str = "GET") -> tuple[int, dict[str, str]]:
    """Return status and headers of an answer. Raises OSError without one."""
    connection = http.client.HTTPConnection(place, timeout=WAIT_S)
    try:
        connection.request(method, path, headers=headers)
        with connection.getresponse() as answer:
            return answer.status, {name.title(): value for name, value in answer.getheaders()}  # in any case
    finally:
        connection.close()


def refused(door: str, attempt: str, answer: tuple[int, dict[str, str]]) -> Row:
    """Return what is told of an answer that should have been a refusal."""
    return row(door, attempt, f"{'refused' if answer[0] in FORBIDDEN else 'open'}: {answer[0]}")


def row(door: str, attempt: str, outcome: str) -> Row:
    """Return a row."""
    return {"door": door, "attempt": attempt, "outcome": outcome}


def main(context: dict[str, Any]) -> None:
    """Try each server that there is."""
    for door in PAGES:
        for one in attempts(door, context[door]) if door in context else ():
            sys.stdout.write(json.dumps(one) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
