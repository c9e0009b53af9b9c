"""The three kinds of attempts at a job in chunks: one splits it, one encodes each piece, one joins them."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path

import msgspec

from reelmill.domain.attempt import Grant
from reelmill.domain.chunk import CHUNKS_PERCENT, Chunk, ChunkPlan, chunk_path
from reelmill.domain.energy import Spending
from reelmill.domain.failure import Failure
from reelmill.domain.picture import exact_rate
from reelmill.domain.sound import Sound
from reelmill.media import input_failure
from reelmill.media.failed import AttemptFailed
from reelmill.worker.cutting import Cutting
from reelmill.worker.depot import Depot
from reelmill.worker.engines.engine import EncodePlan, Joining
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.process import Exit

CAN_BE_CUT = frozenset({"mp4", "matroska", "webm"})
"""Containers with an index, in which every seek finds the key picture that it is told."""

_MOST_UNEVEN = {"mp4": 1e-5}
_MILLISECOND = 1e-3
"""How exactly most containers write times."""


def without_tracks(grant: Grant) -> Grant:
    """The grant of a piece: only pictures, into the container in which pieces wait."""
    if grant.parameters.piece is None:
        return grant
    scenario = msgspec.structs.replace(grant.scenario, container="mp4", audio=Sound(codec="none"), subtitles="none")
    return msgspec.structs.replace(grant, scenario=scenario)


def as_piece(plan: EncodePlan, piece: Chunk | None) -> EncodePlan:
    """The plan of what is encoded for one piece; the plan itself without one."""
    if piece is None:
        return plan
    return msgspec.structs.replace(
        plan, piece=piece, duration=piece.seconds, video_duration=piece.seconds, limit=None, audio=(), subtitles=()
    )


async def choose_chunks(grant: Grant, plan: EncodePlan, probe: Probe) -> tuple[Chunk, ...]:
    """The chunks in which the job is encoded; none when it is encoded in one.

    That is so when it is no longer than a chunk, and when its input cannot be cut: its container has no index, or a
    filter looks at neighbouring pictures.
    """
    seconds, source = grant.parameters.chunk, plan.source
    if seconds is None or grant.chunk_plan is not None or source is None or plan.input_path is None:
        return ()
    if plan.duration <= (grant.parameters.chunk_above or 0.0):
        return ()
    if grant.engine != "ffmpeg" or source.container not in CAN_BE_CUT or plan.deinterlace != "none":
        return ()
    length = plan.duration if plan.video_duration is None else plan.video_duration
    rate = exact_rate(plan.fps)
    limit = plan.limit
    if limit is not None and source.video_duration is not None and source.video_duration <= limit:
        limit = None  # the picture ends before it
    wanted = Cutting(seconds=seconds, rate=(rate.numerator, rate.denominator), duration=length, limit=limit)
    chunks = await probe.cut(plan.input_path, wanted)
    return chunks if len(chunks) > 1 else ()


async def gather(grant: Grant, plan: EncodePlan, chunks: ChunkPlan, depot: Depot, probe: Probe) -> EncodePlan:
    """The plan of a join, with every piece fetched and looked at. AttemptFailed: chunk_lost, chunks_differ."""
    folder = plan.output_path.parent
    lines: list[str] = ["ffconcat version 1.0"]
    frames, setups = 0, set[str]()
    rate = exact_rate(plan.fps)
    for piece in chunks.chunks:
        path = await _fetch(grant, chunk_path(grant.key.job_id, chunks.attempt, piece.index), depot)
        info = await _look(path, piece, probe)
        setups.add(info.setup)
        name = f"{piece.index}.mp4"
        await asyncio.to_thread((folder / name).symlink_to, path)
        # The time at which the next piece begins is told, rounded once and not once for each piece before it.
        lasts = _microseconds(frames + info.frames, rate) - _microseconds(frames, rate)
        lines += [f"file {name}", f"duration {lasts}us"]
        frames += info.frames
    if len(setups) > 1:
        raise AttemptFailed(_DIFFER)
    listing = folder / "pieces.ffconcat"
    await asyncio.to_thread(listing.write_text, "\n".join(lines) + "\n")
    begins = float(chunks.chunks[0].start / rate)
    return msgspec.structs.replace(plan, joining=Joining(listing=listing, frames=frames, begins=begins))


async def _fetch(grant: Grant, relative: str, depot: Depot) -> Path:
    try:
        path = await depot.fetch(grant, relative)
    except AttemptFailed as failed:
        if failed.failure.code == input_failure.MISSING.code:
            raise AttemptFailed(_LOST) from failed
        raise
    if not await asyncio.to_thread(path.is_file):
        raise AttemptFailed(_LOST)
    return path


async def _look(path: Path, piece: Chunk, probe: Probe) -> MediaInfo:
    try:
        info = await probe.probe(path, count_frames=True)
    except AttemptFailed as failed:
        raise AttemptFailed(_LOST) from failed
    if piece.end is not None and info.frames != piece.end - piece.start:
        raise AttemptFailed(_LOST)
    return info


def blame_pieces(plan: EncodePlan, failure: Failure) -> Failure:
    """Why a join failed: when a piece of it is gone by now that, whatever the engine makes of it."""
    if plan.joining is None:
        return failure
    links = (path for path in plan.joining.listing.parent.iterdir() if path.is_symlink())
    return failure if all(link.exists() for link in links) else _LOST


def _microseconds(frames: int, rate: Fraction) -> int:
    return round(frames * 1_000_000 / rate)


def verify_piece(plan: EncodePlan, info: MediaInfo) -> Failure | None:
    """None when the frames of a piece are exactly those that were planned."""
    piece = plan.piece
    if piece is None or piece.end is None or info.frames == piece.end - piece.start:
        return None
    return Failure(
        "input_error",
        "chunk_inexact",
        f"The chunk has {info.frames} frames where {piece.end - piece.start} were planned: part of the input is "
        "missing or damaged, or it cannot be cut there; copy or export it again, or submit it without `chunk`.",
    )


def expected(plan: EncodePlan, info: MediaInfo) -> EncodePlan:
    """What the output is judged by: of the last piece nobody knew how long it would be."""
    if plan.piece is None or plan.piece.end is not None:
        return plan
    return msgspec.structs.replace(plan, duration=info.duration, video_duration=info.video_duration)


def verify_join(plan: EncodePlan, info: MediaInfo) -> Failure | None:
    """None when every frame of every piece is there, each at its time."""
    if plan.joining is None:
        return None
    most = _MOST_UNEVEN.get(info.container, _MILLISECOND)
    lasts = plan.joining.frames / exact_rate(plan.fps)
    if info.frames != plan.joining.frames:
        what = f"it has {info.frames} frames, and its chunks have {plan.joining.frames}"
    elif info.unevenness is None or info.unevenness > most:
        what = f"the times of its frames are uneven by up to {info.unevenness or 0:.6f} s"
    elif info.video_duration is None or abs(info.video_duration - lasts) > 2 * most:
        what = f"its picture lasts {info.video_duration} s, and {float(lasts):.6f} s were planned"
    else:
        return None
    message = f"The joined output is wrong: {what}; submit the job without `chunk`, and tell us."
    return Failure("runtime_error", "join_inexact", message)


def percent_of(grant: Grant, percent: float) -> float:
    """How far the job is when its attempt is so far: a join begins where its chunks ended."""
    return percent if grant.chunk_plan is None else CHUNKS_PERCENT + percent * (100.0 - CHUNKS_PERCENT) / 100.0


def with_chunks(grant: Grant, ended: Exit) -> tuple[float, float]:
    """How many seconds, by the wall and of CPU, engines worked for the output, on all nodes together."""
    chunks = grant.chunk_plan
    if chunks is None:
        return ended.wall_seconds, ended.cpu_seconds
    return ended.wall_seconds + chunks.encode_seconds, ended.cpu_seconds + chunks.cpu_seconds


def spent_with_chunks(grant: Grant, spent: Spending | None) -> Spending | None:
    """What was used for the output, on all nodes together; None when of a part of it nobody can know.

    Only pieces are encoded on cards: what they used there is the whole.
    """
    chunks = grant.chunk_plan
    if chunks is None or spent is None or chunks.spent is None:
        return spent if chunks is None else None
    return chunks.spent.plus(msgspec.structs.replace(spent, gpu_joules=0.0))


_LOST = Failure(
    "platform_error",
    "chunk_lost",
    "A chunk is gone or damaged: all are encoded again. Check that nothing cleans the media root's .reelmill folder.",
)
_DIFFER = Failure(
    "platform_error",
    "chunks_differ",
    "The chunks were encoded by encoders that differ: all are encoded again; give all workers the same ffmpeg.",
)
