"""The events of a farm as a client hears them: server-sent events, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, NamedTuple

import msgspec

from reelmill.errors import MasterUnreachable, Unavailable
from reelmill.launcher.client import MasterClient, Params

OUTAGE_SECONDS = 120.0
"""How long the master may be away before listening gives up."""
_AGAIN_SECONDS = 0.5


class Event(NamedTuple):
    """Something that happened; without a ``kind`` it only says up to which ``id`` everything was told."""

    kind: str
    id: int | None
    data: dict[str, Any]


async def read_events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Event, None]:
    """The events in a stream of bytes, however it is cut; comments are skipped. MasterUnreachable for anything else.

    Lines end with a newline only: what engines say may hold all that Python takes for the end of a line.
    """
    rest = b""
    fields: dict[str, str] = {}
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line:
                name, _, value = line.decode(errors="replace").partition(":")
                fields[name] = value.removeprefix(" ")
                continue
            fields.pop("", None)  # comments
            if fields:
                yield _event(fields)
            fields = {}


def _event(fields: dict[str, str]) -> Event:
    number = fields.get("id", "")
    try:
        data = msgspec.json.decode(fields.get("data", "{}"), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise MasterUnreachable("what answers is not a reelmill master; check --master") from error
    return Event(fields.get("event", ""), int(number) if number.isdecimal() else None, data)


async def follow_events(
    client: MasterClient, params: Params, say: Callable[[str], None], *, outage: float = OUTAGE_SECONDS
) -> AsyncGenerator[Event, None]:
    """The events that match from now on, without end: behind a broken connection those that came meanwhile follow.

    ``say`` hears of a master that is away; Unavailable when it is for longer than ``outage`` seconds.
    """
    loop = asyncio.get_running_loop()
    last: int | None = None
    away_since: float | None = None
    while True:
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        try:
            async with contextlib.aclosing(client.stream("/events", params=params, headers=headers)) as pieces:
                async for event in read_events(pieces):
                    if away_since is not None:
                        say(f"the master answers again after {loop.time() - away_since:.0f} s")
                        away_since = None
                    last = last if event.id is None else event.id
                    yield event
        except Unavailable as error:
            if away_since is None:
                away_since = loop.time()
                say(f"{error} (still trying; the jobs are safe)")
            elif loop.time() - away_since > outage:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)
