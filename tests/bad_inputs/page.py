"""docs/failures.md, written from the code: every failure that it can name, and every input of the corpus."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from reelmill.domain.failure import RETRYABLE
from tests.bad_inputs.case import Case
from tests.bad_inputs.table import CASES, KINDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "failures.md"

_HEAD = """# Failures

Written by `python -m tests.bad_inputs` from the code and from `tests/bad_inputs`; `tests/unit/test_failures_page.py`
fails when it is stale.

A job that ends `failed` or `timed_out` says why three times: `failure_reason` (a closed list), `error_code` (stable,
for programs) and `error` (a sentence that says what to do). Whether it is tried again depends on the reason alone:
{retried} may pass and are tried again until the limits are reached;
all others end the job at its first attempt.

## Every error code

`…` stands for what differs from job to job. `reelmill jobs logs ID` has the engine's own words.

| `error_code` | `failure_reason` | tried again | what it means, and what to do |
|---|---|---|---|
"""
_INPUTS = """
## Bad and strange inputs

{count} inputs, made by code and run through one real farm by `tests/e2e/test_bad_inputs.py`: each gets this answer at
its first attempt, no traceback is logged, and no byte of a file outside the media root reaches an output, a log or an
answer. "Refused" means that no job is made: `POST /jobs` says at once what is wrong.

What is *not* noticed: damage in the middle of a film that the decoder conceals (one wrong bit in a thousand bytes
below), and a cut in a format that names no length (`ts`, a fragmented mp4). The output is verified in codec, size,
length and frames, not in what it shows. A file that the worker may not read (`permission_denied`) is not in the table:
where tests run as root, nothing is unreadable.
"""


def render() -> str:
    """The page as it must be; no media is made for it."""
    retried = ", ".join(f"`{reason}`" for reason in sorted(RETRYABLE))
    lines = [_HEAD.format(retried=retried).rstrip("\n")]
    for code, found in sorted(known_failures().items()):
        for reason in sorted({reason for reason, _ in found}):
            sentences = " / ".join(sorted({_cell(sentence) for its, sentence in found if its == reason}))
            lines.append(f"| `{code}` | `{reason}` | {'yes' if reason in RETRYABLE else 'no'} | {sentences} |")
    lines.append(_INPUTS.format(count=len(CASES)).rstrip("\n"))
    for kind, cases in KINDS.items():
        lines += ["", f"### {kind}", "", "| input | file | answer |", "|---|---|---|"]
        lines += [f"| {_cell(case.what)} | {_file(case)} | {_answer(case)} |" for case in cases]
    return "\n".join(lines) + "\n"


@functools.cache
def known_failures() -> dict[str, list[tuple[str, str]]]:
    """For each error code all (reason, sentence) with which the code makes a ``Failure``, read from its source."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for file in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(file.read_text())
        assigned = sorted(_assigned_texts(tree))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Failure":
                texts = {name: text for line, name, text in assigned if line <= call.lineno}  # the last one counts
                reason, code, message = (_text(argument, texts) for argument in call.args)
                found[code].append((reason, message))
    return dict(found)


def _assigned_texts(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() | ast.JoinedStr() as value):
                yield node.lineno, name, _text(value, {})
            case _:
                pass


def _text(node: ast.expr, texts: dict[str, str]) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return texts.get(name, "…")
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, texts) for part in parts)
        case ast.IfExp(body=one, orelse=other):
            return f"{_text(one, texts)} / {_text(other, texts)}"
        case _:
            return "…"


def _file(case: Case) -> str:
    if not case.file:
        return "(nothing)"
    name = case.file if len(case.file) < 40 else f"{case.file[0]}…{case.file[-8:]}"
    shown = name if name.isprintable() and name.isascii() else ascii(name)[1:-1]
    return f"`` {_cell(shown)} ``" if "`" in shown or shown != shown.strip() else f"`{_cell(shown)}`"


def _answer(case: Case) -> str:
    if case.answer.status == "failed":
        return f"`{case.answer.code}`"
    return "refused" if case.answer.status == "refused" else "completes"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
