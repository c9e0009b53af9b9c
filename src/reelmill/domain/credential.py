"""What a worker proves itself with: a token that an operator gave it, and a key of its own, new with every start.

The token says that it may join; the key says which node it is. A node's id is made from its key, so whoever has the
same token, or knows the id, still cannot speak as that node. Of tokens only hashes are stored, of keys nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import uuid
from typing import NamedTuple
from urllib.parse import urlsplit

from reelmill.errors import InvalidField

_SECRET_BYTES = 24
_SHAPE = re.compile(r"(?P<id>[0-9a-f]{8})\.(?P<secret>[A-Za-z0-9_-]{32})")
_PINNED = re.compile(rf"{_SHAPE.pattern}(?:\.(?P<pin>[A-Za-z0-9_-]{{43}}))?")
SCHEME = "reelmill"
TLS_SCHEME = "reelmills"
DEFAULT_PORT = 4222


class Token(NamedTuple):
    """``id`` is public, ``secret`` is not."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        """As people and programs pass it on."""
        return f"{self.id}.{self.secret}"


class NodeKey(NamedTuple):
    """What a worker's process proves with that it is a node; see the module."""

    secret: str

    @property
    def node_id(self) -> str:
        """The id that belongs to the key: a UUID, of the version that is free for such uses."""
        digest = bytearray(hashlib.sha256(self.secret.encode()).digest()[:16])
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        return str(uuid.UUID(bytes=bytes(digest)))


class Join(NamedTuple):
    """Where a worker joins a farm, and with what. ``pin`` is the SHA-256 of the certificate that it must find there.

    With ``tls`` and no pin the certificate must be one of an authority that the worker knows.
    """

    token: Token
    hosts: tuple[str, ...]
    pin: bytes | None
    tls: bool

    @property
    def text(self) -> str:
        """The URL that is pasted behind ``--join``."""
        pin = "" if self.pin is None else f".{base64.urlsafe_b64encode(self.pin).rstrip(b'=').decode()}"
        scheme = TLS_SCHEME if self.tls and self.pin is None else SCHEME
        return f"{scheme}://{self.token.text}{pin}@{','.join(self.hosts)}"


def make_token() -> Token:
    """A new one; its secret is known nowhere else."""
    return Token(secrets.token_hex(4), secrets.token_urlsafe(_SECRET_BYTES))


def make_node_key() -> NodeKey:
    """A new one for a process that begins."""
    return NodeKey(secrets.token_urlsafe(_SECRET_BYTES))


def read_token(text: str) -> Token | None:
    """The token in the text; None when it is none."""
    found = _SHAPE.fullmatch(text)
    return Token(found["id"], found["secret"]) if found else None


def hash_secret(secret: str) -> str:
    """What is stored of a secret. It has 192 random bits, so a plain hash is as good as a slow one."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(secret: str, stored: str) -> bool:
    """Whether that hash is of this secret, in the same time for every wrong one."""
    return secrets.compare_digest(hash_secret(secret), stored)


def read_join(field: str, text: str) -> Join:
    """The parts of a ``reelmill://TOKEN@host:port[,host:port]`` URL; InvalidField that never shows the secret."""
    what = f"is not of the form {SCHEME}://TOKEN@HOST:{DEFAULT_PORT}; `reelmill tokens create NAME` prints one"
    scheme, _, rest = text.strip().partition("://")
    token_text, at, places = rest.rpartition("@")
    found = _PINNED.fullmatch(token_text)
    if scheme not in (SCHEME, TLS_SCHEME) or not at or not places.rstrip("/"):
        raise InvalidField(field, what)
    if found is None:
        raise InvalidField(field, "holds no whole token (a part of it got lost?); copy it again")
    pin = base64.urlsafe_b64decode(found["pin"] + "=") if found["pin"] else None
    tls = scheme == TLS_SCHEME or pin is not None
    return Join(Token(found["id"], found["secret"]), read_hosts(field, places), pin, tls)


def read_hosts(field: str, places: str) -> tuple[str, ...]:
    """Each ``HOST[:PORT]`` of those, with its port; InvalidField when one is none."""
    return tuple(_read_host(field, place) for place in places.rstrip("/").split(","))


def _read_host(field: str, place: str) -> str:
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host = port = None
    if not host or re.search(r"[/?#@\s]", place):
        raise InvalidField(field, f"names {place[:80]!r}, which is no HOST:PORT")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
