"""How a fleet grows: real masters, NATS and PostgreSQL, and nodes from ten to ten thousand that are simulated.

Real are the masters (`reelmill master`, with leases, fences, history and presence), the nats-server with its auth
callout, PostgreSQL, and every word that goes over the bus. Simulated are the nodes, all in this process: each has an
id, a beat every two seconds, claims and reports of its own, and an engine that takes no time; but they share a few
connections, which come with the masters' password and speak on each node's own subjects under the id of a real token.
Real again are the connections of which the admissions and the node that vanishes are measured. All of this shares one
machine, so its CPU is told by part.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import psutil
import uvloop
from drain import left, submit
from fleet_parts import FleetParts, fleet_parts
from simulated_node import SimulatedNode, Timings, connect, simulated_nodes
from stores import describe_machine, store_at

from reelmill.bus.identity import Access, Identity
from reelmill.bus.nats import NatsBus
from reelmill.bus.words import BEAT, CLAIM, Beat, Claim
from reelmill.domain.attempt import Offer
from reelmill.domain.credential import make_node_key
from reelmill.service import running
from reelmill.store.protocol import Store, Tx
from reelmill.store.tokens import replace_token

_LOST_AT = (
    "SELECT min(history.at) FROM history JOIN jobs USING (sequence_number) "
    "WHERE jobs.id = %(id)s AND from_status = 'assigned' AND to_status <> 'running' AND history.at > %(since)s"
)
_CHECKS = {
    "not completed": "SELECT count(*) FROM jobs WHERE status <> 'completed'",
    "completed": "SELECT count(*) FROM jobs WHERE status = 'completed'",
    "publications": "SELECT count(*) FROM history WHERE to_status = 'completed'",
    "jobs published twice": "SELECT count(*) FROM (SELECT 1 FROM history WHERE to_status = 'completed' "
    "GROUP BY sequence_number HAVING count(*) > 1) doubled",
    "attempts beyond the first": "SELECT sum(attempt - 1) FROM jobs",
}
_CONNECTIONS = 200
_NODES_PER_CONNECTION = 900
"""The server lets a connection have a thousand subscriptions, and each node has one."""
_QUIET_CLAIMS = 20
"""A second: so few that none waits for another."""


class Growth:
    """One fleet of a size, and what is measured on it."""

    def __init__(self, parts: FleetParts, store: Store, nodes: list[SimulatedNode]) -> None:
        self.parts = parts
        self.store = store
        *self.nodes, self.silent = nodes
        self._beating: list[asyncio.Task[None]] = []

    async def register(self) -> None:
        """Every node's first beat."""
        started = time.perf_counter()
        await _some_at_once(64, [node.register for node in self.nodes])
        seconds = time.perf_counter() - started
        print(f"  first beats      {len(self.nodes) / seconds:,.0f}/s")
        self._beating = [asyncio.create_task(node.beat_forever()) for node in self.nodes]

    async def beats(self, seconds: float) -> None:
        """Nothing but beats."""
        await asyncio.sleep(4)  # until each has come round
        timings, before, started = _renew(self.nodes), self.parts.spent(), time.perf_counter()
        own = time.process_time()
        await asyncio.sleep(seconds)
        spent, seconds = self.parts.spent().since(before), time.perf_counter() - started
        own = time.process_time() - own
        rate = len(timings.beats) / seconds
        print(f"  beats            {rate:,.0f}/s answered, {timings.unanswered} not; {describe(timings.beats)}")
        each = 1000 / max(1, len(timings.beats))
        print(f"    1,000 beats    masters {spent.masters * each:.2f} s, PostgreSQL {spent.postgresql * each:.2f} s")
        shares = f"masters {spent.masters / seconds:.2f}, PostgreSQL {spent.postgresql / seconds:.2f}"
        print(f"    cores          {shares}, NATS {spent.nats / seconds:.2f}, the simulation {own / seconds:.2f}")

    async def quiet_claims(self, seconds: float) -> None:
        """Few claims, of which each could be served at once, while all nodes beat."""
        timings = _renew(self.nodes)
        some = [self.nodes[number % len(self.nodes)] for number in range(int(seconds * _QUIET_CLAIMS))]
        tasks: list[asyncio.Task[int]] = []
        for node in some:
            tasks.append(asyncio.create_task(node.work_once(1)))
            await asyncio.sleep(1 / _QUIET_CLAIMS)
        await asyncio.gather(*tasks)
        print(f"  claims, quiet    {describe(timings.claims)}; beats meanwhile {describe(timings.beats)}")

    async def full_speed(self, goal: int) -> None:
        """Every node claims as often as it can."""
        timings, before, started = _renew(self.nodes), self.parts.spent(), time.perf_counter()
        own = time.process_time()
        timings.goal = goal
        working = [asyncio.create_task(node.work_forever()) for node in self.nodes]
        telling = asyncio.create_task(_tell(timings, self.parts, started))
        await timings.reached.wait()
        seconds, spent = time.perf_counter() - started, self.parts.spent().since(before)
        own = time.process_time() - own
        jobs, claims = timings.completed / seconds, len(timings.claims) / seconds
        print(f"  full speed       {jobs:,.0f} jobs/s, {claims:,.0f} claims/s")
        print(f"    claims         {describe(timings.claims)}; beats {describe(timings.beats)}")
        print(f"    CPU            {spent}, the simulation {own:.1f} s, in {seconds:.1f} s")
        print(f"    memory         masters {self.parts.memory() / 1e6:,.0f} MB", flush=True)
        while await self.store.read(left):
            await asyncio.sleep(0.5)
        await _end(telling, *working)

    async def admissions(self) -> None:
        """Real connections, which the masters judge."""
        buses = [_worker_bus(self.parts)[0] for _ in range(_CONNECTIONS)]
        started = time.perf_counter()
        await _some_at_once(16, [bus.start for bus in buses])
        print(f"  admissions       {_CONNECTIONS / (time.perf_counter() - started):,.0f}/s")
        await _some_at_once(16, [bus.stop for bus in buses])

    async def vanish(self) -> str:
        """The job of a node with a real connection, which closes that one without a word."""
        bus, node_id = _worker_bus(self.parts)
        await bus.start()
        info, capabilities = self.nodes[0].like(node_id, "vanishing")
        await BEAT.ask(bus, Beat(info, []), 30)
        grants = await CLAIM.ask(bus, Claim(Offer(node_id, "vanishing", capabilities, 1), 20.0), 25)
        assert grants, "no job for the node that is to vanish"
        await bus.stop()
        return grants[0].key.job_id

    async def stop(self) -> None:
        """No more beats."""
        await _end(*self._beating)


