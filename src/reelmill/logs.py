"""How reelmill writes its log: lines for a person on a terminal, JSON for everything else; always to stderr."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from typing import TextIO, cast

import structlog


class _Stderr(io.TextIOBase):
    """Stderr, or nothing: a log on a full disk, or that nobody reads any more, must not end what it tells of."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


_EOF_OVER_TLS = "returning true from eof_received() has no effect when using ssl"
"""asyncio's own streams return true there; asyncio and uvloop complain of it whenever a TLS peer closes first."""


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != _EOF_OVER_TLS


def configure_logs(*, verbose: bool = False, json: bool | None = None) -> None:
    """Set up structlog for this process; ``json`` None chooses JSON when stderr is not a terminal."""
    logging.getLogger("asyncio").addFilter(_is_news)
    terminal = sys.stderr.isatty()
    as_json = not terminal if json is None else json
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=terminal and "NO_COLOR" not in os.environ,
            # Not the values of the variables: streams' keys are among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
            *([structlog.processors.format_exc_info] if as_json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
