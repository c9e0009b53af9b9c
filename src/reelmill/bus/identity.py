"""Whose connection to the bus of a fleet it is, and how it gets in."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import NamedTuple

MASTER_ROLE = "master"
_ROOT = "reelmill"


class Identity(NamedTuple):
    """Whose connection it is: its role and its id, which are part of every subject it speaks on."""

    role: str
    id: str

    def says(self, subject: str) -> str:
        """The NATS subject of a word that it says."""
        return f"{_ROOT}.{self.role}.{self.id}.{subject}"

    def hears(self, subject: str) -> str:
        """The NATS subjects of words that it hears: a master those of everybody, a worker those of masters."""
        return f"{_ROOT}.{'*' if self.role == MASTER_ROLE else MASTER_ROLE}.*.{subject}"

    @property
    def inbox(self) -> str:
        """Below this the answers to its questions arrive."""
        return f"_INBOX.{self.id}"


class Access(NamedTuple):
    """How to get in: the servers (``nats://host:port``), a name and a password.

    With ``tls`` the connection begins with its handshake (``handshake_first`` in the server's configuration), so that
    nobody in between can talk the client out of it.
    """

    servers: Sequence[str]
    user: str
    password: str
    tls: ssl.SSLContext | None = None
