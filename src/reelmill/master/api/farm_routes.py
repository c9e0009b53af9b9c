"""/launches, /nodes, /scenarios, /health, /metrics: the farm around the jobs."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller, MediaType, Request, Response, delete, get, post, put
from litestar.params import FromPath, QueryParameter

from reelmill import __version__
from reelmill.domain.explanation import LaunchExplanation
from reelmill.domain.job import TERMINAL, Job
from reelmill.domain.node import Node
from reelmill.domain.scenario import find_scenario, known_scenarios
from reelmill.domain.tenant import Tenant, check_limit, check_tenant
from reelmill.errors import Conflict, InvalidField, NotFound, Unavailable
from reelmill.master.api.answers import (
    CancelLaunchAnswer,
    HealthAnswer,
    LaunchAnswer,
    LaunchesAnswer,
    LaunchTimingsAnswer,
    NodeAnswer,
    NodesAnswer,
    ScenarioAnswer,
    ScenariosAnswer,
    TenantsAnswer,
    answer_launch,
    answer_node,
    answer_scenario,
)
from reelmill.master.api.dependency import TheFarm, TheTroubles, TheWarnings
from reelmill.master.api.jobs import body
from reelmill.master.api.submission import check_text
from reelmill.master.farm import Farm
from reelmill.master.orders import tell_canceled
from reelmill.store.control import cancel_launch
from reelmill.store.counts import read_counts
from reelmill.store.explain import explain_launch
from reelmill.store.identity import farm_id
from reelmill.store.launches import Launch, get_launch, launch_timings, list_launches
from reelmill.store.nodes import forget_node, list_nodes, set_draining
from reelmill.store.protocol import Tx
from reelmill.store.room import full_queues
from reelmill.store.tenants import get_tenant, list_tenants, set_limit
from reelmill.store.transition import Rules

_CANCEL_AT_ONCE = 100
_LEAST_FREE_BYTES = 64 * 1024 * 1024


def _show_launch(launch: Launch) -> LaunchAnswer:
    return answer_launch(launch, sum(n for status, n in launch.counts.items() if status not in TERMINAL))


async def _find_launch(farm: Farm, launch_id: str) -> LaunchAnswer:
    launch = await farm.store.read(lambda tx: get_launch(tx, launch_id))
    if launch is None:
        raise NotFound(f"there is no launch {launch_id[:80]!r}")
    return _show_launch(launch)


class LaunchesController(Controller):
    """Everything below /launches."""

    path = "/launches"
    tags = ("launches",)

    @get("/")
    async def list(self, farm: TheFarm, limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100) -> LaunchesAnswer:
        """List the latest launches, newest first."""
        found = await farm.store.read(lambda tx: list_launches(tx, limit))
        return LaunchesAnswer(launches=[_show_launch(launch) for launch in found], count=len(found))

    @get("/{launch_id:str}")
    async def show(self, farm: TheFarm, launch_id: FromPath[str]) -> LaunchAnswer:
        """Show a launch with its jobs by status; costs the same however large it is."""
        return await _find_launch(farm, launch_id)

    @get("/{launch_id:str}/timings")
    async def timings(self, farm: TheFarm, launch_id: FromPath[str]) -> LaunchTimingsAnswer:
        """Show how long the jobs of a launch waited and ran; reads every job of the launch."""
        launch = await _find_launch(farm, launch_id)
        timings = await farm.store.read(lambda tx: launch_timings(tx, launch_id))
        first, last = timings.first_started_at, timings.last_completed_at
        wall = last - first if first is not None and last is not None and last > first else None
        completed = launch.counts.get("completed", 0)
        rate = completed / wall if wall else None
        return LaunchTimingsAnswer(launch=launch, wall_seconds=wall, jobs_per_second=rate, timings=timings)

    @get("/{launch_id:str}/explain")
    async def explain(self, farm: TheFarm, launch_id: FromPath[str]) -> LaunchExplanation:
        """Say why the waiting jobs of a launch do not run: how many, whether any node ever will run them, and why."""
        await _find_launch(farm, launch_id)
        now = farm.clock.now()
        return await farm.store.read(lambda tx: explain_launch(tx, launch_id, now))

    @post("/{launch_id:str}/cancel", status_code=200)
    async def cancel(self, farm: TheFarm, launch_id: FromPath[str]) -> CancelLaunchAnswer:
        """Cancel every job of the launch that has not ended."""
        await _find_launch(farm, launch_id)
        canceled = after = 0
        while some := await farm.change(partial(_cancel_some, launch_id=launch_id, after=after)):
            canceled += len(some)
            after = some[-1].sequence_number
            for before in some:
                await tell_canceled(farm, before)
        return CancelLaunchAnswer(launch_id, canceled)


def _cancel_some(tx: Tx, rules: Rules, *, launch_id: str, after: int) -> list[Job]:
    return cancel_launch(tx, launch_id, after, _CANCEL_AT_ONCE, rules)


class NodesController(Controller):
    """Everything below /nodes."""

    path = "/nodes"
    tags = ("nodes",)

    @get("/")
    async def list(self, farm: TheFarm) -> NodesAnswer:
        """List the nodes, online ones first."""
        found = await _nodes(farm)
        return NodesAnswer(nodes=[answer_node(node) for node in found], count=len(found))

    @get("/{node_id:str}")
    async def show(self, farm: TheFarm, node_id: FromPath[str]) -> NodeAnswer:
        """Show one node, by id or by name."""
        return answer_node(await _find_node(farm, node_id))

    @post("/{node_id:str}/drain", status_code=200)
    async def drain(self, farm: TheFarm, node_id: FromPath[str]) -> NodeAnswer:
        """Give the node no new jobs; what it runs goes on."""
        return await _set_draining(farm, node_id, True)

    @post("/{node_id:str}/resume", status_code=200)
    async def resume(self, farm: TheFarm, node_id: FromPath[str]) -> NodeAnswer:
        """Give the node jobs again."""
        return await _set_draining(farm, node_id, False)

    @delete("/{node_id:str}", status_code=204)
    async def forget(self, farm: TheFarm, node_id: FromPath[str]) -> None:
        """Drop a node from the list; one that is alive comes back with its next sign of life."""
        node = await _find_node(farm, node_id)
        await farm.change(lambda tx, _rules: forget_node(tx, node.id))


async def _nodes(farm: Farm) -> list[Node]:
    now = farm.clock.now()
    return await farm.store.read(lambda tx: list_nodes(tx, now))


async def _find_node(farm: Farm, reference: str) -> Node:
    """The node of that id, or the one of that name; Conflict when several have it, unless one is not offline."""
    nodes = await _nodes(farm)
    named = [node for node in nodes if node.name == reference]
    present = [node for node in named if node.status != "offline"]
    found = [node for node in nodes if node.id == reference] or present or named
    if not found:
        raise NotFound(f"there is no node {reference[:80]!r}")
    if len(found) > 1:
        ids = ", ".join(
            f"{node.id} (last heard of at {datetime.fromtimestamp(node.last_seen, UTC):%Y-%m-%d %H:%M:%S} UTC)"
            for node in found
        )
        raise Conflict(f"{len(found)} nodes are called {reference[:80]!r}; say which by its id: {ids}")
    return found[0]


async def _set_draining(farm: Farm, reference: str, draining: bool) -> NodeAnswer:
    node = await _find_node(farm, reference)
    if node.status == "stopping" and not draining:
        raise Conflict(f"the worker of {node.name} ends; start it again")
    await farm.change(lambda tx, _rules: set_draining(tx, node.id, draining))
    return answer_node(await _find_node(farm, node.id))


class TenantLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``PUT /tenants/{name}``: how many jobs nodes may hold at once, and how many may wait.

    Null for any number; a limit that is left out stays as it is.
    """

    max_running: int | msgspec.UnsetType | None = msgspec.UNSET
    max_queued: int | msgspec.UnsetType | None = msgspec.UNSET


