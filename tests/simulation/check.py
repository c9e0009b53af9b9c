"""What must be true of a simulated farm when all is over: of its rows, its histories and its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from reelmill.domain.attempt import AttemptKey
from reelmill.domain.job import TERMINAL, Job
from reelmill.media.publish import list_attempts
from reelmill.store.counts import read_counts
from reelmill.store.listing import JobFilter, Transition, list_jobs, read_history
from tests.history_checker import violations
from tests.simulation.encode import content
from tests.simulation.world import World


async def check(world: World, jobs: Sequence[Job]) -> list[str]:
    """A sentence for each promise that was broken."""
    histories = await world.store.read(lambda tx: {job.id: read_history(tx, job) for job in jobs})
    counts: Counter[str] = Counter()
    for key, n in (await world.store.read(read_counts)).items():
        counts[key.status] += n
    found = violations(jobs, histories, counts, accepted=world.keys.values())
    for job in jobs:
        found += [f"job {job.sequence_number} ({world.fate(job.id)}) {what}" for what in _of_job(world, job)]
        found += [f"job {job.sequence_number} {what}" for what in _losses(world, histories[job.id])]
    for job in jobs:
        if job.chunk_plan is not None:
            parent = JobFilter(parent=[job.id])
            chunks = await world.store.read(lambda tx, parent=parent: list_jobs(tx, parent, after=None, limit=100))
            found += [f"job {job.sequence_number} {what}" for what in _of_chunks(job, chunks)]
    left = list_attempts(world.media_root)
    if left:
        found.append(f"the folders of {len(left)} attempts are left")
    return found


def _of_job(world: World, job: Job) -> Iterator[str]:
    output = world.media_root / (job.parameters.output or "")
    if job.status == "completed":
        expected = content(AttemptKey(job.id, job.winner or 0))
        found = output.read_text() if output.exists() else "nothing"
        if found != expected:
            yield f"is completed, and its output holds {found}, not {expected}"
    elif output.exists():
        yield f"is {job.status}, and was published all the same"
    yield from _of_fate(world, job)


def _of_fate(world: World, job: Job) -> Iterator[str]:
    """Tries end as they should: by the job's own fault, or because its workers were lost time and again (P5, P9)."""
    if job.status == "canceled" or (job.error or "").startswith("Chunk "):  # see `_of_chunks`
        return
    if job.crashes >= world.policy.max_crashes:
        if job.error_code != "worker_crashes":
            yield f"took {job.crashes} workers with it and ended as {job.error_code or job.status}"
        return
    match world.fate(job.id):
        case "good" | "long":
            if job.status != "completed":
                yield f"ended as {job.status}: {job.error}"
        case "bad":
            if job.status != "failed" or job.failure_reason not in ("input_error", "user_error") or job.failures != 1:
                yield f"ended as {job.status} after {job.failures} failures: {job.error}"
        case "flaky":
            if job.status != "completed" and job.failures != world.policy.max_failures:
                yield f"ended as {job.status} after {job.failures} failures: {job.error}"
        case "poison":
            yield f"killed its workers and ended as {job.status} after {job.crashes} crashes"


def _of_chunks(job: Job, chunks: Sequence[Job]) -> Iterator[str]:
    """A job is complete when all that it was split into is, and fails of a chunk that failed; nothing is left open."""
    plan = f"{job.id}-{job.chunk_plan.attempt if job.chunk_plan else 0}c"
    mine = [chunk for chunk in chunks if chunk.id.startswith(plan)]
    ended = Counter(chunk.status for chunk in mine)
    if len(mine) != job.chunks or set(ended) - TERMINAL:
        yield f"was split into {job.chunks}, and its chunks are {dict(ended)}"
    if job.chunks_left != len(mine) - ended["completed"]:
        yield f"waits for {job.chunks_left} chunks, and they are {dict(ended)}"
    if job.status == "completed" and ended["completed"] != len(mine):
        yield f"is completed, and its chunks are {dict(ended)}"
    if (job.error or "").startswith("Chunk ") and not ended["failed"] + ended["timed_out"]:
        yield f"failed of a chunk, and they are {dict(ended)}"


def _losses(world: World, steps: Sequence[Transition]) -> Iterator[str]:
    """In a kind world no job is lost with a worker that was well (P4, P7)."""
    if not world.is_kind:
        return
    for step in steps:
        lost = step.reason.startswith("worker_") and ": Chunk " not in step.reason  # that node had the job before
        if lost and step.node_name not in world.excused:
            yield f"was lost with {step.node_name}, which was well: {step.reason}"
