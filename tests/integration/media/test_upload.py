"""An output that arrives in pieces: whole in the end, or not there, whatever came in between."""

from __future__ import annotations

import itertools
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reelmill.domain.attempt import AttemptKey
from reelmill.errors import Conflict
from reelmill.media.durable import hash_and_sync
from reelmill.media.folder_output import is_sealed, pack, seal
from reelmill.media.publish import attempt_folder, find_attempt_output
from reelmill.media.upload import WholeOutput, complete, open_attempt, received, write_piece

KEY = AttemptKey("job", 1)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A ladder as its worker sends it."""
    folder = tmp_path / "far" / "output"
    folder.mkdir(parents=True)
    for name in ("1080p.m4s", "master.m3u8", "sound.m4s"):
        (folder / name).write_bytes(name.encode() * 1000)
    seal(folder)
    return pack(folder)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """The media root with the attempt's folder."""
    root = tmp_path / "media"
    open_attempt(root, KEY)
    return root


def whole(packed: Path) -> WholeOutput:
    sha256, size = hash_and_sync(packed)
    return WholeOutput(container="tar", size=size, sha256=sha256)


def is_there(media: Path, packed: Path) -> bool:
    """Whether it is the folder that was packed, and nothing is left beside it that was on the way to it."""
    sha256, _ = hash_and_sync(packed.with_suffix("") / "files.json")
    folder = attempt_folder(media, KEY)
    beside = sorted(path.name for path in folder.iterdir())
    return is_sealed(find_attempt_output(media, KEY), sha256, read_all=True) and beside == ["output", "output.tar"]


def test_a_kill_between_the_last_byte_and_the_folder_does_no_harm(media: Path, packed: Path) -> None:
    """The next call makes the folder; as the files of an attempt look when a master was killed there."""
    shutil.copy(packed, attempt_folder(media, KEY) / "output.tar")
    complete(media, KEY, whole(packed))
    assert is_there(media, packed)
    complete(media, KEY, whole(packed))
    assert is_there(media, packed)


def complete_and_die(media: Path, said: WholeOutput, files: int) -> None:
    """In a process that is gone, with no clean-up, when that many files are unpacked."""
    pid = os.fork()
    if pid == 0:
        copy, done = shutil.copyfileobj, itertools.count()

        def copy_some(*args: Any) -> None:
            if next(done) == files:
                os._exit(9)
            copy(*args)

        shutil.copyfileobj = copy_some
        complete(media, KEY, said)
        os._exit(0)
    assert 9 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("files", range(4))
def test_a_kill_while_it_is_unpacked_leaves_no_output(media: Path, packed: Path, files: int) -> None:
    """And the next call has all of it."""
    said = whole(packed)
    write_piece(media, KEY, 0, packed.read_bytes())
    complete_and_die(media, said, files)
    assert not find_attempt_output(media, KEY).exists()
    assert said.size == received(media, KEY)
    complete(media, KEY, said)
    sha256, _ = hash_and_sync(packed.with_suffix("") / "files.json")
    assert is_sealed(find_attempt_output(media, KEY), sha256, read_all=True)


def test_two_masters_complete_one_output_at_once(media: Path, packed: Path) -> None:
    """Both say yes, and it is there once."""
    said = whole(packed)
    for _ in range(20):
        write_piece(media, KEY, 0, packed.read_bytes())
        with ThreadPoolExecutor(4) as masters:
            list(masters.map(partial(complete, media, KEY), [said] * 4))
        assert is_there(media, packed)
        shutil.rmtree(attempt_folder(media, KEY))
        open_attempt(media, KEY)


def test_what_is_no_ladder_is_sent_again(media: Path, packed: Path) -> None:
    """And not looked at for ever: its offset is zero again."""
    packed.write_bytes(b"noise" * 1000)
    write_piece(media, KEY, 0, packed.read_bytes())
    with pytest.raises(Conflict) as caught:
        complete(media, KEY, whole(packed))
    assert "corrupted" == caught.value.code
    assert 0 == received(media, KEY)
