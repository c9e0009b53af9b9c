"""The scenarios of a farm's own, as its master tells them: a launch may name one that no file here knows."""

from __future__ import annotations

import msgspec

from reelmill.domain.scenario import Scenario, find_built_in, known_scenarios, use_scenarios
from reelmill.launcher.client import MasterClient


class _Answer(msgspec.Struct):
    scenarios: list[Scenario]


async def learn_scenarios(url: str) -> bool:
    """Know those of the farm at ``url`` from now on; whether one of them is news. MasterUnreachable when it is away."""
    async with MasterClient(url) as client:
        answer = await client.get("/scenarios", _Answer)
    known = known_scenarios()
    own = {one.name: one for one in answer.scenarios if find_built_in(one.name) is None}
    use_scenarios({name: one for name, one in known.items() if find_built_in(name) is None} | own)
    return any(known.get(name) != one for name, one in own.items())
