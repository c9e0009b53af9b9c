"""What users do to jobs: cancel, pause, resume, retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from sqlalchemy import bindparam, or_, select

from reelmill.domain.job import TERMINAL, Job, Status
from reelmill.domain.lifecycle import Cancel, Event, Pause, Resume, Retry
from reelmill.errors import Conflict
from reelmill.store.chunks import chunks_of
from reelmill.store.protocol import Tx
from reelmill.store.schema import jobs
from reelmill.store.transition import Rules, change, change_all, load, load_numbers

Action = Literal["cancel", "pause", "resume", "retry"]
ACTIONS: tuple[Action, ...] = get_args(Action)

_EVENTS: dict[Action, Event] = {"cancel": Cancel(), "pause": Pause(), "resume": Resume(), "retry": Retry()}
_ALREADY: dict[Action, frozenset[Status]] = {
    "cancel": frozenset({"canceled"}),
    "pause": frozenset({"paused"}),
    "resume": frozenset({"queued", "retrying", "assigned", "running"}),
    "retry": frozenset(),
}
"""Statuses in which a job is where the action would bring it: to do it again is no error."""

_OPEN_OF_LAUNCH = (
    select(jobs.c.sequence_number)
    .where(
        jobs.c.launch_id == bindparam("launch_id"),
        jobs.c.sequence_number > bindparam("after"),
        jobs.c.status.not_in(sorted(TERMINAL)),
        or_(jobs.c.status != "running", jobs.c.winner.is_(None)),  # what is being published keeps its result
    )
    .order_by(jobs.c.sequence_number)
    .limit(bindparam("most"))
)


def act(tx: Tx, job_id: str, action: Action, rules: Rules) -> tuple[Job, Job] | None:
    """The job before and after the action; None when there is no such job.

    Doing the same twice is no error; NotAllowed when the job's state makes no sense of it. What is done to a job is
    done to its chunks; Conflict for a chunk itself.
    """
    job = load(tx, job_id)
    if job is None:
        return None
    if job.parent_id is not None:
        raise Conflict(f"this is a chunk of job {job.parent_id}; {action} that one", code="is_chunk")
    if job.status in _ALREADY[action]:
        return job, job
    after = change(tx, job, _EVENTS[action], rules)
    _reach_chunks(tx, [job], action, rules)
    return job, after


def _reach_chunks(tx: Tx, parents: Sequence[Job], action: Action, rules: Rules) -> None:
    """Do the same to the chunks of jobs, as these were before; those that are complete stay so."""
    numbers = [number for job in parents for number in chunks_of(tx, job)]
    event = Cancel("canceled with its job") if action == "cancel" else _EVENTS[action]
    change_all(tx, load_numbers(tx, numbers), event, rules)


def cancel_launch(tx: Tx, launch_id: str, after: int, most: int, rules: Rules) -> list[Job]:
    """Cancel up to ``most`` open jobs of the launch behind the number ``after``; the jobs as they were before."""
    slice_of_launch = {"launch_id": launch_id, "after": after, "most": most}
    numbers = tx.execute(_OPEN_OF_LAUNCH, slice_of_launch).scalars().all()
    canceled = change_all(tx, load_numbers(tx, numbers), Cancel(), rules)
    _reach_chunks(tx, canceled, "cancel", rules)
    return canceled
