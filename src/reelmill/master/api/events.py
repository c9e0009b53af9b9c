"""/events: what happens in the farm, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Request, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from reelmill.domain.job import STATUSES
from reelmill.master.api.dependency import TheNews
from reelmill.master.api.job_query import QueryParameters, check_names, check_values, read_number, split
from reelmill.master.happening import KINDS, Wanted
from reelmill.master.news import Listening

_LISTS: Mapping[str, tuple[str, ...] | None] = {
    "job": None,
    "launch": None,
    "status": STATUSES,
    "tenant": None,
    "kind": KINDS,
}
_HIGHEST = 2**63 - 1
_MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second is for a proxy in between


def read_event_query(parameters: QueryParameters, last_event_id: str | None) -> tuple[Wanted, int | None]:
    """What is wanted, and behind which event; InvalidField when a parameter or its value makes no sense."""
    given = parameters.dict()
    check_names(given, (*_LISTS, "since"))
    values = {name: split(given.get(name, [])) for name in _LISTS}
    for name, choices in _LISTS.items():
        check_values(name, values[name], choices)
    # A browser that comes again says by itself what it read last; its address still says where it began.
    since = read_number("Last-Event-ID", [last_event_id] if last_event_id else None, 0, _HIGHEST)
    if since is None:
        since = read_number("since", given.get("since"), 0, _HIGHEST)
    wanted = Wanted(
        kinds=frozenset(values["kind"] or KINDS),
        jobs=frozenset(values["job"]),
        launches=frozenset(values["launch"]),
        statuses=frozenset(values["status"]),
        tenants=frozenset(values["tenant"]),
    )
    return wanted, since


class _StreamAnswer(ASGIResponse):
    """Sends a stream until it ends, or whoever reads it has gone; then it is closed, whatever was under way."""

    _should_set_content_length = False

    def __init__(self, listening: Listening, headers: Mapping[str, str]) -> None:
        super().__init__(headers=dict(headers), media_type=_MEDIA_TYPE, status_code=200)
        self._listening = listening

    async def send_body(self, send: Send, receive: Receive) -> None:
        sending = asyncio.create_task(self._send_pieces(send))
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            self._listening.close()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send_pieces(self, send: Send) -> None:
        async for piece in self._listening.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response[bytes]):
    """The answer that goes on."""

    def __init__(self, listening: Listening) -> None:
        super().__init__(content=b"", media_type=_MEDIA_TYPE, headers=_HEADERS)
        self._listening = listening

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return _StreamAnswer(self._listening, _HEADERS)


@get(
    "/events",
    tags=["farm"],
    media_type=_MEDIA_TYPE,
    responses={200: ResponseSpec(str, media_type=_MEDIA_TYPE, description="Events, until the client leaves.")},
)
async def events(
    request: Request[Any, Any, Any],
    news: TheNews,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> EventStream:
    """Stream what happens as server-sent events: `transition`, `progress` and `log`.

    Filters: job, launch, status, tenant, kind (each may come several times or with commas). Transitions have ids: with
    `Last-Event-ID` or `since` the stream begins behind that one, without at what happens next. `overflow` ends a stream
    that is read too slowly: come again with the last id.
    """
    wanted, since = read_event_query(request.query_params, last_event_id)
    return EventStream(await news.open(wanted, since))
