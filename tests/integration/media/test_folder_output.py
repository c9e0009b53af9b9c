"""An output that is a folder: in its place whole or not at all, never over another, packed for its way and back."""

from __future__ import annotations

import errno
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from reelmill.domain.attempt import AttemptKey
from reelmill.errors import Conflict
from reelmill.media.folder_output import FILE_LIST, is_sealed, pack, seal, unpack
from reelmill.media.publish import PublishError, create_attempt, find_attempt_output, publish

KEY = AttemptKey("job", 1)


def make_output(media: Path, key: AttemptKey = KEY, content: bytes = b"segments") -> tuple[Path, str]:
    """A sealed folder in its attempt's folder, and its hash."""
    folder = create_attempt(media, key) / "output"
    folder.mkdir()
    (folder / "1080p.m4s").write_bytes(content)
    (folder / "master.m3u8").write_text("#EXTM3U")
    return folder, seal(folder)[1]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_gets_into_its_place_whole(tmp_path: Path) -> None:
    """With the list of its files, whose hash is that of the output; a second time changes nothing."""
    output, sha256 = make_output(tmp_path)
    assert output == find_attempt_output(tmp_path, KEY)
    for _ in range(3):  # the third as after a crash, when the attempt's folder is gone
        place = publish(find_attempt_output(tmp_path, KEY), tmp_path, "films/a", sha256, overwrite=False)
        assert tmp_path / "films" / "a" == place
        assert ["1080p.m4s", FILE_LIST, "master.m3u8"] == names(place)
        assert is_sealed(place, sha256, read_all=True)
        assert not output.exists()


@pytest.mark.parametrize("there", ["file", "full folder", "other ladder", "link"])
def test_nothing_that_is_there_is_replaced(tmp_path: Path, there: str) -> None:
    """Not a file, nor a folder in which there is something, nor where a link leads."""
    output, sha256 = make_output(tmp_path)
    target = tmp_path / "films"
    match there:
        case "file":
            target.write_bytes(b"theirs")
        case "full folder":
            target.mkdir()
            (target / "theirs").touch()
        case "other ladder":
            other = make_output(tmp_path, AttemptKey("other", 1), b"theirs")[0]
            other.rename(target)
        case _:
            (tmp_path / "elsewhere").mkdir()
            target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PublishError) as caught:
        publish(output, tmp_path, "films", sha256, overwrite=False)
    assert "output_exists" == caught.value.failure.code
    assert is_sealed(output, sha256)
    assert there != "link" or [] == names(tmp_path / "elsewhere")


def test_a_lost_output_is_no_success(tmp_path: Path) -> None:
    """Neither where nothing is, nor where another folder is; a file that is gone or changed breaks the seal."""
    output, sha256 = make_output(tmp_path)
    shutil.rmtree(output)
    with pytest.raises(PublishError) as caught:
        publish(find_attempt_output(tmp_path, KEY), tmp_path, "films", sha256, overwrite=False)
    assert "output_lost" == caught.value.failure.code
    output, sha256 = make_output(tmp_path)
    (output / "1080p.m4s").write_bytes(b"segmentz")
    assert (True, False) == (is_sealed(output, sha256), is_sealed(output, sha256, read_all=True))
    (output / "1080p.m4s").write_bytes(b"short")
    assert not is_sealed(output, sha256)
    (output / "1080p.m4s").unlink()
    assert not is_sealed(output, sha256)


def test_a_folder_that_is_not_whole_is_not_published(tmp_path: Path) -> None:
    """Its attempt is over, and the job is encoded again."""
    output, sha256 = make_output(tmp_path)
    (output / "1080p.m4s").unlink()
    with pytest.raises(PublishError) as caught:
        publish(output, tmp_path, "films", sha256, overwrite=False)
    assert "output_lost" == caught.value.failure.code
    assert not (tmp_path / "films").exists()


def test_it_is_packed_and_unpacked_as_it_was(tmp_path: Path) -> None:
    """Byte for byte; unpacking may be repeated, as after a crash in its middle. A plain file is left as it is."""
    output, sha256 = make_output(tmp_path)
    packed = pack(output)
    shutil.rmtree(output)
    for _ in range(2):
        unpack(packed)
        assert is_sealed(output, sha256, read_all=True)
    assert packed == pack(packed)


@pytest.mark.parametrize("code", [errno.ENOTEMPTY, errno.EEXIST])
def test_a_master_that_was_slower_finds_what_the_other_one_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """ext4 and XFS have different words for a folder that is there; the rename is made up: only one is here."""
    output, sha256 = make_output(tmp_path)
    packed = pack(output)

    def rename(_: Path, to: Path) -> None:
        raise OSError(code, "there", str(to))

    monkeypatch.setattr(Path, "rename", rename)
    unpack(packed)
    assert is_sealed(output, sha256, read_all=True)
    assert {output, packed} == set(output.parent.iterdir())


_BAD = ("up", "absolute", "link", "folder", "twice", "no list", "wrong list", "cut", "noise", "sparse", "device")


@pytest.mark.parametrize("what", [*_BAD, "unlisted"])
def test_what_no_worker_packs_is_not_unpacked(tmp_path: Path, what: str) -> None:
    """No path leads out of the folder, and only what its list names is taken."""
    output, _ = make_output(tmp_path)
    packed = pack(output)
    if what == "cut":
        packed.write_bytes(packed.read_bytes()[:700])
    elif what == "noise":
        packed.write_bytes(b"noise" * 1000)
    else:
        with tarfile.open(packed, "a") as archive:
            add_bad(archive, what)
    if what == "no list":
        with tarfile.open(packed, "w") as archive:
            archive.add(output / "1080p.m4s", "1080p.m4s")
    if what == "device":
        with tarfile.open(packed, "w") as archive:
            add(archive, FILE_LIST, b'[{"name": "/dev/zero", "size_bytes": 0, "sha256": ""}]')
    shutil.rmtree(output)
    with pytest.raises(Conflict) as caught:
        unpack(packed)
    assert "corrupted" == caught.value.code
    assert [packed.name] == names(output.parent)
    assert not (output.parent / "evil").exists()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def add_bad(archive: tarfile.TarFile, what: str) -> None:
    name = {"up": "../evil", "absolute": "/tmp/evil", "wrong list": "1080p.m4s"}.get(what, "evil")
    member = tarfile.TarInfo(FILE_LIST if what == "twice" else name)
    if what == "sparse":  # four bytes that would become a hundred gigabytes
        member.pax_headers = {"GNU.sparse.map": "0,4", "GNU.sparse.size": str(10**11)}
    elif what == "link":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    elif what == "folder":
        member.type = tarfile.DIRTYPE
    member.size = 4 if member.isreg() else 0
    archive.addfile(member, io.BytesIO(b"evil") if member.isreg() else None)
