"""Who has the port that a farm wants: nobody, another farm, or something else."""

from __future__ import annotations

import socket
from typing import NamedTuple

from reelmill.settings import Settings

_ASK_SECONDS = 2.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


class OtherFarm(NamedTuple):
    """A farm that answers on the port."""

    url: str
    version: str


def why_taken(host: str, port: int) -> OSError | None:
    """Why the port cannot be listened on; None when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def find_farm(settings: Settings) -> OtherFarm | None:
    """The farm that answers there; None when nothing does within two seconds, or it is something else."""
    import httpx2
    import msgspec

    from reelmill.launcher.answers import Health

    host = _EVERYWHERE.get(settings.host, settings.host)
    url = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    try:
        answer = httpx2.get(f"{url}/health", timeout=_ASK_SECONDS, trust_env=False)
        health = msgspec.json.decode(answer.content, type=Health)
    except (httpx2.HTTPError, msgspec.DecodeError):
        return None
    return OtherFarm(url.replace("//127.0.0.1:", "//localhost:"), health.version)
