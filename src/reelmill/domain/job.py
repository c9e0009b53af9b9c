"""The job: one transcode, from the request that asked for it to the result that proves it."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from reelmill.domain.capability import Needs
from reelmill.domain.chunk import Chunk, ChunkPlan
from reelmill.domain.energy import CardSource, CostSource, EnergySource, LostAttempt, Spending
from reelmill.domain.failure import FailureReason
from reelmill.domain.quality import Metric, Quality
from reelmill.domain.scenario import Scenario
from reelmill.domain.stream import OutputMode, Received, StreamProgress
from reelmill.domain.stream_url import is_stream_url, without_key

Status = Literal["queued", "assigned", "running", "retrying", "paused", "completed", "failed", "canceled", "timed_out"]
Queue = Literal["live", "default", "batch"]
Priority = Literal["high", "medium", "low"]
VerifyDepth = Literal["ends", "full"]
"""How much of an output is decoded before it counts: its first and last pictures, or all of it."""
EngineChoice = Literal["auto", "ffmpeg", "gstreamer"]

STATUSES: tuple[Status, ...] = get_args(Status)
QUEUES: tuple[Queue, ...] = get_args(Queue)
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
ENGINES: tuple[EngineChoice, ...] = get_args(EngineChoice)

TERMINAL: frozenset[Status] = frozenset({"completed", "failed", "canceled", "timed_out"})
ACTIVE: frozenset[Status] = frozenset({"assigned", "running"})
"""Statuses in which a node works on the job; it may also hold a paused one, see `Job.is_held`."""
WAITING: frozenset[Status] = frozenset({"queued", "retrying", "paused"})
"""Statuses in which the job takes up room in its queue: it has not ended, and no node works on it."""


def order_rank(queue: Queue, priority: Priority) -> int:
    """0 (live, high) to 8 (batch, low): jobs run by rank, then first come."""
    return QUEUES.index(queue) * len(PRIORITIES) + PRIORITIES.index(priority)


class Parameters(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a job asks of its engine, checked. ``duration`` and ``timeout`` in seconds, ``bitrate`` in bit/s.

    ``input`` and ``output`` are paths relative to the media root, and an input may be a stream's URL, which is read
    as it comes. Without an ``input`` the job is synthetic: the engine's own test source is encoded for ``duration``
    seconds. An input may be encoded in chunks of about
    ``chunk`` seconds, if it lasts more than ``chunk_above`` (None: any); ``piece`` is what one of those encodes of it.
    ``quality`` is measured behind the encode, of every ``quality_sample``-th frame, and must reach ``quality_min`` on
    average. With the ``output_mode`` rtmp there is no output: what is encoded is sent to ``rtmp_url`` in real time. An
    ``encoder`` is there when the job named one; the engine finds it in the scenario.
    """

    duration: float | None = None
    bitrate: int
    output_mode: OutputMode = "file"
    rtmp_url: str | None = None
    input: str | None = None
    output: str | None = None
    overwrite: bool = False
    timeout: float | None = None
    chunk: float | None = None
    chunk_above: float | None = None
    piece: Chunk | None = None
    quality: Metric | None = None
    quality_sample: int = 1
    quality_min: float | None = None
    verify: VerifyDepth = "ends"
    encoder: str | None = None

    @property
    def is_streamed(self) -> bool:
        """Whether the job runs in real time, to a server."""
        return self.output_mode == "rtmp"

    @property
    def reads_stream(self) -> bool:
        """Whether its input is a stream, which comes when it comes, and once."""
        return self.input is not None and is_stream_url(self.input)

    @property
    def is_live(self) -> bool:
        """Whether either is so."""
        return self.is_streamed or self.reads_stream

    @property
    def input_file(self) -> str | None:
        """The path of the input; None for a stream, or the engine's own pictures."""
        return None if self.reads_stream else self.input

    @property
    def target(self) -> str | None:
        """Where its output goes, as it may be shown; None when nobody said it."""
        return self.output if self.rtmp_url is None else without_key(self.rtmp_url)

    @property
    def stream_urls(self) -> tuple[str, ...]:
        """Those of the streams that it reads and sends, with their keys."""
        urls = (self.rtmp_url, self.input if self.reads_stream else None)
        return tuple(url for url in urls if url is not None)

    def shown(self) -> Parameters:
        """As anybody may see them: without the keys of streams."""
        urls = {"rtmp_url": self.rtmp_url, "input": self.input if self.reads_stream else None}
        hidden = {name: without_key(url) for name, url in urls.items() if url is not None}
        return msgspec.structs.replace(self, **hidden) if hidden else self


class OutputFile(msgspec.Struct, frozen=True):
    """One file of an output that is a folder; ``sha256`` in hex."""

    name: str
    size_bytes: int
    sha256: str


