"""What the parts of a master share: the store, the bus, the clock, and the rules they judge by."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from reelmill.bus.protocol import Bus, Departures
from reelmill.clock import Clock
from reelmill.domain.chunk_request import Chunking
from reelmill.domain.retry import RetryPolicy
from reelmill.domain.stream_url import ANY_HOST, StreamHosts
from reelmill.errors import Unavailable
from reelmill.master.metrics import Metrics
from reelmill.media.objects import Objects
from reelmill.store.protocol import Store, Tx
from reelmill.store.transition import Rules

T = TypeVar("T")
R = TypeVar("R")


class Gate(NamedTuple):
    """Where workers on other machines join: places (``host:port``) of the bus, and the SHA-256 of its certificate.

    There is no ``pin`` when the certificate is vouched for by an authority, or when there is no ``tls`` at all.
    ``dismiss`` leaves open questions of workers that came with a token unanswered.
    """

    hosts: tuple[str, ...]
    pin: bytes | None
    tls: bool
    departures: Departures
    dismiss: Callable[[str], None]


class Farm(NamedTuple):
    """One farm as its master sees it. ``lease_seconds`` is how long a worker may be silent.

    Inputs are cut into chunks by ``chunking`` where a job does not say how.
    ``max_queued`` is how many jobs may wait in each queue before it takes no more; None for any number. Without a
    ``gate`` the farm is one process. Media are below the ``media_root``, or in ``objects`` when there are any.
    ``stream_hosts`` are those with which jobs may stream.
    """

    store: Store
    bus: Bus
    clock: Clock
    policy: RetryPolicy
    rng: random.Random
    lease_seconds: float
    media_root: Path
    data_folder: Path
    metrics: Metrics
    max_queued: int | None = None
    stream_hosts: StreamHosts = ANY_HOST
    chunking: Chunking | None = None
    gate: Gate | None = None
    objects: Objects | None = None

    @property
    def local_root(self) -> Path | None:
        """The folder of the media on this machine; None when they are in an object store."""
        return self.media_root if self.objects is None else None

    @property
    def media_name(self) -> str:
        """Where the media are, for people."""
        return str(self.media_root) if self.objects is None else self.objects.url

    def rules(self) -> Rules:
        """What a change that happens now is judged by."""
        return Rules(self.clock.now(), self.policy, self.rng)

    async def change(self, work: Callable[[Tx, Rules], T], *, waits_for_no_row: bool = False) -> T:
        """Run ``work`` durably, judged by the rules of this moment; see `Store.write`."""
        rules = self.rules()
        return await self.store.write(lambda tx: work(tx, rules), waits_for_no_row=waits_for_no_row)

    async def change_together(
        self,
        items: Sequence[T],
        work: Callable[[Tx, Sequence[T], Rules], Sequence[R]],
        *,
        waits_for_no_row: bool = False,
    ) -> list[R | Exception]:
        """What ``work`` makes of each item, all in one commit.

        When one of them makes that fail, each by itself, so that only the one at fault has its error instead.
        Unavailable when the store takes nothing now.
        """
        try:
            return list(await self.change(lambda tx, rules: work(tx, items, rules), waits_for_no_row=waits_for_no_row))
        except Unavailable:  # all of them would hear the same
            raise
        except Exception as error:
            if len(items) == 1:
                return [error]
        alone = [await self.change_together([item], work, waits_for_no_row=waits_for_no_row) for item in items]
        return [outcome for [outcome] in alone]
