"""Attempt folders, and the one step that puts a verified output into its place.

Each attempt writes in ``<media>/.reelmill/attempts/<job id>.<attempt>/``, on the file system of its output, so that
publishing is a link and no copy. Everything here blocks for a few system calls: run it in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path, PurePosixPath
from typing import Literal, cast

import structlog

from reelmill.domain.attempt import AttemptKey
from reelmill.domain.container import BY_MUXER, SUFFIXES, container_of_name
from reelmill.domain.failure import Failure
from reelmill.domain.media_path import CHUNKS_FOLDER, PRIVATE_FOLDER, check_media_path, is_chunk_path, resolve
from reelmill.errors import InvalidField
from reelmill.media.durable import sync_folder
from reelmill.media.failed import AttemptFailed
from reelmill.media.folder_output import FILE_LIST, is_sealed

log = structlog.get_logger()

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
Muxer = Literal["mp4", "matroska", "webm", "mpegts", "tar"]
"""What an attempt leaves; ``tar`` is a folder, packed for its way."""

_FOLDER = "output"
_PACKED = "output.tar"


class PublishError(AttemptFailed):
    """The output cannot be put into its place; ``failure`` says why."""


def attempt_folder(media_root: Path, key: AttemptKey) -> Path:
    """Where the attempt works; not created."""
    return _attempts(media_root) / f"{key.job_id}.{key.attempt}"


def attempt_output(folder: Path, container: str) -> Path:
    """The file that an attempt encodes into its folder."""
    return folder / (_PACKED if container == "tar" else f"output{BY_MUXER[container].suffix}")


def container_of(output: Path) -> Muxer:
    """What kind of file an attempt has encoded there."""
    if output.name == _PACKED:
        return "tar"
    found = container_of_name(output.name)
    return "mp4" if found is None else cast("Muxer", found.muxer)


def find_attempt_output(media_root: Path, key: AttemptKey) -> Path:
    """The file or folder that an attempt, perhaps of another worker, encoded; where it would be when there is none."""
    folder = attempt_folder(media_root, key)
    if (folder / _FOLDER / FILE_LIST).exists():  # its list is the last that is written there
        return folder / _FOLDER
    outputs = [folder / f"output{suffix}" for suffix in SUFFIXES]
    return next((output for output in outputs if output.exists()), outputs[0])


def create_attempt(media_root: Path, key: AttemptKey) -> Path:
    """The attempt's folder, created and empty; PublishError when the media root does not take it."""
    folder = attempt_folder(media_root, key)
    try:
        remove_attempt(media_root, key)
        folder.mkdir(parents=True)
    except OSError as error:
        raise explain_error(error, "its attempt folder") from error
    return folder


def remove_attempt(media_root: Path, key: AttemptKey) -> None:
    """Remove the attempt's folder with all in it; what cannot be removed now is tried again by a later clean-up."""
    try:
        shutil.rmtree(attempt_folder(media_root, key))
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("attempt_folder_not_removed", job=key.job_id, attempt=key.attempt, reason=str(error))


def list_attempts(media_root: Path) -> list[AttemptKey]:
    """The attempts that have a folder, in no order; what is not named like one is left out."""
    found: list[AttemptKey] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(_attempts(media_root)) as entries:
        for entry in entries:
            job_id, _, attempt = entry.name.rpartition(".")
            if job_id and attempt.isdecimal() and entry.is_dir(follow_symlinks=False):
                found.append(AttemptKey(job_id, int(attempt)))
    return found


def refuse_taken_output(media_root: Path, relative: str) -> None:
    """Fail before the work is done, not after it, when there is a file where the output shall be: PublishError."""
    target = media_root / relative
    try:
        taken = os.path.lexists(target)
    except OSError as error:
        raise explain_error(error, f"the output {relative!r}") from error
    if taken:
        raise _exists(target)


def publish(output: Path, media_root: Path, relative: str, sha256: str, *, overwrite: bool) -> Path:
    """Put the attempt's ``output`` at ``relative`` under the root, durably, and return that path.

    Idempotent: a file with this hash there already is a success, also when ``output`` itself is gone. Without
    ``overwrite`` another file there is never touched. PublishError: output_exists, no_space, permission_denied,
    output_outside_root, output_lost, io_error.
    """
    try:
        target = _prepare_target(media_root, relative)
        if output.is_dir():
            _place_folder(output, target, sha256)
        elif overwrite:
            _replace(output, target, sha256)
        else:
            _place(output, target, sha256)
        sync_folder(target.parent)
    except InvalidField as error:
        message = f"The output cannot be written: {error}."
        raise PublishError(Failure("user_error", "output_outside_root", message)) from error
    except OSError as error:
        raise explain_error(error, f"the output {relative!r}") from error
    return target


