"""GStreamer's command, its progress and its faults. The texts are GStreamer's own, as it wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelmill.media.failed import AttemptFailed
from reelmill.worker.engine_output import GaveUp
from reelmill.worker.engines.engine import EncodePlan, ProgressState
from reelmill.worker.engines.gstreamer import GstreamerEngine
from reelmill.worker.engines.gstreamer_failure import explain
from reelmill.worker.media_info import MediaInfo

PlanFor = Callable[..., EncodePlan]
ENGINE = GstreamerEngine(Path("/usr/bin/gst-launch-1.0"), {"h264": "x264enc", "h265": "x265enc"})
PROGRESS = (
    'Got message #391 from element "p" (element): progress, percent=(int)60, percent-double=(double)60, '
    "current=(gint64)3, total=(gint64)5, format=(GstFormat)time;"
)
SINK = 'ERROR: from element /GstPipeline:pipeline0/GstFileSink:filesink0: Could not open file "x" for writing.\n'
DEBUG = "Additional debug info:\n../gstfilesink.c(1): start (): /GstPipeline:pipeline0/GstFileSink:filesink0:\n"
QT = "ERROR: from element /GstPipeline:pipeline0/GstQTDemux:demux: "
WORDS = [
    (1, 'WARNING: erroneous pipeline: no element "x264enc"', "capability_mismatch", "encoder_unavailable"),
    (1, SINK + DEBUG + "No space left on device", "resource_error", "no_space"),
    (1, SINK + DEBUG + "system error: No such file or directory", "platform_error", "output_folder_missing"),
    (1, SINK + DEBUG + "system error: Permission denied", "platform_error", "permission_denied"),
    (-9, QT + "This file is invalid and cannot be played.", "input_error", "input_not_media"),
    (-9, QT + "This file contains no playable streams.", "input_error", "input_truncated"),
    (-9, "", "platform_error", "engine_killed"),
    (-9, QT + "something new", "runtime_error", "engine_failed"),
    (3, "", "runtime_error", "engine_failed"),
]


def test_every_value_is_quoted_and_no_shell_is_asked(plan_for: PlanFor, source: MediaInfo) -> None:
    """A file's name cannot end its property and go on as a pipeline."""
    nasty = Path('/media/a" ! filesink location="b\\.mp4')
    words = ENGINE.command(plan_for(source=source, input_path=nasty))
    assert 'location="/media/a\\" ! filesink location=\\"b\\\\.mp4"' in words
    assert words[0] == "/usr/bin/gst-launch-1.0"
    assert all(re.fullmatch(r'[a-z-]+="(?s:.*)"', word) for word in words if "=" in word)


def test_nothing_in_a_file_chooses_an_element(plan_for: PlanFor, source: MediaInfo) -> None:
    """No element is there that plugs in whatever it finds: a playlist in disguise opens nothing."""
    words = ENGINE.command(plan_for(source=source))
    assert not [word for word in words if re.search(r"decodebin|playbin|uri|parsebin|hls|dash|souphttp", word)]
    unknown = msgspec.structs.replace(source, container="hls")
    with pytest.raises(AttemptFailed) as failed:
        ENGINE.command(plan_for(source=unknown))
    assert failed.value.failure.code == "decoder_unavailable"


def test_what_it_does_not_do_is_said(plan_for: PlanFor, source: MediaInfo) -> None:
    """Never silently something else than ffmpeg would make."""
    for changed in (
        msgspec.structs.replace(source, dynamic_range="pq"),
        msgspec.structs.replace(source, interlaced=True),
    ):
        with pytest.raises(AttemptFailed) as failed:
            ENGINE.command(plan_for(source=changed))
        assert (failed.value.failure.reason, failed.value.failure.code) == ("capability_mismatch", "engine_unable")


def test_progress_is_of_the_encoder_in_media_seconds() -> None:
    """The same second twice is no progress."""
    state = ProgressState(6.0, rate=30.0)
    first, again = ENGINE.parse_progress(PROGRESS, state), ENGINE.parse_progress(PROGRESS, state)
    assert first is not None
    assert again is not None
    assert (first.percent, first.moved, again.moved) == (50.0, True, False)
    assert ENGINE.parse_progress("Setting pipeline to PLAYING ...", state) is None


def test_an_error_message_ends_the_run() -> None:
    """gst-launch may go on for ever after it."""
    with pytest.raises(GaveUp):
        ENGINE.parse_progress('Got message #15 from element "demux" (error): GstMessageError', ProgressState(1.0))


@pytest.mark.parametrize(("exit_code", "stderr", "reason", "code"), WORDS)
def test_every_known_word_has_a_name(plan_for: PlanFor, exit_code: int, stderr: str, reason: str, code: str) -> None:
    """The reason decides about a retry, the code is for programs, the message says what to do."""
    failure = explain(exit_code, stderr, plan_for())
    assert (failure.reason, failure.code) == (reason, code)
