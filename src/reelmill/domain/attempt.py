"""The words between a master and a worker about attempts: an offer of room, a grant, a sign of life, a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from reelmill.domain.capability import Capabilities
from reelmill.domain.chunk import ChunkPlan
from reelmill.domain.job import Parameters
from reelmill.domain.lifecycle import Fail, Report
from reelmill.domain.plain_text import without_nul
from reelmill.domain.scenario import Scenario
from reelmill.domain.stream import StreamProgress
from reelmill.domain.stream_url import hide_keys


class AttemptKey(msgspec.Struct, frozen=True, array_like=True):
    """One attempt at one job: the fencing token of everything that is written about it."""

    job_id: str
    attempt: int


class Offer(msgspec.Struct, frozen=True):
    """A node's room: ``free_units`` of CPU now, and what kind of node it is."""

    node_id: str
    node_name: str
    capabilities: Capabilities
    free_units: int
    live_units: int = 0
    """CPU units that live jobs use already, of those that the node keeps for them."""

    def storable(self) -> Offer:
        """The same with words that every database stores, whatever the worker said."""
        clean = {"node_id": without_nul(self.node_id), "node_name": without_nul(self.node_name)}
        return msgspec.structs.replace(self, **clean)

    @property
    def reserve_live(self) -> int:
        """CPU units that the node keeps for the live queue."""
        return self.capabilities.reserve_live


class Grant(msgspec.Struct, frozen=True):
    """A job given to a node under a lease of ``lease_seconds``; the engine gets exactly ``units`` threads.

    Of a job that was split all chunks are complete, and the node joins them.
    """

    key: AttemptKey
    scenario: Scenario
    engine: str
    parameters: Parameters
    units: int
    lease_seconds: float
    live: bool = False
    other_engines: tuple[str, ...] = ()
    """Engines of the node that may take over when ``engine`` cannot run the job; none when it was asked for by name."""
    chunk_plan: ChunkPlan | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far an attempt is: ``progress`` in percent, ``fps`` encoded per second, ``speed`` in media s per s.

    ``eta`` is how many seconds of encoding are left. ``stream`` is there for a job that sends one.
    """

    key: AttemptKey
    progress: float = 0.0
    fps: float | None = None
    speed: float | None = None
    eta: float | None = None
    stream: StreamProgress | None = None


class AttemptLog(msgspec.Struct, frozen=True):
    """What an engine was told and what it said: the command line, and the head and tail of its messages."""

    command: str
    text: str


class AttemptReport(msgspec.Struct, frozen=True):
    """One thing that happened to an attempt, as its worker saw it."""

    key: AttemptKey
    node_id: str
    event: Report
    log: AttemptLog | None = None

    def storable(self, streams: Sequence[str] = ()) -> AttemptReport:
        """The same with words that every database stores, whatever the engine said, and without keys of the streams."""

        def kept(words: str) -> str:
            return hide_keys(without_nul(words), streams)

        event, log = self.event, self.log
        if isinstance(event, Fail):
            failure = msgspec.structs.replace(event.failure, message=kept(event.failure.message))
            event = msgspec.structs.replace(event, failure=failure)
        if log is not None:
            log = AttemptLog(kept(log.command), kept(log.text))
        return AttemptReport(self.key, self.node_id, event, log)


class UnpublishedOutput(msgspec.Struct, frozen=True):
    """A verified output whose worker was lost before the rename: another worker finishes it."""

    key: AttemptKey
    output: str
    sha256: str
    overwrite: bool


class BeatAnswer(msgspec.Struct, frozen=True):
    """What the store says of a node's attempts: leases renewed, attempts to drop, renames to finish.

    Of the renewed attempts, those that are ``paused`` must stand still, and the others must not. The next beat may
    wait for ``pause_seconds``: the more nodes there are, the longer.
    """

    lease_seconds: float
    renewed: list[AttemptKey]
    drop: list[AttemptKey]
    publish: list[UnpublishedOutput]
    paused: list[AttemptKey]
    pause_seconds: float = 0.0


class MediaLinks(msgspec.Struct, frozen=True):
    """Where a worker without the farm's media folder reads the input of an attempt and leaves its output.

    They are good for ``seconds`` from now; then there are new ones, as long as the attempt counts. ``input`` is None
    for a synthetic job. With an object store ``input`` leads there, and ``output`` is where to put the output, with
    these headers; ``attempt`` leads to the master as ever. ``chunks`` are the pieces that the attempt joins, in order.
    """

    key: AttemptKey
    input: str | None
    attempt: str
    seconds: float
    output: str | None = None
    output_headers: dict[str, str] = {}
    chunks: tuple[str, ...] = ()


class AttemptOrder(msgspec.Struct, frozen=True):
    """What a node is to do with an attempt that it holds."""

    key: AttemptKey
    what: Literal["drop", "pause", "resume"]
