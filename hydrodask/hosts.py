"""By which names our web pages are known: what a browser asks for under another one is not for us.

A stranger's page can let a name of its own point at a loopback address (DNS rebinding) and read what is there as if it
came from itself; the browser then names that page's host. An address can't be lent in this way.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence

HEADERS: Mapping[str, str] = {
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer of a web server of ours has: no page of others may show it in a frame, or read it."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches `host`, an address or name, as far as can be told without asking anybody.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


class Hosts:
    """The names of a server that is bound to `bound`; `more` are those that its users have given it.

    >>> ours = Hosts("127.0.0.1")
    >>> ours.know("localhost:8787"), ours.know("[::1]"), ours.know("10.0.0.1"), ours.know("evil.example")
    (True, True, False, False)
    >>> Hosts("0.0.0.0", ["Plant.example"]).know("plant.example:80"), Hosts("0.0.0.0").know("10.0.0.1:8787")
    (True, True)
    """

    def __init__(self, bound: str, more: Sequence[str] = ()) -> None:
        self._only_here = is_loopback(bound)
        name = socket.gethostname()
        mine = () if self._only_here else (bound, name, name.partition(".")[0])
        self._names = {one.lower() for one in ("localhost", *mine, *more)}

    def know(self, header: str) -> bool:
        """Say whether a Host header names us. Any port will do: a tunnel has another one at its other end."""
        match = _HOST.fullmatch(header.strip())
        if match is None:
            return False
        host = match[1].strip("[]").lower()
        address = _address(host)
        if address is None:
            return host in self._names
        return address.is_loopback or not self._only_here or host in self._names

    def origins(self, port: int) -> list[str]:
        """Return for Bokeh whose pages may open a socket of ours; beyond loopback only `refusal` knows all of them.

        >>> Hosts("127.0.0.1").origins(8787)
        ['127.0.0.1:8787', 'localhost:8787']
        """
        names = ("127.0.0.1", *sorted(self._names)) if self._only_here else ("*",)  # Bokeh knows no IPv6
        return [f"{name}:{port}" for name in names]

    def refusal(self, host: str, origin: str | None) -> tuple[int, str] | None:
        """Return status and sentence for a request that is not for us, or from another page; None if it is fine."""
        if not self.know(host):
            return 421, "this server does not know itself by that name; observe.hosts has more names"
        if origin is not None and origin.partition("://")[2].lower() != host.strip().lower():
            return 403, "pages of other servers may not ask here"
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
