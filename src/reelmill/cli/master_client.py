"""How commands talk to a master."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from reelmill.cli.interrupt import ended_by_ctrl_c
from reelmill.errors import NotFound

if TYPE_CHECKING:
    from reelmill.launcher.client import MasterClient

T = TypeVar("T")

_PAGE = 1000
_JOB = re.compile(r"[0-9A-Fa-f-]+")

MasterOption = Annotated[
    str | None,
    typer.Option("--master", metavar="URL", help="The master's address.", show_default="http://localhost:8080"),
]


def master_url(flag: str | None) -> str:
    """The master's URL: the flag, REELMILL_MASTER, MASTER_URL, reelmill.toml, the user's file, or this machine.

    The scenarios of the settings are known from now on, too.
    """
    from reelmill.domain.scenario import use_scenarios
    from reelmill.launcher.client import check_url
    from reelmill.settings import load_settings

    settings = load_settings({"master": flag})
    use_scenarios(settings.own_scenarios)
    return check_url(settings.master)


def call_master(flag: str | None, work: Callable[[MasterClient], Awaitable[T]]) -> T:
    """What ``work`` returns, given a client of the master that ``flag`` or the settings name."""
    with ended_by_ctrl_c():
        import asyncio

        from reelmill.launcher.client import MasterClient

        url = master_url(flag)

    async def run() -> T:
        async with MasterClient(url) as client:
            return await work(client)

    return asyncio.run(run())


def job_path(reference: str, *rest: str) -> str:
    """The path of a job; NotFound when no job can be called so: the path would lead elsewhere."""
    if not _JOB.fullmatch(reference):
        raise NotFound(f"there is no job {reference[:80]!r}")
    return _path("jobs", reference, *rest)


def launch_path(reference: str, *rest: str) -> str:
    """The path of a launch; NotFound when no launch can be called so."""
    return _path("launches", _check(reference, "launch"), *rest)


def node_path(reference: str, *rest: str) -> str:
    """The path of a node; NotFound when no node can be called so."""
    return _path("nodes", _check(reference, "node"), *rest)


def tenant_path(name: str) -> str:
    """The path of a tenant; NotFound when no tenant can be called so."""
    return _path("tenants", _check(name, "tenant"))


def token_path(name: str) -> str:
    """The path of a token; NotFound when no token can be called so."""
    return _path("tokens", _check(name, "token"))


def _check(reference: str, kind: str) -> str:
    if "/" in reference or reference in ("", ".", ".."):
        raise NotFound(f"there is no {kind} {reference[:80]!r}")
    return reference


def _path(*parts: str) -> str:
    from reelmill.launcher.client import path_of

    return path_of(*parts)


async def read_jobs(
    client: MasterClient, params: Mapping[str, str | int], most: int | None = None
) -> AsyncIterator[list[dict[str, Any]]]:
    """The jobs that match, page by page: all, or ``most`` of them. One page at least, which may be empty."""
    cursor: dict[str, str | int] = {}
    left = most
    while True:
        size = _PAGE if left is None else min(_PAGE, left)
        page = await client.get("/jobs", params={**params, **cursor, "limit": size})
        yield page["jobs"]
        left = None if left is None else left - len(page["jobs"])
        if page["next"] is None or left == 0:
            return
        cursor = {"cursor": page["next"]}
