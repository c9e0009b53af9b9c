"""Ctrl-C while a command loads what it needs."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

EXIT_INTERRUPTED = 130


@contextmanager
def ended_by_ctrl_c() -> Generator[None, None, None]:
    """For the length of the block, which only loads modules, Ctrl-C ends the process at once, with exit code 130.

    As an exception it would be printed and lost where it meets a weak reference's callback, of which every import has
    one, and become a RuntimeError in a `__set_name__`. Whoever ignores Ctrl-C, as nohup does, goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: object) -> None:
    os._exit(EXIT_INTERRUPTED)
