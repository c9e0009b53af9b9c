"""A master's process with eight claimers: `python -m tests.claimers URL FIRST TOTAL`, claims as JSON lines to stdout.

They claim until TOTAL jobs were accepted and none of them waits. Times are of the machine's steady clock, which all
processes share.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from sqlalchemy import event

from reelmill.domain.attempt import Grant, Offer
from reelmill.domain.capability import CODECS, Capabilities
from reelmill.domain.retry import RetryPolicy
from reelmill.store.claim import claim
from reelmill.store.counts import read_counts
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Tx
from reelmill.store.transition import Rules

CLAIMERS = 8
KINDS = [
    Capabilities(24, {"ffmpeg": list(CODECS)}),
    Capabilities(13, {"ffmpeg": ["h264"]}),
    Capabilities(64, {"ffmpeg": list(CODECS), "gstreamer": ["h264"]}, {"gpu": "yes"}),
    Capabilities(19, {"gstreamer": ["h264", "h265"]}),
]
NOW = 1_700_000_000.0


class Claimed(msgspec.Struct, frozen=True):
    """One claim: what kind of node asked, when it looked, when it was answered, and (job, units) of what it was given.

    Work may be run again when two masters were in each other's way: ``first_look`` is when it was first begun.
    ``in_hand`` are the numbers of the jobs that it tried to lock: to give them away, or to note that they lack room.
    """

    kind: int
    first_look: float
    look: float
    looked: float
    answered: float
    given: list[tuple[str, int]]
    in_hand: list[int]


class _Look:
    """The work of one claim, and when it was done."""

    def __init__(self, offer: Offer, rules: Rules) -> None:
        self._offer = offer
        self._rules = rules
        self.begun: list[float] = []
        self.ended = 0.0
        self.in_hand: list[int] = []

    def __call__(self, tx: Tx) -> list[Grant]:
        self.begun.append(time.monotonic())
        event.listen(tx, "before_cursor_execute", self._note)
        grants = claim(tx, self._offer, 3600.0, self._rules)
        event.remove(tx, "before_cursor_execute", self._note)
        self.ended = time.monotonic()
        return grants

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "SKIP LOCKED" in statement and "LIMIT" not in statement:  # which has the retries that are due
            self.in_hand += _numbers(parameters)


def _numbers(parameters: Any) -> Iterator[int]:
    """Every whole number of a statement's parameters, in whatever form it takes them."""
    if isinstance(parameters, int) and not isinstance(parameters, bool):
        yield parameters
    elif isinstance(parameters, dict):
        yield from _numbers(list(cast("dict[str, Any]", parameters).values()))
    elif isinstance(parameters, list | tuple):
        for one in cast("list[Any]", parameters):
            yield from _numbers(one)


async def _claim_all(store: PostgresStore, number: int, total: int, turn: asyncio.Lock) -> list[Claimed]:
    kind = number % len(KINDS)
    offer = Offer(f"n{number}", f"n{number}", KINDS[kind], KINDS[kind].units)
    rules = Rules(NOW, RetryPolicy(), random.Random(number))
    claims: list[Claimed] = []
    while True:
        look = _Look(offer, rules)
        async with turn:  # as a master's scheduler, which tries one claim after the other
            given = [(grant.key.job_id, grant.units) for grant in await store.write(look)]
        claims.append(Claimed(kind, look.begun[0], look.begun[-1], look.ended, time.monotonic(), given, look.in_hand))
        if not given and await _is_drained(store, total):
            return claims


async def _is_drained(store: PostgresStore, total: int) -> bool:
    counts = await store.read(read_counts)
    return sum(counts.values()) == total and not any(key.status == "queued" for key in counts)


async def _run(url: str, first: int, total: int) -> None:
    store = PostgresStore(url)
    await store.start()
    try:
        numbers, turn = range(first, first + CLAIMERS), asyncio.Lock()
        claimed = await asyncio.gather(*(_claim_all(store, number, total, turn) for number in numbers))
    finally:
        await store.stop()
    sys.stdout.buffer.write(msgspec.json.encode([claim for claims in claimed for claim in claims]))


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
