"""What the simulated farm logs: an error there is a fault of ours, and everything is shown when a seed is replayed."""

from __future__ import annotations

import logging

import structlog
from structlog.typing import EventDict, Processor

ERRORS: list[str] = []
"""What was logged as an error since this was emptied last."""


def _catch_errors(_logger: object, level: str, event: EventDict) -> EventDict:
    if level in ("error", "critical"):
        reason = event.get("exc_info")
        ERRORS.append(f"{event['event']}: {reason!r}" if isinstance(reason, BaseException) else str(event["event"]))
    return event


def _drop(_logger: object, _level: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


def listen(*, aloud: bool) -> None:
    """Catch errors from now on, and write everything if ``aloud``."""
    last: Processor = structlog.dev.ConsoleRenderer(colors=False) if aloud else _drop
    structlog.configure(
        processors=[_catch_errors, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if aloud else logging.ERROR),
    )
