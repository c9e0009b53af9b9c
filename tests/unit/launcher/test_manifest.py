"""Manifests: every row is checked with its line before anything is sent, and what was checked is what is launched."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelmill.errors import InvalidField, ReelmillError
from reelmill.launcher.options import needs_spool, read_plan
from reelmill.launcher.payload import JobPayload
from reelmill.launcher.plan import LaunchPlan, plan_jobs, total_plan


def plan_of(folder: Path, content: str | bytes, name: str = "jobs.csv", **options: Any) -> LaunchPlan:
    """The plan of a manifest; the spool is beside it."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_plan(manifest=str(path), spool=folder / "spool", seed=1, **options)


def jobs_of(folder: Path, content: str | bytes, name: str = "jobs.csv", **options: Any) -> list[JobPayload]:
    return list(plan_jobs(plan_of(folder, content, name, **options)))


CSV = (
    "scenario,input,duration,bitrate,queue,label.team,node_label.gpu,output,overwrite,timeout,tenant\r\n"
    '720p30-h264,"a, ""b""\r.mov",00:01:30,3M,live,news,yes,out/a.mp4,yes,5m,studio\r\n'
    "\r\n"
    "480p30-h264,,12,,,,,,,,\r\n"
)
NDJSON = (
    '{"scenario": "720p30-h264", "parameters": {"input": "a.mov", "duration": 90}, "labels": {"team": "news"}}\n\n'
    '{"scenario": "480p30-h264", "duration": "12s", "queue": null, "label.team": "x"}'
)


def test_each_row_is_a_job(tmp_path: Path) -> None:
    """CSV as spreadsheets write it: quotes, CRLF, empty cells and lines; what a row leaves open is drawn as ever."""
    text = CSV.replace("\r.mov", ".mov")
    first, second = jobs_of(tmp_path, text)
    assert ("720p30-h264", "live", "studio") == (first.scenario, first.queue, first.tenant)
    assert ({"team": "news"}, {"gpu": "yes"}) == (first.labels, first.node_labels)
    asked = first.parameters
    assert ('a, "b".mov', 90, 3_000_000, "out/a.mp4") == (asked.input, asked.duration, asked.bitrate, asked.output)
    assert (True, 300) == (asked.overwrite, asked.timeout)
    assert ("480p30-h264", 12, None) == (second.scenario, second.parameters.duration, second.parameters.input)
    assert isinstance(second.parameters.bitrate, int)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfscenario,duration\n480p30-h264,5\n",
        b"scenario;duration\n480p30-h264;5",
        b"scenario\tduration\r\n480p30-h264\t5\r\n",
        b"scenario, duration ,\n480p30-h264, 5,\n",
    ],
    ids=["bom", "semicolons", "tabs", "trailing commas"],
)
def test_tables_of_spreadsheets_are_read(tmp_path: Path, content: bytes) -> None:
    """A byte order mark, other delimiters, spaces and empty columns change nothing."""
    [job] = jobs_of(tmp_path, content)
    assert ("480p30-h264", 5) == (job.scenario, job.parameters.duration)


@pytest.mark.parametrize("name", ["jobs.ndjson", "jobs.jsonl", "jobs.json"])
def test_rows_of_json_are_job_requests(tmp_path: Path, name: str) -> None:
    """Parameters nested or flat, labels as an object or by name; null is as if it was not there."""
    text = NDJSON if name != "jobs.json" else "[" + NDJSON.replace("\n\n", ",\n") + "]\n"
    first, second = jobs_of(tmp_path, text, name)
    assert ("a.mov", 90, {"team": "news"}) == (first.parameters.input, first.parameters.duration, first.labels)
    assert (12, {"team": "x"}) == (second.parameters.duration, second.labels)


def test_an_array_longer_than_what_is_held_is_read_whole(tmp_path: Path) -> None:
    """Values that lie across the pieces in which a file is read are put together, in any script."""
    items = [{"scenario": "480p30-h264", "labels": {"ä": "n"}, "label.team": "é" * n} for n in range(1, 120)]
    for item in items:
        del item["labels"]
    content = b" [\n" + b" ,\n".join(msgspec.json.encode(item) for item in items * 12) + b"\n]  "
    assert len(content) > 1 << 17
    jobs = jobs_of(tmp_path, content, "jobs.json")
    assert [item["label.team"] for item in items * 12] == [job.labels["team"] for job in jobs]


@pytest.mark.parametrize(("content", "expected"), [(CSV, 2), (NDJSON, 2), ('[{"duration": 3}]', 1), ("\ufeff{}", 1)])
def test_standard_input_is_what_it_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int
) -> None:
    """An object, an array, or a table."""
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content.replace("\r.", ".").encode())))
    )
    plan = read_plan(manifest="-", spool=tmp_path / "spool")
    assert (expected, "stdin") == (plan.count, plan.manifest and plan.manifest.source)


