"""Streams by RTMPS: to and from a real server behind TLS, whose certificate is looked at."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from reelmill.bus.pinned import keep_certificate
from tests.rtmp_server import RtmpServer, publisher, rtmp_server, tls_in_front_of

from .conftest import FarmMaker, FarmUnderTest

NAME = "localhost"


@pytest.fixture
def server(tmp_path: Path) -> Generator[RtmpServer]:
    with rtmp_server(tmp_path) as one:
        yield one


@pytest.fixture(params=[NAME])
async def front(request: pytest.FixtureRequest, tmp_path: Path, server: RtmpServer) -> AsyncGenerator[str]:
    """The URL of the server by TLS, with a certificate for that name, which is in a file of its own."""
    (tmp_path / "tls").mkdir()
    certificate = keep_certificate(tmp_path / "tls", request.param)
    async with tls_in_front_of(server, certificate) as port:
        yield f"rtmps://localhost:{port}/live"


@pytest.fixture
async def farm(make_farm: FarmMaker) -> FarmUnderTest:
    """A farm whose worker waits four seconds for a source or a server."""
    farm = make_farm(max_failures=1)
    farm.worker = farm.new_worker(hang_seconds=4.0)
    await farm.start_master()
    await farm.worker.start()
    return farm


def sent_to(url: str) -> dict[str, Any]:
    return {"output_mode": "rtmp", "rtmp_url": url, "bitrate": "1M"}


async def test_a_stream_comes_and_goes_by_tls(
    farm: FarmUnderTest, front: str, server: RtmpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a server and to one whose authority the worker's machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "bus.crt"))
    with publisher(server.url("in")):
        sent = await farm.ended(await farm.submit(input=f"{front}/in", duration=3, **sent_to(f"{front}/out")))
    assert ("completed", None) == (sent["status"], sent["error"])
    assert 60 < sent["result"]["frames"] < 120
    assert 1 == len(server.recordings("out"))


@pytest.mark.parametrize("front", [NAME, "elsewhere"], indirect=True)
async def test_a_server_that_cannot_prove_its_name_is_told_no_key(
    farm: FarmUnderTest,
    front: str,
    server: RtmpServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Its certificate is from nobody who is trusted, or for another name; the error says so."""
    if "elsewhere" in request.node.callspec.id:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "bus.crt"))
    with publisher(server.url("in")):
        read = await farm.submit(input=f"{front}/in", duration=3, output="a.mp4")
        sent = await farm.submit(duration=3, **sent_to(f"{front}/out"))
        ended = [await farm.ended(job) for job in (read, sent)]
    assert ["stream_source_missing", "stream_server_unreachable"] == [job["error_code"] for job in ended]
    assert [True, True] == ["certificate verify failed" in job["error"] for job in ended]
    assert [] == server.recordings("out")
