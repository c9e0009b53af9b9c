"""Which launch is meant: its id, the beginning of its id, its name, or the latest."""

from __future__ import annotations

from collections.abc import Sequence

from reelmill.errors import NotFound, UsageError
from reelmill.launcher.answers import LaunchHead, LaunchHeads
from reelmill.launcher.client import MasterClient, path_of

LATEST = "latest"
_LOOKED_AT = 1000
_SHOWN = 5


async def find_launch(client: MasterClient, reference: str) -> LaunchHead:
    """The launch; NotFound when there is none, UsageError when several are called so. Of names the newest counts."""
    if "/" not in reference and reference not in ("", ".", "..", LATEST):
        try:
            return await client.get(path_of("launches", reference), LaunchHead)
        except NotFound:
            pass
    params = {"limit": 1 if reference == LATEST else _LOOKED_AT}
    latest = (await client.get("/launches", LaunchHeads, params)).launches
    return choose_launch(latest, reference)


def choose_launch(launches: Sequence[LaunchHead], reference: str) -> LaunchHead:
    """The one of these that is meant; they come newest first."""
    if reference == LATEST:
        if not launches:
            raise NotFound("there is no launch yet")
        return launches[0]
    for launch in launches:
        if reference and launch.name == reference:
            return launch
    found = [launch for launch in launches if reference and launch.id.startswith(reference)]
    if not found:
        raise NotFound(f"there is no launch {reference[:80]!r}; `reelmill launches list` shows them")
    if len(found) > 1:
        ids = ", ".join(launch.id for launch in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        raise UsageError(f"{len(found)} launches begin with {reference[:80]!r}; write more of the id: {ids}")
    return found[0]
