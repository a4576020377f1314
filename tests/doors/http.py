"""What a stranger's browser tries at our pages: `python -m tests.doors.http HOST:PORT …`, a JSON line an attempt.

He can make the browser of somebody who may reach a page ask for it: by a name of his own that he lets point there, from
a page or in a frame of his own. And whoever reaches a port can ask for what costs us. Exit code 1 if one works.
"""

import sys

sys.path[:] = [folder for folder in sys.path if not folder.endswith("doors")]  # else `http` is this file

import http.client
import json
from collections.abc import Iterator

WAIT_S = 10.0
EVIL = "evil.example"
WEBSOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "bokeh, token",
}
ROUTES = ("/eventstream", "/sitemap.json", "/json/counts.json", "/info/main/workers.html", "/proxy/1/a/b", "/api/v1/x")
PAGES = ("/", "/status", "/hydro", "/metrics")
FRAMES = ("X-Frame-Options", "Content-Security-Policy")


def attempts(place: str) -> Iterator[dict[str, str]]:
    """Try everything at one server, and give what came of it: `refused: …` or `OPEN: …`."""
    place = place.rpartition("://")[2].partition("/")[0]
    for page in PAGES:
        yield line(place, f"{page} by another name", *ask(place, page, {"Host": EVIL}))
        yield line(place, f"{page} from another page", *ask(place, page, {"Origin": f"http://{EVIL}"}))
    for route in ROUTES:
        yield line(place, route, *ask(place, route, {}))
    yield line(place, "/metrics changed", *ask(place, "/metrics", {}, method="POST"))
    for page in ("/status", "/hydro"):
        from_elsewhere = {**WEBSOCKET, "Origin": f"http://{EVIL}"}
        yield line(place, f"{page}/ws from another page", *ask(place, f"{page}/ws", from_elsewhere))
        with_its_name = {**from_elsewhere, "Host": EVIL}
        yield line(place, f"{page}/ws by another name", *ask(place, f"{page}/ws", with_its_name))
    for page in PAGES:
        status, headers = ask(place, page, {})
        framed = not all(headers.get(name) for name in FRAMES)
        yield line(place, f"{page} in a frame", status if framed else 0, headers)


def ask(place: str, path: str, headers: dict[str, str], *, method: str = "GET") -> tuple[int, dict[str, str]]:
    """Return the status of an answer, 0 for none, and its headers."""
    connection = http.client.HTTPConnection(place, timeout=WAIT_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders())
    except (OSError, http.client.HTTPException) as error:
        return -1, {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


def line(place: str, attempt: str, status: int, headers: dict[str, str]) -> dict[str, str]:
    """Return what is told of an attempt: an error of the server's is no refusal, and nobody there proves nothing."""
    if status < 0:
        told = f"NOBODY THERE: {headers['error']}"
    elif status == 0:
        told = "refused: forbidden by its headers"
    elif 400 <= status < 500 or status == 501:
        told = f"refused: {status}"
    else:
        told = f"OPEN: {status}"
    return {"door": f"http {place}", "attempt": attempt, "outcome": told}


def main() -> None:
    """Try every server that is named."""
    lines = [one for place in sys.argv[1:] for one in attempts(place)]
    for one in lines:
        print(json.dumps(one), flush=True)
    sys.exit(0 if lines and all(one["outcome"].startswith("refused") for one in lines) else 1)


if __name__ == "__main__":
    main()
