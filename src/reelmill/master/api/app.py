"""The ASGI application: routes, limits, errors, OpenAPI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Litestar, Request, get
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from reelmill import __version__
from reelmill.master.api.events import events
from reelmill.master.api.farm_routes import (
    LaunchesController,
    NodesController,
    ScenariosController,
    TenantsController,
    health,
    livez,
    metrics,
    readyz,
)
from reelmill.master.api.guard import BrowserGuard
from reelmill.master.api.jobs import JobsController
from reelmill.master.api.media import MediaController
from reelmill.master.api.places import check_all_places
from reelmill.master.api.problems import EXCEPTION_HANDLERS
from reelmill.master.api.token_routes import TokensController
from reelmill.master.farm import Farm
from reelmill.master.intake import Intake
from reelmill.master.media_desk import MediaDesk
from reelmill.master.news import News
from reelmill.master.web.page import live_page

MAX_BODY_BYTES = 8_000_000
"""A batch of 10,000 ordinary jobs is half as large."""


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Describe this API as OpenAPI 3.1."""
    return request.app.openapi_schema.to_schema()


def create_app(
    farm: Farm,
    news: News,
    allowed_hosts: str = "",
    find_troubles: Callable[[], list[str]] = list,
    desk: MediaDesk | None = None,
    find_warnings: Callable[[], list[str]] = list,
) -> Litestar:
    """The application that serves this farm, also under the names in ``allowed_hosts`` (with commas between).

    ``news`` is what its listeners hear; ``find_troubles`` says which background services go on failing; ``desk`` serves
    media to workers; ``find_warnings`` says what is wrong and keeps the master from no work.
    """
    names = frozenset(name.strip().lower() for name in allowed_hosts.split(",") if name.strip())
    intake = Intake(farm)
    the_desk = desk or MediaDesk(farm, lambda: "")
    return Litestar(
        route_handlers=[
            live_page,
            openapi,
            JobsController,
            LaunchesController,
            MediaController,
            NodesController,
            ScenariosController,
            TenantsController,
            TokensController,
            check_all_places,
            events,
            health,
            livez,
            readyz,
            metrics,
        ],
        dependencies={
            "farm": Provide(lambda: farm, sync_to_thread=False),
            "intake": Provide(lambda: intake, sync_to_thread=False),
            "desk": Provide(lambda: the_desk, sync_to_thread=False),
            "news": Provide(lambda: news, sync_to_thread=False),
            "troubles": Provide(lambda: find_troubles(), sync_to_thread=False),
            "warnings": Provide(lambda: find_warnings(), sync_to_thread=False),
        },
        middleware=[DefineMiddleware(BrowserGuard, allowed_hosts=names)],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="reelmill",
            version=__version__,
            description="Launch thousands of video transcodes and lose none of them.",
            path="/openapi",
            render_plugins=[JsonRenderPlugin()],  # the others load their scripts from the internet
        ),
    )