def _prepare_target(media_root: Path, relative: str) -> Path:
    """The target with its folders made. Links in them are followed as long as they stay under the root.

    A link at the target's own name is not followed: it is a file like any other there.
    """
    pure = PurePosixPath(relative if is_chunk_path(relative) else check_media_path("parameters.output", relative))
    root = media_root.resolve()
    try:
        folder = root / pure.parent if is_chunk_path(relative) else _follow(root, pure.parent)
    except RuntimeError as error:  # what Python before 3.13 raises for links in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
    if not folder.is_dir():
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for place in missing:
            sync_folder(place.parent)
    return folder / pure.name


def _follow(root: Path, folder: PurePosixPath) -> Path:
    return root if folder == PurePosixPath() else resolve("parameters.output", root, str(folder))


def list_chunk_folders(media_root: Path) -> list[str]:
    """The names of the folders in which encoded chunks wait, in no order."""
    try:
        return [folder.name for folder in (media_root / CHUNKS_FOLDER).iterdir()]
    except FileNotFoundError:
        return []


def remove_chunk_folder(media_root: Path, name: str) -> None:
    """Remove the chunks in it; what cannot be removed now is tried again by a later clean-up."""
    try:
        shutil.rmtree(media_root / CHUNKS_FOLDER / name)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("chunk_folder_not_removed", folder=name, reason=str(error))


def _replace(output: Path, target: Path, sha256: str) -> None:
    try:
        output.replace(target)
    except FileNotFoundError:
        if not _is_published(target, sha256):
            raise _lost() from None


def _place(output: Path, target: Path, sha256: str) -> None:
    try:
        # A link, unlike a rename, fails when there is a file, whoever made it and however late.
        os.link(output, target)
    except FileExistsError:
        if not _is_same(output, target) and not _is_published(target, sha256):
            raise _exists(target) from None
    except FileNotFoundError:
        if not _is_published(target, sha256):
            raise _lost() from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _place_without_links(output, target)
    output.unlink(missing_ok=True)


def _place_folder(output: Path, target: Path, sha256: str) -> None:
    """In one step, whole or not at all. A folder in which there is something is never replaced by a rename."""
    if not is_sealed(output, sha256):
        if is_sealed(target, sha256):
            return
        raise _lost()
    try:
        if target.is_symlink():  # which a rename would replace, or follow
            raise _exists(target)
        output.rename(target)
    except (FileExistsError, NotADirectoryError) as error:
        if not is_sealed(target, sha256):
            raise _exists(target) from error
    except FileNotFoundError:
        if not is_sealed(target, sha256):
            raise _lost() from None
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        if not is_sealed(target, sha256):
            raise _exists(target) from None


def _place_without_links(output: Path, target: Path) -> None:
    """For file systems without hard links: reserve the name with an empty file, which the rename replaces."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        # An empty file is taken for a reservation whose owner died: no output is ever empty.
        if target.is_symlink() or target.stat().st_size > 0:
            raise _exists(target) from None
    output.replace(target)


def _is_same(output: Path, target: Path) -> bool:
    """Whether both names are one file: this very step was interrupted between link and unlink."""
    try:
        ours, theirs = output.lstat(), target.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(ours, theirs)


def _is_published(target: Path, sha256: str) -> bool:
    try:
        if stat.S_ISDIR(target.lstat().st_mode):
            return is_sealed(target, sha256)
        if not stat.S_ISREG(target.lstat().st_mode):
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _attempts(media_root: Path) -> Path:
    return media_root / PRIVATE_FOLDER / "attempts"


def _exists(target: Path) -> PublishError:
    message = f"There is another file at {target}; choose another output, or allow `overwrite` of a single file."
    return PublishError(Failure("user_error", "output_exists", message))


def _lost() -> PublishError:
    message = "The encoded file is gone from its attempt folder; check that nothing cleans the folder .reelmill."
    return PublishError(Failure("platform_error", "output_lost", message))


def explain_error(error: OSError, what: str) -> PublishError:
    """What a failed write of ``what`` under the media root is to a job."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return PublishError(Failure("resource_error", "no_space", f"There is no room for {what}; free some space."))
        case errno.EACCES | errno.EPERM | errno.EROFS:
            message = f"The worker may not write {what}; let the user it runs as write the media folder."
            return PublishError(Failure("user_error", "permission_denied", message))
        case errno.EISDIR | errno.ENOTDIR | errno.EEXIST | errno.ENOTEMPTY:
            message = f"A folder or file is in the way of {what}; choose another output."
            return PublishError(Failure("user_error", "output_exists", message))
        case errno.ELOOP | errno.ENAMETOOLONG | errno.EINVAL:
            message = f"The file system does not take {what}: {error.strerror}; choose another name."
            return PublishError(Failure("user_error", "output_invalid_path", message))
        case _:
            message = f"Writing {what} failed: {error.strerror or error}; check the media folder's disk or share."
            return PublishError(Failure("platform_error", "io_error", message))
