"""Media paths: every path that a job names stays under one root folder, whatever it is made of.

Two steps. ``check_media_path`` judges the text alone, where a job is submitted; ``resolve`` follows symbolic links
on the machine that opens the file, so a link that leads out of the root is refused there.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from reelmill.errors import InvalidField

PRIVATE_FOLDER = ".reelmill"
"""The folder under the media root that holds attempts; no job may name a path in it."""

CHUNKS_FOLDER = f"{PRIVATE_FOLDER}/chunks"
"""Where encoded chunks wait under the media root until their job is complete; only chunks are written there."""

_CHUNK_PATH = re.compile(re.escape(CHUNKS_FOLDER) + r"/[A-Za-z0-9-]+/\d+\.mp4")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 1024


def check_media_path(field: str, path: str, root: Path | None = None) -> str:
    """The path relative to the media root, normalised; InvalidField when it could leave the root.

    ``path`` is relative to the root, or absolute when ``root`` is given and lies above it.
    """
    if not path or "\0" in path:
        raise InvalidField(field, "is empty" if not path else "contains a NUL byte")
    if _CONTROL.search(path):
        raise InvalidField(field, f"{path[:200]!r} contains a control character, such as a line break; rename the file")
    if len(path.encode(errors="surrogatepass")) > _MAX_PATH_BYTES:
        raise InvalidField(field, f"is longer than {_MAX_PATH_BYTES} bytes; use a shorter path")
    pure = PurePosixPath(path)
    if pure.is_absolute():
        if root is None or not pure.is_relative_to(root):
            where = f" {root}" if root is not None else ""
            advice = "start the farm with `--media` naming a folder above the file, or move the file under the root"
            raise InvalidField(field, f"{path!r} is outside the media root{where}; {advice}")
        pure = pure.relative_to(root)
    parts = pure.parts
    if not parts or ".." in parts:
        raise InvalidField(field, f"{path!r} must name a file under the media root, without '..'")
    if parts[0] == PRIVATE_FOLDER:
        raise InvalidField(field, f"{path!r} lies in reelmill's own folder {PRIVATE_FOLDER}/; choose another place")
    if any(len(part.encode(errors="surrogatepass")) > _MAX_NAME_BYTES for part in parts):
        raise InvalidField(field, f"has a name longer than {_MAX_NAME_BYTES} bytes; use a shorter one")
    return str(pure)


def is_chunk_path(path: str) -> bool:
    """Whether a path in our own folder is that of an encoded chunk. No request can name one."""
    return _CHUNK_PATH.fullmatch(path) is not None


def resolve(field: str, root: Path, relative: str) -> Path:
    """The absolute path of ``relative`` under ``root`` with links followed; InvalidField when a link leads out."""
    real_root = root.resolve()
    checked = relative if is_chunk_path(relative) else check_media_path(field, relative)
    try:
        real = (real_root / checked).resolve()
    except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 raise RuntimeError for a circle
        raise InvalidField(
            field, f"{relative!r} is a link that runs in a circle, or cannot be followed; name the file itself"
        ) from error
    if not real.is_relative_to(real_root):
        raise InvalidField(
            field, f"{relative!r} is a link that leads out of the media root; move or copy the file under the root"
        )
    return real
