"""Where inputs are made: real films by the real ffmpeg, cached, and what lies outside the media root."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from reelmill.worker.inventory import find_ffmpeg

_ENCODE = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25")


class Kitchen:
    """``root`` is the media root; ``outside`` is beside it, and every file in it holds ``canary``.

    ``tripwire`` is a listening socket: whoever follows a link to it leaves a connection there.
    """

    canary = "canary-7f3a9c51"

    def __init__(self, folder: Path) -> None:
        self.root = folder / "media"
        self.outside = folder / "outside"
        self._films = folder / "films"
        self._swaps = folder / "swaps"
        for place in (self.root, self.outside, self._films, self._swaps):
            place.mkdir(parents=True)
        self._program = find_ffmpeg().path
        self.tripwire = socket.create_server(("127.0.0.1", 0))
        self.tripwire.setblocking(False)
        (self.outside / "secret.txt").write_text(f"{self.canary}\n" * 100)
        for name in ("secret.mp4", "secret.ts", "secret.mkv"):
            title = ["-metadata", f"title={self.canary}", "-metadata", f"service_name={self.canary}"]
            self.serve(self.outside / name, *title)

    @property
    def url(self) -> str:
        """Where the tripwire listens."""
        return f"http://127.0.0.1:{self.tripwire.getsockname()[1]}"

    def ffmpeg(self, *words: str | os.PathLike[str]) -> None:
        """Run ffmpeg; it must succeed."""
        subprocess.run([self._program, "-v", "error", "-nostdin", "-y", *words], check=True)

    def film(
        self,
        suffix: str = ".mp4",
        *options: str,
        size: str = "160x120",
        rate: str = "25",
        seconds: float = 2,
        sound: bool = True,
    ) -> Path:
        """A film with these options of ffmpeg's for the output; made once, so change only a copy of it."""
        picture = f"testsrc2=size={size}:rate={rate}:duration={seconds}"
        words = ["-f", "lavfi", "-i", picture]
        words += ["-f", "lavfi", "-i", f"sine=duration={seconds}"] if sound else []
        words += [*(_ENCODE if "-c:v" not in options else ()), *options]
        path = self._films / (hashlib.sha256(repr((suffix, words)).encode()).hexdigest()[:16] + suffix)
        if not path.exists():
            self.ffmpeg(*words, f"file:{path}")
        return path

    def serve(self, path: Path, *options: str, suffix: str | None = None) -> None:
        """A copy of the film with these options at the path."""
        shutil.copyfile(self.film(suffix or path.suffix, *options), path)

    def swap(self, path: Path) -> Path:
        """A place: what lies here takes the path's place between the look at it and the encode."""
        return self._swaps / path.name

    def engine(self) -> Path:
        """An ffmpeg that first makes the swaps of its input."""
        script = self._swaps.parent / "ffmpeg"
        script.write_text(
            "#!/bin/sh\nfor word; do\n"
            f'  case "$word" in file:*) swap="{self._swaps}/${{word##*/}}";; *) continue;; esac\n'
            '  if [ -e "$swap.gone" ]; then rm -f "${word#file:}"; fi\n'
            '  if [ -e "$swap" ] || [ -L "$swap" ]; then rm -f "${word#file:}"; mv -f "$swap" "${word#file:}"; fi\n'
            f'done\nexec "{self._program}" "$@"\n'
        )
        script.chmod(0o755)
        return script


Change = Callable[[bytes], bytes]


def nothing(kitchen: Kitchen, path: Path) -> None:
    """No file at all."""


def content(data: bytes | str) -> Callable[[Kitchen, Path], object]:
    """A file with these bytes; in a text ``OUTSIDE`` and ``URL`` become the kitchen's."""

    def make(kitchen: Kitchen, path: Path) -> None:
        if isinstance(data, str):
            text = data.replace("OUTSIDE", str(kitchen.outside)).replace("URL", kitchen.url)
            path.write_text(text)
        else:
            path.write_bytes(data)

    return make


def film(
    *options: str,
    suffix: str | None = None,
    size: str = "160x120",
    rate: str = "25",
    seconds: float = 2,
    sound: bool = True,
    change: Change | None = None,
) -> Callable[[Kitchen, Path], object]:
    """A film, its bytes perhaps changed; ``suffix`` where the file's name does not tell its format."""

    def make(kitchen: Kitchen, path: Path) -> None:
        made = kitchen.film(suffix or path.suffix, *options, size=size, rate=rate, seconds=seconds, sound=sound)
        if change is None:
            shutil.copyfile(made, path)
        else:
            path.write_bytes(change(made.read_bytes()))

    return make


def ffmpeg(*words: str) -> Callable[[Kitchen, Path], object]:
    """What ffmpeg makes of these words; ``FILM`` among them is a film's path."""

    def make(kitchen: Kitchen, path: Path) -> None:
        kitchen.ffmpeg(*(str(kitchen.film()) if word == "FILM" else word for word in words), f"file:{path}")

    return make


def cut(share: float) -> Change:
    """Only the first part of the bytes."""
    return lambda data: data[: int(len(data) * share)]


def put(old: bytes, new: bytes) -> Change:
    """Each ``old``, which must be there, becomes ``new``."""

    def change(data: bytes) -> bytes:
        assert old in data, old
        return data.replace(old, new)

    return change


def overwrite(begin: float, end: float, filler: Callable[[int], bytes]) -> Change:
    """The bytes between two shares of the file become ``filler``'s."""

    def change(data: bytes) -> bytes:
        first, last = int(len(data) * begin), int(len(data) * end)
        return data[:first] + filler(last - first) + data[last:]

    return change


def patch(marker: bytes, offset: int, new: bytes) -> Change:
    """The bytes at ``offset`` behind the beginning of each ``marker``, which must be there, become ``new``."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        for at in _find(data, marker):
            changed[at + offset : at + offset + len(new)] = new
        assert changed != data, marker
        return bytes(changed)

    return change


def _find(data: bytes, marker: bytes) -> Iterable[int]:
    at = data.find(marker)
    while at >= 0:
        yield at
        at = data.find(marker, at + 1)
