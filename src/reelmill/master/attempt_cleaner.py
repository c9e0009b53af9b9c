"""The attempt cleaner: removes what attempts left among the media when no worker that has the folder does."""

from __future__ import annotations

import asyncio

import structlog

from reelmill.domain.attempt import AttemptKey
from reelmill.master.farm import Farm
from reelmill.media.publish import list_attempts, list_chunk_folders, remove_attempt, remove_chunk_folder
from reelmill.service import PeriodicService
from reelmill.store.attempts import find_garbage
from reelmill.store.chunks import find_chunk_garbage

log = structlog.get_logger()

CLEAN_SECONDS = 60.0


class AttemptCleaner(PeriodicService):
    """Once a minute the folders go of attempts that are over for good; those of a settled output stay.

    So do those of chunks that nobody will join.
    """

    def __init__(self, farm: Farm) -> None:
        super().__init__(CLEAN_SECONDS)
        self._farm = farm

    async def run_once(self) -> int:
        """Clean once; how many folders were removed."""
        left = await self._list()
        garbage = await self._farm.store.read(lambda tx: find_garbage(tx, left)) if left else []
        for key in garbage:
            await self._remove(key)
        if garbage:
            log.info("attempts_removed", folders=len(garbage))
        return len(garbage) + await self._remove_chunks()

    async def _remove_chunks(self) -> int:
        left = await self._list_chunk_folders()
        now = self._farm.clock.now()
        garbage = await self._farm.store.read(lambda tx: find_chunk_garbage(tx, left, now)) if left else []
        for name in garbage:
            await self._remove_chunk_folder(name)
        if garbage:
            log.info("chunks_removed", folders=len(garbage))
        return len(garbage)

    async def _list_chunk_folders(self) -> list[str]:
        if self._farm.objects is not None:
            return await self._farm.objects.list_chunk_folders()
        return await asyncio.to_thread(list_chunk_folders, self._farm.media_root)

    async def _remove_chunk_folder(self, name: str) -> None:
        if self._farm.objects is not None:
            await self._farm.objects.remove_chunk_folder(name)
        else:
            await asyncio.to_thread(remove_chunk_folder, self._farm.media_root, name)

    async def _list(self) -> list[AttemptKey]:
        if self._farm.objects is not None:
            return await self._farm.objects.list_attempts()
        return await asyncio.to_thread(list_attempts, self._farm.media_root)

    async def _remove(self, key: AttemptKey) -> None:
        if self._farm.objects is not None:
            await self._farm.objects.remove(key)
        else:
            await asyncio.to_thread(remove_attempt, self._farm.media_root, key)
