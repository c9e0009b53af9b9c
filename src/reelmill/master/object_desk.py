"""The media desk of a farm whose media are in an object store: it signs URLs, and lets the store do the rest."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from reelmill.domain.attempt import AttemptKey, MediaLinks
from reelmill.domain.place import PlaceCheck
from reelmill.errors import Conflict
from reelmill.master.farm import Farm
from reelmill.master.media_desk import LINK_SECONDS, MediaDesk, attempt_over
from reelmill.media.upload import WholeOutput

if TYPE_CHECKING:
    from reelmill.media.object_place import ObjectPlace


class ObjectDesk(MediaDesk):
    """What attempts read and write never comes past here; what may be published is judged here as ever."""

    def __init__(self, farm: Farm, base_url: Callable[[], str], objects: ObjectPlace) -> None:
        super().__init__(farm, base_url)
        self._objects = objects

    async def read_link(self, key: AttemptKey, relative: str) -> str:
        return await self._objects.read_link(relative, LINK_SECONDS)

    async def links_of(self, key: AttemptKey, source: str | None) -> MediaLinks:
        links = await super().links_of(key, source)
        write = await self._objects.write_link(key, LINK_SECONDS)
        return msgspec.structs.replace(links, output=write, output_headers=self._objects.upload_headers)

    async def begin(self, key: AttemptKey) -> None:
        job = await self.find(key)
        if job is None or not job.is_held:
            raise attempt_over()
        if job.parameters.output is not None and not job.parameters.overwrite:
            await self._objects.refuse_taken_output(job.parameters.output)

    async def received(self, key: AttemptKey) -> int:
        """All of it or nothing: an object is there when it is whole."""
        return await self._objects.received(key) or 0

    async def write(self, key: AttemptKey, offset: int, piece: bytes) -> None:
        """Conflict: outputs go to the store."""
        raise Conflict("outputs of this farm go to its object store; bring this worker to the masters' version")

    async def complete(self, key: AttemptKey, said: WholeOutput) -> None:
        """Compare the size. That the bytes are those sent was the store's to check, by the MD5 that came with them."""
        found = await self._objects.received(key)
        if found is None:
            raise Conflict("nothing of this output is in the object store; send it", code="incomplete")
        if found != said.size:
            raise Conflict("what is in the object store is not what was sent; send it again", code="corrupted")

    async def publish(self, key: AttemptKey) -> None:
        job = await self.find(key)
        if job is None or job.winner != key.attempt or job.result is None:
            raise attempt_over()
        result, overwrite = job.result, job.parameters.overwrite
        if job.is_held and result.sha256 is not None:
            await self._objects.publish(key, result.output, result.sha256, result.size_bytes, overwrite=overwrite)
        await self._objects.remove(key)

    async def check_of(self, name: str, seconds: float) -> PlaceCheck:
        reply = secrets.token_hex(8)
        read, write = await self._objects.check_links(name, reply, LINK_SECONDS)
        return PlaceCheck(name, reply, read, write, seconds, write_headers=self._objects.upload_headers)

    async def open_check(self, content: bytes) -> str:
        name = secrets.token_hex(8)
        await self._objects.open_check(name, content)
        return name

    async def read_reply(self, check: PlaceCheck) -> bytes | None:
        return await self._objects.read_reply(check.name, check.reply)

    async def close_check(self, name: str) -> None:
        await self._objects.close_check(name)
