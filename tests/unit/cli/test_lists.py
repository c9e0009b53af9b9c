"""What the lists of jobs, nodes and launches show, by the width of the terminal."""

from __future__ import annotations

import os
from typing import Any

import pytest

from reelmill.cli import job_listing, launches, nodes
from tests.unit.cli.test_output import make_terminal

JOB: dict[str, Any] = {
    "id": "0193c1a2-3b4c-7d5e-8f60-718293a4b5c6",
    "sequence_number": 48123,
    "scenario": "1080p30-h264",
    "queue": "default",
    "priority": "medium",
    "status": "running",
    "progress": 42.3,
    "speed": 1.25,
    "node_name": "mill-3",
    "parameters": {"input": "in/season-one/episode-eleven.mov"},
    "result": None,
    "created_at": "2026-01-02T03:04:05Z",
    "error_code": None,
    "blocked": None,
}
FAILED = {**JOB, "status": "failed", "error_code": "input_not_media"}
BLOCKED = {**JOB, "status": "queued", "progress": 0.0, "blocked": "no node is online"}
LAUNCH = {
    "id": "0193c1a2-3b4c-7d5e-8f60-718293a4b5c6",
    "name": "nightly-archive",
    "created_at": "2026-01-02T03:04:05Z",
    "total": 12000,
    "open": 340,
    "counts": {"completed": 11650, "failed": 10, "running": 8, "queued": 332},
}
NODE = {
    "id": "0193c1a2-3b4c-7d5e-8f60-718293a4b5c6",
    "name": "mill-berlin-3",
    "status": "online",
    "capabilities": {"units": 16, "engines": {"ffmpeg": ["h264", "h265", "vp9", "av1"]}, "labels": {"site": "ber"}},
    "version": "0.1.0",
    "running_jobs": 3,
    "last_seen": "2026-01-02T03:04:05Z",
    "trouble": None,
}
TROUBLED = {**NODE, "trouble": "its media disk has 20 MB free, and min_free is 1 GB"}

JOB_COLUMNS = "number status done scenario queue priority speed node file submitted error code"
LAUNCH_COLUMNS = "id name begun total open completed failed timed out canceled"
NODE_COLUMNS = "name status trouble units running engines labels version last seen id"


def show(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
    """List what a master answers."""

    async def pages(*_: object) -> Any:
        yield answer["jobs"]

    def shown(_master: str | None, work: Any) -> Any:
        if "jobs" not in answer:
            return answer
        import asyncio

        return asyncio.run(work(None))

    for module in (job_listing, launches, nodes):
        monkeypatch.setattr(module, "call_master", shown)
    monkeypatch.setattr(job_listing, "read_jobs", pages)
    {"jobs": job_listing.list_jobs, "launches": launches.list_launches, "nodes": nodes.list_nodes}[next(iter(answer))]()


@pytest.mark.parametrize(
    ("answer", "width", "head", "row"),
    [
        ({"jobs": [JOB]}, 40, "number status done scenario", "48123 running 42% 1080p30-h264"),
        ({"jobs": [JOB, FAILED]}, 80, "number status done scenario queue file error code", None),
        ({"jobs": [BLOCKED]}, 40, "number status scenario", "48123 queued, blocked 1080p30-h264"),
        ({"jobs": [JOB, FAILED]}, 200, JOB_COLUMNS, None),
        ({"launches": [LAUNCH]}, 40, "id total open failed", "0193c1a2-3b4c-7d5e- 12000 340 10"),
        ({"launches": [LAUNCH]}, 80, LAUNCH_COLUMNS.removesuffix(" timed out canceled"), None),
        ({"launches": [LAUNCH]}, 200, LAUNCH_COLUMNS, None),
        ({"nodes": [NODE]}, 40, "name status units running", "mill-berlin-3 online 16 3"),
        ({"nodes": [NODE, TROUBLED]}, 40, "name status trouble", "mill-berlin-3 online"),
        ({"nodes": [NODE]}, 80, "name status units running engines labels", None),
        ({"nodes": [NODE, TROUBLED]}, 200, NODE_COLUMNS, None),
    ],
)
def test_each_list_keeps_what_matters_most(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], width: int, head: str, row: str | None
) -> None:
    """What names the thing and how it is; then what went wrong and how far it is; no line is too wide."""
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 24)))
    terminal = make_terminal(monkeypatch)
    show(monkeypatch, answer)
    lines = terminal.getvalue().splitlines()
    assert head == " ".join(lines[0].split())
    assert row is None or row == " ".join(lines[1].split())
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("answer", "columns"),
    [
        ({"jobs": [BLOCKED]}, JOB_COLUMNS),
        ({"launches": [LAUNCH]}, LAUNCH_COLUMNS),
        ({"nodes": [NODE]}, NODE_COLUMNS),
    ],
)
def test_without_a_terminal_each_list_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: dict[str, Any], columns: str
) -> None:
    """Every column, and ids and paths uncut."""
    show(monkeypatch, answer)
    head, row = capsys.readouterr().out.splitlines()
    assert columns == " ".join(head.split())
    assert ("in/season-one/episode-eleven.mov" if "jobs" in answer else "0193c1a2-3b4c-7d5e-8f60-718293a4b5c6") in row
