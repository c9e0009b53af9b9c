"""A job of a farm's own scenario runs as it was accepted, whatever the settings say by then."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.request import JobRequest, RequestedParameters, accept
from reelmill.domain.scenario import find_scenario, use_scenarios
from reelmill.store.explain import explain_job
from tests.farmhand import Farmhand
from tests.samples import NOW, new_job, node_info

MINE = {"mine": {"extends": "480p30-h264", "fps": 24}}


@pytest.fixture(autouse=True)
def _only_built_in() -> Iterator[None]:
    yield
    use_scenarios({})


async def test_a_job_keeps_its_scenario(farm: Farmhand) -> None:
    """Also when the file has changed, and on a master that has never heard of it."""
    use_scenarios(read_scenarios(MINE))
    accepted = find_scenario("mine")
    job, built_in = await farm.submit(new_job("mine"), new_job("480p30-h264"))
    use_scenarios({})
    node = node_info()
    able = msgspec.structs.replace(node.capabilities, features={"ffmpeg": ["options"]})
    granted = await farm.claim(msgspec.structs.replace(node, capabilities=able))
    assert [accepted, find_scenario("480p30-h264")] == [grant.scenario for grant in granted]
    assert [accepted, None] == [(await farm.job(one.id)).definition for one in (job, built_in)]


async def test_a_job_waits_for_the_encoder_that_it_names(farm: Farmhand) -> None:
    """Beside a node whose device would be used, and replaced, by a worker that knows no names; why, is said."""
    request = JobRequest("480p30-h264", parameters=RequestedParameters(encoder="h264_nvenc"))
    [job] = await farm.submit(accept(request, new_job().id))
    node = node_info()
    before, now = (
        msgspec.structs.replace(node, capabilities=msgspec.structs.replace(node.capabilities, features=features))
        for features in ({"ffmpeg": ["options", "h264_nvenc"]}, {"ffmpeg": ["encoder-by-name", "h264_nvenc"]})
    )
    await farm.beat(before)
    assert [] == await farm.claim(before)
    found = await farm.store.read(lambda tx: explain_job(tx, job, NOW))
    assert "it needs ffmpeg with the encoder h264_nvenc" in found.summary
    [grant] = await farm.claim(now)
    assert ("ffmpeg", (), "h264_nvenc") == (grant.engine, grant.other_engines, grant.scenario.encoder)


async def test_a_node_without_the_feature_never_gets_it(farm: Farmhand) -> None:
    """A worker of the version before would do less than was asked for, and call it done."""
    use_scenarios(read_scenarios(MINE))
    await farm.submit(new_job("mine"))
    assert [] == await farm.claim(node_info())
