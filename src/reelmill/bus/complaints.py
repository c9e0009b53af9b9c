"""What a connection to the bus complains of, told in the log now and then, and what it is not allowed to say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import structlog
from nats.errors import SlowConsumerError

log = structlog.get_logger()

_TELL_SECONDS = 60.0
_REFUSED_WORD = re.compile(r'permissions violation for publish to "([^"]+)"')


class Complaints:
    """Of one connection after the other. ``latest`` is the reason when one ends."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.latest = ""
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}
        self._refused: set[str] = set()

    def begin(self) -> None:
        """A new connection: whoever let us in may know more of our words than who did before."""
        self.latest = "the connection was closed"
        self._refused = set()

    async def note(self, error: Exception) -> None:
        """The client, or the server that it is connected to, complains."""
        self.latest = str(error) or type(error).__name__
        if isinstance(error, SlowConsumerError):  # its words are thrown away; the connection stays
            self.tell("bus_words_lost", f"more words come on {error.subject} than can be heard")
        elif "permissions violation" in self.latest:  # the connection stays: somebody speaks out of turn
            self._refused.update(_REFUSED_WORD.findall(self.latest))
            self.tell("bus_refused", self.latest)

    def may_say(self, subject: str) -> bool:
        """Whether no word on it was refused: a master of an older version does not know all that we say."""
        return not self._refused or subject.lower() not in self._refused  # the client tells them in small letters

    def tell(self, event: str, reason: str) -> None:
        """Say it in the log, once a minute however often it happens; ``more`` times since then."""
        now = self._now()
        if now - self._told.get(event, -_TELL_SECONDS) < _TELL_SECONDS:
            self._untold[event] = self._untold.get(event, 0) + 1
            return
        log.error(event, reason=reason, more=self._untold.pop(event, 0))
        self._told[event] = now