_LIMIT_DECODER = msgspec.json.Decoder(TenantLimit)
_NO_LIMIT = TenantLimit()


class TenantsController(Controller):
    """Everything below /tenants."""

    path = "/tenants"
    tags = ("tenants",)

    @get("/")
    async def list(self, farm: TheFarm) -> TenantsAnswer:
        """List every tenant that sent a job or has a limit, with the jobs that nodes hold of it and that wait."""
        found = await farm.store.read(list_tenants)
        return TenantsAnswer(tenants=found, count=len(found))

    @put("/{name:str}", operation_class=body('{"max_running": N or null, "max_queued": N or null}'))
    async def limit(self, request: Request[Any, Any, Any], farm: TheFarm, name: FromPath[str]) -> Tenant:
        """Limit how many jobs of the tenant nodes hold at once, and how many may wait; null takes a limit away."""
        asked = _LIMIT_DECODER.decode(check_text(await request.body()))
        check_tenant(name)
        if asked == _NO_LIMIT:
            raise InvalidField("max_running", "is required, or max_queued")
        if isinstance(asked.max_running, int):
            check_limit("max_running", asked.max_running)
        if isinstance(asked.max_queued, int):
            check_limit("max_queued", asked.max_queued)
        await farm.change(lambda tx, _rules: set_limit(tx, name, asked.max_running, max_queued=asked.max_queued))
        return await farm.store.read(lambda tx: get_tenant(tx, name))


