"""What users do to jobs, and how jobs are looked at."""

from __future__ import annotations

import pytest

from reelmill.domain.job import Status
from reelmill.domain.lifecycle import NotAllowed
from reelmill.store.control import Action, cancel_launch
from reelmill.store.launches import get_launch
from reelmill.store.listing import JobFilter, count_completed_since, get_job, list_jobs
from reelmill.store.nodes import forget_gone, forget_node, list_nodes, set_draining
from tests.farmhand import Farmhand
from tests.samples import BAD_INPUT, NOW, failed, new_job, new_jobs, node_info, settled, started

NODE = node_info()


OF_TESTS = {"settled": "running", "standing": "paused"}
"""States that are told apart only here: running with its winner, and paused on its node."""


async def make_job(farm: Farmhand, status: Status | str) -> str:
    """The id of a job that has been brought into that status by what really leads there."""
    [job] = await farm.submit(new_job())
    if status in ("queued", "paused", "canceled"):
        if status != "queued":
            await farm.act(job.id, "pause" if status == "paused" else "cancel")
    elif status == "assigned":
        await farm.claim_one(NODE)
    elif status == "completed":
        await farm.complete(NODE)
    else:
        key = await farm.run(NODE)
        if status == "settled":
            await farm.report(settled(key, NODE))
        elif status == "standing":
            await farm.act(job.id, "pause")
        elif status in ("retrying", "failed"):
            await farm.report(failed(key, NODE) if status == "retrying" else failed(key, NODE, BAD_INPUT))
    assert OF_TESTS.get(status, status) == (await farm.job(job.id)).status
    return job.id


OUTCOMES: dict[Action, dict[str, str]] = {
    "cancel": dict.fromkeys(
        ("queued", "assigned", "running", "retrying", "paused", "standing", "canceled"), "canceled"
    ),
    "pause": dict.fromkeys(("queued", "assigned", "running", "retrying", "paused", "standing"), "paused"),
    "resume": {
        "paused": "queued",
        "standing": "running",
        "settled": "running",
        **{status: status for status in ("queued", "assigned", "running", "retrying")},
    },
    "retry": {"failed": "queued", "canceled": "queued"},
}
STATES = (
    *("queued", "assigned", "running", "settled", "retrying", "paused", "standing"),
    *("completed", "failed", "canceled"),
)


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("action", OUTCOMES)
async def test_an_action_does_what_it_says_or_is_not_allowed(farm: Farmhand, action: Action, status: str) -> None:
    """For each state: the outcome, or NotAllowed naming the state, with nothing changed."""
    job_id = await make_job(farm, status)
    before, steps = await farm.job(job_id), len(await farm.history(job_id))
    outcome = OUTCOMES[action].get(status)

    if outcome is None:
        with pytest.raises(
            NotAllowed, match="being published" if status == "settled" else OF_TESTS.get(status, status)
        ):
            await farm.act(job_id, action)
        assert before == await farm.job(job_id)
        return
    changed = await farm.act(job_id, action)
    assert changed is not None
    assert (before, await farm.job(job_id)) == changed
    assert outcome == changed[1].status
    assert steps + (outcome != before.status) == len(await farm.history(job_id))


@pytest.mark.parametrize(
    ("before", "action", "status"),
    [
        *(("queued", "cancel", "canceled"), ("queued", "pause", "paused"), ("paused", "resume", "queued")),
        *(("running", "cancel", "canceled"), ("running", "pause", "paused"), ("standing", "resume", "running")),
    ],
)
async def test_doing_the_same_twice_is_no_error_and_no_second_step(
    farm: Farmhand, before: str, action: Action, status: str
) -> None:
    """A client that did not hear the answer may ask again."""
    job_id = await make_job(farm, before)
    await farm.act(job_id, action)
    once, steps = await farm.job(job_id), await farm.history(job_id)

    assert (once, once) == await farm.act(job_id, action, after=5)
    assert (status, steps) == ((await farm.job(job_id)).status, await farm.history(job_id))


async def test_an_unknown_job_is_none(farm: Farmhand) -> None:
    """Not an error of the store."""
    assert await farm.act("nobody", "cancel") is None


async def test_a_paused_job_is_not_given_and_a_resumed_one_is(farm: Farmhand) -> None:
    """Pausing means waiting."""
    job_id = await make_job(farm, "paused")
    assert [] == await farm.claim(NODE)

    await farm.act(job_id, "resume")
    assert job_id == (await farm.claim_one(NODE)).job_id


