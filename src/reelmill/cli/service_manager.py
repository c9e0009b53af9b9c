"""Words for the service manager that started this process, such as systemd: that it is up, what it does, that it ends.

The protocol is sd_notify: datagrams to the socket that NOTIFY_SOCKET names. Without that variable nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Mapping

from reelmill.service import PeriodicService

READY = "READY=1"
STOPPING = "STOPPING=1"


def tell_manager(status: str, *states: str) -> None:
    """Say what the process does, in a few words, and which of READY and STOPPING is now true."""
    _send(*states, f"STATUS={' '.join(status.split())}")


@contextlib.asynccontextmanager
async def watched() -> AsyncGenerator[None, None]:
    """For the length of the block the manager, if it asked for that, hears that the event loop still turns."""
    interval = watchdog_interval(os.environ)
    if interval is None:
        yield
        return
    watchdog = _SignOfLife(interval)
    await watchdog.start()
    try:
        yield
    finally:
        await watchdog.stop()


def watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """Seconds between signs of life: half of what the manager allows; None when it asked this process for none."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        allowed = int(environment.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return None
    return allowed / 2 if allowed > 0 else None


class _SignOfLife(PeriodicService):
    async def run_once(self) -> None:
        _send("WATCHDOG=1")


def _send(*assignments: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):  # other kinds reach machines that run this one, not a manager here
        return
    place = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        # A manager that does not read must not hold up the farm; it then judges by what it has heard.
        link.setblocking(False)
        link.sendto("\n".join(assignments).encode(), place)
