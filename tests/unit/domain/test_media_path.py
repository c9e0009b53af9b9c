"""Every path that a job names stays under the media root, whatever it is made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelmill.domain.media_path import PRIVATE_FOLDER, check_media_path, resolve
from reelmill.errors import InvalidField


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A media root with links that lead in, out, round in a circle, and nowhere."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        media = folder / "media"
        (media / "sub").mkdir(parents=True)
        (media / "sub" / "film.mp4").touch()
        (folder / "secret.mp4").touch()
        (media / "in").symlink_to(media / "sub")
        (media / "out").symlink_to(folder)
        (media / "up").symlink_to("..")
        (media / "etc").symlink_to("/etc")
        (media / "secret.mp4").symlink_to("../secret.mp4")
        (media / "deep").symlink_to("sub/../../media/../secret.mp4")
        (media / "circle").symlink_to("circle")
        (media / "gone").symlink_to("sub/not-there")
        yield media


PIECES = st.sampled_from(
    ["..", ".", "", "/", "sub", "in", "out", "up", "etc", "secret.mp4", "deep", "circle", "gone", "film.mp4", "~"]
).map(str) | st.sampled_from([PRIVATE_FOLDER, "passwd", "media", "\0", "a" * 256])


@given(st.lists(PIECES | st.text(max_size=8), max_size=7), st.booleans())
def test_a_resolved_path_never_leaves_the_root(root: Path, pieces: list[str], absolute: bool) -> None:
    """Whatever pieces and links a path is made of: it ends below the root, or InvalidField is raised."""
    text = ("/" if absolute else "") + "/".join(pieces)
    try:
        found = resolve("parameters.input", root, text)
    except InvalidField:
        return
    assert found.is_relative_to(root)
    assert found == found.resolve()


@given(st.lists(PIECES | st.text(max_size=8), max_size=7), st.booleans())
def test_a_checked_path_names_something_below_the_root(root: Path, pieces: list[str], absolute: bool) -> None:
    """What passes is relative, has no way up, is not our own folder, and passes again unchanged."""
    text = ("/" if absolute else "") + "/".join(pieces)
    try:
        relative = check_media_path("parameters.output", text, root)
    except InvalidField:
        return
    parts = Path(relative).parts
    assert parts
    assert not Path(relative).is_absolute()
    assert ".." not in parts
    assert parts[0] != PRIVATE_FOLDER
    assert relative == check_media_path("parameters.output", relative, root)


@pytest.mark.parametrize("path", ["out/secret.mp4", "up/secret.mp4", "etc/passwd", "secret.mp4", "deep"])
def test_a_link_that_leads_out_is_refused(root: Path, path: str) -> None:
    """The text is harmless; the link is not."""
    with pytest.raises(InvalidField, match="leads out of the media root"):
        resolve("parameters.input", root, path)


def test_a_link_that_runs_in_a_circle_is_refused(root: Path) -> None:
    """It is a bad input like any other, and not a fault of ours that would be retried."""
    with pytest.raises(InvalidField, match="circle"):
        resolve("parameters.input", root, "circle/film.mp4")


def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    """Links are fine as long as they end below the root."""
    assert root / "sub" / "film.mp4" == resolve("parameters.input", root, "in/film.mp4")


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    """A media folder that is reached through a link works like any other."""
    alias = tmp_path / "alias"
    alias.symlink_to(root)

    assert root / "sub" / "film.mp4" == resolve("parameters.input", alias, "sub/film.mp4")
