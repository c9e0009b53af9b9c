"""The HTTP client of a master: typed answers, and errors in the words of `reelmill.errors`."""

from __future__ import annotations

import asyncio
import email.utils
import random
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from ipaddress import ip_address
from math import isfinite
from typing import Any, Self, TypeVar, overload
from urllib.parse import quote, urlsplit

import httpx2
import msgspec
import stamina
import stamina.instrumentation

from reelmill.errors import Conflict, InvalidField, MasterUnreachable, NotFound, ReelmillError, Unavailable
from reelmill.launcher.answers import BatchAnswer, Health, Problem

T = TypeVar("T")
Params = Mapping[str, str | int]

stamina.instrumentation.set_on_retry_hooks(())  # retries are told through `on_retry`; the default would log to stdout

_TIMEOUT = httpx2.Timeout(30, connect=5)
_STREAM_TIMEOUT = httpx2.Timeout(45, connect=5)  # a master that has nothing to say says so every 15 seconds
_MAX_RETRY_AFTER = 30.0
_HEALTH_PATIENCE = 10.0
_TELL_EVERY = 5.0
_FAILURES = (httpx2.HTTPError, msgspec.DecodeError)


class TryAgain(Exception):
    """A request that failed for a ``reason`` that may pass; ``after`` so many seconds, when the master says so."""

    def __init__(self, reason: ReelmillError, cause: Exception, after: float | None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.after = after
        self.is_full = isinstance(cause, httpx2.HTTPStatusError) and cause.response.status_code == 429
        """The master is there and takes no more for now: nothing of the request was kept."""
        problem = _problem_of(cause) if self.is_full else None
        self.is_hopeless = problem is not None and problem.limit == 0
        """Nothing is ever taken there."""
        self.is_one_queue = problem is not None and problem.code == "queue_full"
        """Jobs of other queues may well be taken."""
        self.may_have_arrived = not (self.is_full or isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout))


