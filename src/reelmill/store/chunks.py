"""The chunks of a job that was split: jobs of their own, inserted with the split, which nobody else makes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import text

from reelmill.domain.chunk import CHUNKS_PERCENT, Chunk, ChunkPlan, chunk_id, chunk_path, read_plan_folder
from reelmill.domain.job import Job, NewJob, Parameters
from reelmill.store.bulk import BulkSelect
from reelmill.store.doorbell import announce_work
from reelmill.store.lanes import make_lane, needs_of
from reelmill.store.protocol import Tx
from reelmill.store.submit import write_new

_BY_ID = BulkSelect("SELECT sequence_number FROM jobs WHERE id IN {values} ORDER BY sequence_number", "")
_PARENTS = BulkSelect("SELECT id, status, completed_at, chunk_plan FROM jobs WHERE id IN {values}", "")
_KEPT_SECONDS = 3600.0
_plan = msgspec.json.Decoder(ChunkPlan)
_PROGRESS = text("SELECT id, CASE WHEN status = 'completed' THEN 100 ELSE progress END FROM jobs WHERE parent_id = :id")


def insert_chunks(tx: Tx, parent: Job, plan: ChunkPlan, now: float) -> None:
    """Store the chunks of a job that was split in this very transaction.

    They have its queue, priority, tenant and labels, and no launch; no count and no limit of what may wait knows them.
    """
    needs = needs_of(tx, parent.sequence_number)._replace(engine="ffmpeg")
    lane_id = make_lane(tx, needs)
    new = [
        NewJob(
            id=chunk_id(parent.id, plan.attempt, piece.index),
            tenant=parent.tenant,
            scenario=parent.scenario,
            engine="ffmpeg",
            queue=parent.queue,
            priority=parent.priority,
            parameters=_parameters(parent, plan, piece),
            needs=needs,
            labels=parent.labels,
            node_labels=parent.node_labels,
            confidence=None,
            idempotency_key=None,
            fingerprint=None,
            parent_id=parent.id,
            definition=parent.definition,
        )
        for piece in plan.chunks
    ]
    write_new(tx, new, [lane_id] * len(new), None, now)
    announce_work(tx)


def _parameters(parent: Job, plan: ChunkPlan, piece: Chunk) -> Parameters:
    return Parameters(
        bitrate=parent.parameters.bitrate,
        input=parent.parameters.input,
        output=chunk_path(parent.id, plan.attempt, piece.index),
        overwrite=True,  # by a later attempt at the same piece only: nobody else is given its name
        timeout=parent.parameters.timeout,
        piece=piece,
    )


def chunks_of(tx: Tx, job: Job) -> list[int]:
    """The sequence numbers of the chunks that the job was split into; none when it was not."""
    if job.chunk_plan is None:
        return []
    ids = [chunk_id(job.id, job.chunk_plan.attempt, piece.index) for piece in job.chunk_plan.chunks]
    return [number for [number] in _BY_ID.run(tx, ids)]


def find_chunk_garbage(tx: Tx, names: Sequence[str], now: float) -> list[str]:
    """Those of the folders of chunks that nobody will join. One of an unknown job may be another farm's: it is not.

    A job that failed may be retried: its chunks are kept for an hour. Later they are encoded again.
    """
    plans = {name: plan for name in names if (plan := read_plan_folder(name)) is not None}
    rows = _PARENTS.run(tx, sorted({parent_id for parent_id, _ in plans.values()}))
    found = {row[0]: (row[1], row[2], row[3]) for row in rows}
    return [
        name
        for name, (parent_id, attempt) in plans.items()
        if parent_id in found and not _are_needed(*found[parent_id], attempt, now)
    ]


def _are_needed(status: str, ended_at: float | None, plan: str | None, attempt: int, now: float) -> bool:
    if plan is None or _plan.decode(plan).attempt != attempt or status == "completed":
        return False
    return ended_at is None or now - ended_at < _KEPT_SECONDS


def read_progress(tx: Tx, job: Job) -> float:
    """Percent of the whole, as its chunks are now; of a job that waits for none, its own."""
    if job.chunk_plan is None or not job.chunks_left:
        return job.progress
    done = {row[0]: row[1] for row in tx.execute(_PROGRESS, {"id": job.id})}
    plan = job.chunk_plan
    shares = [plan.share(one) * done.get(chunk_id(job.id, plan.attempt, one.index), 0.0) for one in plan.chunks]
    return round(sum(shares) * CHUNKS_PERCENT / 100, 1)
