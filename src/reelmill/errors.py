"""Every error that reelmill raises on purpose, drawn once.

ReelmillError
├── UsageError            the caller asked for something that makes no sense
│   ├── InvalidField      one field of a request is wrong (HTTP 422)
│   ├── NotFound          no such job, launch, node or scenario (HTTP 404)
│   ├── Conflict          not in this state, or the key is taken (HTTP 409)
│   ├── Forbidden         a request that only a foreign web page would send (HTTP 403)
│   └── SettingsError     a flag, a variable or a settings file is wrong
├── Full                  a queue or a tenant takes no more jobs now (HTTP 429)
├── Unavailable           the farm cannot answer now; asking again later may help (HTTP 503)
│   ├── StoreUnavailable  the database refused a durable commit
│   ├── MasterUnreachable no master answers at the address given
│   └── PlaceFault        a place of media cannot be read or written
├── WordTooLarge          a word does not fit on the bus between masters and workers
└── StartupError          a part cannot start (port taken, folder not writable, ...)

A message is one or two sentences for a person: what is wrong, where, and what to do.
The driver's own error is kept as ``__cause__``.
"""

from __future__ import annotations

from typing import Literal


class ReelmillError(Exception):
    """Base of all errors raised on purpose; ``code`` is stable for programs, the text is for people."""

    code = "error"


class UsageError(ReelmillError):
    """The caller asked for something that makes no sense."""

    code = "usage"


class InvalidField(UsageError):
    """One field of a request is wrong; ``field`` is its dotted path, such as ``parameters.bitrate``."""

    code = "invalid_field"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class NotFound(UsageError):
    """There is no such job, launch, node or scenario."""

    code = "not_found"


class Conflict(UsageError):
    """The thing is in a state that does not allow this; ``status`` names the state where there is one."""

    code = "conflict"

    def __init__(self, message: str, *, code: str = "conflict", status: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Forbidden(UsageError):
    """The request comes from where none may come from."""

    code = "forbidden"


class SettingsError(UsageError):
    """A flag, an environment variable or a settings file is wrong."""

    code = "settings"


class Full(ReelmillError):
    """A queue or a tenant (``kind``) has no room for ``asked`` more jobs: ``waiting`` of at most ``limit`` wait.

    ``retry_after`` is a guess, in seconds, of when it may have; None when nobody has made one.
    """

    def __init__(self, kind: Literal["queue", "tenant"], name: str, *, waiting: int, limit: int, asked: int) -> None:
        what = f"{kind} {name!r}"
        wait = f"{waiting:,} of at most {limit:,} jobs wait in it"
        if limit == 0:
            sentence = f"{what} takes no jobs: its limit of jobs that wait is 0"
        elif asked > limit:
            sentence = f"these {asked:,} new jobs can never fit into {what}, in which at most {limit:,} may wait"
            sentence += "; send smaller batches"
        elif asked == 1:
            sentence = f"{what} is full: {wait}; submit again later"
        else:
            sentence = f"{what} has no room for these {asked:,} new jobs: {wait}; none of the batch was stored, "
            sentence += "submit it again later, or in smaller ones"
        super().__init__(sentence)
        self.code = f"{kind}_full"
        self.kind: Literal["queue", "tenant"] = kind
        self.name = name
        self.waiting = waiting
        self.limit = limit
        self.asked = asked
        self.retry_after: int | None = None


class Unavailable(ReelmillError):
    """The farm cannot answer now; the same request may succeed later."""

    code = "unavailable"


class StoreUnavailable(Unavailable):
    """The database refused a durable commit, so nothing of the request was kept."""

    code = "store_unavailable"


class MasterUnreachable(Unavailable):
    """No master answers at the address given."""

    code = "master_unreachable"


class PlaceFault(Unavailable):
    """A place of media cannot be read or written; the message says which and why."""

    code = "place_fault"


class WordTooLarge(ReelmillError):
    """A word of ``size`` bytes on a subject of the bus is larger than it takes; None when only that is known."""

    code = "word_too_large"

    def __init__(self, subject: str, size: int | None = None, most: int | None = None) -> None:
        numbers = "" if size is None else f": {size:,} bytes, and at most {most:,} are taken"
        super().__init__(f"a word on {subject!r} is too large for the bus{numbers}")


class StartupError(ReelmillError):
    """A part of the farm cannot start; the message says which and what to do."""

    code = "startup"
