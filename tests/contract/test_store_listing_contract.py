"""Listing: whatever the filter, the direction and the way to the jobs, what a look at each of them finds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from reelmill.domain.attempt import AttemptKey, AttemptReport
from reelmill.domain.job import PRIORITIES, QUEUES, STATUSES, Job
from reelmill.domain.node import NodeInfo
from reelmill.master.api.job_query import MAX_LABELS, MAX_VALUES
from reelmill.store import selection
from reelmill.store.launches import get_launch
from reelmill.store.listing import get_job, list_jobs, read_slice
from reelmill.store.protocol import Store
from reelmill.store.selection import JobFilter, find_way
from tests.farmhand import Farmhand
from tests.samples import BAD_INPUT, failed, keys, new_job, new_jobs, node_info, published, settled, started

NODES = [node_info("mill-1", 3), node_info("mill-2", 2)]
SCENARIOS = ("480p30-h264", "720p30-h264", "1080p30-h265")
CHOICES: dict[str, tuple[str, ...]] = {
    "status": STATUSES,
    "queue": QUEUES,
    "priority": PRIORITIES,
    "scenario": (*SCENARIOS, "2160p60-av1"),
    "engine": ("auto", "ffmpeg", "gstreamer"),
    "launch": ("spring", "autumn", "none"),
    "node": ("mill-1", "mill-2-id", "nobody"),
    "tenant": ("default", "acme", "nobody"),
}

FATES: tuple[Callable[[AttemptKey, NodeInfo], list[AttemptReport]], ...] = (
    lambda _key, _node: [],
    lambda key, node: [started(key, node)],
    lambda key, node: [started(key, node), settled(key, node), published(key, node)],
    lambda key, node: [started(key, node), failed(key, node, BAD_INPUT)],
    lambda key, node: [started(key, node), failed(key, node)],
)


async def fill(farm: Farmhand, rng: random.Random) -> list[Job]:
    """A farm of 90 jobs in every state that a few minutes of work leave."""
    for launch in (None, "spring", "autumn"):
        batch = [
            new_job(
                rng.choice(SCENARIOS),
                queue=rng.choice(QUEUES),
                priority=rng.choice(PRIORITIES),
                engine=rng.choice(("auto", "ffmpeg")),
                tenant=rng.choice(("default", "acme")),
                labels={"team": rng.choice("ab")} if rng.random() < 0.7 else {},
            )
            for _ in range(30)
        ]
        await farm.submit(*batch, launch=launch)
    for node in NODES * 5:
        for key in keys(await farm.claim(node)):
            fate = rng.choice(FATES)
            await farm.report(*fate(key, node))
    for job in rng.sample([job for job in await farm.jobs() if job.status == "queued"], 15):
        await farm.act(job.id, rng.choice(("cancel", "pause")))
    return await farm.jobs()


def choose(rng: random.Random) -> JobFilter:
    """A filter of up to four properties with up to three values each."""
    fields: dict[str, Any] = {
        name: [rng.choice(CHOICES[name]) for _ in range(rng.randint(1, 3))]
        for name in rng.sample(sorted(CHOICES), rng.randint(0, 4))
    }
    if rng.random() < 0.2:
        fields["labels"] = {"team": rng.choice("abc")}
    return JobFilter(**fields)


def selects(wanted: JobFilter, job: Job) -> bool:
    """The filter in plain words."""
    plain = msgspec.structs.asdict(job) | {"launch": job.launch_id}
    for name in CHOICES:
        values = getattr(wanted, name)
        have = {job.node_id, job.node_name} if name == "node" else {plain[name]}
        if values and not have & set(values):
            return False
    return wanted.labels.items() <= job.labels.items()


async def test_a_status_that_no_job_of_a_launch_has_is_known_from_the_counts(farm: Farmhand) -> None:
    """The failures of a launch without any are asked for by every report: no job is looked at."""
    await farm.submit(*new_jobs(3), launch="red")
    [other] = await farm.submit(new_job(), launch="blue")
    await farm.act(other.id, "cancel")
    for launch, is_there in (("red", False), ("blue", True)):
        wanted = JobFilter(status=["canceled", "failed"], launch=[launch])
        assert is_there == await farm.store.read(lambda tx, wanted=wanted: find_way(tx, wanted) is not None)


@pytest.mark.parametrize("slice_length", [3, 10_000])
async def test_every_filter_finds_what_a_look_at_each_job_finds(
    store: Store, monkeypatch: pytest.MonkeyPatch, slice_length: int
) -> None:
    """60 random filters, page by page, in both directions, in slices and without."""
    monkeypatch.setattr(selection, "SLICE", slice_length)
    rng = random.Random(slice_length)
    every = await fill(Farmhand(store), rng)
    found_something = 0
    for _ in range(60):
        wanted = choose(rng)
        expected = [job.sequence_number for job in every if selects(wanted, job)]
        newest_first = rng.random() < 0.5
        if newest_first:
            expected.reverse()
        size = rng.choice((5, 100))
        found: list[int] = []
        after: int | None = None
        while True:
            page = await store.read(
                lambda tx, wanted=wanted, after=after, size=size, newest_first=newest_first: list_jobs(
                    tx, wanted, after=after, limit=size, newest_first=newest_first
                )
            )
            found += [job.sequence_number for job in page]
            if len(page) < size:
                break
            after = found[-1]
        assert expected == found, wanted
        found_something += bool(expected)
    assert found_something > 15


async def test_a_read_looks_at_no_more_than_a_slice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no index is looked for a slice at a time, and each answer says where to go on."""
    monkeypatch.setattr(selection, "SLICE", 10)
    farm = Farmhand(store)
    await farm.submit(*new_jobs(24))
    [rare] = await farm.submit(new_job(labels={"rare": "yes"}))
    await farm.submit(*new_jobs(10))
    wanted = JobFilter(labels={"rare": "yes"})

    seen: list[tuple[list[int], int | None]] = []
    after: int | None = None
    while not seen or after is not None:
        rows, after = await store.read(lambda tx, after=after: read_slice(tx, wanted, ["id"], after=after, limit=5))
        seen.append(([row.sequence_number for row in rows], after))

    assert [([], 10), ([], 20), ([rare.sequence_number], 30), ([], None)] == seen


