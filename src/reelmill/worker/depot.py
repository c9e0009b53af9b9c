"""Where a worker gets inputs and leaves outputs: what every depot offers, and the one that is a shared folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from reelmill.domain.attempt import AttemptKey, Grant, UnpublishedOutput
from reelmill.domain.media_path import resolve
from reelmill.domain.place import PlaceCheck
from reelmill.errors import InvalidField
from reelmill.media.check_file import read_asked, write_reply
from reelmill.media.input_file import outside_root
from reelmill.media.publish import (
    create_attempt,
    find_attempt_output,
    list_attempts,
    publish,
    refuse_taken_output,
    remove_attempt,
)

P = ParamSpec("P")
T = TypeVar("T")


class Depot(Protocol):
    """The media of a farm, as a worker has them. What it cannot do it says as AttemptFailed."""

    @property
    def folder(self) -> Path:
        """The local folder in which attempts work: its disk must have room."""
        ...

    async def open(self, node_id: str) -> None:
        """Get ready to serve this node; StartupError when that cannot be."""
        ...

    async def close(self) -> None:
        """Nothing is left running; may be repeated."""
        ...

    async def begin(self, grant: Grant) -> Path:
        """An empty local folder for the attempt. Fails before the work, not after it, when its output is taken."""
        ...

    async def fetch(self, grant: Grant, relative: str) -> Path:
        """The local absolute path of the input, which stays there until the attempt is over."""
        ...

    async def deliver(self, key: AttemptKey, output: Path, sha256: str, size: int) -> None:
        """Bring the verified output to where it can be published, whatever becomes of this worker."""
        ...

    async def publish(self, order: UnpublishedOutput) -> None:
        """Put a settled output into its place, be it of this worker or of a lost one; may be repeated."""
        ...

    async def list_attempts(self) -> list[AttemptKey]:
        """The attempts of which there is something left here, in no order."""
        ...

    def remove(self, key: AttemptKey) -> None:
        """The attempt is over: what is left of it here goes. Blocks for a few system calls; may be repeated."""
        ...

    def place(self, check: PlaceCheck) -> str:
        """What people call the place that the check is about."""
        ...

    async def try_read(self, check: PlaceCheck) -> bytes:
        """What a master has put into the farm's media place; PlaceFault when it cannot be read."""
        ...

    async def try_write(self, check: PlaceCheck, content: bytes) -> None:
        """Leave something there for the master to read; PlaceFault when that cannot be."""
        ...


class SharedFolder(Depot):
    """The farm's media root itself, on a disk that this machine and the masters share."""

    def __init__(self, media_root: Path) -> None:
        self._root = media_root
        self._trial: asyncio.Future[Any] | None = None

    @property
    def folder(self) -> Path:
        return self._root

    async def open(self, node_id: str) -> None:
        """The folder is there."""

    async def close(self) -> None:
        """The folder stays."""

    async def begin(self, grant: Grant) -> Path:
        folder = await asyncio.to_thread(create_attempt, self._root, grant.key)
        if not grant.parameters.overwrite and grant.parameters.output is not None:
            await asyncio.to_thread(refuse_taken_output, self._root, grant.parameters.output)
        return folder

    async def fetch(self, grant: Grant, relative: str) -> Path:
        try:
            return resolve("parameters.input", self._root, relative)
        except InvalidField as error:
            raise outside_root(error) from error

    async def deliver(self, key: AttemptKey, output: Path, sha256: str, size: int) -> None:
        """It is in its attempt folder, under the root, synced."""

    async def publish(self, order: UnpublishedOutput) -> None:
        await asyncio.to_thread(self._publish, order)

    def _publish(self, order: UnpublishedOutput) -> None:
        output = find_attempt_output(self._root, order.key)
        publish(output, self._root, order.output, order.sha256, overwrite=order.overwrite)

    async def list_attempts(self) -> list[AttemptKey]:
        return await asyncio.to_thread(list_attempts, self._root)

    def remove(self, key: AttemptKey) -> None:
        remove_attempt(self._root, key)

    def place(self, check: PlaceCheck) -> str:
        return f"folder {self._root}"

    async def try_read(self, check: PlaceCheck) -> bytes:
        return await self._try(read_asked, self._root, check.name)

    async def try_write(self, check: PlaceCheck, content: bytes) -> None:
        await self._try(write_reply, self._root, check, content)

    async def _try(self, deed: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One at a time: a share that hangs holds one thread for good, however often it is tried."""
        while self._trial is not None and not self._trial.done():
            await asyncio.wait({self._trial})
        trial = asyncio.ensure_future(asyncio.to_thread(deed, *args, **kwargs))
        self._trial = trial
        return await asyncio.shield(trial)
