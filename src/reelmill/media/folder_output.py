"""An output that is a folder: sealed with a list of its files, and put into its place whole or not at all.

The list, ``files.json``, is written last and stands for the folder: its SHA-256 is the output's, and it has the size
and SHA-256 of each of the others. All files lie flat in the folder, under names of our own. Blocks: run it in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import shutil
import stat
import tarfile
import tempfile
from pathlib import Path

import msgspec

from reelmill.domain.job import OutputFile
from reelmill.errors import Conflict
from reelmill.media.durable import hash_and_sync, sync_folder

FILE_LIST = "files.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_FILES, _MOST_LIST_BYTES = 1_000, 1 << 20
_decode_list = msgspec.json.Decoder(list[OutputFile]).decode


def seal(folder: Path) -> tuple[list[OutputFile], str]:
    """Hash and sync what is in the folder, and write its list; the files, and the SHA-256 (hex) of the list."""
    files = [_look_at(path) for path in sorted(folder.iterdir()) if path.name != FILE_LIST]
    content = msgspec.json.format(msgspec.json.encode(files), indent=1)
    with (folder / FILE_LIST).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    return files, hashlib.sha256(content).hexdigest()


def is_sealed(folder: Path, sha256: str, *, read_all: bool = False) -> bool:
    """Whether this is the folder of that hash, and whole: sizes are looked at, and with ``read_all`` contents."""
    try:
        content = (folder / FILE_LIST).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            return False
        for file in _decode_list(content):
            if file.name == FILE_LIST or not _NAME.fullmatch(file.name):
                return False
            path = folder / file.name
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != file.size_bytes:
                return False
            if read_all and _look_at(path) != file:
                return False
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return False
    return True


def pack(folder: Path) -> Path:
    """One file with all of the folder, beside it, for the way to the masters; a file is what it is."""
    if not folder.is_dir():
        return folder
    packed = folder.with_suffix(".tar")
    with tarfile.open(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name, recursive=False)
    return packed


def unpack(packed: Path) -> None:
    """Make the folder that was packed, beside the file, synced; it is there whole or not at all.

    Conflict ``corrupted`` when it is not one that we pack.
    """
    folder = Path(tempfile.mkdtemp(prefix="unpacked.", dir=packed.parent))
    try:
        _unpack_whole(packed, folder)
        folder.rename(packed.with_suffix(""))
    except OSError as error:
        # Else another master, asked the same, was faster; file systems have two words for it.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack_whole(packed: Path, folder: Path) -> None:
    try:
        _unpack_all(packed, folder)
        content = (folder / FILE_LIST).read_bytes()
        listed = {FILE_LIST, *(file.name for file in _decode_list(content))}
        if listed != {path.name for path in folder.iterdir()}:
            raise _not_ours()
        if not is_sealed(folder, hashlib.sha256(content).hexdigest(), read_all=True):
            raise _not_ours()
    except (tarfile.TarError, FileNotFoundError, FileExistsError, msgspec.DecodeError) as error:
        raise _not_ours() from error
    folder.chmod(0o755)  # as mkdir makes them
    sync_folder(folder)


def _unpack_all(packed: Path, folder: Path) -> None:
    """Plain files only, into this folder only, no more bytes than the archive has, whatever it says."""
    with tarfile.open(packed, "r:") as archive:
        members = list(itertools.islice(archive, _MOST_FILES + 1))
        if len(members) > _MOST_FILES:
            raise _not_ours()
        for member in members:
            is_plain = member.isreg() and not member.issparse() and _NAME.fullmatch(member.name) is not None
            if not is_plain or (member.name == FILE_LIST and member.size > _MOST_LIST_BYTES):
                raise _not_ours()
            _unpack_one(archive, member, folder)


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    content = archive.extractfile(member)
    assert content is not None
    with content, (folder / member.name).open("xb") as file:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def _look_at(path: Path) -> OutputFile:
    sha256, size = hash_and_sync(path)
    return OutputFile(path.name, size, sha256)


def _not_ours() -> Conflict:
    return Conflict("what is here is not a folder that a worker has packed; send it again", code="corrupted")
