"""The results file is whole or not there, in the order of submission."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reelmill.domain.request import RequestedParameters
from reelmill.errors import InvalidField
from reelmill.launcher.results import JobEntry, ResultsFile


def entry(index: int) -> JobEntry:
    return JobEntry(
        index=index,
        status="queued",
        launch_id="l",
        scenario="480p30-h264",
        engine="auto",
        queue="live",
        priority="low",
        parameters=RequestedParameters(duration=1.0),
        idempotency_key=f"l:{index}",
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_file_is_a_json_array_in_order(tmp_path: Path, count: int) -> None:
    """`jq '. | length'` is right, for no jobs too."""
    results = ResultsFile(tmp_path / "r.json")
    for index in range(count):
        results.add(entry(index))
    results.commit()
    assert list(range(count)) == [found["index"] for found in json.loads((tmp_path / "r.json").read_text())]
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """Nobody ever reads half a file; dropped results leave no trace."""
    path = tmp_path / "r.json"
    path.write_text("old")
    results = ResultsFile(path)
    results.add(entry(0))
    assert path.read_text() == "old"
    results.discard()
    assert path.read_text() == "old"
    assert [path] == list(tmp_path.iterdir())


def test_a_link_is_followed_and_a_device_is_not_replaced(tmp_path: Path) -> None:
    """`--output /dev/null` must not turn the device into a file."""
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    linked = ResultsFile(tmp_path / "link.json")
    linked.commit()
    assert (tmp_path / "real.json").read_text() == "[]\n"
    assert (tmp_path / "link.json").is_symlink()
    device = ResultsFile(Path("/dev/null"))
    device.add(entry(0))
    device.commit()
    assert Path("/dev/null").is_char_device()


def test_a_place_that_cannot_be_written_is_found_at_once(tmp_path: Path) -> None:
    """Before the first job is sent, with the option's name."""
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "no" / "r.json", tmp_path / "file" / "r.json", Path("/proc/r.json")):
        with pytest.raises(InvalidField, match="--output"):
            ResultsFile(path)
