"""The masters as a worker without the media folder sees them: signed links, and requests that outlive broken ones."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import httpx2
import msgspec
import structlog

from reelmill.bus.protocol import Bus
from reelmill.bus.words import LINKS, LinksWanted
from reelmill.domain.attempt import AttemptKey, MediaLinks
from reelmill.domain.failure import Failure
from reelmill.errors import PlaceFault
from reelmill.media.durable import SLOWEST_READ
from reelmill.media.failed import AttemptFailed

log = structlog.get_logger()

T = TypeVar("T")

PATIENCE_SECONDS = 300.0
"""How long a master may answer on the bus and not over HTTP before an attempt fails of it."""

_READ_SECONDS, _CONNECT_SECONDS = 30.0, 5.0
_TIMEOUT = httpx2.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS, pool=None)
_ANSWER_SECONDS = 5.0
_LONGEST_PAUSE = 5.0
_PASSING = frozenset({408, 425, 429})


class Disagreed(Exception):
    """A master has another state of this output than we thought: ``code`` says how, ``offset`` how much it has."""

    def __init__(self, code: str, offset: int | None) -> None:
        super().__init__(code)
        self.code = code
        self.offset = offset


class Refused(Exception):
    """The link is not good, or not any more."""

    def __init__(self, reason: str, link: str = "") -> None:
        super().__init__(reason)
        self.link = link


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""
    detail: str = ""
    failure: Failure | None = None


class MediaMaster:
    """Asks whichever master answers. An attempt that counts no more is cancelled: it has nothing to report."""

    def __init__(self, bus: Bus, patience: float = PATIENCE_SECONDS) -> None:
        self._bus = bus
        self._patience = patience
        self._node_id = ""
        self._links: dict[AttemptKey, MediaLinks] = {}
        self._http: httpx2.AsyncClient | None = None

    def open(self, node_id: str) -> None:
        """Speak for this node from now on."""
        self._node_id = node_id
        # No proxy of the environment: the bus goes straight to the masters as well.
        self._http = httpx2.AsyncClient(
            timeout=_TIMEOUT,
            trust_env=False,
            verify=ssl.create_default_context(),
            limits=httpx2.Limits(max_connections=None),
            headers={"Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """No connection is left; may be repeated."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    @property
    def http(self) -> httpx2.AsyncClient:
        """The connections."""
        if self._http is None:
            raise RuntimeError("the depot is not open")
        return self._http

    def forget(self, key: AttemptKey) -> None:
        """The attempt is over."""
        self._links.pop(key, None)

    async def ask(self, key: AttemptKey, call: Callable[[MediaLinks], Awaitable[T]]) -> T:
        """What ``call`` makes of the attempt's links, with fresh ones and after a pause whenever the exchange breaks.

        That goes on as long as the attempt counts. AttemptFailed when a master says so, and when for too long none
        can be reached over HTTP although the bus answers.
        """
        loop, failures = asyncio.get_running_loop(), 0
        lost_at: float | None = None
        while True:
            links, began = await self._links_of(key), loop.time()
            if links is not None:
                try:
                    return await call(links)
                except (httpx2.TransportError, Refused) as error:
                    self._links.pop(key, None)  # another master may have better ones
                    is_away = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | Refused)
                    lost_at = (lost_at or began) if is_away else None
                    if lost_at is not None and loop.time() - lost_at > self._patience:
                        raise AttemptFailed(unreachable(_link_of(error, links), error)) from error
                    log.info("media_exchange_broke", job=key.job_id, attempt=key.attempt, reason=repr(error))
            failures = 0 if loop.time() - began > _LONGEST_PAUSE else failures + 1
            await asyncio.sleep(min(_LONGEST_PAUSE, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1))

    async def _links_of(self, key: AttemptKey) -> MediaLinks | None:
        """None while no master answers: then the attempt's lease decides."""
        known = self._links.get(key)
        if known is not None:
            return known
        answer = await LINKS.ask(self._bus, LinksWanted(self._node_id, key), _ANSWER_SECONDS)
        if answer is None:
            return None
        if not answer:
            raise asyncio.CancelledError
        self._links[key] = answer[0]
        return answer[0]

    async def post(self, key: AttemptKey, deed: str, body: object = None, *, hashed: int = 0) -> None:
        """Ask for one deed below the attempt's link; Disagreed when the state is another one.

        A master hashes so many bytes before it answers.
        """
        content = None if body is None else msgspec.json.encode(body)
        timeout = httpx2.Timeout(_READ_SECONDS + hashed / SLOWEST_READ, connect=_CONNECT_SECONDS, pool=None)

        async def send(links: MediaLinks) -> None:
            await check(await self.http.post(below(links.attempt, deed), content=content, timeout=timeout))

        await self.ask(key, send)

    async def once(
        self, method: str, link: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The answer to one request, which is not repeated; PlaceFault when it is no success."""
        try:
            answer = await self.http.request(method, link, content=content, headers=headers)
        except httpx2.TransportError as error:
            raise PlaceFault(unreachable(link, error).message) from error
        if not answer.is_success:
            raise PlaceFault(f"{origin_of(link)} answers {answer.status_code} to {method}: {_detail_of(answer)}")
        return answer.content


def below(link: str, deed: str) -> str:
    """The address of a deed: it stands behind the path of the link, before its query."""
    path, _, query = link.partition("?")
    return f"{path}/{deed}?{query}"


async def check(answer: httpx2.Response) -> None:
    """What an answer means that is no success: to try again, Disagreed, that all is over, or AttemptFailed."""
    if answer.is_success:
        return
    await answer.aread()
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    if problem.failure is not None:
        raise AttemptFailed(problem.failure)
    if answer.status_code == 403:
        raise Refused(problem.detail)
    if problem.code == "attempt_over":
        raise asyncio.CancelledError
    if answer.status_code == 409:
        offset = answer.headers.get("Upload-Offset", "")
        raise Disagreed(problem.code, int(offset) if offset.isdecimal() else None)
    if answer.status_code in _PASSING or answer.status_code >= 500:
        raise httpx2.RemoteProtocolError(f"HTTP {answer.status_code}: {problem.detail}")
    message = f"A master refused an exchange of media ({answer.status_code}: {problem.detail}); see its log."
    raise AttemptFailed(Failure("platform_error", "media_refused", message))


def origin_of(link: str) -> str:
    """The place to which a link leads, without what is asked of it."""
    place = httpx2.URL(link)
    return f"{place.scheme}://{place.netloc.decode()}"


def _detail_of(answer: httpx2.Response) -> str:
    try:
        return msgspec.json.decode(answer.content, type=_Problem).detail
    except msgspec.DecodeError:
        return answer.text[:200] or answer.reason_phrase


def _link_of(error: Exception, links: MediaLinks) -> str:
    """The address that could not be used: that of a master, or of an object store."""
    if isinstance(error, Refused):
        return error.link or links.attempt
    try:
        return str(error.request.url) if isinstance(error, httpx2.TransportError) else links.attempt
    except RuntimeError:  # it broke before there was a request
        return links.attempt


def unreachable(link: str, error: Exception) -> Failure:
    """What an attempt fails of when that address cannot be used."""
    message = (
        f"This worker cannot get media from {origin_of(link)} ({error or type(error).__name__}); "
        "set public-url (for an object store media-endpoint) on the masters to where it can, "
        "or give it the media folder with --media."
    )
    return Failure("network_error", "media_unreachable", message)
