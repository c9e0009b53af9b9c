"""Why jobs of a launch would wait for ever as things are: no node that takes jobs can run them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from reelmill.domain.capability import Needs, can_run
from reelmill.errors import ReelmillError
from reelmill.launcher.answers import LaunchState, NodeState, NodeStates, WaitingJobs, WhyWaiting
from reelmill.launcher.client import MasterClient, path_of
from reelmill.launcher.plan import Demand, LaunchPlan
from reelmill.launcher.progress import Display

LOOK_SECONDS = 5.0
_IN_ORDER = ("waits for room", "waits for its retry", "the job ")
"""How the master's words begin for a job that only has to be patient."""


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
    scenario = demand.scenario
    needs = Needs(demand.engine, scenario.codec, scenario.cost, node_labels=tuple(demand.node_labels.items()))
    return any(can_run(node.capabilities, needs) for node in nodes)


def _lack(nodes: Sequence[NodeState], demand: Demand) -> str:
    missing = {name: value for name, value in demand.node_labels.items() if not _any_carries(nodes, name, value)}
    if missing:
        return "the label " + ", ".join(f"{name}={value}" for name, value in missing.items())
    if demand.engine != "auto" and not any(node.capabilities.engines.get(demand.engine) for node in nodes):
        return demand.engine
    engine = "" if demand.engine == "auto" else f" of {demand.engine}"
    return f"an {demand.scenario.codec} encoder{engine}"


def _any_carries(nodes: Sequence[NodeState], name: str, value: str) -> bool:
    return any(node.capabilities.labels.get(name) == value for node in nodes)


class Lookout:
    """Looks now and then why jobs wait, and says each reason once.

    Knowing the plan, it looks at what the nodes can do; without it, it asks why the first job that waits does.
    """

    def __init__(self, client: MasterClient, plan: LaunchPlan | None, display: Display) -> None:
        self._client = client
        self._plan = plan
        self._display = display
        self._told: str | None = None
        self._reason: str | None = None
        self._next = 0.0

    async def look(self, state: LaunchState) -> str | None:
        """Why the open jobs wait; None when some of them run, or nothing hinders them."""
        waiting = state.counts.get("queued", 0) + state.counts.get("retrying", 0)
        if not waiting or waiting != state.open:
            self._reason = None
            return None
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + LOOK_SECONDS
            self._reason = await self._find_reason(state)
            if self._reason is not None and self._reason != self._told:
                self._told = self._reason
                self._display.say(f"{waiting:,} of {state.total:,} jobs wait: {self._reason}", "warning")
        return self._reason

    async def _find_reason(self, state: LaunchState) -> str | None:
        if self._plan is not None:
            found = await find_hindrance(self._client, self._plan)
            return found.reason if found is not None else None
        try:
            params = {"launch": state.id, "status": "queued,retrying", "limit": 1, "fields": "id"}
            first = (await self._client.get("/jobs", WaitingJobs, params)).jobs
            if not first:
                return None
            summary = (await self._client.get(path_of("jobs", first[0].id, "explain"), WhyWaiting)).summary
        except ReelmillError:
            return None
        return None if summary.startswith(_IN_ORDER) else summary
