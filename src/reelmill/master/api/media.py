"""/media: the inputs and outputs of attempts, for workers that do not have the media folder. Signed links only."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Controller, HttpMethod, Request, Response, get, patch, post, put, route
from litestar.params import FromPath, FromQuery, HeaderParameter
from litestar.response import Stream

from reelmill.domain.attempt import AttemptKey
from reelmill.master.api.dependency import TheDesk
from reelmill.master.api.problems import problem, respond
from reelmill.master.media_desk import MediaDesk
from reelmill.media.check_file import CHECK_BYTES
from reelmill.media.upload import WholeOutput

MAX_PIECE_BYTES = 64 << 20
_WRITE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")

_decode_whole = msgspec.json.Decoder(WholeOutput).decode


class MediaController(Controller):
    """Everything below /media. Each request carries the query of a link that a master has signed."""

    path = "/media"
    tags = ("media",)

    @route("/input", http_method=[HttpMethod.GET, HttpMethod.HEAD], name="media-input")
    async def read_input(
        self,
        request: Request[Any, Any, Any],
        desk: TheDesk,
        path: FromQuery[str],
        attempt: FromQuery[str],
        expires: FromQuery[int],
        signature: FromQuery[str],
    ) -> Response[Any]:
        """Read an input, or a `Range` of it; with `Want-Repr-Digest: sha-256=1` the answer tells its hash."""
        desk.check("read", path, attempt, expires, signature)
        file = await desk.look_at_input(path)
        headers = {"ETag": file.etag, "Accept-Ranges": "bytes"}
        if "sha-256" in request.headers.get("Want-Repr-Digest", ""):
            digest = await desk.digest(path, file.etag)
            if digest is not None:
                headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(digest).decode()}:"
        if request.method == "HEAD":
            headers["Content-Length"] = str(file.size)
            return Response(b"", headers=headers, media_type="application/octet-stream")
        asked = request.headers.get("Range", "")
        same = request.headers.get("If-Range", file.etag) == file.etag
        span = _read_range(asked, file.size) if same and file.size else None
        if span is None:
            span, status = (0, file.size), 200
        elif span[0] >= span[1]:
            found = problem(
                416, "range_not_satisfiable", f"the input has {file.size} bytes, and {asked!r} is beyond it"
            )
            answer = respond(found)
            answer.headers["Content-Range"] = f"bytes */{file.size}"
            return answer
        else:
            status = 206
            headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{file.size}"
        headers["Content-Length"] = str(span[1] - span[0])
        pieces = desk.read(path, file.etag, *span)
        return Stream(pieces, status_code=status, headers=headers, media_type="application/octet-stream")

    @post("/attempts/{attempt:str}/begin", status_code=204)
    async def begin(
        self, desk: TheDesk, attempt: FromPath[str], expires: FromQuery[int], signature: FromQuery[str]
    ) -> None:
        """Make room for the output; 409 when its place is taken, or the attempt does not count any more."""
        await desk.begin(desk.check("fill", "", attempt, expires, signature))

    @route("/attempts/{attempt:str}/output", http_method=[HttpMethod.HEAD], status_code=204, name="media-offset")
    async def offset(
        self, desk: TheDesk, attempt: FromPath[str], expires: FromQuery[int], signature: FromQuery[str]
    ) -> Response[None]:
        """Tell in `Upload-Offset` how many bytes of the output are here."""
        key = desk.check("fill", "", attempt, expires, signature)
        return Response(None, status_code=204, headers={"Upload-Offset": str(await desk.received(key))})

    @patch("/attempts/{attempt:str}/output", status_code=204, request_max_body_size=MAX_PIECE_BYTES)
    async def append(
        self,
        request: Request[Any, Any, Any],
        desk: TheDesk,
        attempt: FromPath[str],
        expires: FromQuery[int],
        signature: FromQuery[str],
        upload_offset: Annotated[int, HeaderParameter(name="Upload-Offset", ge=0)],
    ) -> Response[None]:
        """Add the body, a piece of the output of at most 64 MiB, behind the `Upload-Offset` bytes that are here.

        409 when these are not all; what has come of a broken request is kept.
        """
        key = desk.check("fill", "", attempt, expires, signature)
        here = await desk.received(key)
        if here != upload_offset:
            found = problem(
                409, "offset", f"{here} bytes of this output are here, not {upload_offset}; go on from there"
            )
            answer: Response[Any] = respond(found)
        else:
            here = await _keep(desk, key, request.stream(), here)
            answer = Response(None, status_code=204)
        answer.headers["Upload-Offset"] = str(here)
        return answer

    @post("/attempts/{attempt:str}/complete", status_code=204)
    async def complete(
        self,
        request: Request[Any, Any, Any],
        desk: TheDesk,
        attempt: FromPath[str],
        expires: FromQuery[int],
        signature: FromQuery[str],
    ) -> None:
        """Check the size and hash in the body against what is here, and make that durable."""
        key = desk.check("fill", "", attempt, expires, signature)
        await desk.complete(key, _decode_whole(await request.body()))

    @post("/attempts/{attempt:str}/publish", status_code=204)
    async def publish(
        self, desk: TheDesk, attempt: FromPath[str], expires: FromQuery[int], signature: FromQuery[str]
    ) -> None:
        """Put the output of the attempt into its place, if the store says that it has won."""
        await desk.publish(desk.check("fill", "", attempt, expires, signature))

    @get("/checks/{check:str}/{reply:str}")
    async def read_check(
        self,
        desk: TheDesk,
        check: FromPath[str],
        reply: FromPath[str],
        expires: FromQuery[int],
        signature: FromQuery[str],
    ) -> Response[bytes]:
        """Read the file of a check."""
        content = await desk.read_asked(desk.check_place(check, reply, expires, signature))
        return Response(content, media_type="application/octet-stream")

    @put("/checks/{check:str}/{reply:str}", status_code=204, request_max_body_size=CHECK_BYTES)
    async def reply_to_check(
        self,
        request: Request[Any, Any, Any],
        desk: TheDesk,
        check: FromPath[str],
        reply: FromPath[str],
        expires: FromQuery[int],
        signature: FromQuery[str],
    ) -> None:
        """Leave the body beside the file of a check."""
        await desk.write_reply(desk.check_place(check, reply, expires, signature), await request.body())


def _read_range(asked: str, size: int) -> tuple[int, int] | None:
    """From where up to where; None for everything, also for several ranges and for units that we do not know."""
    found = _RANGE.fullmatch(asked)
    if found is None or found[0] == "bytes=-":
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    start, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    return None if found[2] and int(found[2]) < start else (start, end)


async def _keep(desk: MediaDesk, key: AttemptKey, body: AsyncIterator[bytes], offset: int) -> int:
    """Write the body as it comes; how much of the output is here behind it."""
    waiting = bytearray()
    try:
        async for some in body:
            waiting += some
            if len(waiting) >= _WRITE_BYTES:
                await desk.write(key, offset, bytes(waiting))
                offset += len(waiting)
                waiting.clear()
    finally:
        if waiting:  # also when the connection broke: what has come need not come again
            await desk.write(key, offset, bytes(waiting))
    return offset + len(waiting)
