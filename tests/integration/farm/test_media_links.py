"""What signed links allow, over real HTTP: one input, one attempt's output, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import httpx2
import pytest

from reelmill.bus.words import LINKS, LinksWanted
from reelmill.domain.attempt import AttemptKey, MediaLinks
from reelmill.master import media_desk
from reelmill.media.publish import attempt_folder
from reelmill.worker.media_master import below
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest, claim_as_dead_worker, settle_as_dead_worker

FILM = bytes(range(256)) * 40
DIGEST = hashlib.sha256(FILM).hexdigest()


@pytest.fixture
async def farm(make_farm: FarmMaker) -> FarmUnderTest:
    """A farm without a worker, with an input."""
    farm = make_farm()
    (farm.media / "in.mp4").write_bytes(FILM)
    (farm.media / "secret.mp4").write_bytes(b"not for this job")
    await farm.start_master()
    return farm


@pytest.fixture
async def links(farm: FarmUnderTest) -> MediaLinks:
    """Of an attempt at a job with that input."""
    await farm.submit(input="in.mp4", output="out/a.mp4")
    return await links_of(farm, await claim_as_dead_worker(farm))


async def links_of(farm: FarmUnderTest, key: AttemptKey, node: str = "dead") -> MediaLinks:
    answer = await LINKS.ask(farm.bus, LinksWanted(node, key), 5)
    assert answer is not None
    [found] = answer
    return found


async def read(farm: FarmUnderTest, link: str | None, **headers: str) -> httpx2.Response:
    assert link is not None
    return await farm.http.get(link, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("", 200, 0, len(FILM)),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=100-", 206, 100, len(FILM)),
        ("bytes=100-199", 206, 100, 200),
        ("bytes=10000-999999", 206, 10000, len(FILM)),
        ("bytes=-5", 206, len(FILM) - 5, len(FILM)),
        ("bytes=0-1,5-6", 200, 0, len(FILM)),
        ("bytes=9-3", 200, 0, len(FILM)),
        ("lines=1-2", 200, 0, len(FILM)),
    ],
)
async def test_an_input_is_read_whole_or_in_part(
    farm: FarmUnderTest, links: MediaLinks, asked: str, status: int, start: int, end: int
) -> None:
    """As RFC 9110 says; what is no single range of bytes gets everything."""
    answer = await read(farm, links.input, Range=asked)
    assert (status, FILM[start:end]) == (answer.status_code, answer.content)
    if status == 206:
        assert f"bytes {start}-{end - 1}/{len(FILM)}" == answer.headers["Content-Range"]


async def test_a_range_beyond_the_input_is_refused(farm: FarmUnderTest, links: MediaLinks) -> None:
    answer = await read(farm, links.input, Range=f"bytes={len(FILM)}-")
    assert (416, f"bytes */{len(FILM)}") == (answer.status_code, answer.headers["Content-Range"])


async def test_an_input_tells_its_hash_and_its_version(farm: FarmUnderTest, links: MediaLinks) -> None:
    """A part of a version that is no more is answered with all of the new one."""
    answer = await read(farm, links.input, Range="bytes=0-0", Want_Repr_Digest="sha-256=1")
    expected = base64.b64encode(bytes.fromhex(DIGEST)).decode()
    assert f"sha-256=:{expected}:" == answer.headers["Repr-Digest"]
    old = answer.headers["ETag"]
    (farm.media / "in.mp4").write_bytes(b"another film")
    answer = await read(farm, links.input, Range="bytes=5-", If_Range=old)
    assert (200, b"another film") == (answer.status_code, answer.content)
    assert old != answer.headers["ETag"]


async def test_a_link_that_was_changed_in_any_part_is_refused(farm: FarmUnderTest, links: MediaLinks) -> None:
    """Another path, another attempt, a later end, another signature, or none."""
    assert links.input is not None
    url = httpx2.URL(links.input)
    changes = {
        "path": ["secret.mp4", "../farm.db", "/etc/passwd", "in.mp4\nx"],
        "attempt": ["another-job.1"],
        "expires": [str(int(url.params["expires"]) + 1)],
        "signature": ["0" * 64, "", "ü"],
    }
    for name, values in changes.items():
        for value in values:
            answer = await farm.http.get(url.copy_set_param(name, value))
            assert (403, "forbidden") == (answer.status_code, answer.json()["code"]), (name, value)
    assert 400 <= (await farm.http.get("/media/input?path=in.mp4")).status_code < 500


async def test_a_link_that_has_expired_is_refused(farm: FarmUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With words that say so."""
    monkeypatch.setattr(media_desk, "LINK_SECONDS", -5)
    await farm.submit(input="in.mp4", output="out/a.mp4")
    links = await links_of(farm, await claim_as_dead_worker(farm))
    for answer in (await read(farm, links.input), await farm.http.post(below(links.attempt, "begin"))):
        assert 403 == answer.status_code
        assert "expired" in answer.json()["detail"]


async def test_a_link_for_reading_does_not_write_and_one_attempts_link_is_not_anothers(
    farm: FarmUnderTest, links: MediaLinks
) -> None:
    """Neither by its signature below another path, nor by its attempt."""
    await farm.submit(output="out/b.mp4")
    other = await links_of(farm, await claim_as_dead_worker(farm))
    assert links.input is not None
    read_query = links.input.partition("?")[2]
    ours, query = other.attempt.partition("?")[0], links.attempt.partition("?")[2]
    for wrong in (f"{ours}/begin?{query}", f"{ours}/publish?{query}", f"{ours}/begin?{read_query}"):
        assert 403 == (await farm.http.post(wrong)).status_code
    assert [] == farm.attempt_folders()


