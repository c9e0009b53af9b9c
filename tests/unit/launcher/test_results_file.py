"""The results file is whole or not there, in the order of submission."""

from __future__ import annotations

import csv
import errno
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelmill.domain.request import RequestedParameters
from reelmill.errors import InvalidField, ReelmillError
from reelmill.launcher.results import COLUMNS, JobEntry, check_output, write_results


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
    assert count == write_results(tmp_path / "r.json", map(entry, range(count)))
    assert list(range(count)) == [found["index"] for found in json.loads((tmp_path / "r.json").read_text())]
    assert ["r.json"] == [path.name for path in tmp_path.iterdir()]


def test_ndjson_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    """The suffix decides; parameters are columns of their own where there are columns."""
    wanted = [entry(0), msgspec.structs.replace(entry(1), error='a "quoted", odd\nreason', error_code="invalid_field")]
    for suffix in ("ndjson", "csv", "parquet"):
        write_results(tmp_path / f"r.{suffix}", wanted)
    lines = (tmp_path / "r.ndjson").read_text().splitlines()
    assert wanted == [msgspec.json.decode(line, type=JobEntry) for line in lines]
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [("0", "480p30-h264", "1.0", ""), ("1", "480p30-h264", "1.0", 'a "quoted", odd\nreason')] == [
        (row["index"], row["scenario"], row["duration"], row["error"]) for row in rows
    ]
    parquet: Any = import_module("pyarrow.parquet")
    columns: dict[str, list[object]] = parquet.read_table(tmp_path / "r.parquet").to_pydict()
    assert COLUMNS == list(columns) == list(rows[0])
    assert [[0, 1], [1.0, 1.0], [None, wanted[1].error]] == [columns[name] for name in ("index", "duration", "error")]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """Nobody ever reads half a file; results that fail leave no trace."""

    def fail() -> Iterator[JobEntry]:
        yield entry(0)
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "r.json"
    path.write_text("old")
    with pytest.raises(ReelmillError, match="No space left on device"):
        write_results(path, fail())
    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_link_is_followed_and_a_device_is_not_replaced(tmp_path: Path) -> None:
    """`--output /dev/null` must not turn the device into a file."""
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_results(tmp_path / "link.json", [])
    assert "[]\n" == (tmp_path / "real.json").read_text()
    assert (tmp_path / "link.json").is_symlink()
    assert not check_output(Path("/dev/null"))
    write_results(Path("/dev/null"), [entry(0)])
    assert Path("/dev/null").is_char_device()


def test_only_results_make_way_for_results(tmp_path: Path) -> None:
    """A film or a manifest whose name was typed in the wrong place is not overwritten; its permissions are kept."""
    for name, content in (("film", b"\0\0\0\x20ftyp"), ("jobs.csv", b"scenario,input\n"), ("r.json", b'{"a": 1}')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidField, match="holds no results"):
            check_output(tmp_path / name)
    for name in ("r.json", "r.ndjson", "r.csv", "r.parquet"):
        (tmp_path / name).unlink(missing_ok=True)
        for _ in range(2):
            check_output(tmp_path / name)
            write_results(tmp_path / name, [entry(0)])
            (tmp_path / name).chmod(0o640)
        check_output(tmp_path / name)
        write_results(tmp_path / name, [entry(0)])
        assert 0o640 == (tmp_path / name).stat().st_mode & 0o777


@pytest.mark.parametrize("name", ["results.xyz", "results.json.gz", "jobs.xlsx"])
def test_an_unknown_suffix_is_told_with_those_that_exist(tmp_path: Path, name: str) -> None:
    """Nobody gets JSON who asked for something else."""
    with pytest.raises(InvalidField, match=r"none of \.json, \.ndjson, \.jsonl, \.csv, \.parquet; without a suffix"):
        check_output(tmp_path / name)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["results", "results.JSON", ".results", "-"])
def test_json_is_what_no_suffix_means(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, name: str
) -> None:
    """Also for standard output."""
    monkeypatch.chdir(tmp_path)
    check_output(Path(name))
    write_results(Path(name), [entry(0)])
    written = capfdbinary.readouterr().out if name == "-" else Path(name).read_bytes()
    assert [0] == [found["index"] for found in json.loads(written)]


def test_a_place_that_cannot_be_written_is_found_at_once(tmp_path: Path) -> None:
    """Before the first job is sent, with the option's name; looking leaves nothing behind."""
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "no" / "r.json", tmp_path / "file" / "r.json", Path("/proc/r.json")):
        with pytest.raises(InvalidField, match="--output"):
            check_output(path)
    assert check_output(tmp_path / "new.json")
    assert [tmp_path / "file"] == list(tmp_path.iterdir())
