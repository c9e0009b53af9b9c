"""Server-sent events are read whole, however the stream is cut and whatever engines say."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from reelmill.errors import MasterUnreachable
from reelmill.launcher.event_stream import Event, read_events

STREAM = (
    "id: 7\n\n"
    ": still here\n\n"
    'id: 8\nevent: transition\ndata: {"to_status":"running"}\n\n'
    'event: log\ndata: {"lines":["a\u2028b\x85c: d"]}\n\n'
    ": still here\nid: 9\n\n"
).encode()
EVENTS = [
    Event("", 7, {}),
    Event("transition", 8, {"to_status": "running"}),
    Event("log", None, {"lines": ["a\u2028b\x85c: d"]}),
    Event("", 9, {}),
]


async def _pieces(stream: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(stream), size):
        yield stream[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1000])
async def test_events_are_whole_however_they_are_cut(size: int) -> None:
    """A place to go on from counts too; comments do not."""
    assert EVENTS == [event async for event in read_events(_pieces(STREAM, size))]


async def test_half_an_event_is_none() -> None:
    """It comes again on the next connection."""
    assert EVENTS[:1] == [event async for event in read_events(_pieces(STREAM[:60], 10))]


@pytest.mark.parametrize("stream", [b"data: <html>\n\n", b"data: []\n\n"])
async def test_what_is_no_event_is_no_master(stream: bytes) -> None:
    """It is said so."""
    with pytest.raises(MasterUnreachable, match="not a reelmill master"):
        [event async for event in read_events(_pieces(stream, 100))]
