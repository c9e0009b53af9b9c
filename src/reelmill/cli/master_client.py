"""How commands talk to a master."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from reelmill.launcher.client import MasterClient

T = TypeVar("T")

MasterOption = Annotated[
    str | None,
    typer.Option("--master", metavar="URL", help="The master's address.", show_default="http://localhost:8080"),
]


def master_url(flag: str | None) -> str:
    """The master's URL: the flag, REELMILL_MASTER, MASTER_URL, reelmill.toml, the user's file, or this machine."""
    from reelmill.launcher.client import check_url
    from reelmill.settings import load_settings

    return check_url(load_settings({"master": flag}).master)


def call_master(flag: str | None, work: Callable[[MasterClient], Awaitable[T]]) -> T:
    """What ``work`` returns, given a client of the master that ``flag`` or the settings name."""
    from reelmill.launcher.client import MasterClient

    url = master_url(flag)

    async def run() -> T:
        async with MasterClient(url) as client:
            return await work(client)

    return asyncio.run(run())


def ask_health(url: str) -> dict[str, Any]:
    """What the master at ``url`` says of its health; Unavailable or MasterUnreachable when it is not healthy."""
    return call_master(url, lambda client: client.get("/health"))
