"""What lies where a file should be, and what changes after the job was accepted."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from tests.bad_inputs.case import COMPLETES, NOT_MEDIA, REFUSED, TRUNCATED, Answer, Case, Make, fails
from tests.bad_inputs.kitchen import Kitchen, film, nothing

_MISSING = fails("input_missing")
_OUTSIDE = fails("input_outside_root", "user_error")


def _link(target: str) -> Make:
    """A link; ``OUTSIDE`` is the folder beside the media root."""
    return lambda kitchen, path: path.symlink_to(target.replace("OUTSIDE", str(kitchen.outside)))


def _instead(make: Make) -> Make:
    """In the place of the film that was there."""

    def change(kitchen: Kitchen, path: Path) -> None:
        path.unlink()
        make(kitchen, path)

    return change


def _folder(_: Kitchen, path: Path) -> None:
    path.mkdir()


def _fifo(_: Kitchen, path: Path) -> None:
    os.mkfifo(path)


def _socket(kitchen: Kitchen, path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def _after_the_look(make: Make) -> Make:
    """A film that is replaced between the probe's look and the encode; made by ``make``."""

    def change(kitchen: Kitchen, path: Path) -> None:
        film(seconds=1)(kitchen, path)
        make(kitchen, kitchen.swap(path))

    return change


def _gone(_: Kitchen, path: Path) -> None:
    path.with_name(path.name + ".gone").touch()


def _text(_: Kitchen, path: Path) -> None:
    path.write_text("not a film any more\n" * 100)


def _empty(_: Kitchen, path: Path) -> None:
    path.touch()


def _half(kitchen: Kitchen, path: Path) -> None:
    film("-movflags", "+faststart", seconds=1, change=lambda data: data[: len(data) // 2])(kitchen, path)


def _playlist(kitchen: Kitchen, path: Path) -> None:
    path.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nfile://{kitchen.outside}/secret.ts\n#EXT-X-ENDLIST\n"
    )


def _other(kitchen: Kitchen, path: Path) -> None:
    film(size="320x180", seconds=1)(kitchen, path)


def _linked_film(kitchen: Kitchen, path: Path) -> None:
    (path.parent / "target.mp4").unlink(missing_ok=True)
    film()(kitchen, path.parent / "target.mp4")
    path.symlink_to("target.mp4")


def _hard_link(kitchen: Kitchen, path: Path) -> None:
    shutil.copyfile(kitchen.film(), path.parent / "first-name.mp4")
    os.link(path.parent / "first-name.mp4", path)


def _folder_link(kitchen: Kitchen, path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(kitchen.outside)


def _circle(_: Kitchen, path: Path) -> None:
    path.symlink_to(path.name)


def _was(what: str, file: str, later: Make, answer: Answer) -> Case:
    return Case(f"a film that {what} once its job is accepted", file, film(), answer, later=_instead(later))


def _becomes(what: str, file: str, make: Make, answer: Answer) -> Case:
    return Case(f"a film that {what} between the look at it and the encode", file, _after_the_look(make), answer)


CASES = (
    Case("no file", "nowhere.mp4", nothing, REFUSED),
    Case("a folder", "folder.mp4", _folder, REFUSED),
    Case("a FIFO", "fifo.mp4", _fifo, REFUSED),
    Case("a socket", "socket.mp4", _socket, REFUSED),
    Case("a path that goes upward", "../outside/secret.mp4", nothing, REFUSED),
    Case("a path that goes up and down again", "a/../../outside/secret.mp4", nothing, REFUSED),
    Case("an absolute path outside", "/etc/passwd", nothing, REFUSED),
    Case("an absolute path to a device", "/dev/zero", nothing, REFUSED),
    Case("a path in reelmill's own folder", ".reelmill/attempts", nothing, REFUSED),
    Case("an empty path", "", nothing, REFUSED),
    Case("a link to a device", "device.mp4", _link("/dev/zero"), REFUSED),
    Case("a link to nothing", "dangling.mp4", _link("nothing.mp4"), REFUSED),
    Case("a link to itself", "circle.mp4", _circle, REFUSED),
    Case("a link to a film outside", "link-film.mp4", _link("OUTSIDE/secret.mp4"), _OUTSIDE),
    Case("a link to a text outside", "link-text.mp4", _link("OUTSIDE/secret.txt"), _OUTSIDE),
    Case("a film in a linked folder outside", "linked-folder/secret.mp4",
         _folder_link, _OUTSIDE),
    Case("a link to a film under the root", "link.mp4", _linked_film, COMPLETES),
    Case("a second name of a file", "second-name.mp4", _hard_link, COMPLETES),
    _was("is removed", "removed.mp4", nothing, _MISSING),
    _was("is emptied", "emptied.mp4", _empty, NOT_MEDIA),
    _was("becomes a text", "became-text.mp4", _text, NOT_MEDIA),
    _was("becomes a folder", "became-folder.mp4", _folder, NOT_MEDIA),
    _was("becomes a FIFO, which must not be waited for", "became-fifo.mp4", _fifo, NOT_MEDIA),
    _was("becomes a socket", "became-socket.mp4", _socket, NOT_MEDIA),
    _was("becomes a link to a device", "became-device.mp4", _link("/dev/zero"), _OUTSIDE),
    _was("becomes a link outside", "became-link.mp4", _link("OUTSIDE/secret.mp4"), _OUTSIDE),
    _was("becomes a link to nothing", "became-dangling.mp4", _link("nothing"), _MISSING),
    _was("becomes a link to itself", "became-circle.mp4", _circle, _OUTSIDE),
    _becomes("vanishes", "vanishes.mp4", _gone, _MISSING),
    _becomes("becomes a text", "changes-text.mp4", _text, NOT_MEDIA),
    _becomes("is emptied", "changes-empty.mp4", _empty, NOT_MEDIA),
    _becomes("is cut in half", "changes-half.mp4", _half, TRUNCATED),
    _becomes("becomes a playlist", "changes-list.mp4", _playlist, NOT_MEDIA),
    _becomes("becomes a folder", "changes-folder.mp4", _folder, NOT_MEDIA),
    _becomes("becomes another film", "changes-film.mp4", _other, COMPLETES),
    _becomes("becomes a link to a text outside", "changes-link.mp4", _link("OUTSIDE/secret.txt"), NOT_MEDIA),
)  # fmt: skip