class ScenariosController(Controller):
    """Everything below /scenarios."""

    path = "/scenarios"
    tags = ("scenarios",)

    @get("/", sync_to_thread=False)
    def list(self) -> ScenariosAnswer:
        """List the scenarios that a job may name."""
        known = [answer_scenario(scenario) for scenario in known_scenarios().values()]
        return ScenariosAnswer(scenarios=known, count=len(known))

    @get("/{name:str}", sync_to_thread=False)
    def show(self, name: FromPath[str]) -> ScenarioAnswer:
        """Show one scenario."""
        return answer_scenario(find_scenario(name))


def _disk_troubles(farm: Farm) -> list[str]:
    troubles: list[str] = []
    for folder in {farm.data_folder, farm.local_root or farm.data_folder}:
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            troubles.append(f"cannot look at {folder}: {error.strerror}")
            continue
        if free < _LEAST_FREE_BYTES:
            troubles.append(f"only {free // 1024} KiB are free on the disk of {folder}")
    return troubles


@get("/health", tags=["farm"])
async def health(farm: TheFarm, troubles: TheTroubles, warnings: TheWarnings) -> Response[HealthAnswer]:
    """Say whether the farm can take jobs: 200 `healthy`, or `degraded` with reasons; or 503 with the reasons."""
    reasons: list[str] = []
    jobs: dict[str, int] = {}
    full: list[str] = []
    online = 0
    which: str | None = None
    if farm.store.failed.done():
        reasons.append(farm.store.failed.result())
    try:
        which, counts = await farm.store.read(lambda tx: (farm_id(tx), read_counts(tx)))
        for key, n in counts.items():
            jobs[key.status] = jobs.get(key.status, 0) + n
        full = full_queues(counts, farm.max_queued)
        online = sum(node.status == "online" for node in await _nodes(farm))
    except Unavailable as error:
        reasons.append(str(error))
    reasons += troubles + _disk_troubles(farm)
    answer = HealthAnswer(
        status="unhealthy" if reasons else "degraded" if warnings else "healthy",
        reasons=reasons + warnings,
        version=__version__,
        farm_id=which,
        media_root=farm.media_name,
        nodes_online=online,
        full_queues=full,
        jobs=jobs,
    )
    return Response(answer, status_code=503 if reasons else 200)


@get("/livez", tags=["farm"], sync_to_thread=False, media_type=MediaType.TEXT)
def livez() -> str:
    """Say that the process answers."""
    return "ok\n"


@get("/readyz", tags=["farm"], media_type=MediaType.TEXT)
async def readyz(farm: TheFarm, troubles: TheTroubles) -> Response[str]:
    """Say whether the store answers and the background services do their work: 200, or 503 with the reasons."""
    try:
        await farm.store.read(read_counts)
    except Unavailable as error:
        troubles = [str(error), *troubles]
    if troubles:
        return Response("".join(f"{trouble}\n" for trouble in troubles), status_code=503)
    return Response("ok\n")


@get("/metrics", tags=["farm"])
async def metrics(farm: TheFarm) -> Response[bytes]:
    """Give the metrics as Prometheus text."""
    counts = await farm.store.read(read_counts)
    text = farm.metrics.render(counts, await _nodes(farm), farm.max_queued)
    return Response(text, media_type="text/plain; version=0.0.4")
