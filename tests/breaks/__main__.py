"""`python -m tests.breaks [WORD…]`: make each break (or those with a word) in a copy of HEAD, run its tests.

Prints the table of docs/breaking.md, and fails when a break is not caught by the test that should.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.breaks.broken import Break
from tests.breaks.table import BREAKS

ROOT = Path(__file__).resolve().parents[2]


def red_tests(copy: Path, broken: Break) -> list[str]:
    """The names of the tests that fail once the break is made; the copy is whole again afterwards."""
    file = copy / broken.file
    whole = file.read_text()
    file.write_text(broken.apply(whole))
    try:
        words = [sys.executable, "-m", "pytest", "-rfE", "--tb=no", "--timeout=100", *broken.tests]
        environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        told = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, check=False).stdout
    finally:
        file.write_text(whole)
    return sorted(set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", told, re.MULTILINE)))


def main(words: list[str]) -> int:
    """0 when every break was caught."""
    missed = 0
    with tempfile.TemporaryDirectory(prefix="reelmill-breaks-") as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", copy], cwd=ROOT, check=True)
        try:
            for broken in BREAKS:
                if words and not any(word in broken.name for word in words):
                    continue
                red = red_tests(copy, broken)
                caught = broken.caught_by in red
                missed += not caught
                verdict = f"`{broken.caught_by}`" if caught else f"**not caught** (red: {', '.join(red) or 'nothing'})"
                sys.stdout.write(f"| {broken.name} | `{broken.file.removeprefix('src/reelmill/')}` | {verdict} |\n")
                sys.stdout.flush()
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", copy], cwd=ROOT, check=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
