"""The inputs that a worker keeps: which go, which stay, and who waits for whom."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from reelmill.domain.attempt import AttemptKey
from reelmill.worker.input_cache import PART, InputCache


def key(number: int) -> AttemptKey:
    return AttemptKey(f"job-{number}", 1)


def opened(folder: Path, limit: int) -> InputCache:
    cache = InputCache(folder, limit)
    cache.open()
    return cache


async def use(cache: InputCache, name: str, user: AttemptKey, size: int = 100) -> tuple[Path, bool]:
    """Where the input is, and whether it had to be fetched."""
    async with cache.entry(user, name, "v1", size) as path:
        fetched = not path.exists()
        if fetched:
            path.write_bytes(bytes(size))
    return path, fetched


async def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    """With room for two of three."""
    cache = opened(tmp_path, 250)
    for number, name in enumerate(("a.mp4", "b.mp4", "a.mp4", "c.mp4")):
        await use(cache, name, key(number))
        cache.release(key(number))
    assert [("a.mp4", False), ("c.mp4", False), ("b.mp4", True)] == [
        (name, (await use(cache, name, key(9)))[1]) for name in ("a.mp4", "c.mp4", "b.mp4")
    ]


async def test_what_a_job_uses_stays_whatever_its_size(tmp_path: Path) -> None:
    """Until the job is over: then only so much stays as may."""
    cache = opened(tmp_path, 50)
    paths = [(await use(cache, name, key(1)))[0] for name in ("a.mp4", "b.mp4")]
    assert all(path.exists() for path in paths)
    cache.release(key(1))
    assert [] == list(tmp_path.iterdir())


async def test_two_users_of_one_input_fetch_it_once(tmp_path: Path) -> None:
    """And it stays until the last of them has gone."""
    cache = opened(tmp_path, 0)
    began, go_on, fetches = asyncio.Event(), asyncio.Event(), 0

    async def fetch(user: AttemptKey) -> Path:
        nonlocal fetches
        async with cache.entry(user, "a.mp4", "v1", 3) as path:
            if not path.exists():
                fetches += 1
                began.set()
                await go_on.wait()
                path.write_bytes(b"abc")
        return path

    both = asyncio.gather(fetch(key(1)), fetch(key(2)))
    await began.wait()
    go_on.set()
    [path, same] = await both
    assert (1, path) == (fetches, same)
    cache.release(key(1))
    assert path.exists()
    cache.release(key(2))
    assert not path.exists()


async def test_another_version_of_an_input_is_another_input(tmp_path: Path) -> None:
    """Also when its name and its size are the same; the name keeps its suffix."""
    cache = opened(tmp_path, 1000)
    async with cache.entry(key(1), "a.mp4", "v1", 1) as first, cache.entry(key(1), "a.mp4", "v2", 1) as second:
        assert first != second
        assert {".mp4"} == {first.suffix, second.suffix}


async def test_a_fetch_that_is_given_up_leaves_nothing_unless_another_goes_on_with_it(tmp_path: Path) -> None:
    """The part stays as long as somebody wants the input."""
    cache = opened(tmp_path, 1000)
    for user in (key(1), key(2)):
        async with cache.entry(user, "a.mp4", "v1", 10) as path:
            part = path.with_name(path.name + PART)
            part.write_bytes(b"half")
    cache.release(key(1))
    assert part.exists()
    cache.release(key(2))
    assert [] == list(tmp_path.iterdir())


async def test_a_start_keeps_what_is_whole_in_the_order_of_its_use(tmp_path: Path) -> None:
    """Parts go, and so does what is too much by now."""
    cache = opened(tmp_path, 1000)
    old, new = [(await use(cache, name, key(1)))[0] for name in ("old.mp4", "new.mp4")]
    os.utime(old, (1, 1))
    (tmp_path / f"x{PART}").write_bytes(b"half")
    opened(tmp_path, 150)
    assert [new] == list(tmp_path.iterdir())
