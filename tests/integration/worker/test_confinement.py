"""The limits of an engine, as the kernel knows them."""

from __future__ import annotations

import os
import resource

from reelmill.worker.confinement import Confinement
from reelmill.worker.process import EngineProcess

SHOW = "ulimit -c; ulimit -n; ulimit -d; cat /proc/self/oom_score_adj; nice; ulimit -H -d"


async def confined(script: str, confinement: Confinement) -> tuple[int, list[str], str]:
    lines: list[str] = []
    argv = ["/bin/sh", "-c", script]
    process = EngineProcess(argv, on_line=lambda line: lines.append(line) is None, confinement=confinement)
    end = await process.run()
    return end.code, lines, end.stderr


async def test_an_engine_has_its_limits() -> None:
    """No core dumps, few files, its memory, a high OOM score, behind the worker; it cannot lift them itself."""
    files = str(min(256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    nice = str(min(19, os.nice(0) + 7))
    assert (0, ["0", files, "300000", "500", nice, "300000"], "") == await confined(
        SHOW, Confinement(memory=300_000 * 1024, nice=7)
    )


async def test_without_a_limit_of_memory_an_engine_has_the_workers() -> None:
    """The other limits are the same."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    own = "unlimited" if soft == resource.RLIM_INFINITY else str(soft // 1024)
    _, lines, errors = await confined("ulimit -c; ulimit -d; cat /proc/self/oom_score_adj", Confinement())
    assert (["0", own, "500"], "") == (lines, errors)


async def test_an_engine_that_takes_too_much_fails_alone() -> None:
    """The memory that it asks for is refused to it; what another takes does not count."""
    hungry = "head -c 200000000 /dev/zero | tail -c 150000000 | wc -c"  # tail keeps all of it in memory
    _, few, errors = await confined(hungry, Confinement(memory=50_000_000))
    assert (["0"], "memory exhausted") == (few, errors.strip().rpartition(": ")[2])
    assert (0, ["150000000"], "") == await confined(hungry, Confinement(memory=500_000_000))
