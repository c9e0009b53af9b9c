"""The check of places: each worker says what it reads and writes, and the master compares, over a real bus and HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2

from reelmill.bus.words import BEAT, Beat, check_question, ping_question
from reelmill.domain.node import NodeInfo
from reelmill.domain.place import PlaceCheck, PlaceTrial, TrialStep
from reelmill.worker.depot import SharedFolder
from reelmill.worker.http_depot import HttpDepot
from reelmill.worker.place_trial import try_place
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest
from tests.samples import node_info


async def check(farm: FarmUnderTest) -> dict[str, dict[str, Any]]:
    """What the API says of each node, by its name."""
    answer = (await farm.http.post("/places/check")).raise_for_status().json()
    assert len(answer["places"]) == answer["count"]
    return {place["node"]: place for place in answer["places"]}


async def join(farm: FarmUnderTest, name: str) -> NodeInfo:
    """A node that beats; what it answers the test decides."""
    node = node_info(name)
    assert await BEAT.ask(farm.bus, Beat(node, []), 5) is not None
    return node


async def yes(_nothing: None) -> bool:
    return True


async def test_workers_of_both_kinds_read_and_write_and_leave_nothing(make_farm: FarmMaker, tmp_path: Path) -> None:
    """One with the folder and one without; the seconds are measured, and the files of the check are gone."""
    farm = make_farm()
    await farm.start_master()
    far = farm.new_worker("far", HttpDepot(farm.bus, tmp_path / "far", 1 << 30))
    await farm.worker.start()
    await far.start()
    try:
        found = await check(farm)
        assert {"node-1": f"folder {farm.media}", "far": farm.master.url} == {
            name: place["place"] for name, place in found.items()
        }
        for place in found.values():
            assert ("ok", "ok", None) == (place["read"], place["write"], place["trouble"])
            assert 0 <= place["read_seconds"] < 8
            assert 0 <= place["write_seconds"] < 8
        assert [] == [path for path in farm.media.rglob("*") if path.is_file()]
    finally:
        await far.stop()


async def test_a_worker_with_another_folder_is_told_so_and_leaves_nothing_there(
    make_farm: FarmMaker, tmp_path: Path
) -> None:
    """Reading and writing fail both, with what to do."""
    other = tmp_path / "other"
    other.mkdir()
    farm = make_farm()
    await farm.start_master()
    stray = farm.new_worker("stray", SharedFolder(other))
    await stray.start()
    try:
        place = (await check(farm))["stray"]
    finally:
        await stray.stop()
    assert ("failed", "failed") == (place["read"], place["write"])
    assert place["trouble"].startswith(f"{other} is another folder than the masters'")
    assert [] == list(other.iterdir())


async def test_a_worker_that_reads_other_bytes_or_writes_elsewhere_is_not_believed(make_farm: FarmMaker) -> None:
    """The master compares what was read with what it wrote, and looks itself for what was written."""
    farm = make_farm()
    await farm.start_master()
    node = await join(farm, "liar")

    async def lie(_check: PlaceCheck) -> PlaceTrial:
        return PlaceTrial("somewhere", TrialStep("ab", 0.1), TrialStep("cd", 0.1))

    await check_question(node.id).answer(farm.bus, lie)
    place = (await check(farm))["liar"]
    assert ("failed", "failed", "somewhere") == (place["read"], place["write"], place["place"])
    assert "other bytes" in place["trouble"]
    assert "does not find" in place["trouble"]


async def test_silence_is_told_as_such_and_so_is_an_older_version(make_farm: FarmMaker) -> None:
    """One that is there but does not know the question is not the same as one that is not there."""
    farm = make_farm()
    await farm.start_master()
    old = await join(farm, "old")
    await ping_question(old.id).answer(farm.bus, yes)
    await join(farm, "silent")
    found = await check(farm)
    assert {"unknown"} == {place[half] for place in found.values() for half in ("read", "write")}
    assert {None} == {place[f"{half}_seconds"] for place in found.values() for half in ("read", "write")}
    assert found["old"]["trouble"].startswith(f"does not know how to check (version {old.version})")
    assert "does not answer" in found["silent"]["trouble"]


async def test_the_links_of_a_check_are_good_for_that_check_only(make_farm: FarmMaker) -> None:
    """No other name, no larger body, and no second reply."""
    farm = make_farm()
    await farm.start_master()
    node = await join(farm, "n")
    heard: list[PlaceCheck] = []
    tried: list[tuple[int, ...]] = []

    async def note(check: PlaceCheck) -> PlaceTrial:
        heard.append(check)
        async with httpx2.AsyncClient() as http:
            other = check.write.replace(check.reply, "0" * len(check.reply))
            answers = [
                await http.get(other),
                await http.put(check.write, content=bytes(1 << 17)),
                await http.put(check.write, content=b"mine"),
                await http.put(check.write, content=b"again"),
            ]
        tried.append(tuple(answer.status_code for answer in answers))
        return PlaceTrial("", TrialStep(None, 0, "no"), TrialStep(None, 0, "no"))

    await check_question(node.id).answer(farm.bus, note)
    await check(farm)
    assert [(403, 413, 204, 503)] == tried
    assert 503 == (await farm.http.get(heard[0].read)).status_code, "the check is over"


class _Hanging(SharedFolder):
    """A share that does not answer."""

    async def try_read(self, check: PlaceCheck) -> bytes:
        await asyncio.Event().wait()
        return b""


async def test_a_place_that_hangs_is_told_in_time(tmp_path: Path) -> None:
    """The worker answers for it, so that the master need not guess."""
    trial = await try_place(_Hanging(tmp_path), PlaceCheck("a", "b", "", "", 0.1))
    assert trial.read.fault is not None
    assert "not done within 0.05 seconds" in trial.read.fault
    assert trial.write.fault is not None
