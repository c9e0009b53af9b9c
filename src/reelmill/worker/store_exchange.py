"""What a worker exchanges with an object store itself, by URLs that a master has signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2

from reelmill.domain.attempt import MediaLinks
from reelmill.domain.container import BY_MUXER
from reelmill.domain.failure import Failure
from reelmill.media import input_failure
from reelmill.media.failed import AttemptFailed
from reelmill.media.publish import container_of
from reelmill.worker.media_master import Disagreed, Refused, check, origin_of

MOST_BYTES = 5000 << 20
"""What every store takes in one request, and copies in one."""

_READ_BYTES = 1 << 20
_CODE = re.compile(rb"<Code>(\w{1,80})</Code>")
_PASSING = frozenset({"RequestTimeout", "SlowDown", "OperationAborted", "InternalError", "ServiceUnavailable"})
_DAMAGED = frozenset({"BadDigest", "IncompleteBody", "Md5Mismatch"})


async def put_output(http: httpx2.AsyncClient, links: MediaLinks, output: Path, size: int, md5: bytes) -> None:
    """Put all of the output where its attempt's link leads. Disagreed when the store finds other bytes there."""
    if links.output is None:
        raise RuntimeError("there is no object store")
    headers = {
        "Content-Length": str(size),
        "Content-MD5": base64.b64encode(md5).decode(),
        "Content-Type": _media_type(output),
        **links.output_headers,
    }
    await check_store(await http.put(links.output, content=pieces(output), headers=headers))


def _media_type(output: Path) -> str:
    return BY_MUXER[container_of(output)].media_type


async def check_store(answer: httpx2.Response) -> None:
    """What a store's answer means that is no success: to try again, Disagreed, or AttemptFailed."""
    if answer.is_success:
        return
    content = await answer.aread()
    found = _CODE.search(content)
    code = found[1].decode() if found else answer.reason_phrase
    link = str(answer.request.url)
    if answer.status_code in (401, 403):  # it has expired, or whoever signed it may not do that any more
        raise Refused(f"{answer.status_code} {code}", link)
    if code in _DAMAGED:
        raise Disagreed("corrupted", 0)
    if answer.status_code in (408, 429) or answer.status_code >= 500 or code in _PASSING:
        raise httpx2.RemoteProtocolError(f"HTTP {answer.status_code}: {code}", request=answer.request)
    if answer.request.method == "GET" and answer.status_code == 404:
        raise AttemptFailed(input_failure.MISSING)
    if answer.request.method == "GET" and answer.status_code == 416:
        raise AttemptFailed(input_failure.NOT_MEDIA)  # it has no bytes
    message = f"The object store {origin_of(link)} refused an exchange ({answer.status_code} {code}); look at its log."
    raise AttemptFailed(Failure("platform_error", "media_refused", message))


def is_in_store(links: MediaLinks) -> bool:
    """Whether the media of the attempt are in an object store, and not with the masters."""
    return links.output is not None


async def check_input(links: MediaLinks, answer: httpx2.Response) -> None:
    """What an answer about the input means that is no success, whoever gave it."""
    await (check_store if is_in_store(links) else check)(answer)


async def md5_of(output: Path, size: int) -> bytes:
    """What the store compares with. AttemptFailed when the output is too large to be put at once."""
    if size > MOST_BYTES:
        message = (
            f"The output has {size} bytes, and an object store takes at most {MOST_BYTES} at once; "
            "ask for a lower bitrate or a part of the input, or use a farm with a media folder."
        )
        raise AttemptFailed(Failure("user_error", "output_too_large", message))
    return await asyncio.to_thread(_md5_of, output)


def _md5_of(output: Path) -> bytes:
    with output.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()


async def pieces(output: Path) -> AsyncGenerator[bytes, None]:
    """The content of the file, bit by bit."""
    with output.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _READ_BYTES):
            yield piece
