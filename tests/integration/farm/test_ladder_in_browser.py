"""A ladder that a job has made plays in a real browser, which changes between its rungs without a gap."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from reelmill.domain.scenario import use_scenarios
from tests.footage import BIG_BUCK_BUNNY

from .conftest import FarmMaker

CHROMIUM = Path("/usr/bin/chromium")
PAGE = Path(__file__).with_name("ladder_player.html")
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run")
MINE = {"mine": {"extends": "ladder-hls", "preset": "ultrafast", "ladder": {"segment_seconds": 2}}}
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@pytest.fixture(autouse=True)
def _only_built_in() -> Iterator[None]:
    yield
    use_scenarios({})


class Ranges(SimpleHTTPRequestHandler):
    """A plain web server's answer to `Range`, which Python's own does not give."""

    def do_GET(self) -> None:
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        if found is None:
            super().do_GET()
            return
        content = Path(self.translate_path(self.path)).read_bytes()[int(found[1]) : int(found[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing: what matters is what the page says."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
async def test_a_browser_plays_a_ladder_and_changes_its_rung_at_each_segment(
    make_farm: FarmMaker, site: tuple[Path, str]
) -> None:
    """1080p, then 480p, then 720p: all of the film, in one stretch, at the size of each rung."""
    folder, address = site
    farm = make_farm(scenarios=MINE)
    shutil.copy(BIG_BUCK_BUNNY, farm.media / "bunny.mp4")
    await farm.start_master()
    await farm.worker.start()
    job = await farm.ended(await farm.submit("mine", input="bunny.mp4", output="films/bunny"))
    assert "completed" == job["status"], job
    shutil.copytree(farm.media / "films" / "bunny", folder / "bunny")
    shutil.copy(PAGE, folder / "index.html")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = await browser.new_page()
        await page.goto(address)
        played = await page.evaluate("play('bunny/', [0, 2, 1])")
        await browser.close()
    assert ["1920x1080", "854x480", "1280x720"] == played["sizes"], played
    assert [3, 3, 3] == played["segments"]
    assert 1 == played["stretches"]
    assert played["end"] == pytest.approx(5.28, abs=0.1)
    assert played["seconds"] >= 5.2
    assert played["frames"] > 60
