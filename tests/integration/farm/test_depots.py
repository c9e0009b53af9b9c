"""What every depot does alike: the shared folder, media over HTTP from the masters, and a real object store (S3)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import obstore
import pytest
from obstore.store import S3Store

from reelmill.domain.attempt import Grant, UnpublishedOutput
from reelmill.media.failed import AttemptFailed
from reelmill.media.object_place import ObjectPlace
from reelmill.media.publish import attempt_output
from reelmill.worker.depot import Depot, SharedFolder
from reelmill.worker.http_depot import HttpDepot
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest, claim_as, settle_as_dead_worker
from tests.object_store import BUCKET, CREDENTIALS, ObjectStore

NODE = "n1"
FILM = os.urandom(3_000_000)
OTHER = os.urandom(1_000_000)


class World(NamedTuple):
    """A farm without a worker, a depot for one, and the media as nobody but the test sees them."""

    farm: FarmUnderTest
    depot: Depot
    objects: S3Store | None

    def put(self, name: str, content: bytes) -> None:
        if self.objects is not None:
            obstore.put(self.objects, name, content)
        else:
            path = self.farm.media / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def read(self, name: str) -> bytes:
        if self.objects is not None:
            return bytes(obstore.get(self.objects, name).bytes())
        return (self.farm.media / name).read_bytes()

    def names(self) -> list[str]:
        if self.objects is not None:
            return sorted(one["path"] for some in obstore.list(self.objects) for one in some)  # pyright: ignore[reportUnknownMemberType]
        return sorted(str(path.relative_to(self.farm.media)) for path in self.farm.media.rglob("*") if path.is_file())

    async def claim(self, **parameters: Any) -> Grant:
        await self.farm.submit(duration=1, **parameters)
        return await claim_as(self.farm, NODE)

    async def bring(self, grant: Grant, content: bytes) -> UnpublishedOutput:
        """Begin, encode and deliver, as an attempt does."""
        output = attempt_output(await self.depot.begin(grant), "mp4")
        output.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        await self.depot.deliver(grant.key, output, sha256, len(content))
        assert grant.parameters.output is not None
        return UnpublishedOutput(grant.key, grant.parameters.output, sha256, grant.parameters.overwrite)

    async def settle(self, order: UnpublishedOutput, size: int) -> None:
        await settle_as_dead_worker(self.farm, order.key, order.output, order.sha256, size, NODE)


@pytest.fixture(params=["folder", "http", "s3"])
async def world(
    request: pytest.FixtureRequest, make_farm: FarmMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[World, None]:
    """Each kind of place in turn."""
    objects = seen = None
    if request.param == "s3":
        store: ObjectStore = request.getfixturevalue("s3")
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        objects = ObjectPlace(f"s3://{BUCKET}/{tmp_path.name}", store.endpoint)
        await objects.open()
        seen = store.client(tmp_path.name)
    farm = make_farm(objects=objects, retry_base_seconds=0)
    await farm.start_master()
    depot = SharedFolder(farm.media) if request.param == "folder" else HttpDepot(farm.bus, tmp_path / "far", 10**9)
    await depot.open(NODE)
    yield World(farm, depot, seen)
    await depot.close()


async def test_an_input_comes_byte_for_byte(world: World) -> None:
    """Whatever its name."""
    world.put("in/a b+ü.mp4", FILM)
    grant = await world.claim(input="in/a b+ü.mp4")
    await world.depot.begin(grant)
    assert FILM == (await world.depot.fetch(grant, "in/a b+ü.mp4")).read_bytes()


async def test_an_output_is_seen_only_when_it_has_won(world: World) -> None:
    """Delivered it is nowhere yet; settled and published it is in its place, and nothing else is left."""
    grant = await world.claim(output="out/film.mp4")
    order = await world.bring(grant, FILM)
    assert "out/film.mp4" not in world.names()
    await world.settle(order, len(FILM))
    await world.depot.publish(order)
    world.depot.remove(grant.key)
    assert (FILM, ["out/film.mp4"]) == (world.read("out/film.mp4"), world.names())


async def test_publishing_twice_changes_nothing(world: World) -> None:
    """Two workers may be told to."""
    order = await world.bring(await world.claim(output="a.mp4"), FILM)
    await world.settle(order, len(FILM))
    await world.depot.publish(order)
    await world.depot.publish(order)
    assert FILM == world.read("a.mp4")


async def test_a_place_that_is_taken_is_known_before_the_work(world: World) -> None:
    """The other file stays as it is."""
    world.put("a.mp4", OTHER)
    grant = await world.claim(output="a.mp4")
    with pytest.raises(AttemptFailed) as failed:
        await world.depot.begin(grant)
    assert ("output_exists", OTHER) == (failed.value.failure.code, world.read("a.mp4"))


async def test_a_place_that_is_taken_meanwhile_stays_so(world: World) -> None:
    """Without `overwrite` publishing never replaces what another has put there."""
    order = await world.bring(await world.claim(output="a.mp4"), FILM)
    await world.settle(order, len(FILM))
    world.put("a.mp4", OTHER)
    with pytest.raises(AttemptFailed) as failed:
        await world.depot.publish(order)
    assert ("output_exists", OTHER) == (failed.value.failure.code, world.read("a.mp4"))


async def test_what_is_there_is_replaced_when_the_job_says_so(world: World) -> None:
    """With `overwrite`."""
    world.put("a.mp4", OTHER)
    order = await world.bring(await world.claim(output="a.mp4", overwrite=True), FILM)
    await world.settle(order, len(FILM))
    await world.depot.publish(order)
    assert FILM == world.read("a.mp4")


async def test_an_input_that_is_gone_is_named(world: World) -> None:
    """As every depot names it."""
    world.put("in.mp4", FILM)
    grant = await world.claim(input="in.mp4")
    if world.objects is not None:
        obstore.delete(world.objects, "in.mp4")
    else:
        (world.farm.media / "in.mp4").unlink()
    await world.depot.begin(grant)
    if isinstance(world.depot, SharedFolder):  # it says so when the file is opened
        assert not (await world.depot.fetch(grant, "in.mp4")).exists()
        return
    with pytest.raises(AttemptFailed) as failed:
        await world.depot.fetch(grant, "in.mp4")
    assert "input_missing" == failed.value.failure.code


async def test_a_late_attempt_never_replaces_the_winner(world: World) -> None:
    """It was taken for lost, another has won, and now it asks for its own to be published."""
    if isinstance(world.depot, SharedFolder):
        pytest.skip("the worker itself asks the store first: tests/integration/worker/test_attempt.py")
    late = await world.claim(output="a.mp4", overwrite=True)
    late_order = await world.bring(late, OTHER)
    await world.farm.store.write(lambda tx: tx.exec_driver_sql("UPDATE jobs SET lease_until = 0"))
    await world.farm.wait({"id": late.key.job_id}, lambda job: job["status"] in ("queued", "retrying"))
    order = await world.bring(await claim_as(world.farm, NODE), FILM)
    await world.settle(order, len(FILM))
    await world.depot.publish(order)
    with suppress(asyncio.CancelledError):
        await world.depot.publish(late_order)
    assert FILM == world.read("a.mp4")