@pytest.mark.parametrize(
    ("content", "name", "parts"),
    [
        ("scenario\n480p30-h264\n\n480p30-h246", "jobs.csv", ["jobs.csv:4: scenario: ", "did you mean '480p30-h264'"]),
        ("scenarioo\nx", "jobs.csv", ["jobs.csv:2: scenarioo: unknown column 'scenarioo'; did you mean 'scenario'?"]),
        ("duration,duration\n1,2", "jobs.csv", ["jobs.csv:1: the column 'duration' is there twice"]),
        ("duration\n-1", "jobs.csv", ["jobs.csv:2: duration: '-1' must not be negative"]),
        ("duration\n0", "jobs.csv", ["jobs.csv:2: duration: 0 is out of range"]),
        ("duration,queue\n1", "jobs.csv", ["jobs.csv:2: has 1 cells, and the first line names 2 columns"]),
        ("duration\n1,2", "jobs.csv", ["jobs.csv:2: has a value in a column that the first line does not name"]),
        ("duration,\n1,2", "jobs.csv", ["jobs.csv:2: has a value in a column"]),
        ('label.a\n"1\n2"\nx\n"y', "jobs.csv", ["jobs.csv:5: a quote is opened here and never closed"]),
        ("input\na.mov", "jobs.csv", ["jobs.csv:2: scenario: is needed with an input"]),
        ("input,scenario\n../a.mov,480p30-h264", "jobs.csv", ["jobs.csv:2: input: ", "without '..'"]),
        ("output\na.txt", "jobs.csv", ["jobs.csv:2: output: 'a.txt' must end in .mp4, .mkv, .webm or .ts"]),
        ("output\na.mp4\nb.mp4\na.mp4", "jobs.csv", ["jobs.csv:4: output: 'a.mp4' is that of ", "jobs.csv:2 too"]),
        ("overwrite\nmaybe", "jobs.csv", ["overwrite: 'maybe' must be true or false"]),
        ("bitrate,scenario\n5,480p30-h264", "jobs.csv", ["jobs.csv:2: bitrate: 5 is out of range"]),
        ("tenant\na b", "jobs.csv", ["tenant: 'a b' is not a tenant's name"]),
        ("", "jobs.csv", ["jobs.csv:1: is empty; the first line names the columns"]),
        ("scenario\n", "jobs.csv", ["has no jobs in it"]),
        ("", "jobs.ndjson", ["has no jobs in it"]),
        ("[]", "jobs.json", ["has no jobs in it"]),
        ("{}\n{,}\n[]\n", "jobs.ndjson", ["jobs.ndjson:2: is not JSON (", "jobs.ndjson:3: is not an object"]),
        ('{"a": 1, "a": 2}', "jobs.ndjson", ["jobs.ndjson:1: 'a' is there twice"]),
        ('{"duration": NaN}', "jobs.ndjson", ["NaN is not a number"]),
        ('{"duration": true}', "jobs.ndjson", ["duration: True is not a number"]),
        ('{"queue": "\\ud800"}', "jobs.ndjson", ["queue: '\\ud800' is not valid text"]),
        ('{"labels": 5}', "jobs.ndjson", ["labels: 5 is not an object"]),
        ('{"idempotency_key": "x"}', "jobs.ndjson", ["a launch gives each of its jobs a key of its own"]),
        ('{"duration": 3, "parameters": {"duration": 3}}', "jobs.ndjson", ["duration: is given twice"]),
        ("{}", "jobs.json", ["must be an array of objects; one object on each line is .ndjson"]),
        ("[{}\n\n{}]", "jobs.json", ["jobs.json:3: a comma or the end of the array is missing here"]),
        ("[{},\n", "jobs.json", ["jobs.json:2: is not JSON"]),
        ("[{}]\nx", "jobs.json", ["jobs.json:2: goes on behind the end of the array"]),
        ("[" * 100_000, "jobs.json", ["jobs.json:1: is nested too deeply"]),
        ("scenario\n".encode("utf-16"), "jobs.csv", ["jobs.csv:1: is UTF-16; save it as UTF-8"]),
        (b"label.a\n\xff", "jobs.csv", ["jobs.csv:2: is not UTF-8 (byte 1 of the line)"]),
        ("label.a\n" + "x" * 1_000_001, "jobs.csv", ["jobs.csv:2: is longer than 1,000,000 bytes"]),
        ("x", "jobs.txt", ["must end in .csv, .tsv, .ndjson, .jsonl, .json; - is standard input"]),
    ],
)  # fmt: skip
def test_a_mistake_names_the_line(tmp_path: Path, content: str | bytes, name: str, parts: list[str]) -> None:
    """One sentence with file, line and column; and no spool is left."""
    with pytest.raises(InvalidField) as caught:
        plan_of(tmp_path, content, name)
    assert "--from" == caught.value.field
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [name] == [path.name for path in tmp_path.iterdir()]


