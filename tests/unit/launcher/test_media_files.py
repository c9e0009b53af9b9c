"""`--input` with a pattern: one job for each file, with the name of its output when that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reelmill.errors import InvalidField
from reelmill.launcher.media_files import find_files
from reelmill.launcher.options import read_plan
from reelmill.launcher.plan import LaunchPlan, plan_jobs

FILES = ["b.mov", "a.mov", "C.MOV", "tv/x/c.mov", "tv/d.mp4", "outputs/f.mov"]
HIDDEN = [".hidden.mov", ".reelmill/attempts/e.mov"]


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with a few files, a link to a file, a link to a folder and a link in a circle."""
    media = tmp_path / "media"
    for name in (*FILES, *HIDDEN):
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).touch()
    (media / "link.mov").symlink_to("a.mov")
    (media / "broken.mov").symlink_to("nowhere")
    (media / "folder.mov").mkdir()
    (media / "elsewhere").symlink_to("tv")
    (media / "circle").symlink_to(".")
    return media


def plan_of(media: Path, pattern: str, **options: Any) -> LaunchPlan:
    return read_plan(
        source=str(media / pattern), spool=media.parent / "spool", scenario="480p30-h264", seed=1, **options
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*.mov", [("a.mov", ""), ("b.mov", ""), ("link.mov", ""), ("tv/x/c.mov", "tv/x")]),
        ("*.m?v", [("a.mov", ""), ("b.mov", ""), ("link.mov", "")]),
        ("tv/**/*.m*", [("tv/d.mp4", ""), ("tv/x/c.mov", "x")]),
        ("[ab].mov", [("a.mov", ""), ("b.mov", "")]),
        ("outputs/*.mov", [("outputs/f.mov", "")]),
        ("*/.h*", None),
        (".h*", None),
        ("*.[mM][oO][vV]", [("C.MOV", ""), ("a.mov", ""), ("b.mov", ""), ("link.mov", "")]),
    ],
)
def test_files_are_found_in_order(media: Path, pattern: str, expected: list[tuple[str, str]] | None) -> None:
    """Sorted; no hidden ones, no folders, no outputs of the farm, and round no circle."""
    if expected is None:
        with pytest.raises(InvalidField, match=r"no file in .* matches"):
            find_files(str(media / pattern))
    else:
        assert [(str(media / path), folder) for path, folder in expected] == find_files(str(media / pattern))


def test_each_file_is_a_job(media: Path) -> None:
    """As long as the file, in the default queue, with an absolute path: the shell's folder is not the farm's."""
    plan = plan_of(media, "*.mov")
    jobs = list(plan_jobs(plan))
    assert [str(media / name) for name in ("a.mov", "b.mov", "link.mov")] == [job.parameters.input for job in jobs]
    assert {("default", "medium", None, None)} == {
        (job.queue, job.priority, job.parameters.duration, job.parameters.bitrate) for job in jobs
    }


def test_outputs_are_named_by_the_template(media: Path) -> None:
    """With the folder and the name of the input, and a number."""
    plan = plan_of(media, "**/*.mov", output_name="out/{dir}/{stem}-{scenario}.{n:03}.mkv")
    assert [
        "out/a-480p30-h264.001.mkv",
        "out/b-480p30-h264.002.mkv",
        "out/link-480p30-h264.003.mkv",
        "out/tv/x/c-480p30-h264.004.mkv",
    ] == [job.parameters.output for job in plan_jobs(plan)]


def test_two_inputs_with_one_output_are_refused(media: Path) -> None:
    """Before one overwrites the other."""
    with pytest.raises(InvalidField, match=r"b\.mov, .*link\.mov: output: 'x/mov\.mp4' is that of .*a\.mov too"):
        plan_of(media, "*.mov", output_name="x/{ext}.mp4")


def test_what_has_its_output_is_left_out(media: Path) -> None:
    """And a plan of nothing says how much was."""
    done = {"outputs/a-480p30-h264.mp4", "outputs/tv/x/c-480p30-h264.mp4"}
    plan = plan_of(media, "**/*.mov", skip_existing=True, is_done=done.__contains__)
    assert (2, 2) == (plan.count, plan.manifest and plan.manifest.skipped)
    assert ["b.mov", "link.mov"] == [Path(job.parameters.input or "").name for job in plan_jobs(plan)]
    nothing = plan_of(media, "**/*.mov", skip_existing=True, is_done=bool)
    assert (0, 4) == (nothing.count, nothing.manifest and nothing.manifest.skipped)
    assert [] == list(plan_jobs(nothing))


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("*.avi", "matches '*.avi' (upper and lower case differ; hidden files do not count)"),
        ("no/such/**/*.mov", "matches"),
        ("tv", "is a folder; for all files in it, write"),
    ],
)
def test_a_pattern_that_finds_nothing_is_a_mistake(media: Path, pattern: str, part: str) -> None:
    """It names the folder that was searched."""
    with pytest.raises(InvalidField) as caught:
        plan_of(media, pattern)
    assert "--input" == caught.value.field
    assert part in str(caught.value)


def test_a_pattern_needs_a_scenario(media: Path) -> None:
    """As any real file does."""
    with pytest.raises(InvalidField, match="--scenario: is needed with --input"):
        read_plan(source=str(media / "*.mov"), spool=media / "spool")


def test_a_file_that_is_called_like_a_pattern_is_a_file(media: Path) -> None:
    """What exists under its own name is meant."""
    (media / "take[1].mov").touch()
    plan = plan_of(media, "take[1].mov")
    assert (None, str(media / "take[1].mov")) == (plan.manifest, plan.kinds.choices[0].input)
