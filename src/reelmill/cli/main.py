"""The way into the `reelmill` command, and out of it: an error is one line and an exit code, never a traceback.

The commands themselves are imported inside ``run``, so that Ctrl-C is quiet from the first moment.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from reelmill.cli.interrupt import EXIT_INTERRUPTED, ended_by_ctrl_c

if TYPE_CHECKING:
    from typer.exceptions import TyperException

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_PIPE_CLOSED = 141
"""What a shell says of a program that SIGPIPE has ended."""


def run() -> None:
    """Run the command line and exit."""
    try:
        code = _run()
        _flush()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # `reelmill jobs list | head`: nobody wants the rest
        code = EXIT_PIPE_CLOSED
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        _complain(f"{error.strerror or error}{place}")
        code = EXIT_ERROR
    if code in (EXIT_PIPE_CLOSED, EXIT_ERROR):
        _drop_output()
    sys.exit(code)


def _run() -> int:
    for place, argument in enumerate(sys.argv[1:], 1):
        if not argument.isascii() and not _is_text(argument):
            _complain(f"argument {place}, {argument!r}, is not valid UTF-8")
            return EXIT_USAGE
    with ended_by_ctrl_c():  # only now: these imports take most of the time of a short command
        from asyncio import CancelledError

        from typer.exceptions import Abort, TyperException

        from reelmill.cli.commands import app
        from reelmill.errors import InvalidField, ReelmillError, SettingsError

    try:
        return app(standalone_mode=False, prog_name="reelmill") or 0
    except ReelmillError as error:
        _complain(str(error))
        return EXIT_USAGE if isinstance(error, InvalidField | SettingsError) else EXIT_ERROR
    except TyperException as error:
        _complain_of_usage(error)
        return error.exit_code
    except (Abort, CancelledError):
        return EXIT_INTERRUPTED
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer turns it into a plain 1
            raise end.__context__ from None
        raise


def _is_text(argument: str) -> bool:
    """Whether it is text: bytes that are none come as lone surrogates, which no request or results file can hold."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _complain_of_usage(error: TyperException) -> None:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is not None and message == context.get_help():  # a group without a command: that is no mistake
        sys.stderr.write(message + "\n")
        return
    from reelmill.cli.usage import explain_usage

    _complain(explain_usage(error))


def _complain(message: str) -> None:
    from contextlib import suppress

    from reelmill.launcher.plain_text import one_line

    with suppress(OSError):
        sys.stderr.write(f"error: {one_line(message)}\n")


def _flush() -> None:
    """Write what is still held back, while its failure can be told."""
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]  (None when it was closed)
        sys.stdout.flush()


def _drop_output() -> None:
    """Let the interpreter's own last flush go nowhere, when the output cannot take it."""
    try:
        _flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
