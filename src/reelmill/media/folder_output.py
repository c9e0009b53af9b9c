"""An output that is a folder: sealed with a list of its files, and put into its place whole or not at all.

The list, ``files.json``, is written last and stands for the folder: its SHA-256 is the output's, and it has the size
and SHA-256 of each of the others. All files lie flat in the folder, under names of our own. Blocks: run it in a thread.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from pathlib import Path

import msgspec

from reelmill.domain.job import OutputFile
from reelmill.errors import Conflict
from reelmill.media.durable import hash_and_sync, sync_folder

FILE_LIST = "files.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_FILES = 1_000
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
            path = folder / file.name
            if path.lstat().st_size != file.size_bytes or (read_all and _look_at(path) != file):
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


def unpack(packed: Path) -> Path:
    """The folder that was packed, beside the file, synced. Conflict ``corrupted`` when it is not one that we pack."""
    folder = packed.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with tarfile.open(packed, "r:") as archive:
            members = archive.getmembers()
            if len(members) > _MOST_FILES:
                raise _not_ours()
            for member in members:
                _unpack_one(archive, member, folder)
        sha256 = hashlib.sha256((folder / FILE_LIST).read_bytes()).hexdigest()
    except (tarfile.TarError, FileNotFoundError, FileExistsError) as error:
        raise _not_ours() from error
    if not is_sealed(folder, sha256, read_all=True):
        raise _not_ours()
    sync_folder(folder)
    return folder


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Plain files only, into this folder only, whatever the archive says."""
    content = archive.extractfile(member) if member.isreg() and _NAME.fullmatch(member.name) else None
    if content is None:
        raise _not_ours()
    with content, (folder / member.name).open("xb") as file:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def _look_at(path: Path) -> OutputFile:
    sha256, size = hash_and_sync(path)
    return OutputFile(path.name, size, sha256)


def _not_ours() -> Conflict:
    return Conflict("what is here is not a folder that a worker has packed; send it again", code="corrupted")