async def test_of_several_filters_the_one_with_the_fewest_jobs_leads(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are of the others, one read finds its few."""
    monkeypatch.setattr(selection, "SLICE", 5)
    farm = Farmhand(store)
    await farm.submit(*new_jobs(40))
    rare = [job.sequence_number for job in await farm.submit(*new_jobs(3, "1080p30-h265"))]
    await farm.submit(*new_jobs(40))
    wanted = JobFilter(status=["queued"], scenario=["1080p30-h265"], queue=["default"])

    rows, following = await store.read(lambda tx: read_slice(tx, wanted, ["id"], after=None, limit=100))

    assert (rare, None) == ([row.sequence_number for row in rows], following)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_jobs_before_the_first_of_each_filter_are_not_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    """As many jobs have the scenario as have the status, but the first of both comes late: one read finds it."""
    monkeypatch.setattr(selection, "SLICE", 5)
    farm = Farmhand(store)
    canceled = await farm.submit(*new_jobs(40, "1080p30-h265"))
    both = await farm.submit(*new_jobs(3, "1080p30-h265"))
    await farm.submit(*new_jobs(40))
    for job in canceled:
        await farm.act(job.id, "cancel")
    wanted = JobFilter(status=["queued"], scenario=["1080p30-h265"])

    rows, _ = await store.read(
        lambda tx: read_slice(tx, wanted, ["id"], after=None, limit=3, newest_first=newest_first)
    )

    numbers = [job.sequence_number for job in both]
    assert (numbers[::-1] if newest_first else numbers) == [row.sequence_number for row in rows]


@pytest.mark.parametrize("reference", ["a\0b", "\0", "9" * 5000, "\N{ARABIC-INDIC DIGIT ONE}", "'; --"])
async def test_a_name_that_nothing_can_have_finds_nothing(store: Store, reference: str) -> None:
    """Not even an error of the database."""
    await Farmhand(store).submit(new_job())

    assert await store.read(lambda tx: get_job(tx, reference)) is None
    assert await store.read(lambda tx: get_launch(tx, reference)) is None


async def test_as_many_values_as_the_api_takes_are_looked_for(farm: Farmhand) -> None:
    """All filters at their most, together, with and without one that leads the way."""
    labels = {f"n{n}": "x" for n in range(MAX_LABELS)}
    full: dict[str, Any] = {name: [*choices, "default", "acme", "auto"] for name, choices in CHOICES.items()}
    many = {name: [*full[name], *(f"{name}-{n}" for n in range(MAX_VALUES))][:MAX_VALUES] for name in full}
    shapes = [full, many, {name: many[name] for name in ("engine", "node", "tenant")}]
    await farm.submit(new_job(labels={"n0": "x"}), launch="spring")

    for shape in shapes:
        wanted = JobFilter(**shape, labels=labels)
        for newest_first in (False, True):
            assert [] == await farm.store.read(
                lambda tx, wanted=wanted, newest=newest_first: list_jobs(
                    tx, wanted, after=None, limit=10, newest_first=newest
                )
            )
