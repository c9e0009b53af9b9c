"""/places: whether workers reach the media of the farm."""

from __future__ import annotations

import msgspec
from litestar import post

from reelmill.domain.place import CheckedPlace
from reelmill.master.api.dependency import TheDesk, TheFarm
from reelmill.master.place_check import check_places


class PlacesAnswer(msgspec.Struct, frozen=True):
    """One entry for each node that is not offline, with the place of media that it uses."""

    places: list[CheckedPlace]
    count: int


@post("/places/check", status_code=200, tags=["nodes"])
async def check_all_places(farm: TheFarm, desk: TheDesk) -> PlacesAnswer:
    """Have every node that is not offline read and write its place of media; answers within some ten seconds."""
    places = await check_places(farm, desk)
    return PlacesAnswer(places, len(places))
