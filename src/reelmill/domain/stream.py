"""Live streams: the URLs that a job may name, and the figures of one that is sent.

A stream's URL makes a worker connect to a host that a stranger chose, so its text is judged like a media path:
known schemes, a plain host, no options that mean anything but the stream itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from reelmill.errors import InvalidField

OutputMode = Literal["file", "rtmp"]
StreamState = Literal["connecting", "sending", "reconnecting"]

RTMP_SCHEMES = ("rtmp", "rtmps")
INPUT_SCHEMES = (*RTMP_SCHEMES, "srt")

_SRT_OPTIONS = frozenset({"mode", "streamid", "passphrase", "pbkeylen", "latency"})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_UNSAFE = re.compile(r"[^\x21-\x7e]|[\"'\\<>^`{|}]")
_MOST_CHARS = 1024
_WORTH_TELLING_SECONDS = 0.5  # less is no lag: the encoder says every quarter of a second where it is


class StreamProgress(msgspec.Struct, frozen=True):
    """How a stream does now: ``lag`` is seconds behind real time, the most so far ``most_lag``.

    ``dropped`` counts frames that were encoded while no server took them, ``reconnects`` how often a lost server was
    found again.
    """

    state: StreamState
    lag: float = 0.0
    most_lag: float = 0.0
    dropped: int = 0
    reconnects: int = 0

    def describe(self) -> str:
        """``"sending, 1.2 s behind, 139 frames dropped, 1 reconnect"``: the state, and what is not as it should be."""
        parts = [
            self.state,
            f"{self.lag:.1f} s behind" if self.lag >= _WORTH_TELLING_SECONDS else "",
            f"{self.dropped:,} frames dropped" if self.dropped else "",
            f"{self.reconnects:,} reconnect{'' if self.reconnects == 1 else 's'}" if self.reconnects else "",
        ]
        return ", ".join(part for part in parts if part)


def is_stream_url(text: str) -> bool:
    """Whether it is meant as a URL, and not as a path of the media folder."""
    return _SCHEME.match(text) is not None


def check_stream_url(field: str, url: str, schemes: Collection[str], hosts: Collection[str] = ()) -> str:
    """The URL, if it names a stream under one of the schemes at an allowed host; InvalidField says what is wrong.

    ``hosts`` are names or patterns such as ``*.example.org``; none at all allows every host.
    """
    if len(url) > _MOST_CHARS:
        raise InvalidField(field, f"is longer than {_MOST_CHARS} characters; use a shorter URL")
    if _UNSAFE.search(url):
        raise InvalidField(field, f"{url[:200]!r} has a character that no URL holds, such as a space; write it as %20")
    example = "srt://host:port" if "srt" in schemes else "rtmp://host/app/key"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidField(field, f"{url!r} is no URL ({error}); write it like {example}") from None
    if url.partition("://")[0] not in schemes:  # as it is written: engines know no capitals
        raise InvalidField(field, f"{url!r} must begin with {' or '.join(f'{name}://' for name in schemes)}")
    if "@" in parts.netloc:
        raise InvalidField(field, "holds a user or password; put the stream's key into its path, as servers expect it")
    if not _HOST.fullmatch(host) or port == 0:
        raise InvalidField(field, f"{url!r} names no host, or a wrong port; write it like {example}")
    if hosts and not any(fnmatchcase(host.lower(), allowed.lower()) for allowed in hosts):
        raise InvalidField(
            field, f"names the host {host!r}, which this farm may not stream with (setting `stream_hosts`)"
        )
    if parts.fragment:
        raise InvalidField(field, f"{url!r} holds a '#'; write it as %23")
    if parts.scheme == "srt":
        _check_srt(field, url, port, parts.path, parts.query)
    elif len([part for part in parts.path.split("/") if part]) < 2:
        raise InvalidField(field, f"{url!r} names no stream; write it like rtmp://host/app/key")
    return url


def _check_srt(field: str, url: str, port: int | None, path: str, query: str) -> None:
    if port is None or path not in ("", "/"):
        raise InvalidField(field, f"{url!r} needs a port and no path; write it like srt://host:port?streamid=name")
    unknown = sorted({name for name, _ in parse_qsl(query, keep_blank_values=True)} - _SRT_OPTIONS)
    if unknown:
        raise InvalidField(field, f"has the option {unknown[0]!r}; known are {', '.join(sorted(_SRT_OPTIONS))}")
