"""What is made of a join that failed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelmill.media import input_failure
from reelmill.worker.chunks import blame_pieces
from reelmill.worker.engines.engine import Joining
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
