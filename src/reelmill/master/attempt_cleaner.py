"""The attempt cleaner: removes what attempts left under the media root when no worker that has the folder does."""

from __future__ import annotations

import asyncio

import structlog

from reelmill.master.farm import Farm
from reelmill.media.publish import list_attempts, remove_attempt
from reelmill.service import PeriodicService
from reelmill.store.attempts import find_garbage

log = structlog.get_logger()

CLEAN_SECONDS = 60.0


class AttemptCleaner(PeriodicService):
    """Once a minute the folders go of attempts that are over for good; those of a settled output stay."""

    def __init__(self, farm: Farm) -> None:
        super().__init__(CLEAN_SECONDS)
        self._farm = farm

    async def run_once(self) -> int:
        """Clean once; how many folders were removed."""
        root = self._farm.media_root
        left = await asyncio.to_thread(list_attempts, root)
        garbage = await self._farm.store.read(lambda tx: find_garbage(tx, left)) if left else []
        for key in garbage:
            await asyncio.to_thread(remove_attempt, root, key)
        if garbage:
            log.info("attempts_removed", folders=len(garbage))
        return len(garbage)