class Rendition(msgspec.Struct, frozen=True):
    """One rung of a ladder as it was verified; ``bitrate`` and ``peak_bitrate`` (of one segment) in bit/s."""

    name: str
    width: int
    height: int
    frames: int
    bitrate: int
    peak_bitrate: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified of the one output that counts. ``duration`` and ``encode_seconds`` in seconds.

    ``speed`` is media seconds per second of encoding. Energy and cost are None where nobody can know them.
    Of a ``stream`` there is no file to hash: ``output`` is the URL it was sent to, without its key, ``size_bytes`` what
    was sent, and all else what was encoded. A ladder's output is a folder of ``files``, with ``renditions`` from the
    largest on; its ``sha256`` is that of the list of its files, and the rest tells of the largest rendition.
    """

    output: str
    size_bytes: int
    sha256: str | None
    container: str
    codec: str
    width: int
    height: int
    fps: float
    duration: float
    frames: int
    audio_codec: str | None
    engine: str
    encode_seconds: float
    cpu_seconds: float
    speed: float
    pixel_format: str | None = None
    quality: Quality | None = None
    """None when nobody asked for it."""
    energy_joules: float | None = None
    energy_source: EnergySource | None = None
    gpu_joules: float | None = None
    gpu_source: CardSource | None = None
    cost: float | None = None
    cost_source: CostSource | None = None
    currency: str | None = None
    stream: StreamProgress | None = None
    received: Received | None = None
    """Of an input that is a stream."""
    encoder: str | None = None
    """As the engine calls it; None in results of versions that did not say."""
    fallback: str | None = None
    """Why neither the first engine nor the first encoder of the attempt made it; None when it did."""
    files: tuple[OutputFile, ...] = ()
    renditions: tuple[Rendition, ...] = ()

    @property
    def spent(self) -> Spending:
        """What the attempt used that made it."""
        return Spending(**{name: getattr(self, name) for name in Spending.__struct_fields__})


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request, ready to be stored."""

    id: str
    tenant: str
    scenario: str
    engine: EngineChoice
    queue: Queue
    priority: Priority
    parameters: Parameters
    needs: Needs
    labels: dict[str, str]
    node_labels: dict[str, str]
    """The job runs only on a node that carries all of these; sorted by name."""
    confidence: str | int | float | None
    idempotency_key: str | None
    fingerprint: str | None
    """Hash of what was asked for; present with a key, to tell a repeat from another job under the same key."""
    parent_id: str | None = None
    definition: Scenario | None = None
    """What the scenario is, when it is not a built-in one: the job runs as it was accepted, whatever settings say."""


class Job(msgspec.Struct, frozen=True):
    """One job as the store keeps it. Times are seconds since the epoch (UTC)."""

    id: str
    sequence_number: int
    tenant: str
    launch_id: str | None
    scenario: str
    engine: EngineChoice
    queue: Queue
    priority: Priority
    status: Status
    parameters: Parameters
    labels: dict[str, str]
    node_labels: dict[str, str]
    """The job runs only on a node that carries all of these."""
    confidence: str | int | float | None
    created_at: float
    parent_id: str | None = None
    """Of a chunk, the job that it is a part of."""
    definition: Scenario | None = None
    """What its scenario was when it was accepted; None for a built-in one."""
    attempt: int = 0
    """The token of the current or last attempt; rises by one with each assignment and never falls."""
    failures: int = 0
    crashes: int = 0
    eligible_at: float | None = None
    node_id: str | None = None
    node_name: str | None = None
    lease_until: float | None = None
    winner: int | None = None
    """The attempt whose output was accepted; set before its file is renamed into place."""
    progress: float = 0.0
    fps: float | None = None
    speed: float | None = None
    eta: float | None = None
    """Seconds of encoding left, as the engine's pace said at the last sign of life."""
    stream: StreamProgress | None = None
    """How the stream that it sends did at the last sign of life; what it came to is in the result."""
    assigned_at: float | None = None
    started_at: float | None = None
    completed_at: float | None = None
    failure_reason: FailureReason | None = None
    error_code: str | None = None
    error: str | None = None
    result: Result | None = None
    chunk_plan: ChunkPlan | None = None
    """What it was split into; then its next attempt joins the pieces."""
    chunks: int = 0
    chunks_left: int = 0
    """How many of its chunks are not complete; it is not ready before they are."""
    engine_used: str | None = None
    """The engine that the node of the last attempt was told to use."""
    engine_reason: str | None = None
    """Why that one."""
    lost_attempts: tuple[LostAttempt, ...] = ()
    """Those that came to nothing, oldest first, and what they used."""

    @property
    def is_held(self) -> bool:
        """Whether a node holds the job under a lease: it runs there, or stands still there."""
        return self.lease_until is not None