async def test_a_job_resumed_in_its_backoff_still_waits_for_its_end(farm: Farmhand) -> None:
    """And is then given like any other retry."""
    job_id = await make_job(farm, "retrying")
    await farm.act(job_id, "pause")
    _, after = await farm.act(job_id, "resume") or pytest.fail("it is known")

    assert "retrying" == after.status
    assert [] == await farm.claim(NODE)
    assert job_id == (await farm.claim_one(NODE, after=600)).job_id


async def test_a_retried_job_runs_again_with_a_higher_token(farm: Farmhand) -> None:
    """All its tries are back; the attempt goes on rising (P3)."""
    job_id = await make_job(farm, "failed")
    await farm.act(job_id, "retry")

    key = await farm.claim_one(NODE)
    assert (job_id, 2) == (key.job_id, key.attempt)


async def test_a_launch_can_be_canceled_bit_by_bit(farm: Farmhand) -> None:
    """Everything that has not ended, in slices; a job that is being published keeps its result."""
    await farm.submit(*new_jobs(7), launch="L")
    [foreign] = await farm.submit(new_job(), launch="other")
    publishing = await farm.run(node_info(units=1))
    await farm.report(settled(publishing, NODE))
    await farm.claim_one(node_info("second", units=1))
    standing = await farm.run(node_info("third", units=1))
    await farm.act(standing.job_id, "pause")

    sizes = [len(await farm.change(lambda tx, rules: cancel_launch(tx, "L", 0, 4, rules))) for _ in range(3)]

    launch = await farm.store.read(lambda tx: get_launch(tx, "L"))
    assert launch is not None
    assert {"canceled": 6, "running": 1} == launch.counts
    assert 6 == sum(sizes)
    assert "queued" == (await farm.job(foreign.id)).status


async def test_a_launch_full_of_jobs_being_published_does_not_hide_the_others(farm: Farmhand) -> None:
    """However many at its head cannot be canceled, those behind them are."""
    await farm.submit(*new_jobs(6), launch="L")
    for grant in await farm.claim(node_info(units=4)):
        assert [True, True] == await farm.report(started(grant.key, NODE), settled(grant.key, NODE))

    assert 2 == len(await farm.change(lambda tx, rules: cancel_launch(tx, "L", 0, 4, rules)))


async def test_a_filter_finds_exactly_what_it_says(farm: Farmhand) -> None:
    """Each property alone, several values of one, and several properties together."""
    [a] = await farm.submit(new_job("480p30-h264", queue="live", labels={"team": "a", "x.y/z": "1"}), launch="L")
    [b] = await farm.submit(new_job("720p30-h264", priority="low", engine="ffmpeg", labels={"team": "b"}))
    [c] = await farm.submit(new_job("720p30-h264", queue="batch", labels={"team": "a"}))
    await farm.claim(NODE, 1)

    async def found(**wanted: object) -> list[str]:
        names = {a.id: "a", b.id: "b", c.id: "c"}
        return [names[job.id] for job in await farm.jobs(JobFilter(**wanted))]  # type: ignore[arg-type]

    assert ["a", "b", "c"] == await found()
    assert ["a"] == await found(status=["assigned"])
    assert ["b", "c"] == await found(status=["queued", "paused"])
    assert ["a", "c"] == await found(queue=["live", "batch"])
    assert ["b"] == await found(priority=["low"])
    assert ["b", "c"] == await found(scenario=["720p30-h264"])
    assert ["b"] == await found(engine=["ffmpeg"])
    assert ["a"] == await found(launch=["L"])
    assert ["a"] == await found(node=[NODE.id])
    assert ["a"] == await found(node=[NODE.name])
    assert ["a", "b", "c"] == await found(tenant=["default"])
    assert [] == await found(tenant=["nobody"])
    assert ["a", "c"] == await found(labels={"team": "a"})
    assert ["a"] == await found(labels={"team": "a", "x.y/z": "1"})
    assert ["c"] == await found(labels={"team": "a"}, queue=["batch"], status=["queued"])
    assert [] == await found(labels={"team": "'; DROP TABLE jobs; --"})


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_join_without_gap_or_overlap_while_jobs_come_in(farm: Farmhand, newest_first: bool) -> None:
    """Each job that was there comes exactly once, in order."""
    first = [job.id for job in await farm.submit(*new_jobs(25))]
    seen: list[str] = []
    after: int | None = None
    while True:
        start = after
        page = await farm.store.read(
            lambda tx, start=start: list_jobs(tx, JobFilter(), after=start, limit=7, newest_first=newest_first)
        )
        if not page:
            break
        seen += [job.id for job in page]
        after = page[-1].sequence_number
        if len(seen) < 40:
            await farm.submit(*new_jobs(2))
    assert len(seen) == len(set(seen))
    assert (first[::-1] if newest_first else first) == [job_id for job_id in seen if job_id in first]


