"""What was typed wrongly, in one sentence of ours: the wording of the library is for programmers."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelmill.domain.suggestion import unknown_name

if TYPE_CHECKING:
    from typer.exceptions import TyperException

_UNKNOWN_COMMAND = re.compile(r"No such command '(?P<name>.*?)'\.", re.DOTALL)
_EXTRA_WORDS = re.compile(r"Got unexpected extra argument\(s\) \((?P<words>.*)\)", re.DOTALL)
_CHOICES = re.compile(r"'([^']*)'")
_LONGEST = 60
_MEANT = {
    ("reelmill launch", "-o"): "its results go to a file: --output FILE, as JSON; --output - is standard output",
    ("reelmill launch", "-n"): "the number of jobs is --count N",
    ("reelmill up", "-p"): "the port is --port N",
}
"""What other programs call so, or other commands of this one."""


def explain_usage(error: TyperException) -> str:
    """One sentence: what is wrong, what was probably meant, and whose help says more."""
    context: Any = getattr(error, "ctx", None)
    sentence = _explain(error, context)
    if context is None:
        return sentence
    more = f"`{context.command_path} --help`"
    return f"{sentence} See {more}" if sentence.endswith("?") else f"{sentence}; see {more}"


def _explain(error: TyperException, context: Any) -> str:
    option: str | None = getattr(error, "option_name", None)
    parameter: Any = getattr(error, "param", None)
    if option is not None and hasattr(error, "possibilities"):
        return _unknown_option(option, context)
    if option is not None:
        return f"{option} takes no value" if "does not take" in error.message else f"{option} needs a value behind it"
    if parameter is not None:
        return _wrong_value(error, parameter)
    if match := _UNKNOWN_COMMAND.search(error.message):
        return _unknown_command(match["name"], context)
    if match := _EXTRA_WORDS.search(error.message):
        return _extra_words(match["words"], context)
    message = " ".join(error.format_message().split())
    return message[:1].lower() + message[1:].rstrip(".")


def _unknown_option(option: str, context: Any) -> str:
    path = context.command_path
    if meant := _MEANT.get((path, option)):
        return f"`{path}` has no {option}; {meant}"
    if option[1:].isdigit():
        return f"{option} looks like an option; no number that `{path}` takes may be negative"
    known = [name for parameter in context.command.params for name in parameter.opts if name.startswith("-")]
    plain = {name.lstrip("-"): name for name in (*known, "--help")}  # dashes alike make no names alike
    near = difflib.get_close_matches(option.lstrip("-"), plain, n=1)
    return f"`{path}` has no option {_quote(option)}" + (f"; did you mean {plain[near[0]]}?" if near else "")


def _unknown_command(name: str, context: Any) -> str:
    here: str = context.command_path
    near = difflib.get_close_matches(name, list(context.command.commands), n=1)
    if not near:  # `reelmill cancel 3`
        near = [command for command in _inner_commands(context.command) if command.endswith(f" {name}")]
    meant = " or ".join(f"`{here} {command}`" for command in near)
    return f"`{here}` has no command {_quote(name)}" + (f"; did you mean {meant}?" if meant else "")


def _inner_commands(group: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        yield from (f"{name} {inner}" for inner in getattr(command, "commands", ()))


def _extra_words(words: str, context: Any) -> str:
    if context.command_path == "reelmill launch" and (advice := _unquoted_pattern(sys.argv[1:])):
        return advice
    takes = [_name(parameter) for parameter in context.command.params if not _is_option(parameter)]
    sentence = f"`{context.command_path}` takes {_spoken(takes)}, so {_quote(words)} is too much"
    if words.isdigit() and any("--count" in parameter.opts for parameter in context.command.params):
        sentence += f"; did you mean --count {words}?"
    return sentence


def _unquoted_pattern(argv: list[str]) -> str | None:
    """How to quote what the shell has made several files of; None when several files is not what --input was given."""
    begin = argv.index("--input") + 1 if "--input" in argv else len(argv)
    end = next((n for n in range(begin, len(argv)) if argv[n].startswith("-")), len(argv))
    files = [Path(word) for word in argv[begin:end]]
    if len(files) < 2 or not all(file.exists() for file in files) or len({file.is_absolute() for file in files}) > 1:
        return None
    parents, suffixes = {str(file.parent) for file in files}, {file.suffix for file in files}
    pattern = Path(os.path.commonpath(parents)) / ("*" if len(parents) == 1 else "**/*")
    meant = str(pattern) + (suffixes.pop() if len(suffixes) == 1 else "")
    command = shlex.join(["reelmill", *argv[:begin], meant, *argv[end:]])
    return (
        f"--input takes one file or pattern, and the shell has made {len(files):,} files of it; quote it: `{command}`"
    )


def _spoken(takes: Sequence[str]) -> str:
    return f"only {' '.join(takes)}" if takes else "options only"


def _is_option(parameter: Any) -> bool:
    return parameter.opts[0].startswith("-")


def _name(parameter: Any) -> str:
    return max(parameter.opts, key=len) if _is_option(parameter) else parameter.metavar or parameter.name


def _wrong_value(error: TyperException, parameter: Any) -> str:
    name = _name(parameter)
    if not isinstance(error.__cause__, ValueError):
        return f"{name} is missing"
    [complaint, *_] = error.__cause__.errors()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    kind, given = str(complaint["type"]), str(complaint["input"])  # pyright: ignore[reportUnknownArgumentType]
    limits: dict[str, Any] = complaint.get("ctx", {})  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if kind.startswith("int_"):
        return f"{name}: {_quote(given)} is not a whole number"
    if kind == "greater_than_equal":
        return f"{name}: {given[:_LONGEST]} is too small; the least is {limits['ge']}"
    if kind == "less_than_equal":
        return f"{name}: {given[:_LONGEST]} is too large; the most is {limits['le']}"
    if "is not one of" in error.message:
        choices = _CHOICES.findall(error.message.partition("is not one of")[2])
        return f"{name}: {unknown_name('value', given, choices)}"
    return f"{name}: {error.message}"


def _quote(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")
