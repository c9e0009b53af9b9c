"""Publishing: a verified output comes into its place whole, once, and over nobody else's file."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from reelmill.domain.attempt import AttemptKey
from reelmill.media.durable import hash_and_sync
from reelmill.media.publish import PublishError, attempt_output, create_attempt, list_attempts, publish, remove_attempt

KEY = AttemptKey("0199-job", 3)
DATA = b"film" * 1000
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An encoded file in its attempt folder under the media root `tmp_path`."""
    path = attempt_output(create_attempt(tmp_path, KEY), "mp4")
    path.write_bytes(DATA)
    return path


def code_of(*args: Any, overwrite: bool = False) -> str:
    with pytest.raises(PublishError) as caught:
        publish(*args, overwrite=overwrite)
    return caught.value.failure.code


def test_hash_and_size_are_the_files(output: Path) -> None:
    """The file is hashed as it is on disk."""
    assert hash_and_sync(output) == (HASH, len(DATA))


@pytest.mark.parametrize("overwrite", [False, True])
def test_publishing_twice_is_publishing_once(tmp_path: Path, output: Path, overwrite: bool) -> None:
    """Folders are made; the second time finds the work done, with the attempt's file gone or not."""
    targets = {publish(output, tmp_path, "new/folders/a b.mp4", HASH, overwrite=overwrite) for _ in range(2)}
    target = tmp_path / "new/folders/a b.mp4"
    assert targets == {target}
    assert (target.read_bytes(), output.exists()) == (DATA, False)
    output.write_bytes(DATA)
    publish(output, tmp_path, "new/folders/a b.mp4", HASH, overwrite=overwrite)
    assert not output.exists()


def test_a_crash_between_link_and_unlink_is_finished(tmp_path: Path, output: Path) -> None:
    """Both names are one file: that is our own unfinished step."""
    os.link(output, tmp_path / "a.mp4")
    publish(output, tmp_path, "a.mp4", "hash that need not be read", overwrite=False)
    assert not output.exists()


def test_another_file_is_never_overwritten_unasked(tmp_path: Path, output: Path) -> None:
    """Without `overwrite` a file, a folder, a link or a dangling link at that name stays as it is."""
    (tmp_path / "file.mp4").write_text("somebody's")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "file.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    for name in ("file.mp4", "folder.mp4", "link.mp4", "dangling.mp4"):
        assert code_of(output, tmp_path, name, HASH) == "output_exists"
    assert (tmp_path / "file.mp4").read_text() == "somebody's"
    assert not (tmp_path / "nowhere.mp4").exists()
    assert output.read_bytes() == DATA


def test_overwrite_replaces_the_file_and_never_what_a_link_points_to(tmp_path: Path, output: Path) -> None:
    """A link at the output's name is replaced itself."""
    outside = tmp_path / "outside.mp4"
    outside.write_text("somebody's")
    (tmp_path / "a.mp4").symlink_to(outside)
    publish(output, tmp_path, "a.mp4", HASH, overwrite=True)
    assert (outside.read_text(), (tmp_path / "a.mp4").read_bytes()) == ("somebody's", DATA)


@pytest.mark.parametrize("relative", ["out/a.mp4", "out/new/a.mp4", "../a.mp4", "/etc/a.mp4", "circle/a.mp4"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_no_path_leads_out_of_the_root(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, output: Path, relative: str, overwrite: bool
) -> None:
    """Links and dots that lead out of the media root are refused, and nothing is made out there."""
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "out").symlink_to(outside)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert code_of(output, tmp_path, relative, HASH, overwrite=overwrite) in {
        "output_outside_root",
        "output_invalid_path",
    }
    assert list(outside.iterdir()) == []


def test_a_link_inside_the_root_is_followed(tmp_path: Path, output: Path) -> None:
    """Media folders may be arranged with links."""
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    publish(output, tmp_path, "alias/a.mp4", HASH, overwrite=False)
    assert (tmp_path / "real/a.mp4").read_bytes() == DATA


def test_a_lost_output_is_told_from_a_published_one(tmp_path: Path, output: Path) -> None:
    """With the attempt's file gone and nothing right in its place, the job is not done."""
    output.unlink()
    assert code_of(output, tmp_path, "a.mp4", HASH) == "output_lost"
    assert code_of(output, tmp_path, "a.mp4", HASH, overwrite=True) == "output_lost"


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "no_space"), (errno.EACCES, "permission_denied"), (errno.EIO, "io_error")],
)
def test_faults_of_the_disk_have_names(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    """A full disk is tried again elsewhere; a folder that may not be written is the user's to mend."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    assert code_of(output, tmp_path, "a.mp4", HASH) == code


def test_a_file_system_without_links_is_served_too(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where links are not known, the name is reserved first, and others' files are as safe."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr(os, "link", fail)
    (tmp_path / "taken.mp4").write_text("somebody's")
    assert code_of(output, tmp_path, "taken.mp4", HASH) == "output_exists"
    (tmp_path / "reserved.mp4").touch()
    for name in ("a.mp4", "reserved.mp4"):
        output.write_bytes(DATA)
        publish(output, tmp_path, name, HASH, overwrite=False)
        assert (tmp_path / name).read_bytes() == DATA


def test_attempt_folders_are_listed_and_removed(tmp_path: Path, output: Path) -> None:
    """What a crash left is found by name; what is not an attempt is not touched."""
    other = AttemptKey("0199-job", 4)
    create_attempt(tmp_path, other)
    (tmp_path / ".reelmill/attempts/notes.txt").touch()
    assert set(list_attempts(tmp_path)) == {KEY, other}
    remove_attempt(tmp_path, KEY)
    remove_attempt(tmp_path, KEY)
    assert list_attempts(tmp_path) == [other]
    assert list_attempts(tmp_path / "nowhere") == []


def test_an_attempt_begins_with_an_empty_folder(tmp_path: Path, output: Path) -> None:
    """What an interrupted start left behind does not mix with the new one."""
    assert list(create_attempt(tmp_path, KEY).iterdir()) == []
