"""What must be true of a farm's rows and histories, whatever happened to it: the same for every kind of test.

It reads what is in the store afterwards and trusts nobody: neither the code that wrote it nor the test that caused it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from reelmill.domain.job import TERMINAL, Job
from reelmill.domain.lifecycle import TRANSITIONS
from reelmill.store.listing import Transition

STEPS = frozenset((before, after) for (before, _), outcomes in TRANSITIONS.items() for after in outcomes)
"""What may follow what."""


def violations(
    jobs: Sequence[Job],
    histories: Mapping[str, Sequence[Transition]],
    counts: Mapping[str, int],
    *,
    accepted: Collection[str] = (),
    all_ended: bool = True,
) -> list[str]:
    """A sentence for each promise that was broken; none when all is well.

    ``histories`` are whole, oldest first, by job id; ``counts`` are the farm's own books: jobs by status. ``accepted``
    are the ids that a client was told 201 about. ``all_ended`` says that the farm had time to end each job.
    """
    found = [
        f"job {job_id} was accepted and is not in the store" for job_id in set(accepted) - {job.id for job in jobs}
    ]
    for job in jobs:
        steps = histories.get(job.id, ())
        found += [f"job {job.sequence_number} {what}" for what in _of_job(job, steps)]
        if all_ended and job.status not in TERMINAL:
            found.append(f"job {job.sequence_number} is {job.status} at the end")
    rows = Counter(job.status for job in jobs)
    told = {status: n for status, n in counts.items() if n}
    if told != dict(rows):
        found.append(f"the counts say {told}, the rows {dict(rows)}")
    return found


def _of_job(job: Job, steps: Sequence[Transition]) -> Iterator[str]:
    if not steps:
        yield "has no history"
        return
    yield from _of_steps(steps)
    last = steps[-1]
    if (job.status, job.attempt) != (last.to_status, last.attempt):
        yield f"is {job.status} in attempt {job.attempt}; its history ends with {last.to_status} in {last.attempt}"
    published = [step for step in steps if step.to_status == "completed"]
    if len(published) > 1:
        yield f"was published {len(published)} times"
    if job.status == "completed" and (job.winner is None or job.winner != published[-1].attempt or job.result is None):
        yield f"is completed, its winner is attempt {job.winner}, and {published[-1].attempt} was published"
    if job.status in TERMINAL and job.lease_until is not None:
        yield f"is {job.status} and has a lease"
    if job.status in ("failed", "timed_out") and not (job.failure_reason and job.error_code and job.error):
        yield f"is {job.status} without a reason"


def _of_steps(steps: Sequence[Transition]) -> Iterator[str]:
    first = steps[0]
    if (first.from_status, first.to_status, first.attempt) != (None, "queued", 0):
        yield f"begins with {first.from_status} to {first.to_status} in attempt {first.attempt}"
    for before, after in itertools.pairwise(steps):
        if after.from_status != before.to_status:
            yield f"was {before.to_status}, then went from {after.from_status} to {after.to_status}"
        if (after.from_status, after.to_status) not in STEPS:
            yield f"went from {after.from_status} to {after.to_status}, which is in no table"
        rise = 1 if after.to_status == "assigned" else 0
        if after.attempt != before.attempt + rise:
            yield f"was in attempt {before.attempt}, then {after.to_status} in attempt {after.attempt}"
