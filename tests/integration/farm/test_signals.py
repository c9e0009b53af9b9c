"""What ends a command that goes on until it is stopped, when its stopping does not end."""

from __future__ import annotations

import signal
import subprocess
import sys

STUCK = """
import asyncio, uvloop
from reelmill.cli import serving
serving._URGENT_SECONDS = {patience}
async def main():
    with serving.stop_events() as stop:
        print("ready", flush=True)
        await stop.wanted.wait()
        print("wanted", flush=True)
        await stop.urgent.wait()
        print("urgent", flush=True)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
uvloop.run(main())
"""


def start(patience: float) -> subprocess.Popen[str]:
    """A process that hears signals, and never ends by itself."""
    code = STUCK.format(patience=patience)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)
    assert child.stdout is not None
    assert "ready\n" == child.stdout.readline()
    for heard, number in (("wanted", signal.SIGINT), ("urgent", signal.SIGTERM)):
        child.send_signal(number)
        assert f"{heard}\n" == child.stdout.readline()
    return child


def test_an_urgent_stop_that_does_not_end_is_broken_off() -> None:
    """Whatever it waits for; it says so in one line."""
    _, words = (child := start(0.2)).communicate(timeout=10)
    assert (1, True) == (child.returncode, "ends at once" in words), words


def test_a_third_signal_ends_it_at_once() -> None:
    """Nobody has to look for `kill -9`."""
    child = start(3600)
    child.send_signal(signal.SIGINT)
    _, words = child.communicate(timeout=10)
    assert (1, True) == (child.returncode, "ends at once" in words), words
