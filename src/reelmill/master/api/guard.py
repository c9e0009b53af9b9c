"""Keeps other people's web pages from driving the farm through a visitor's browser.

A page may send requests anywhere, and a name that it owns may be made to point here. So the Host must be a name of this
machine (or an address, or one that the operator allows), and a request that changes something must not come from
another origin. Programs send no Origin and are not affected.
"""

from __future__ import annotations

import platform
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from litestar.types import ASGIApp, Receive, Scope, Send

from reelmill.errors import Forbidden

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class BrowserGuard:
    """ASGI middleware; Forbidden for a foreign Host, or a change asked for by a foreign page."""

    def __init__(self, app: ASGIApp, allowed_hosts: frozenset[str]) -> None:
        self._app = app
        self._known = allowed_hosts | {"localhost", platform.node().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            host = headers.get(b"host", b"").decode("latin-1").lower()
            self._check_host(host)
            origin = headers.get(b"origin")
            if origin is not None and scope["method"] not in _READING:
                _check_origin(origin.decode("latin-1").lower(), host)
        await self._app(scope, receive, send)

    def _check_host(self, host: str) -> None:
        name = _split("Host", f"//{host}").hostname or ""
        if name and name not in self._known and not name.endswith(".localhost") and not _is_address(name):
            advice = "use an address or this machine's name, or allow the name with the setting allowed-hosts"
            raise Forbidden(f"this farm does not answer as {name[:100]!r}; {advice}")


def _check_origin(origin: str, host: str) -> None:
    if _split("Origin", origin).netloc != host:
        raise Forbidden(f"a page from {origin[:100]!r} may not change anything here")


def _split(header: str, url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:  # such as a [ without its ]
        raise Forbidden(f"the {header} of this request is no address; give the one of this farm") from error


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
