"""What `jobs watch` says of a job that sends a stream."""

from __future__ import annotations

from typing import Any

import pytest

from reelmill.cli import job_watch


def progress(state: str | None, **stream: Any) -> dict[str, Any]:
    figures = None if state is None else {"state": state, **stream}
    return {"sequence_number": 7, "progress": 10.0, "fps": 30.0, "speed": 1.0, "eta": None, "stream": figures}


def test_a_stream_that_is_lost_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Of figures there is a line now and then; of each state, the moment it comes."""
    lines = job_watch._Lines()  # pyright: ignore[reportPrivateUsage]
    for state in ("sending", "sending", "reconnecting", "sending"):
        lines.show("progress", progress(state, dropped=30))
    told = [line.split("30 fps, 1x, ")[1] for line in capsys.readouterr().out.splitlines()]
    assert ["sending", "reconnecting", "sending"] == [line.split(",")[0] for line in told]
    assert "sending, 30 frames dropped" == told[0]


def test_a_job_without_a_stream_is_told_of_as_before() -> None:
    """Also by a master that knows of no streams."""
    assert "30 fps, 1x" == job_watch.describe_pace(progress(None))
    old = progress(None)
    del old["stream"]
    assert "30 fps, 1x" == job_watch.describe_pace(old)
