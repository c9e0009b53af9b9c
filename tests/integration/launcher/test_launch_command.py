"""`reelmill launch` as a process of its own: no master, no terminal, a narrow terminal, Ctrl-C."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import sys
import termios
from pathlib import Path

from reelmill.domain.scenario import use_scenarios
from tests.integration.launcher.conftest import Farm, running_farm

Process = asyncio.subprocess.Process


def environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REELMILL_", "MASTER_", "NO_", "COLUMNS"))
    }
    return kept | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "TERM": "xterm"}


async def start(
    folder: Path, *argv: str, stderr: int = asyncio.subprocess.PIPE, extra: dict[str, str] | None = None
) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reelmill.cli", "launch", *argv),
        cwd=folder,
        env=environment(folder) | (extra or {}),
        stdin=asyncio.subprocess.DEVNULL,  # a terminal there would lend its width
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def test_no_master_is_one_line_and_exit_1(tmp_path: Path) -> None:
    """Nothing answers: the line says how to start a farm; the address may come from the environment."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for argv, extra in ((["--master", url], {}), ([], {"MASTER_URL": url}), ([], {"REELMILL_MASTER": url})):
            process = await start(tmp_path, *argv, extra=extra)
            out, err = await process.communicate()
            advice = "start a farm with `reelmill up`, or name another with --master"
            assert (process.returncode, out) == (1, b"")
            assert err.decode() == f"error: nothing answers at {url}; {advice}\n"
    assert list(tmp_path.iterdir()) == []


async def test_a_dry_run_ends_as_the_launch_would_where_the_farm_does_not_know_the_scenario(
    farm: Farm, tmp_path: Path
) -> None:
    """One that only the files here define: the master is asked, and refuses."""
    (tmp_path / "reelmill.toml").write_text('[scenarios.mine]\nextends = "480p30-h264"\n')
    for argv in (["--dry-run"], []):
        process = await start(tmp_path, "--master", farm.url, "--scenario", "mine", "--count", "2", *argv)
        said = b"".join(await process.communicate()).decode()
        assert (3, True) == (process.returncode, "unknown scenario 'mine'" in said), said


async def test_a_name_that_nobody_has_is_not_a_farm_that_is_down(tmp_path: Path) -> None:
    """To start a farm would not help."""
    process = await start(tmp_path, "--master", "http://nobody.invalid:8080")
    _, err = await process.communicate()
    said = "no address is known for 'nobody.invalid'; check the name in --master http://nobody.invalid:8080"
    assert (1, f"error: {said}\n") == (process.returncode, err.decode())


async def test_a_scenario_that_only_the_farm_knows_is_asked_for_there(tmp_path: Path) -> None:
    """No file here has it; the farm's own settings do. One that nobody knows is an error with exit 2."""
    async with running_farm(tmp_path, scenarios={"mine": {"extends": "720p30-h264", "fps": 24}}) as farm:
        process = await start(tmp_path, "--count", "3", "--master", farm.url, "--scenario", "mine")
        out, err = await process.communicate()
        assert process.returncode == 0, err
        assert ["mine"] * 3 == [job.scenario for job in await farm.jobs()]
        process = await start(tmp_path, "--count", "3", "--master", farm.url, "--scenario", "yours")
        out, err = await process.communicate()
        assert (2, b"", True) == (process.returncode, out, b"unknown scenario 'yours'" in err)
    use_scenarios({})


async def test_without_a_terminal_words_go_to_stderr_as_plain_lines(farm: Farm, tmp_path: Path) -> None:
    """No escape codes anywhere; the summary on stdout; the results where they were promised."""
    process = await start(tmp_path, "--count", "120", "--master", farm.url, "--delay", "0")
    out, err = await process.communicate()
    assert process.returncode == 0
    assert b"\x1b" not in out + err
    assert re.search(rb"accepted +120", out)
    assert b"scenario" in err
    assert len(json.loads((tmp_path / "job_launch_results.json").read_text())) == len(await farm.jobs()) == 120


async def test_on_40_columns_every_line_of_the_bar_fits(farm: Farm, tmp_path: Path) -> None:
    """A real, narrow terminal shows the bar with its count, and nothing of it wraps."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    process = await start(tmp_path, "--count", "400", "--master", farm.url, stderr=theirs, extra={"NO_COLOR": "1"})
    os.close(theirs)
    reading = asyncio.create_task(asyncio.to_thread(read_all, ours))
    await process.communicate()
    shown = await reading
    os.close(ours)
    assert process.returncode == 0
    assert not re.search(r"\x1b\[[0-9;]*3\d", shown), "NO_COLOR is respected"
    bars = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", shown) if "/400" in line]
    assert bars, shown
    assert max(len(line) for line in bars) <= 40, bars


def read_all(descriptor: int) -> str:
    data = b""
    try:
        while some := os.read(descriptor, 4096):
            data += some
    except OSError:  # the other end was closed
        pass
    return data.decode()


async def test_ctrl_c_leaves_valid_results_and_says_how_to_cancel(farm: Farm, tmp_path: Path) -> None:
    """SIGINT in mid-launch: exit 130, as many entries as jobs, and the command that cancels them."""
    process = await start(tmp_path, "--count", "100k", "--master", farm.url)
    async with asyncio.timeout(20):
        while len(await farm.jobs()) < 100:
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == 130
    found = json.loads((tmp_path / "job_launch_results.json").read_text())
    assert [job.id for job in await farm.jobs()] == [one["id"] for one in found]
    assert f"{len(found):,} of 100,000 jobs were submitted".encode() in err
    assert b"reelmill jobs cancel --launch " in err
    assert f"accepted   {len(found):,}".encode() in out


async def test_a_second_ctrl_c_stops_at_once(farm: Farm, tmp_path: Path) -> None:
    """Also when the master hangs: exit 130, and how to go on."""
    hung = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            body = b'{"status":"healthy","reasons":[],"version":"1","media_root":"/m","nodes_online":1,"jobs":{}}'
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        else:
            hung.set()
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with asyncio.timeout(20):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        process = await start(tmp_path, "--count", "10", "--master", url)
        await hung.wait()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while b"Ctrl-C again" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    server.close()
    assert 130 == process.returncode
    assert b"still to be sent: 10 jobs; go on with: reelmill launch --resume --output job_launch_results.json" in said
    assert ["job_launch_results.json.ledger"] == [path.name for path in tmp_path.iterdir()]
