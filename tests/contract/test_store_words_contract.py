"""What a worker says of an attempt, and its log: kept once, by whom it is about, in words that may be kept."""

from __future__ import annotations

import msgspec
import pytest

from reelmill.domain.attempt import AttemptLog
from reelmill.domain.failure import Failure
from reelmill.domain.lifecycle import Return
from reelmill.domain.node import NodeInfo
from reelmill.store.listing import read_logs
from tests.farmhand import Farmhand
from tests.samples import (
    failed,
    new_job,
    new_jobs,
    node_info,
    said,
    settled,
    started,
)

ONE, OTHER = node_info("one"), node_info("other")


async def test_two_logs_of_one_attempt_do_no_harm(farm: Farmhand) -> None:
    """An attempt that settled and then could not publish brings its log twice: the first is kept, both count."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    log = AttemptLog("ffmpeg -i a", "done")

    assert [True] == await farm.report(settled(key, ONE, log))
    assert [True] == await farm.report(failed(key, ONE, log=AttemptLog("ffmpeg -i a", "again")))
    job = await farm.job(key.job_id)
    entries = await farm.store.read(lambda tx: read_logs(tx, job))
    assert [("ffmpeg -i a", "done")] == [(entry.command, entry.text) for entry in entries]


@pytest.mark.parametrize("node", [ONE, OTHER], ids=["the same node", "another node"])
async def test_nobody_adds_a_log_to_an_attempt_that_was_given_back(farm: Farmhand, node: NodeInfo) -> None:
    """Nobody holds the job then, so nobody can tell whose words they are; a log comes with what it is about."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    assert [True] == await farm.report(said(key, ONE, Return("stopped")))

    forged = msgspec.structs.replace(said(key, node, Return("stopped")), log=AttemptLog("rm -rf /", "forged"))
    await farm.report(forged)
    job = await farm.job(key.job_id)
    assert [] == await farm.store.read(lambda tx: read_logs(tx, job))


async def test_keys_of_streams_that_a_worker_says_are_not_kept(farm: Farmhand) -> None:
    """A worker of another version, or with a fault, may not hide them; its report counts, and a repeat of it too."""
    url = "rtmp://host/app/key-4711"
    await farm.submit(new_job(parameters={"output_mode": "rtmp", "rtmp_url": url}))
    [grant] = await farm.claim(ONE)
    await farm.report(started(grant.key, ONE))
    failure = Failure("input_error", "input_invalid", f"Nothing came to {url}.")
    said_so = failed(grant.key, ONE, failure, AttemptLog(f"ffmpeg {url}", "key-4711 was refused"))

    assert [True] == await farm.report(said_so)
    assert [True] == await farm.report(said_so)
    job = await farm.job(grant.key.job_id)
    [entry] = await farm.store.read(lambda tx: read_logs(tx, job))
    assert "Nothing came to rtmp://host/app/***." == job.error
    assert ("ffmpeg rtmp://host/app/***", "*** was refused") == (entry.command, entry.text)


async def test_what_an_engine_says_with_a_nul_is_kept(farm: Farmhand) -> None:
    """No database stores a NUL: it is replaced, and the attempt counts as it does with any other words."""
    await farm.submit(*new_jobs(2))
    done, bad = [grant.key for grant in await farm.claim(ONE)]
    await farm.report(started(done, ONE), started(bad, ONE))
    log = AttemptLog("ffmpeg \0 -i a", "frame\0= 1")
    failure = Failure("input_error", "input_invalid", "The input is broken: a\0b.")

    assert [True, True] == await farm.report(settled(done, ONE, log), failed(bad, ONE, failure))
    assert [True] == await farm.report(failed(bad, ONE, failure)), "a repeat counts too"

    kept = await farm.job(done.job_id)
    assert kept.result is not None
    [entry] = await farm.store.read(lambda tx: read_logs(tx, kept))
    assert ("ffmpeg \ufffd -i a", "frame\ufffd= 1") == (entry.command, entry.text)
    job = await farm.job(bad.job_id)
    assert ("failed", "The input is broken: a\ufffdb.") == (job.status, job.error)
