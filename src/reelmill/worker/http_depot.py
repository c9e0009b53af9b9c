"""The depot of a worker that has no media folder: inputs and outputs go over HTTP, where links of the masters lead.

That is to the masters themselves, or to an object store; what an attempt may do is asked of the masters either way.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

import msgspec
import structlog

from reelmill.bus.protocol import Bus
from reelmill.domain.attempt import AttemptKey, Grant, MediaLinks, UnpublishedOutput
from reelmill.domain.failure import Failure
from reelmill.domain.media_path import is_chunk_path
from reelmill.domain.place import PlaceCheck
from reelmill.errors import StartupError
from reelmill.media.durable import hash_and_sync
from reelmill.media.failed import AttemptFailed
from reelmill.media.folder_output import pack
from reelmill.media.publish import container_of, create_attempt, explain_error, list_attempts, remove_attempt
from reelmill.media.upload import WholeOutput
from reelmill.worker.depot import Depot
from reelmill.worker.input_cache import PART, InputCache
from reelmill.worker.media_master import PATIENCE_SECONDS, Disagreed, MediaMaster, below, check, origin_of
from reelmill.worker.store_exchange import check_input, is_in_store, md5_of, put_output

log = structlog.get_logger()

_PIECE = 8 << 20
_READ_BYTES = 1 << 20
_TRIES = 3
"""How often a transfer may come out other than it went in, or an input change, before the attempt fails of it."""


class _Version(NamedTuple):
    etag: str
    size: int


class _Changed(Exception):
    """The input is not the version any more that was being fetched."""


class HttpDepot(Depot):
    """Attempts work in ``folder``, with a cache of inputs beside them; nothing of it is anybody else's."""

    def __init__(self, bus: Bus, folder: Path, cache_bytes: int, patience: float = PATIENCE_SECONDS) -> None:
        self._folder = folder
        self._cache = InputCache(folder / "inputs", cache_bytes)
        self._master = MediaMaster(bus, patience)
        self._lock: IO[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self._folder

    async def open(self, node_id: str) -> None:
        """StartupError when another worker uses the folder: each would remove the other's files."""
        if self._lock is None:
            self._lock = await asyncio.to_thread(self._take_folder)
            self._master.open(node_id)

    def _take_folder(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            advice = "give each worker of a machine a --data of its own"
            raise StartupError(f"another worker uses the folder {self._folder}; {advice}") from error
        for key in list_attempts(self._folder):  # of an earlier run: what counts of them is with the masters
            remove_attempt(self._folder, key)
        self._cache.open()
        return lock

    async def close(self) -> None:
        await self._master.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def begin(self, grant: Grant) -> Path:
        await self._master.post(grant.key, "begin")
        return await asyncio.to_thread(create_attempt, self._folder, grant.key)

    async def fetch(self, grant: Grant, relative: str) -> Path:
        for _ in range(_TRIES):
            version = await self._master.ask(grant.key, lambda links: self._look(_leading_to(relative, links)))
            try:
                async with self._cache.entry(grant.key, relative, version.etag, version.size) as path:
                    if not path.exists():
                        await self._fetch_whole(grant.key, relative, version, path)
                return path
            except _Changed:
                self._cache.release(grant.key)
            except OSError as error:
                raise explain_error(error, "the input on this worker") from error
        message = "The input changed each time while it was fetched; submit the job again when it is complete."
        raise AttemptFailed(Failure("input_error", "input_changed", message))

    async def _look(self, links: MediaLinks) -> _Version:
        """Asks for one byte: unlike an answer to HEAD, a problem can tell what it is."""
        answer = await self._master.http.get(_input_of(links), headers={"Range": "bytes=0-0"})
        await check_input(links, answer)
        size = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers["Content-Length"]
        return _Version(answer.headers["ETag"], int(size))

    async def _fetch_whole(self, key: AttemptKey, relative: str, version: _Version, path: Path) -> None:
        part = path.with_name(path.name + PART)
        for _ in range(_TRIES):
            await self._master.ask(key, lambda links: self._fetch_rest(_leading_to(relative, links), version, part))
            expected = await self._master.ask(key, lambda links: self._digest(_leading_to(relative, links), version))
            found, size = await asyncio.to_thread(hash_and_sync, part)
            if (found, size) == (expected or found, version.size):
                part.replace(path)
                return
            log.warning("input_corrupted", job=key.job_id, attempt=key.attempt, expected=expected, found=found)
            part.unlink()
        message = f"The input arrived damaged {_TRIES} times; look at this worker's network and disk."
        raise AttemptFailed(Failure("network_error", "input_corrupted", message))

    async def _fetch_rest(self, links: MediaLinks, version: _Version, part: Path) -> None:
        with part.open("ab") as file:
            here = file.tell()
            if here >= version.size:
                return
            headers = {"Range": f"bytes={here}-", "If-Range": version.etag}
            async with self._master.http.stream("GET", _input_of(links), headers=headers) as answer:
                await check_input(links, answer)
                if answer.headers.get("ETag") != version.etag:
                    raise _Changed
                if answer.status_code == 200 and here:
                    file.truncate(0)
                async for piece in answer.aiter_raw(_READ_BYTES):
                    await asyncio.to_thread(file.write, piece)

    async def _digest(self, links: MediaLinks, version: _Version) -> str | None:
        """None from an object store: it has no SHA-256 of what others put there."""
        if is_in_store(links):
            return None
        headers = {"Want-Repr-Digest": "sha-256=1", "Range": "bytes=0-0"}
        answer = await self._master.http.get(_input_of(links), headers=headers)
        await check(answer)
        digest = answer.headers.get("Repr-Digest", "").removeprefix("sha-256=:").rstrip(":")
        if answer.headers.get("ETag") != version.etag or not digest:
            raise _Changed
        return base64.b64decode(digest).hex()

    async def deliver(self, key: AttemptKey, output: Path, sha256: str, size: int) -> None:
        packed = await asyncio.to_thread(pack, output)
        if packed != output:
            if await self._master.ask(key, _leads_to_store):  # of a farm that had a folder when it took the job
                message = "The output is a folder, and the media of this farm are objects; ask for single renditions."
                raise AttemptFailed(Failure("user_error", "output_is_folder", message))
            output = packed
            sha256, size = await asyncio.to_thread(hash_and_sync, packed)
        said = WholeOutput(container=container_of(output), size=size, sha256=sha256)
        offset, corrupted = 0, 0
        while corrupted < _TRIES:
            try:
                if await self._master.ask(key, _leads_to_store):
                    await self._put_whole(key, output, size)
                else:
                    while offset < size:
                        offset = await self._send_piece(key, output, offset)
                await self._master.post(key, "complete", said, hashed=size)
                return
            except Disagreed as error:
                log.info("output_disagreed", job=key.job_id, attempt=key.attempt, code=error.code, offset=error.offset)
                corrupted += error.code == "corrupted"
                offset = await self._master.ask(key, self._offset) if error.offset is None else error.offset
        message = f"The output arrived damaged {_TRIES} times; look at the network, and the disks of both sides."
        raise AttemptFailed(Failure("network_error", "output_corrupted", message))

    async def _put_whole(self, key: AttemptKey, output: Path, size: int) -> None:
        md5 = await md5_of(output, size)
        await self._master.ask(key, lambda links: put_output(self._master.http, links, output, size, md5))

    async def _send_piece(self, key: AttemptKey, output: Path, offset: int) -> int:
        """How much the masters have behind it; Disagreed, and nothing is sent, when they have not ``offset`` before."""
        piece = await asyncio.to_thread(_read_piece, output, offset)
        is_first = True

        async def send(links: MediaLinks) -> int:
            nonlocal is_first
            if not is_first and (here := await self._offset(links)) != offset:
                raise Disagreed("offset", here)  # a part of what broke off has arrived, or only its answer was lost
            is_first = False
            headers = {"Upload-Offset": str(offset)}
            answer = await self._master.http.patch(below(links.attempt, "output"), content=piece, headers=headers)
            await check(answer)
            return int(answer.headers["Upload-Offset"])

        return await self._master.ask(key, send)

    async def _offset(self, links: MediaLinks) -> int:
        answer = await self._master.http.head(below(links.attempt, "output"))
        await check(answer)
        return int(answer.headers["Upload-Offset"])

    async def publish(self, order: UnpublishedOutput) -> None:
        """The output is with the masters since before it was settled: any worker may ask for this."""
        await self._master.post(order.key, "publish")

    async def list_attempts(self) -> list[AttemptKey]:
        return await asyncio.to_thread(list_attempts, self._folder)

    def remove(self, key: AttemptKey) -> None:
        remove_attempt(self._folder, key)
        self._cache.release(key)
        self._master.forget(key)

    def place(self, check: PlaceCheck) -> str:
        return origin_of(check.read)

    async def try_read(self, check: PlaceCheck) -> bytes:
        return await self._master.once("GET", check.read)

    async def try_write(self, check: PlaceCheck, content: bytes) -> None:
        await self._master.once("PUT", check.write, content, check.write_headers)


async def _leads_to_store(links: MediaLinks) -> bool:
    return is_in_store(links)


def _leading_to(relative: str, links: MediaLinks) -> MediaLinks:
    """The links with that piece, if it is one, as their input."""
    if not is_chunk_path(relative):
        return links
    return msgspec.structs.replace(links, input=links.chunks[int(PurePosixPath(relative).stem)])


def _input_of(links: MediaLinks) -> str:
    if links.input is None:
        raise RuntimeError("a master knows of no input of this job")
    return links.input


def _read_piece(output: Path, offset: int) -> bytes:
    descriptor = os.open(output, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, _PIECE, offset)
    finally:
        os.close(descriptor)
