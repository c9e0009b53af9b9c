"""What users do to jobs, and the words that tell the node which holds one."""

from __future__ import annotations

from typing import Literal

from reelmill.bus.words import order_notice
from reelmill.domain.attempt import AttemptKey, AttemptOrder
from reelmill.domain.job import Job
from reelmill.master.farm import Farm
from reelmill.store.control import Action, act


async def act_on(farm: Farm, job_id: str, action: Action) -> Job | None:
    """The job after the action, of which its node is told; None when there is no such job.

    NotAllowed when the job's state makes no sense of it.
    """
    changed = await farm.change(lambda tx, rules: act(tx, job_id, action, rules))
    if changed is None:
        return None
    before, after = changed
    if before.is_held and not after.is_held:
        await tell_canceled(farm, before)
    elif after.is_held and (action == "pause" or action == "resume"):  # told again when it was done again
        await _order(farm, after, action)
    return after


async def tell_canceled(farm: Farm, before: Job) -> None:
    """Tell the node that held the job, if any, that its attempt does not count any more."""
    if before.is_held:
        await _order(farm, before, "drop")


async def _order(farm: Farm, job: Job, what: Literal["drop", "pause", "resume"]) -> None:
    if job.node_id is not None:
        await order_notice(job.node_id).tell(farm.bus, AttemptOrder(AttemptKey(job.id, job.attempt), what))
