"""The commands of the pages that newcomers read: each is typed, in its order, at a real farm, and must succeed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from reelmill.worker.inventory import find_ffmpeg

from .conftest import Commands, Farm

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/launching.md")
_BLOCK = re.compile(r"(?:<!-- not run: (?P<why>.+?) -->\n+)?```sh\n(?P<text>.*?)\n```", re.DOTALL)
_COUNT = re.compile(r"--count \d+[km]?\b")
_PRELUDE = """set -euo pipefail
reelmill() {  # `up` would go on for ever: it is started, must say that it is up, and is stopped
  if [ "$1" != up ]; then command reelmill "$@"; return; fi
  shift
  command reelmill up --port 0 --data "$HOME/farm-of-the-page" "$@" >"$HOME/up.txt" &
  local farm=$!
  until grep -q ' is up: ' "$HOME/up.txt"; do kill -0 $farm; sleep 0.05; done
  kill -TERM $farm
  wait $farm
}
"""


class Block(NamedTuple):
    """Commands as they stand on a page; ``why`` says why they are not run."""

    page: str
    text: str
    why: str | None


def blocks(page: str) -> Iterator[Block]:
    for match in _BLOCK.finditer((ROOT / page).read_text()):
        yield Block(page, match["text"], match["why"])


def run_block(commands: Commands, farm: Farm, block: Block) -> subprocess.CompletedProcess[str]:
    """Run the commands in the folder of the test: few jobs instead of many, and this farm in the place of 8080's."""
    text = _COUNT.sub("--count 4", block.text).replace("localhost:8080", farm.url.removeprefix("http://"))
    path = f"{Path(sys.executable).parent}:{commands.environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", _PRELUDE + text],
        cwd=commands.folder,
        env=commands.environment | {"PATH": path, "REELMILL_MASTER": farm.url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def farm(commands: Commands) -> Farm:
    """A farm whose media root is the folder of the test, with the files of which the pages speak."""
    farm = commands.up("--media", str(commands.folder))
    for name in ("Videos/holiday.mov", "media/holiday.mov", "media/trailers/first.mov", "media/trailers/second.mov"):
        clip = commands.folder / name
        clip.parent.mkdir(parents=True, exist_ok=True)
        source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=24"]
        encode = ["-t", "0.5", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        subprocess.run([find_ffmpeg().path, "-v", "error", *source, *encode, clip], check=True)
    (commands.folder / "examples").symlink_to(ROOT / "examples")
    return farm


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_a_page_works(commands: Commands, farm: Farm, page: str) -> None:
    """Typed in their order, each ends with exit 0."""
    if shutil.which("jq") is None:
        pytest.skip("the pages show jq, which is not installed")
    for block in blocks(page):
        if block.why is not None:
            continue
        end = run_block(commands, farm, block)
        assert 0 == end.returncode, f"{block.text}\n{end.stdout}\n{end.stderr}"
        assert "Traceback" not in end.stderr


@pytest.mark.parametrize("page", PAGES)
def test_nearly_all_commands_of_a_page_are_run(page: str) -> None:
    """What is not run says why, and it is little."""
    found = list(blocks(page))
    skipped = [block.why for block in found if block.why is not None]
    assert (True, True) == (len(found) > 3, len(skipped) <= max(2, len(found) // 4)), skipped