async def test_a_reference_is_an_id_or_a_number_and_never_a_beginning(farm: Farmhand) -> None:
    """Leading digits of an id are not a number; absurd numbers are nobody."""
    jobs = await farm.submit(*new_jobs(12))

    async def find(reference: str) -> str | None:
        job = await farm.store.read(lambda tx: get_job(tx, reference))
        return job.id if job else None

    for job in jobs:
        assert job.id == await find(job.id) == await find(str(job.sequence_number))
        assert await find(f"{job.sequence_number}-{job.id}") is None
        assert await find(job.id[:-1]) is None
    for nobody in ("0", "-1", "1.0", "", " 1", "9" * 19, "9" * 30, "9" * 5000, "\N{ARABIC-INDIC DIGIT ONE}"):
        assert await find(nobody) is None


async def test_the_history_of_a_job_tells_its_whole_way(farm: Farmhand) -> None:
    """From its submission on, with time, attempt, node and reason."""
    await farm.submit(new_job())
    key = await farm.complete(NODE, after=5)
    steps = await farm.history(key.job_id)

    assert [None, "queued", "assigned", "running", "running"] == [step.from_status for step in steps]
    assert ["queued", "assigned", "running", "running", "completed"] == [step.to_status for step in steps]
    assert [NOW, *[NOW + 5] * 4] == [step.at for step in steps]
    assert [0, 1, 1, 1, 1] == [step.attempt for step in steps]
    assert [None, *[NODE.name] * 4] == [step.node_name for step in steps]
    assert all(step.reason for step in steps)


async def test_completions_are_counted_by_time(farm: Farmhand) -> None:
    """Only completed ones, only lately."""
    await farm.submit(*new_jobs(3))
    for after in (1, 2, 3):
        await farm.complete(node_info(units=1), after=after)
    await make_job(farm, "canceled")

    assert 2 == await farm.store.read(lambda tx: count_completed_since(tx, NOW + 1))


async def test_a_node_is_online_draining_or_offline(farm: Farmhand) -> None:
    """By its last word, its goodbye, and what it was told."""
    here, quiet, gone, busy = (node_info(name) for name in ("here", "quiet", "gone", "busy"))
    await farm.beat(quiet)
    for node in (here, gone, busy):
        await farm.beat(node, after=40)
    await farm.submit(*new_jobs(2))
    await farm.claim(busy, after=40)
    await farm.goodbye(gone, after=40)
    await farm.change(lambda tx, _: set_draining(tx, busy.id, True))

    nodes = await farm.store.read(lambda tx: list_nodes(tx, NOW + 41))

    assert [("busy", "draining", 2), ("here", "online", 0), ("gone", "offline", 0), ("quiet", "offline", 0)] == [
        (node.name, node.status, node.running_jobs) for node in nodes
    ]
    assert here.capabilities == nodes[1].capabilities


async def test_a_node_can_be_forgotten_and_comes_back_when_it_is_alive(farm: Farmhand) -> None:
    """Forgetting is no harm; what is long gone is forgotten by itself."""
    await farm.beat(NODE)

    assert await farm.change(lambda tx, _: forget_node(tx, NODE.id))
    assert not await farm.change(lambda tx, _: forget_node(tx, NODE.id))
    assert not await farm.change(lambda tx, _: set_draining(tx, NODE.id, True))
    await farm.beat(NODE, after=1)
    assert 1 == len(await farm.store.read(lambda tx: list_nodes(tx, NOW)))
    assert 0 == await farm.change(lambda tx, _: forget_gone(tx, NOW))
    assert 1 == await farm.change(lambda tx, _: forget_gone(tx, NOW + 2))
