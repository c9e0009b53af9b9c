"""What happens to the simulated farm: deaths, silence, stepped clocks and users, at moments drawn by the seed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from reelmill.store.nodes import set_draining
from tests.simulation.bus import FAIR, Weather
from tests.simulation.loop import Process
from tests.simulation.machines import LEASE_SECONDS
from tests.simulation.world import World

Deed = Callable[[World], Awaitable[None]]


async def rage(world: World, seconds: float) -> None:
    """Do deeds for so long; each takes its own time, and may meet others."""
    deeds, weights = zip(*(_KIND_DEEDS if world.is_kind else _DEEDS).items(), strict=True)
    under_way: list[asyncio.Task[None]] = []
    end = world.loop.time() + seconds
    while world.loop.time() < end:
        [deed] = world.rng.choices(deeds, weights)
        world.deeds[deed.__name__.strip("_")] += 1
        under_way.append(world.loop.create_task(deed(world)))
        await asyncio.sleep(world.rng.expovariate(1 / 2.5))
    await asyncio.gather(*under_way)


async def calm_down(world: World) -> None:
    """Whatever was done to the farm is over; who was stopped is started, and who waits for a user waits no more."""
    world.store_refuses = False
    world.network.weather = FAIR
    world.network.cut.clear()
    for node in world.store.peek("SELECT id FROM nodes WHERE draining"):
        await world.store.write(lambda tx, node_id=node.id: set_draining(tx, node_id, False))


async def _submit(world: World) -> None:
    await world.submit()


async def _act(world: World) -> None:
    await world.act()


async def _kill_a_worker(world: World) -> None:
    name = world.rng.choice(list(world.workers))
    machine = world.workers[name]
    world.excused.add(machine.process.name)
    machine.process.kill()
    await asyncio.sleep(world.rng.uniform(0.1, 15))
    if world.workers[name] is machine:  # nobody has started it meanwhile
        world.start_worker(name)


async def _end_a_worker(world: World) -> None:
    name = world.rng.choice(list(world.workers))
    machine = world.workers[name]
    if machine.is_ending or machine.process.is_dead:
        return
    await world.end_worker(name, world.rng.choice([1.0, 10.0, 60.0]))
    await asyncio.sleep(world.rng.uniform(0.1, 5))
    if world.workers[name] is machine:
        world.start_worker(name)


async def _kill_a_master(world: World) -> None:
    name = world.rng.choice(list(world.masters))
    machine = world.masters[name]
    world.kill_master(name)
    await asyncio.sleep(world.rng.uniform(0.1, 20))
    if world.masters[name] is machine:
        world.start_master(name)


async def _freeze_a_worker(world: World) -> None:
    process = world.rng.choice(list(world.workers.values())).process
    world.excused.add(process.name)
    await _freeze(world, process)


async def _freeze_a_master(world: World) -> None:
    await _freeze(world, world.rng.choice(list(world.masters.values())).process)


async def _freeze(world: World, process: Process) -> None:
    process.freeze()
    await asyncio.sleep(world.rng.uniform(0.5, 2.5 * LEASE_SECONDS))
    process.thaw()


async def _cut_off(world: World) -> None:
    machines = list(world.workers.values()) * 2 + list(world.masters.values())
    process = world.rng.choice(machines).process
    world.network.cut.add(process)
    await asyncio.sleep(world.rng.uniform(0.5, 2.5 * LEASE_SECONDS))
    world.network.cut.discard(process)


async def _refuse(world: World) -> None:
    world.store_refuses = True
    await asyncio.sleep(world.rng.uniform(0.5, 10))
    world.store_refuses = False


async def _change_the_weather(world: World) -> None:
    rng = world.rng
    world.network.weather = Weather(rng.random() * 0.4, rng.random() * 0.3, rng.random() * 0.3, rng.random() * 0.05)
    await asyncio.sleep(rng.uniform(1, 30))
    world.network.weather = FAIR


async def _set_the_clock(world: World) -> None:
    world.set_clock(world.rng.choice([-1, 1]) * world.rng.choice([3.0, 30.0, 3600.0]))


async def _drain_a_node(world: World) -> None:
    node_id = world.rng.choice(list(world.workers.values())).worker.node.id
    await world.store.write(lambda tx: set_draining(tx, node_id, True))
    await asyncio.sleep(world.rng.uniform(1, 20))
    await world.store.write(lambda tx: set_draining(tx, node_id, False))


_KIND_DEEDS: dict[Deed, int] = {
    _submit: 10,
    _act: 8,
    _kill_a_worker: 2,
    _end_a_worker: 3,
    _kill_a_master: 2,
    _set_the_clock: 1,
    _drain_a_node: 1,
}
_DEEDS: dict[Deed, int] = _KIND_DEEDS | {
    _freeze_a_worker: 3,
    _freeze_a_master: 2,
    _cut_off: 5,
    _refuse: 2,
    _change_the_weather: 4,
}
