"""What is made of a join that failed, and what pieces and joins are held to."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelmill.domain.chunk import Chunk
from reelmill.media import input_failure
from reelmill.worker.chunks import blame_pieces, verify_join, verify_piece
from reelmill.worker.engines.engine import Joining
from reelmill.worker.media_info import MediaInfo
from tests.unit.worker.conftest import PlanFor


def test_a_piece_that_went_during_the_join_is_to_blame(plan_for: PlanFor, tmp_path: Path) -> None:
    """The engine only says that some input is not there; the job's own input is."""
    piece = tmp_path / "kept.mp4"
    piece.touch()
    (tmp_path / "0.mp4").symlink_to(piece)
    (tmp_path / "output.mp4").touch()
    joining = Joining(listing=tmp_path / "pieces.ffconcat", frames=1, begins=0.0)
    plan = msgspec.structs.replace(plan_for(), joining=joining)

    assert input_failure.MISSING == blame_pieces(plan, input_failure.MISSING)
    piece.unlink()
    assert "chunk_lost" == blame_pieces(plan, input_failure.MISSING).code
    assert input_failure.MISSING == blame_pieces(plan_for(), input_failure.MISSING)


def test_a_piece_has_the_frames_that_were_planned(source: MediaInfo, plan_for: PlanFor) -> None:
    """Not one less, not one more."""
    piece = Chunk(index=1, start=60, end=120, seek=2.0, seconds=2.0)
    plan = msgspec.structs.replace(plan_for(), piece=piece)
    codes = [verify_piece(plan, msgspec.structs.replace(source, frames=frames)) for frames in (59, 60, 61)]
    assert ["chunk_inexact", None, "chunk_inexact"] == [failure and failure.code for failure in codes]


def test_a_join_has_the_frames_of_its_pieces(source: MediaInfo, plan_for: PlanFor, tmp_path: Path) -> None:
    """Not one less, not one more."""
    plan = plan_for()
    joining = Joining(listing=tmp_path / "pieces.ffconcat", frames=60, begins=0.0)
    plan = msgspec.structs.replace(plan, joining=joining)
    joined = msgspec.structs.replace(source, unevenness=0.0, video_duration=60 / plan.fps)
    codes = [verify_join(plan, msgspec.structs.replace(joined, frames=frames)) for frames in (59, 60, 61)]
    assert ["join_inexact", None, "join_inexact"] == [failure and failure.code for failure in codes]
