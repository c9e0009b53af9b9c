"""How many jobs a second go through a fleet, from queued to completed, when encoding them takes no time.

As `drain.py`, but nothing shares a process: masters (`reelmill master`), nats-server (configured by `reelmill bus
config`), PostgreSQL, and workers that were let in with a token. Only the attempt is not real. The clock runs from the
word on which workers that are connected start, to the moment at which no job is left that is not completed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from drain import NullAttempt, histories, left, raw_postgresql, submit
from fleet_parts import FleetParts, fleet_parts
from stores import describe_machine, store_at

from reelmill.bus.identity import Access, Identity
from reelmill.bus.nats import NatsBus
from reelmill.domain.capability import Capabilities
from reelmill.domain.credential import make_node_key, read_join
from reelmill.service import running
from reelmill.store.tokens import replace_token
from reelmill.worker.agent import Worker
from reelmill.worker.depot import SharedFolder
from reelmill.worker.inventory import Ffmpeg, Inventory


async def work(join_text: str, units: int) -> None:
    """Be a worker: connect, say so, start on the first line of stdin, stop at its end."""
    join, key = read_join("join", join_text), make_node_key()
    servers = [f"nats://{host}" for host in join.hosts]
    bus = NatsBus(Access(servers, key.node_id, f"{join.token.text}:{key.secret}"), Identity(join.token.id, key.node_id))
    inventory = Inventory(Capabilities(units, {"ffmpeg": ["h264"]}), Ffmpeg(Path(sys.executable), "none"), {}, [])
    with tempfile.TemporaryDirectory() as folder:
        name = f"null-{key.node_id[:4]}"
        worker = Worker(
            bus, inventory, SharedFolder(Path(folder)), name=name, node_id=key.node_id, make_attempt=NullAttempt
        )
        async with running(bus):
            print("connected", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            gc.freeze()  # as `reelmill worker` may, and `reelmill up` does
            async with running(worker):
                await asyncio.to_thread(sys.stdin.read)


async def drain(parts: FleetParts, options: argparse.Namespace) -> float:
    """Jobs per second through one fleet."""
    store = store_at(parts.store)
    async with running(store):
        await store.write(lambda tx: replace_token(tx, "benchmark", parts.token, time.time()))
        await submit(store, options.count)
        for _ in range(options.masters):
            parts.start_master()
        argv = [sys.executable, __file__, "--be-worker", parts.join.text, "--units", str(options.units)]
        workers = [parts.spawn_and_wait([*argv], "connected") for _ in range(options.workers)]
        before, started = parts.spent(), time.perf_counter()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        while await store.read(left):
            await asyncio.sleep(0.05)
        seconds = time.perf_counter() - started
        steps = await store.read(histories)
        assert steps == 4 * options.count, f"{steps} steps of {options.count} jobs: some ran twice, or left no history"
        print(f"           {parts.spent().since(before)} in {seconds:.1f} s")
        return options.count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--units", type=int, default=64, help="CPU units that each node claims to have")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--masters", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--be-worker", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_worker:
        uvloop.run(work(options.be_worker, options.units))
        return
    print(describe_machine())
    rates: list[float] = []
    for _ in range(options.rounds):
        raw = raw_postgresql(options.count, options.units)
        with fleet_parts() as parts:
            rates.append(uvloop.run(drain(parts, options)))
        print(f"fleet      {rates[-1]:>7,.0f} jobs/s, {rates[-1] / raw:.2f} of a raw loop ({raw:,.0f}/s)", flush=True)
    print(f"fleet      median {statistics.median(rates):,.0f} jobs/s ({min(rates):,.0f} to {max(rates):,.0f})")


if __name__ == "__main__":
    main()
