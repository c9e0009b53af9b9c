"""The media desk: gives workers without the farm's media folder what they need of it, and takes what they bring.

All that touches the disk runs in threads of its own: a slow share stops neither the API nor the scheduler.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec

from reelmill.bus.protocol import Subscription
from reelmill.bus.words import LINKS, LinksWanted
from reelmill.domain.attempt import AttemptKey, MediaLinks
from reelmill.domain.chunk import chunk_path
from reelmill.domain.job import Job
from reelmill.domain.place import PlaceCheck
from reelmill.errors import Conflict
from reelmill.master.farm import Farm
from reelmill.media.check_file import close_check, open_check, read_asked, read_reply, write_reply
from reelmill.media.input_file import InputFile, hash_input, open_input
from reelmill.media.link import Deed, attempt_link, check_link, check_place_link, input_link, place_link
from reelmill.media.publish import find_attempt_output, publish, refuse_taken_output, remove_attempt
from reelmill.media.upload import WholeOutput, complete, open_attempt, received, write_piece
from reelmill.service import Service
from reelmill.store.listing import get_job
from reelmill.store.secrets import shared_secret

P = ParamSpec("P")
T = TypeVar("T")

LINK_SECONDS = 600
_SECRET = "media-links"  # noqa: S105  its name
_THREADS = 16
_PIECE = 1 << 20
_DIGESTS = 10_000
"""How many inputs are remembered with their hash; each takes some 200 bytes."""


class MediaDesk(Service):
    """Signs links and does what they allow. ``base_url`` tells where the API answers, as workers see it."""

    def __init__(self, farm: Farm, base_url: Callable[[], str]) -> None:
        self._farm = farm
        self._base_url = base_url
        self._secret = secrets.token_bytes(32)  # no link is good before the farm's own is known
        self._disk: ThreadPoolExecutor | None = None
        self._digests: OrderedDict[tuple[str, str], asyncio.Future[bytes | None]] = OrderedDict()
        self._completions: dict[tuple[AttemptKey, WholeOutput], asyncio.Future[None]] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Return when links can be signed, with the secret that all masters of the farm share."""
        if self._subscription is None:
            make = partial(secrets.token_bytes, 32)
            self._secret = await self._farm.change(lambda tx, _rules: shared_secret(tx, _SECRET, make))
            self._disk = ThreadPoolExecutor(_THREADS, "media")
            self._subscription = await LINKS.answer(self._farm.bus, self._answer)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None
        if self._disk is not None:
            self._disk.shutdown(wait=False, cancel_futures=True)
            self._disk = None

    async def _answer(self, asked: LinksWanted) -> list[MediaLinks]:
        """Nothing for an attempt that its node does not hold, or not any more."""
        job = await self.find(asked.key)
        if job is None or job.node_id != asked.node_id or not job.is_held:
            return []
        links = await self.links_of(asked.key, job.parameters.input_file)
        plan = job.chunk_plan
        paths = [] if plan is None else [chunk_path(job.id, plan.attempt, piece.index) for piece in plan.chunks]
        chunks = tuple([await self.read_link(asked.key, path) for path in paths])  # what a join reads
        return [msgspec.structs.replace(links, chunks=chunks)]

    async def read_link(self, key: AttemptKey, relative: str) -> str:
        """Where that attempt reads what has this path among the media."""
        return self._base() + input_link(self._secret, key, relative, self._end())

    async def links_of(self, key: AttemptKey, source: str | None) -> MediaLinks:
        """Where that attempt reads its input ``source`` and leaves its output."""
        read = None if source is None else await self.read_link(key, source)
        return MediaLinks(key, read, self.attempt_link(key), LINK_SECONDS)

    def attempt_link(self, key: AttemptKey) -> str:
        """Where to ask for what an attempt may have done."""
        return self._base() + attempt_link(self._secret, key, self._end())

    def _base(self) -> str:
        return self._base_url().rstrip("/")

    def _end(self) -> int:
        return int(self._farm.clock.now()) + LINK_SECONDS

    def check(self, deed: Deed, relative: str, attempt: str, expires: int, signature: str) -> AttemptKey:
        """The attempt that the link is for; Forbidden when the link is not good."""
        now = self._farm.clock.now()
        return check_link(self._secret, deed, relative, attempt, expires, signature, now=now)

    async def look_at_input(self, relative: str) -> InputFile:
        """The input's size and etag; AttemptFailed when it cannot be read. It is closed already."""
        file = await self._run(open_input, self._farm.media_root, relative)
        file.close()
        return file

    async def read(self, relative: str, etag: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to ``end``, piece by piece; Conflict when it is not the file of that etag."""
        file = await self._run(open_input, self._farm.media_root, relative)
        try:
            while start < end and file.etag == etag:
                piece = await self._run(os.pread, file.descriptor, min(_PIECE, end - start), start)
                if not piece:
                    break
                start += len(piece)
                yield piece
            if start < end:  # the connection breaks off here: what was promised cannot come any more
                raise Conflict("the input was changed while it was read", code="input_changed")
        finally:
            file.close()

    async def digest(self, relative: str, etag: str) -> bytes | None:
        """The SHA-256 of the input; None when it is not the file of that etag any more. Read once for many jobs."""
        known = self._digests.get((relative, etag))
        if known is None:
            known = self._digests[relative, etag] = asyncio.ensure_future(self._hash(relative, etag))
            while len(self._digests) > _DIGESTS:
                self._digests.popitem(last=False)
        try:
            return await asyncio.shield(known)
        except Exception:
            self._digests.pop((relative, etag), None)
            raise

    async def _hash(self, relative: str, etag: str) -> bytes | None:
        found, digest = await self._run(hash_input, self._farm.media_root, relative)
        return digest if found == etag else None

    async def begin(self, key: AttemptKey) -> None:
        """Make the attempt's folder; AttemptFailed when its output is taken, Conflict when it does not count."""
        job = await self.find(key)
        if job is None or not job.is_held:
            raise attempt_over()
        root, target = self._farm.media_root, job.parameters.output
        await self._run(open_attempt, root, key)
        if target is not None and not job.parameters.overwrite:
            await self._run(refuse_taken_output, root, target)

    async def received(self, key: AttemptKey) -> int:
        """How many bytes of the attempt's output are here."""
        return await self._run(received, self._farm.media_root, key)

    async def write(self, key: AttemptKey, offset: int, piece: bytes) -> None:
        """Keep a piece of the output."""
        await self._run(write_piece, self._farm.media_root, key, offset, piece)

    async def complete(self, key: AttemptKey, said: WholeOutput) -> None:
        """Check what was sent, and make it durable; read once, also for a worker that loses patience and asks again."""
        work = self._completions.get((key, said))
        if work is None:
            work = asyncio.ensure_future(self._run(complete, self._farm.media_root, key, said))
            self._completions[key, said] = work
            work.add_done_callback(lambda _: self._completions.pop((key, said)))
        await asyncio.shield(work)

    async def publish(self, key: AttemptKey) -> None:
        """Put the output into its place, only if the store says that this attempt has won; may be repeated."""
        job = await self.find(key)
        if job is None or job.winner != key.attempt or job.result is None:
            raise attempt_over()
        if job.is_held and job.result.sha256 is not None:
            place = partial(publish, overwrite=job.parameters.overwrite)
            output = await self._run(find_attempt_output, self._farm.media_root, key)
            await self._run(place, output, self._farm.media_root, job.result.output, job.result.sha256)
        await self._run(remove_attempt, self._farm.media_root, key)

    async def check_of(self, name: str, seconds: float) -> PlaceCheck:
        """The word to one worker about that check, with a reply of its own."""
        reply = secrets.token_hex(8)
        link = self._base() + place_link(self._secret, name, reply, self._end())
        return PlaceCheck(name, reply, link, link, seconds)

    def check_place(self, name: str, reply: str, expires: int, signature: str) -> PlaceCheck:
        """What the link of a check allows; Forbidden when it is not good."""
        check_place_link(self._secret, name, reply, expires, signature, now=self._farm.clock.now())
        return PlaceCheck(name, reply, "", "", 0)

    async def open_check(self, content: bytes) -> str:
        """The name of a new check, for which the content is in the media folder; PlaceFault when that cannot be."""
        name = secrets.token_hex(8)
        await self._run(open_check, self._farm.media_root, name, content)
        return name

    async def read_asked(self, check: PlaceCheck) -> bytes:
        """The file of the check; PlaceFault when it is over."""
        return await self._run(read_asked, self._farm.media_root, check.name)

    async def write_reply(self, check: PlaceCheck, content: bytes) -> None:
        """Keep a worker's reply; PlaceFault when the check is over."""
        await self._run(write_reply, self._farm.media_root, check, content)

    async def read_reply(self, check: PlaceCheck) -> bytes | None:
        """What the worker has left, as this master sees it."""
        return await self._run(read_reply, self._farm.media_root, check.name, check.reply)

    async def close_check(self, name: str) -> None:
        """Remove all of it."""
        await self._run(close_check, self._farm.media_root, name)

    async def find(self, key: AttemptKey) -> Job | None:
        """The job of that attempt; None when it is at another one."""
        job = await self._farm.store.read(lambda tx: get_job(tx, key.job_id))
        return job if job is not None and job.attempt == key.attempt else None

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, partial(work, *args, **kwargs))


def attempt_over() -> Conflict:
    """What an attempt hears that has nothing to ask for any more."""
    return Conflict("this attempt does not count any more", code="attempt_over")