def _worker_bus(parts: FleetParts) -> tuple[NatsBus, str]:
    key = make_node_key()
    access = Access([f"nats://{parts.listens}"], key.node_id, f"{parts.token.text}:{key.secret}")
    return NatsBus(access, Identity(parts.token.id, key.node_id)), key.node_id


def _renew(nodes: list[SimulatedNode]) -> Timings:
    timings = Timings()
    for node in nodes:
        node.timings = timings
    return timings


async def _some_at_once(limit: int, calls: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    places = asyncio.Semaphore(limit)

    async def call(one: Callable[[], Awaitable[None]]) -> None:
        async with places:
            await one()

    await asyncio.gather(*map(call, calls))


async def _tell(timings: Timings, parts: FleetParts, started: float) -> None:
    while True:
        await asyncio.sleep(30)
        seconds = time.perf_counter() - started
        rate = timings.completed / seconds
        print(f"    … {timings.completed:,} jobs, {rate:,.0f}/s, masters {parts.memory() / 1e6:,.0f} MB", flush=True)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until_lost(store: Store, job_id: str, since: float) -> float:
    """Seconds from that time (of day) to the loss of the job's first attempt."""

    def look(tx: Tx) -> float | None:
        return tx.exec_driver_sql(_LOST_AT, {"id": job_id, "since": since}).scalar()

    while (at := await store.read(look)) is None:
        await asyncio.sleep(0.1)
    return at - since


def describe(seconds: list[float]) -> str:
    """Median and the slowest hundredth in milliseconds."""
    if not seconds:
        return "none"
    values = sorted(seconds)
    p99 = values[min(len(values) - 1, int(len(values) * 0.99))] * 1000
    return f"p50 {statistics.median(values) * 1000:,.1f} ms, p99 {p99:,.1f} ms"


async def grow(parts: FleetParts, count: int, units: int, options: argparse.Namespace) -> None:
    """All figures of a fleet with ``count`` nodes."""
    store = store_at(parts.store)
    async with running(store):
        await store.write(lambda tx: replace_token(tx, "benchmark", parts.token, time.time()))
        await submit(store, options.jobs)
        for _ in range(options.masters):
            parts.start_master()
        clients = [await connect(parts) for _ in range(4 + count // _NODES_PER_CONNECTION)]
        growth = Growth(parts, store, simulated_nodes(clients, parts.token.id, count + 1, units))
        print(f"{count} nodes of {units} units, {options.masters} masters, {options.jobs:,} jobs", flush=True)
        await growth.register()
        goal = options.jobs
        if not options.slots:
            goal = await _figures(growth, options)
        await growth.full_speed(goal)
        await growth.stop()
        for name, query in _CHECKS.items():
            print(f"  {name:25} {await store.read(lambda tx, query=query: tx.exec_driver_sql(query).scalar()):,}")
        for client in clients:
            await client.close()


async def _figures(growth: Growth, options: argparse.Namespace) -> int:
    """What is measured before all run at full speed; how many jobs are then certain to come to the simulated nodes."""
    silent = await growth.silent.take_and_hold()
    silent_since = time.time()
    await growth.beats(options.seconds)
    await growth.quiet_claims(options.seconds)
    vanished: list[float] = []
    for _ in range(3):
        job, since = await growth.vanish(), time.time()
        vanished.append(await _until_lost(growth.store, job, since))
    await growth.admissions()
    seconds = ", ".join(f"{one:.1f}" for one in vanished)
    print(f"  a node vanishes  its job waits again behind {seconds} s")
    lost = await _until_lost(growth.store, silent.job_id, silent_since)
    print(f"  … is only silent behind {lost:.1f} s", flush=True)
    return await growth.store.read(left)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--units", type=int, default=1, help="CPU units, and so jobs at a time, of each node")
    parser.add_argument("--slots", type=int, help="so many units on 200 nodes, at full speed only")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--masters", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each thing is measured")
    options = parser.parse_args()
    print(f"{describe_machine()}; load {psutil.getloadavg()[0]:.1f} before", flush=True)
    for nodes in [200] if options.slots else options.nodes:
        units = options.slots // nodes if options.slots else options.units
        with fleet_parts() as parts:
            uvloop.run(grow(parts, nodes, units, options))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