def _is_name_unknown(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def _problem_of(cause: Exception) -> Problem | None:
    if not isinstance(cause, httpx2.HTTPStatusError):
        return None
    try:
        return msgspec.json.decode(cause.response.content, type=Problem)
    except msgspec.DecodeError:
        return None


def check_url(url: str) -> str:
    """The master's URL without a slash at its end; InvalidField when it cannot be one."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidField("--master", f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in url):
        advice = f"http://{url}" if "://" not in url and url and not url.startswith("-") else "http://localhost:8080"
        raise InvalidField("--master", f"{url!r} is not an http:// or https:// URL; write it like {advice}")
    return url.rstrip("/")


def path_of(*parts: str) -> str:
    """A path of these parts, each escaped: ``path_of("jobs", "a/b")`` is ``/jobs/a%2Fb``."""
    return "".join("/" + quote(part, safe="") for part in parts)


class MasterClient:
    """Talks to one master; an async context manager. ``on_retry`` hears why a request is tried again."""

    def __init__(self, url: str, *, on_retry: Callable[[str], None] | None = None) -> None:
        self.url = check_url(url)
        self._on_retry = on_retry
        self._told_at: float | None = None
        # A proxy of the environment is for the world outside, never for this machine.
        self._http = httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=not _is_local(self.url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @overload
    async def get(self, path: str, *, params: Params | None = None, patience: float = 0.0) -> Any: ...
    @overload
    async def get(self, path: str, kind: type[T], params: Params | None = None, *, patience: float = 0.0) -> T: ...
    async def get(
        self, path: str, kind: type[Any] = object, params: Params | None = None, *, patience: float = 0.0
    ) -> Any:
        """The answer to GET, decoded; NotFound, Conflict, InvalidField, Unavailable or MasterUnreachable.

        Tried again for up to ``patience`` seconds while the master is away.
        """
        return await self._ask("GET", path, kind, params=params, patience=patience, wait=_retry_wait)

    async def stream(self, path: str, *, params: Params, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """The answer to GET, in pieces as they come; errors as for ``get``, also when it breaks off."""
        try:
            asked = self._http.stream("GET", self.url + path, params=params, headers=headers, timeout=_STREAM_TIMEOUT)
            async with asked as response:
                if not response.is_success:
                    await response.aread()
                response.raise_for_status()
                async for piece in response.aiter_bytes():
                    yield piece
        except _FAILURES as error:
            raise self._explain(error) from error

    @overload
    async def post(self, path: str, *, body: Any = None) -> Any: ...
    @overload
    async def post(self, path: str, kind: type[T], body: Any = None) -> T: ...
    async def post(self, path: str, kind: type[Any] = object, body: Any = None) -> Any:
        """The answer to POST, decoded; errors as for ``get``."""
        content = None if body is None else msgspec.json.encode(body)
        return await self._ask("POST", path, kind, content=content)

    async def put(self, path: str, body: Any) -> Any:
        """The answer to PUT, decoded; errors as for ``get``."""
        return await self._ask("PUT", path, object, content=msgspec.json.encode(body))

    async def delete(self, path: str) -> Any:
        """The answer to DELETE, decoded; errors as for ``get``."""
        return await self._ask("DELETE", path, object)

    async def health(self) -> Health:
        """How the farm is, healthy or not; what answers must be a reelmill. A broken exchange is tried again."""
        return await self._ask("GET", "/health", Health, also=503, patience=_HEALTH_PATIENCE, wait=_health_wait)

    async def submit(self, body: bytes) -> BatchAnswer:
        """Send one batch, once; TryAgain when that is worth it, else an error as for ``get``.

        Safe to repeat because every job carries an idempotency key: what an unheard answer had accepted is answered
        again.
        """
        try:
            return await self._once("POST", "/jobs/batch", BatchAnswer, None, body, 422)
        except _FAILURES as error:
            wait = _retry_wait(error)
            if wait is False:
                raise self._explain(error) from error
            raise TryAgain(self._explain(error), error, None if wait is True else wait) from error

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Params | None = None,
        content: bytes | None = None,
        also: int = 200,
        patience: float = 0.0,
        wait: Callable[[Exception], bool | float] = bool,
    ) -> T:
        attempts = stamina.retry_context(
            on=wait, attempts=None if patience else 1, timeout=patience or None, wait_max=5.0, wait_jitter=0.5
        )
        try:
            async for attempt in attempts:
                with attempt:
                    try:
                        return await self._once(method, path, kind, params, content, also)
                    except _FAILURES as error:
                        if attempt.num == 1 and patience and wait(error):
                            self._tell_retry(error)
                        raise
        except _FAILURES as error:
            raise self._explain(error) from error
        raise AssertionError("stamina yields at least one attempt")

    def _tell_retry(self, error: Exception) -> None:
        """Say why, but on a bad line not for every request."""
        now = time.monotonic()
        if self._on_retry is not None and (self._told_at is None or now - self._told_at > _TELL_EVERY):
            self._told_at = now
            self._on_retry(str(self._explain(error)))

    async def _once(
        self, method: str, path: str, kind: type[T], params: Params | None, content: bytes | None, also: int
    ) -> T:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        response = await self._http.request(method, self.url + path, params=params, content=content, headers=headers)
        if response.status_code == also and not response.is_success:
            try:
                return msgspec.json.decode(response.content, type=kind)
            except msgspec.DecodeError:
                response.raise_for_status()
        response.raise_for_status()
        if response.status_code == 204:
            return msgspec.convert(None, kind)
        return msgspec.json.decode(response.content, type=kind)

    def _explain(self, error: Exception) -> ReelmillError:
        match error:
            case httpx2.HTTPStatusError():
                return self._explain_status(error.response)
            case msgspec.DecodeError():
                return MasterUnreachable(f"what answers at {self.url} is not a reelmill master; check --master")
            case httpx2.TimeoutException():
                return MasterUnreachable(f"{self.url} does not answer in time; is the master overloaded or stopped?")
            case httpx2.ConnectError() if "SSL: WRONG_VERSION" in str(error):
                return MasterUnreachable(f"{self.url} does not speak TLS; write http:// instead of https://")
            case httpx2.ConnectError() if "SSL" in str(error):
                return MasterUnreachable(f"cannot trust {self.url}: {error}")
            case httpx2.ConnectError() if _is_name_unknown(error):
                host = urlsplit(self.url).hostname
                return MasterUnreachable(f"no address is known for {host!r}; check the name in --master {self.url}")
            case httpx2.ConnectError():
                advice = "start a farm with `reelmill up`, or name another with --master"
                return MasterUnreachable(f"nothing answers at {self.url}; {advice}")
            case httpx2.RemoteProtocolError() if "illegal" in str(error):
                advice = "write https:// if it speaks TLS"
                return MasterUnreachable(f"what answers at {self.url} does not speak HTTP; {advice}")
            case _:
                return MasterUnreachable(f"{self.url} closed the connection before its answer was whole")

    def _explain_status(self, response: httpx2.Response) -> ReelmillError:
        status = response.status_code
        try:
            found = msgspec.json.decode(response.content, type=Problem)
        except msgspec.DecodeError:
            if status in (429, 502, 503, 504) or status >= 500:
                return Unavailable(f"{self.url} answered {status} {response.reason_phrase}; try again later")
            if status in (401, 403):
                return ReelmillError(f"{self.url} does not let us in ({status} {response.reason_phrase})")
            answer = f"it answered {status} {response.reason_phrase}"
            return MasterUnreachable(f"what answers at {self.url} is not a reelmill master ({answer}); check --master")
        if found.field is not None:
            return InvalidField(found.field, found.detail.removeprefix(f"{found.field}: "))
        if status == 404:
            return NotFound(found.detail)
        if status == 409:
            return Conflict(found.detail, code=found.code, status=found.job_status)
        if status == 429 or status >= 500:
            return Unavailable(found.detail)
        return ReelmillError(found.detail)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _health_wait(error: Exception) -> bool | float:
    """Nothing listening is an answer; a broken exchange is not."""
    return False if isinstance(error, httpx2.ConnectError | msgspec.DecodeError) else _retry_wait(error)


def _retry_wait(error: Exception) -> bool | float:
    """Whether to try again, or after how many seconds when the master says so."""
    if isinstance(error, httpx2.HTTPStatusError):
        status = error.response.status_code
        if status not in (408, 425, 429) and status < 500:
            return False
        after = _retry_after(error.response.headers.get("Retry-After"))
        return True if after is None else after + random.uniform(0.05, 0.5)
    return isinstance(error, _FAILURES)


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait, from a number or a date, within reason."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER) if isfinite(seconds) else None


async def pause(seconds: float, stop: asyncio.Event) -> None:
    """Sleep, but not past the moment when a stop is asked for."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
