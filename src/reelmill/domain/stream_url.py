"""The URLs of live streams: which ones a job may name, and what of them is shown.

A stream's URL makes a worker connect to a host that a stranger chose, so its text is judged like a media path:
known schemes, a plain host, no options that mean anything but the stream itself. And whoever knows all of it can send
or take that stream, so its last parts are secrets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from socket import inet_aton
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from reelmill.errors import InvalidField

RTMP_SCHEMES = ("rtmp", "rtmps")
INPUT_SCHEMES = (*RTMP_SCHEMES, "srt")
HIDDEN = "***"

_SRT_OPTIONS = {  # a worker calls, and never listens
    "mode": "caller",
    "streamid": ".{1,512}",
    "passphrase": ".{10,64}",
    "pbkeylen": "16|24|32",
    "latency": r"\d{1,9}",
}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_UNSAFE = re.compile(r"[^\x21-\x7e]|[\"'\\<>^`{|}]")
_MOST_CHARS = 1024
_LOCAL_NAMES = ("localhost", "localhost[46]", "*.localhost", "localhost*.localdomain*", "ip6-localhost", "ip6-loopback")
_WHOLE_INTERNET = IPv6Network("2000::/3")  # what lies outside is of one site, or stands for an IPv4 address
_LEAST_SECRET = 6
"""Characters. A shorter part of a URL is hidden there only: as a word of its own it may be any word."""


class StreamHosts(NamedTuple):
    """With which hosts a farm may stream: those ``named`` (patterns such as ``*.example.org``), if there are any.

    With none it may be any, except, for a farm that is ``open_to_others``, this machine and private networks.
    """

    named: tuple[str, ...] = ()
    open_to_others: bool = False

    def refusal(self, host: str) -> str | None:
        """Why not with this host; None when it may be. A name is not looked up: it says nothing of its addresses."""
        if self.named:
            if any(fnmatchcase(host.lower(), allowed.lower()) for allowed in self.named):
                return None
            return f"names the host {host!r}, which this farm may not stream with (setting `stream_hosts`)"
        if self.open_to_others and _is_inside(host):
            reason = "which is of this machine or a private network; who runs this farm may name it in `stream_hosts`"
            return f"names the host {host!r}, {reason}"
        return None


ANY_HOST = StreamHosts()


def is_stream_url(text: str) -> bool:
    """Whether it is meant as a URL, and not as a path of the media folder."""
    return _SCHEME.match(text) is not None


def scheme_of(url: str) -> str:
    """``rtmp``, ``rtmps`` or ``srt`` of a URL that was checked."""
    return url.partition("://")[0]


def check_stream_url(field: str, url: str, schemes: Collection[str], hosts: StreamHosts = ANY_HOST) -> str:
    """The URL, if it names a stream under one of the schemes at an allowed host.

    InvalidField says what is wrong, without the URL: a wrong one has a key too.
    """
    if len(url) > _MOST_CHARS:
        raise InvalidField(field, f"is longer than {_MOST_CHARS} characters; use a shorter URL")
    if _UNSAFE.search(url):
        raise InvalidField(field, "has a character that no URL holds, such as a space; write it as %20")
    example = "srt://host:port" if "srt" in schemes else "rtmp://host/app/key"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidField(field, f"is no URL; write it like {example}") from None
    if url.partition("://")[0] not in schemes:  # as it is written: engines know no capitals
        hint = "; any other input is a path in the media folder" if "srt" in schemes else ""
        raise InvalidField(field, f"must begin with {' or '.join(f'{name}://' for name in schemes)}{hint}")
    if HIDDEN in url:
        raise InvalidField(field, f"holds {HIDDEN}, which stands for a key that was hidden; write the whole URL")
    if "@" in parts.netloc:
        raise InvalidField(field, "holds a user or password; put the stream's key into its path, as servers expect it")
    if not _HOST.fullmatch(host) or port == 0:
        raise InvalidField(field, f"names no host, or a wrong port; write it like {example}")
    refusal = hosts.refusal(host)
    if refusal is not None:
        raise InvalidField(field, refusal)
    if "#" in url:
        raise InvalidField(field, "holds a '#'; write it as %23")
    if parts.scheme == "srt":
        _check_srt(field, port, parts.path, parts.query)
    elif len([part for part in parts.path.split("/") if part]) < 2:
        raise InvalidField(field, "names no stream; write it like rtmp://host/app/key")
    return url


def _check_srt(field: str, port: int | None, path: str, query: str) -> None:
    if port is None or path not in ("", "/"):
        raise InvalidField(field, "needs a port and no path; write it like srt://host:port?streamid=name")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _SRT_OPTIONS:
            named = f"the option {name!r}" if value else "an option without a value"
            raise InvalidField(field, f"has {named}; known are {', '.join(sorted(_SRT_OPTIONS))}")
        if not re.fullmatch(_SRT_OPTIONS[name], value):
            raise InvalidField(field, f"has the option {name!r} with a value that does not fit {_SRT_OPTIONS[name]}")


def _is_inside(host: str) -> bool:
    """Whether it names this machine, or an address that is not of the whole internet, however written."""
    if any(fnmatchcase(host.lower(), name) for name in _LOCAL_NAMES):
        return True
    address = _read_address(host)
    if isinstance(address, IPv6Address) and address not in _WHOLE_INTERNET:
        return True
    return address is not None and (not address.is_global or address.is_multicast)


def _read_address(host: str) -> IPv4Address | IPv6Address | None:
    """As the system's resolver reads it: 127.1, 0x7f000001 and 2130706433 are addresses too."""
    try:
        if ":" not in host:
            return IPv4Address(inet_aton(host))
        address = IPv6Address(host)
    except (OSError, ValueError):
        return None
    return address.ipv4_mapped or address.sixtofour or address


def without_key(url: str) -> str:
    """A stream's URL as it may be shown: its scheme, its host and its application, and no more."""
    scheme, _, rest = url.partition("://")
    place, query = _split_query(rest)
    host, *path = place.split("/", 2)
    shown = "/".join([host, *path[:1], *([HIDDEN] if path[1:] else [])])
    return f"{scheme}://{shown}{f'?{HIDDEN}' if query else ''}"


def hide_keys(text: str, urls: Iterable[str]) -> str:
    """The text without what `without_key` hides of these URLs, wherever it stands."""
    for url in urls:
        text = text.replace(url, without_key(url))
        for secret in sorted(_secrets(url), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
    return text


def _secrets(url: str) -> set[str]:
    place, query = _split_query(url.partition("://")[2])
    path = place.split("/", 2)[2:]
    values = [value for part in query.split("&") for value in (part, part.partition("=")[2])]
    written = {*path, *(part for whole in path for part in whole.split("/")), *values}
    return {form for text in written for form in (text, unquote(text)) if len(form) >= _LEAST_SECRET}


def _split_query(rest: str) -> tuple[str, str]:
    place, _, query = rest.partition("?")
    return place, query
