"""Chunks by name: their ids, their files, and what a request may ask of them."""

from __future__ import annotations

import msgspec
import pytest

from reelmill.domain.capability import Needs
from reelmill.domain.chunk import Chunk, ChunkPlan, chunk_id, chunk_path, parent_of, plan_folder, read_plan_folder
from reelmill.domain.chunk_request import Chunking
from reelmill.domain.media_path import check_media_path, is_chunk_path
from reelmill.domain.request import JobRequest, accept
from reelmill.errors import InvalidField

PARENT = "0190a000-0000-7000-8000-000000000001"


def test_an_id_tells_the_parent() -> None:
    """And no other id does."""
    assert PARENT == parent_of(chunk_id(PARENT, 2, 17))
    assert parent_of(PARENT) is None


def test_a_folder_tells_whose_chunks_it_holds() -> None:
    """What is not named like one is nobody's."""
    assert (PARENT, 2) == read_plan_folder(plan_folder(PARENT, 2))
    assert read_plan_folder("lost+found") is None


def test_only_the_files_of_chunks_may_lie_in_our_own_folder() -> None:
    """And no request can name them."""
    path = chunk_path(PARENT, 1, 3)
    assert is_chunk_path(path)
    for wrong in (
        ".reelmill/attempts/a.1/output.mp4",
        f"{path}/../../x.mp4",
        "a/.reelmill/chunks/a-1/0.mp4",
        f"{path}\n",
    ):
        assert not is_chunk_path(wrong)
    with pytest.raises(InvalidField, match="own folder"):
        check_media_path("parameters.input", path)


def test_shares_are_by_length() -> None:
    short = Chunk(index=0, start=0, end=300, seek=0.0, seconds=10.0)
    long = Chunk(index=1, start=300, end=None, seek=10.0, seconds=30.0)
    assert 0.25 == ChunkPlan(1, (short, long)).share(short)


def asked(scenario: str = "720p30-h264", engine: str = "auto", **parameters: object) -> JobRequest:
    return msgspec.convert({"scenario": scenario, "engine": engine, "parameters": parameters}, JobRequest)


def test_a_job_in_chunks_goes_to_workers_that_know_of_them() -> None:
    """Always with ffmpeg; a worker of an older version would encode the whole input for each chunk."""
    job = accept(asked(input="a.mp4", chunk="1m"), PARENT)
    assert (60.0, "ffmpeg") == (job.parameters.chunk, job.engine)
    assert Needs("ffmpeg", "h264+options", 2) == job.needs


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (asked(chunk=60), "needs an input"),
        (asked(input="a.mp4", chunk=0.5), "out of range"),
        (asked(input="a.mp4", chunk="soon"), "not a duration"),
        (asked(engine="gstreamer", input="a.mp4", chunk=60), "ffmpeg"),
    ],
)
def test_what_cannot_be_cut_is_refused(request_: JobRequest, said: str) -> None:
    """By the name of the field."""
    with pytest.raises(InvalidField, match=said) as caught:
        accept(request_, PARENT)
    assert "parameters.chunk" == caught.value.field


def test_a_farm_that_cuts_long_inputs_leaves_ladders_whole() -> None:
    """They are folders, and nobody asked for chunks."""
    job = accept(asked("ladder-hls", input="a.mp4"), PARENT, chunking=Chunking(60.0, 1800.0))
    assert (None, None) == (job.parameters.chunk, job.parameters.chunk_above)


def test_a_farm_may_cut_long_inputs_by_itself() -> None:
    """Those that can be cut and say nothing else; the length is known to the worker only."""
    usual = Chunking(60.0, 1800.0)
    plain = accept(asked(input="a.mp4"), PARENT, chunking=usual)
    assert (60.0, 1800.0, "ffmpeg") == (plain.parameters.chunk, plain.parameters.chunk_above, plain.engine)
    own = accept(asked(input="a.mp4", chunk=30), PARENT, chunking=usual)
    assert (30.0, None) == (own.parameters.chunk, own.parameters.chunk_above)
    for not_cut in (asked(), asked(engine="gstreamer", input="a.mp4")):
        assert accept(not_cut, PARENT, chunking=usual).parameters.chunk is None
