"""Signed links: who holds one may read that one input, or fill that one attempt's folder, until it expires.

A signature is an HMAC-SHA256, under the farm's secret, over what may be done, to what, for which attempt and until
when; nothing of it is kept anywhere. Times are seconds since the epoch.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal
from urllib.parse import urlencode

from reelmill.domain.attempt import AttemptKey
from reelmill.errors import Forbidden

Deed = Literal["read", "fill", "check"]
"""Read the input at a path; fill, and ask to publish, the folder of the attempt; or read and write for a check."""

INPUT_PATH = "/media/input"
ATTEMPTS_PATH = "/media/attempts"
CHECKS_PATH = "/media/checks"


def input_link(secret: bytes, key: AttemptKey, relative: str, expires: int) -> str:
    """The path and query under which a master gives out that input."""
    query = {"path": relative, "attempt": name_of(key), "expires": expires}
    return f"{INPUT_PATH}?{urlencode(query | {'signature': _sign(secret, 'read', relative, name_of(key), expires)})}"


def attempt_link(secret: bytes, key: AttemptKey, expires: int) -> str:
    """The path and query of that attempt's folder; what is done there follows behind the path."""
    name = name_of(key)
    query = {"expires": expires, "signature": _sign(secret, "fill", "", name, expires)}
    return f"{ATTEMPTS_PATH}/{name}?{urlencode(query)}"


def place_link(secret: bytes, name: str, reply: str, expires: int) -> str:
    """The path and query under which a master gives out the file of a check (GET), and takes a reply to it (PUT)."""
    query = {"expires": expires, "signature": _sign(secret, "check", name, reply, expires)}
    return f"{CHECKS_PATH}/{name}/{reply}?{urlencode(query)}"


def check_place_link(secret: bytes, name: str, reply: str, expires: int, signature: str, *, now: float) -> None:
    """Forbidden when the link is not ours, was changed, or has expired."""
    _check(secret, "check", name, reply, expires, signature, now)


def check_link(
    secret: bytes, deed: Deed, relative: str, attempt: str, expires: int, signature: str, *, now: float
) -> AttemptKey:
    """The attempt that the link was given to; Forbidden when it is not ours, was changed, or has expired."""
    _check(secret, deed, relative, attempt, expires, signature, now)
    job_id, _, number = attempt.rpartition(".")
    return AttemptKey(job_id, int(number))


def _check(secret: bytes, deed: Deed, relative: str, attempt: str, expires: int, signature: str, now: float) -> None:
    expected = _sign(secret, deed, relative, attempt, expires)
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
        raise Forbidden("this link was not signed by this farm, or was changed; ask a master for a new one")
    if now > expires:
        raise Forbidden("this link has expired; ask a master for a new one")


def name_of(key: AttemptKey) -> str:
    """The attempt as links and folders call it."""
    return f"{key.job_id}.{key.attempt}"


def _sign(secret: bytes, deed: Deed, relative: str, attempt: str, expires: int) -> str:
    said = "\n".join((deed, relative, attempt, str(expires)))  # no media path holds a line break
    return hmac.digest(secret, said.encode(errors="surrogatepass"), hashlib.sha256).hex()
