"""The check of a fleet's places of media: whether each worker reads what a master writes, and the other way round."""

from __future__ import annotations

import asyncio
import hashlib
import os

import msgspec

from reelmill.bus.words import check_question, ping_question
from reelmill.domain.node import Node
from reelmill.domain.place import CheckedPlace, PlaceTrial, TrialStep
from reelmill.errors import PlaceFault
from reelmill.master.farm import Farm
from reelmill.master.media_desk import MediaDesk
from reelmill.media.check_file import CHECK_BYTES
from reelmill.store.nodes import list_nodes

TRIAL_SECONDS = 8.0
"""So long a worker has for its trial; it answers then, also when its place hangs."""

_GRACE_SECONDS = 2.0
_PING_SECONDS = 2.0
_HANGS = f"did not answer within {TRIAL_SECONDS:g} seconds; look at its disk or network share"


async def check_places(farm: Farm, desk: MediaDesk) -> list[CheckedPlace]:
    """Every node that is not offline with what came of it, by name; PlaceFault when this master cannot write itself."""
    now = farm.clock.now()
    nodes = [node for node in await farm.store.read(lambda tx: list_nodes(tx, now)) if node.status != "offline"]
    content = os.urandom(CHECK_BYTES)
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            name = await desk.open_check(content)
    except TimeoutError:
        raise PlaceFault(f"this master's own place {_HANGS}") from None
    expected = hashlib.sha256(content).hexdigest()
    try:
        checked = await asyncio.gather(*(_check_node(farm, desk, node, name, expected) for node in nodes))
    finally:
        await desk.close_check(name)
    return sorted(checked, key=lambda one: (one.node, one.node_id))


async def _check_node(farm: Farm, desk: MediaDesk, node: Node, name: str, expected: str) -> CheckedPlace:
    found = CheckedPlace(node=node.name, node_id=node.id, version=node.version)
    check = await desk.check_of(name, TRIAL_SECONDS)
    try:
        trial = await check_question(node.id).ask(farm.bus, check, TRIAL_SECONDS + _GRACE_SECONDS)
    except msgspec.DecodeError:
        return msgspec.structs.replace(found, trouble=f"answers what this master cannot read (version {node.version})")
    if trial is None:
        # It always answers in time, so one that is there and did not has never heard of the question.
        there = await ping_question(node.id).ask(farm.bus, None, _PING_SECONDS)
        old = f"does not know how to check (version {node.version}); bring it to the masters' version"
        return msgspec.structs.replace(found, trouble=old if there else "does not answer; is it frozen or cut off?")
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            reply = await desk.read_reply(check)
    except TimeoutError:
        return msgspec.structs.replace(found, trouble=f"this master's own place {_HANGS}")
    return judge(found, trial, expected, None if reply is None else hashlib.sha256(reply).hexdigest())


def judge(found: CheckedPlace, trial: PlaceTrial, expected: str, left: str | None) -> CheckedPlace:
    """What the trial says, compared with what was to be read (``expected``) and what the master finds (``left``)."""
    read = _fault_of(trial.read, expected, "it reads other bytes than this master has written")
    write = _fault_of(trial.write, left, "this master does not find what it has written")
    faults = list(dict.fromkeys(fault for fault in (read, write) if fault is not None))
    return msgspec.structs.replace(
        found,
        place=trial.place,
        read="ok" if read is None else "failed",
        write="ok" if write is None else "failed",
        read_seconds=trial.read.seconds,
        write_seconds=trial.write.seconds,
        trouble="; ".join(faults) or None,
    )


def _fault_of(step: TrialStep, expected: str | None, otherwise: str) -> str | None:
    if step.fault is not None:
        return step.fault
    return None if step.sha256 == expected else otherwise
