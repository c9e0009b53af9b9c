"""What the parts of a master know of an object store, whether the package that speaks to it is installed or not."""

from __future__ import annotations

from typing import Protocol

from reelmill.domain.attempt import AttemptKey


class Objects(Protocol):
    """Media in an object store; `reelmill.media.object_place` has the one there is."""

    url: str

    async def list_attempts(self) -> list[AttemptKey]:
        """The attempts of which there is something, in no order."""
        ...

    async def remove(self, key: AttemptKey) -> None:
        """What the attempt has left goes; may be repeated."""
        ...

    async def list_chunk_folders(self) -> list[str]:
        """The names of the folders in which encoded chunks wait, in no order."""
        ...

    async def remove_chunk_folder(self, name: str) -> None:
        """Remove the chunks in it; may be repeated."""
        ...