async def test_links_are_given_to_the_node_that_holds_the_attempt_only(farm: FarmUnderTest) -> None:
    """And not when the attempt does not count any more."""
    await farm.submit(output="out/a.mp4")
    key = await claim_as_dead_worker(farm)
    for wanted in (LinksWanted("other", key), LinksWanted("dead", AttemptKey(key.job_id, 2)), LinksWanted("dead", key)):
        answer = await LINKS.ask(farm.bus, wanted, 5)
        assert (wanted == LinksWanted("dead", key)) == bool(answer)
    (await farm.http.post(f"/jobs/{key.job_id}/cancel")).raise_for_status()
    assert [] == await LINKS.ask(farm.bus, LinksWanted("dead", key), 5)


async def test_a_link_that_leads_out_of_the_media_folder_reads_nothing(farm: FarmUnderTest, tmp_path: Path) -> None:
    """Also when a symbolic link was put there after the job was taken."""
    await farm.submit(input="in.mp4", output="out/a.mp4")
    links = await links_of(farm, await claim_as_dead_worker(farm))
    (tmp_path / "outside.mp4").write_bytes(b"secret")
    (farm.media / "in.mp4").unlink()
    (farm.media / "in.mp4").symlink_to(tmp_path / "outside.mp4")
    answer = await read(farm, links.input)
    assert (422, "input_outside_root") == (answer.status_code, answer.json()["code"])
    (farm.media / "in.mp4").unlink()
    answer = await read(farm, links.input)
    assert (404, "input_error") == (answer.status_code, answer.json()["failure"]["reason"])


async def send(farm: FarmUnderTest, links: MediaLinks, offset: int, piece: bytes) -> tuple[int, str | None]:
    headers = {"Upload-Offset": str(offset)}
    answer = await farm.http.patch(below(links.attempt, "output"), content=piece, headers=headers)
    return answer.status_code, answer.headers.get("Upload-Offset")


async def complete(farm: FarmUnderTest, links: MediaLinks, sha256: str = DIGEST) -> str:
    """ "" when all is well, else the code."""
    said = {"container": "mp4", "size": len(FILM), "sha256": sha256}
    answer = await farm.http.post(below(links.attempt, "complete"), json=said)
    return "" if answer.is_success else answer.json()["code"]


async def test_an_output_comes_in_pieces_and_is_checked(farm: FarmUnderTest, links: MediaLinks) -> None:
    """A piece in the wrong place is told the right one; bytes that are others are thrown away."""
    assert (409, "0") == await send(farm, links, 5, b"x")
    assert 409 == (await send(farm, links, 0, b"x"))[0], "it was not begun"
    assert 204 == (await farm.http.post(below(links.attempt, "begin"))).status_code
    assert (204, "100") == await send(farm, links, 0, FILM[:100])
    assert (409, "100") == await send(farm, links, 0, FILM[:100])
    head = await farm.http.head(below(links.attempt, "output"))
    assert (204, "100") == (head.status_code, head.headers["Upload-Offset"])
    assert "incomplete" == await complete(farm, links)
    assert (204, str(len(FILM))) == await send(farm, links, 100, b"?" * (len(FILM) - 100))
    assert "corrupted" == await complete(farm, links)
    assert (204, str(len(FILM))) == await send(farm, links, 0, FILM)
    assert ["", ""] == [await complete(farm, links), await complete(farm, links)]
    folder = attempt_folder(farm.media, links.key)
    assert {"output.mp4": FILM} == {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_piece_may_be_larger_than_other_bodies(farm: FarmUnderTest, links: MediaLinks) -> None:
    """Workers send eight mebibytes at a time, more than the API takes elsewhere."""
    await farm.http.post(below(links.attempt, "begin"))
    assert (204, str(8 << 20)) == await send(farm, links, 0, bytes(8 << 20))


async def test_nothing_is_published_before_the_store_says_so(farm: FarmUnderTest, links: MediaLinks) -> None:
    """Then it is, at the place and with the hash that the store knows; and again changes nothing."""
    await farm.http.post(below(links.attempt, "begin"))
    await send(farm, links, 0, FILM)
    await complete(farm, links)
    assert 409 == (await farm.http.post(below(links.attempt, "publish"))).status_code
    assert not (farm.media / "out").exists()
    await settle_as_dead_worker(farm, links.key, "out/a.mp4", DIGEST, len(FILM))
    for _ in range(2):
        assert 204 == (await farm.http.post(below(links.attempt, "publish"))).status_code
    assert FILM == (farm.media / "out" / "a.mp4").read_bytes()
    assert [] == farm.attempt_folders()


async def test_an_output_whose_place_is_taken_is_refused_before_the_work(
    farm: FarmUnderTest, links: MediaLinks
) -> None:
    """As with a shared folder."""
    (farm.media / "out").mkdir()
    (farm.media / "out" / "a.mp4").write_bytes(b"there")
    answer = await farm.http.post(below(links.attempt, "begin"))
    assert (409, "output_exists", "user_error") == (
        answer.status_code,
        answer.json()["code"],
        answer.json()["failure"]["reason"],
    )
