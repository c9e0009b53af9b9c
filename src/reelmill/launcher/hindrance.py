"""Why jobs of a launch wait, and for what they would wait for ever: no node that takes jobs can run them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from reelmill.domain.capability import Needs, can_run
from reelmill.domain.explanation import LaunchExplanation, name_encoder_lacked
from reelmill.errors import ReelmillError
from reelmill.launcher.answers import LaunchHead, LaunchState, NodeState, NodeStates
from reelmill.launcher.client import MasterClient, path_of
from reelmill.launcher.plan import Demand, LaunchPlan
from reelmill.launcher.progress import Display

LOOK_SECONDS = 5.0


class Hindrance(msgspec.Struct, frozen=True):
    """What jobs wait for. ``scenarios`` are those of the plan that wait; None when all of them do."""

    reason: str
    scenarios: tuple[str, ...] | None = None

    def share(self, count: int) -> str:
        """Which of the jobs of a launch wait."""
        if self.scenarios is not None:
            return f"jobs of {', '.join(self.scenarios)}"
        return "the job" if count == 1 else f"all {count:,} jobs"


async def find_hindrance(client: MasterClient, plan: LaunchPlan) -> Hindrance | None:
    """What keeps jobs of the plan from running now; None when nothing does, or it cannot be known."""
    try:
        return judge_nodes((await client.get("/nodes", NodeStates)).nodes, plan)
    except ReelmillError:
        return None


def judge_nodes(nodes: Sequence[NodeState], plan: LaunchPlan) -> Hindrance | None:
    """What these nodes cannot do of the plan."""
    online = [node for node in nodes if node.status == "online"]
    if not online:
        draining = [node.name for node in nodes if node.status == "draining"]
        if len(draining) == 1:
            advice = f"`reelmill nodes resume {draining[0]}`"
            return Hindrance(f"{draining[0]} is draining ({advice}), and no other node is online")
        closed = " or ".join(sorted({node.status for node in nodes} - {"offline"}))
        return Hindrance(f"every node is {closed}" if closed else "no node is online")
    sound = [node for node in online if node.trouble is None]
    demands = plan.demands
    unable = [demand for demand in demands if not _can_any(sound, demand)]
    if not unable:
        return None
    lacking = [demand for demand in unable if not _can_any(online, demand)]
    if lacking:
        unable = lacking
        reason = "no node has " + " or ".join(dict.fromkeys(_lack(online, demand) for demand in unable))
    else:
        reason = "; ".join(f"{node.name} takes no jobs: {node.trouble}" for node in online if node.trouble is not None)
    all_wait = len(unable) == len(demands)
    return Hindrance(reason, None if all_wait else tuple(dict.fromkeys(demand.scenario.name for demand in unable)))


def _can_any(nodes: Sequence[NodeState], demand: Demand) -> bool:
    needs = _needs_of(demand)
    return any(can_run(node.capabilities, needs) for node in nodes)


def _needs_of(demand: Demand) -> Needs:
    scenario = demand.scenario
    encoder = scenario.encoder_needed(scenario.usual_container)
    return Needs(demand.engine, encoder, scenario.cost, node_labels=tuple(demand.node_labels.items()))


def _lack(nodes: Sequence[NodeState], demand: Demand) -> str:
    missing = {name: value for name, value in demand.node_labels.items() if not _any_carries(nodes, name, value)}
    if missing:
        return "the label " + ", ".join(f"{name}={value}" for name, value in missing.items())
    if demand.engine != "auto" and not any(node.capabilities.engines.get(demand.engine) for node in nodes):
        return demand.engine
    return name_encoder_lacked([node.capabilities for node in nodes], _needs_of(demand))


def _any_carries(nodes: Sequence[NodeState], name: str, value: str) -> bool:
    return any(node.capabilities.labels.get(name) == value for node in nodes)


def describe_waiting(found: LaunchExplanation, waiting: int) -> str:
    """``"300 are blocked: no node has …; 12 wait: busy: 4 of 4 units, 1 needed"``; empty when none waits.

    ``waiting`` is how many do now: where more are told of, they were found earlier, and are not counted.
    """
    is_old = sum(wait.jobs for wait in found.waiting) > waiting
    reasons = "; ".join(
        wait.reason if is_old else f"{wait.jobs:,} {_verb(wait.jobs, blocked=wait.blocked)}: {wait.reason}"
        for wait in found.waiting
    )
    if is_old:
        return reasons if waiting else ""
    return reasons if found.is_all else f"of the first {sum(wait.jobs for wait in found.waiting):,}: {reasons}"


def _verb(count: int, *, blocked: bool) -> str:
    if blocked:
        return "is blocked" if count == 1 else "are blocked"
    return "waits" if count == 1 else "wait"


def _count_waiting(state: LaunchState | LaunchHead) -> int:
    return state.counts.get("queued", 0) + state.counts.get("retrying", 0)


async def explain_waiting(client: MasterClient, state: LaunchState | LaunchHead) -> LaunchExplanation | None:
    """Why jobs of the launch wait; None when none does, or the master cannot say."""
    if not _count_waiting(state):
        return None
    try:
        return await client.get(path_of("launches", state.id, "explain"), LaunchExplanation)
    except ReelmillError:
        return None


def contradicts(found: LaunchExplanation, state: LaunchState) -> bool:
    """Whether more jobs are said to be blocked than wait: the one was found a little earlier than the other."""
    return sum(wait.jobs for wait in found.waiting if wait.blocked) > _count_waiting(state)


class Lookout:
    """Looks now and then why jobs wait, and says once of each reason that mere patience does not cure."""

    def __init__(self, client: MasterClient, display: Display) -> None:
        self._client = client
        self._display = display
        self._told: set[str] = set()
        self._found: LaunchExplanation | None = None
        self._next = 0.0

    async def look(self, state: LaunchState) -> str:
        """Why jobs wait; empty when none does, or it is not known."""
        now = asyncio.get_running_loop().time()
        if now >= self._next or (self._found is not None and contradicts(self._found, state)):
            self._next = now + LOOK_SECONDS
            self._found = await explain_waiting(self._client, state)
            for wait in self._found.waiting if self._found is not None else ():
                if wait.blocked and wait.reason not in self._told:
                    self._told.add(wait.reason)
                    self._display.say(f"{wait.jobs:,} of {state.total:,} jobs wait: {wait.reason}", "warning")
        if self._found is None or contradicts(self._found, state):
            return ""
        return describe_waiting(self._found, _count_waiting(state))