def test_equal_mistakes_are_told_once(tmp_path: Path) -> None:
    """A manifest with one wrong column is not a flood: each mistake with its first lines, and how many more have it."""
    rows = ["lvie,1", "batch,x"] * 2 + ["lvie,1"] * 1231
    with pytest.raises(InvalidField) as caught:
        plan_of(tmp_path, "queue,duration\n" + "\n".join(rows))
    queue, duration = str(caught.value).split("; " + str(tmp_path))
    assert queue.startswith(f"--from: {tmp_path}/jobs.csv:2, 4, 6 and 1,230 more: queue: unknown queue 'lvie'")
    assert duration.startswith("/jobs.csv:3, 5: duration: ")


def test_the_first_five_mistakes_are_told_and_how_many_others(tmp_path: Path) -> None:
    """A manifest in which every row has a mistake of its own is no flood either."""
    with pytest.raises(InvalidField) as caught:
        plan_of(tmp_path, "queue\n" + "\n".join(f"q{n}" for n in range(2, 1236)))
    assert [f"jobs.csv:{n}: " in str(caught.value) for n in range(1, 9)] == [n in range(2, 7) for n in range(1, 9)]
    assert str(caught.value).endswith("; and 1,229 other mistakes")


def test_the_plan_replays_what_was_checked(tmp_path: Path) -> None:
    """Whatever becomes of the manifest, the jobs are those that were read; also after the plan was written down."""
    plan = plan_of(tmp_path, CSV.replace("\r.", "."))
    jobs = list(plan_jobs(plan))
    (tmp_path / "jobs.csv").write_text("scenario\n4K60-h264\n")
    again = msgspec.json.decode(msgspec.json.encode(plan), type=LaunchPlan)
    assert plan == again
    assert jobs == list(plan_jobs(again))
    assert msgspec.json.encode(jobs) == msgspec.json.encode(list(plan_jobs(again)))


@pytest.mark.parametrize("damage", ["gone", "shorter", "other"])
def test_a_changed_spool_is_refused_before_the_first_job(tmp_path: Path, damage: str) -> None:
    """Nothing of it is launched again."""
    plan = plan_of(tmp_path, CSV.replace("\r.", "."))
    spool = tmp_path / "spool"
    content = spool.read_bytes()
    if damage == "gone":
        spool.unlink()
    else:
        spool.write_bytes(content[:-1] if damage == "shorter" else content.replace(b"live", b"liv3"))
    with pytest.raises(ReelmillError, match="start a new launch"):
        next(plan_jobs(plan))


def test_options_fill_what_rows_leave_open(tmp_path: Path) -> None:
    """And the totals, counted when the manifest was read, are exact."""
    rows = "scenario,duration\n,3\n480p30-h264,\n"
    plan = plan_of(tmp_path, rows, scenario="720p30-h264", duration="7", queue="live", node_labels=["gpu=yes"])
    first, second = plan_jobs(plan)
    assert ("720p30-h264", 3) == (first.scenario, first.parameters.duration)
    assert ("480p30-h264", 7) == (second.scenario, second.parameters.duration)
    totals = total_plan(plan)
    assert ({"live": 2}, 10.0, True) == (totals.queues, totals.media_seconds, totals.is_exact)
    assert [("720p30-h264", {"gpu": "yes"}), ("480p30-h264", {"gpu": "yes"})] == [
        (demand.scenario.name, demand.node_labels) for demand in plan.demands
    ]


def test_a_row_changes_only_its_own_job(tmp_path: Path) -> None:
    """What one row says moves no draw of another: the same seed gives the others the same."""
    one = jobs_of(tmp_path, "queue,label.n\nlive,1\n,2\n,3")
    two = jobs_of(tmp_path, "queue,label.n\n,1\n,2\n,3")
    assert one[1:] == two[1:]
    assert two[0] == msgspec.structs.replace(one[0], queue=two[0].queue)


@pytest.mark.parametrize(
    ("options", "place", "part"),
    [
        ({"count": "5"}, "--count", "--from makes one job for each row"),
        ({"source": "a.mov"}, "--from", "and --input both say what to transcode"),
        ({"skip_existing": True}, "--skip-existing", "not visible from this machine"),
        ({"output_name": "{stm}.mp4"}, "--to", "unknown field 'stm'; did you mean 'stem'?"),
        ({"output_name": "{stem}.avi"}, "--to", "must end in .mp4, .mkv, .webm or .ts"),
        ({"output_name": "{stem.mp4"}, "--to", "is not a template"),
        ({"output_name": "{stem:>9}.mp4"}, "--to", "only {n} takes a width"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, options: dict[str, Any], place: str, part: str
) -> None:
    """One sentence that names both."""
    with pytest.raises(InvalidField) as caught:
        plan_of(tmp_path, "queue\nlive", **options)
    assert place == caught.value.field
    assert part in str(caught.value)


def test_only_listed_jobs_need_a_spool() -> None:
    """A file and a synthetic load do not; a manifest, a pattern and named outputs do."""
    assert [False, False, True, True, True] == [
        needs_spool(manifest=None, source=None),
        needs_spool(manifest=None, source="a.mov"),
        needs_spool(manifest="-", source=None),
        needs_spool(manifest=None, source="*.mov"),
        needs_spool(manifest=None, source="a.mov", output_name="{stem}.mp4"),
    ]
