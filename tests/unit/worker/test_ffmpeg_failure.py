"""What ffmpeg's exits mean. The texts are ffmpeg's own, as it wrote them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg_failure import RULES, explain
from reelmill.worker.media_info import MediaInfo

PlanFor = Callable[..., EncodePlan]
IN = "[in#0 @ 0x557fefe65000] Error opening input: "
OUT = "[out#0/mp4 @ 0x1] Error opening output FILE: "
LOW = "[in#0 @ 0x1] Format mov,mp4,m4a,3gp,3g2,mj2 detected only with low score of 1, misdetection possible!\n"
WORDS: list[tuple[int, str, str, str]] = [
    (254, IN + "No such file or directory", "input_error", "input_missing"),
    (183, IN + "Invalid data found when processing input", "input_error", "input_not_media"),
    (183, LOW + "[in#0 @ 0x1] moov atom not found", "input_error", "input_not_media"),
    (183, "[in#0 @ 0x1] moov atom not found\n" + IN + "Invalid data found", "input_error", "input_truncated"),
    (234, "[in#0 @ 0x1] Format not on whitelist 'mov'\n" + IN + "Invalid argument", "input_error", "input_not_media"),
    (235, IN + "Is a directory", "input_error", "input_not_media"),
    (243, IN + "Permission denied", "user_error", "permission_denied"),
    (243, OUT + "Permission denied", "platform_error", "permission_denied"),
    (254, OUT + "No such file or directory", "platform_error", "output_folder_missing"),
    (234, "Stream map '' matches no streams.", "input_error", "no_video_stream"),
    (69, "[mjpeg @ 0x1] Picture size 12000x12000 exceeds specified max pixel count", "input_error", "input_too_large"),
    (69, "[dec:h264 @ 0x1] Decode error rate 1 exceeds maximum 0.666667", "input_error", "input_invalid"),
    (8, "[vost#0:0 @ 0x1] Unknown encoder 'libfoo'", "capability_mismatch", "encoder_unavailable"),
    (228, "[out#0/matroska @ 0x1] Error writing trailer: No space left on device", "resource_error", "no_space"),
    (187, "x264 [error]: malloc of size 21862400 failed", "resource_error", "out_of_memory"),
    (245, "[vf#0:0 @ 0x1] pthread_create() failed: Resource temporarily", "resource_error", "out_of_threads"),
    (251, "[in#0 @ 0x1] Error during demuxing: Input/output error", "platform_error", "io_error"),
    (234, '[aac @ 0x1] Unsupported channel layout "9.1.6"', "input_error", "audio_unsupported"),
    (235, "", "input_error", "input_not_media"),
    (254, "", "input_error", "input_missing"),
    (183, "", "input_error", "input_invalid"),
    (229, "", "resource_error", "file_too_large"),
    (245, "", "resource_error", "out_of_threads"),
    (251, "", "platform_error", "io_error"),
    (126, "", "platform_error", "engine_not_started"),
    (-6, "", "platform_error", "engine_killed"),
    (228, "", "resource_error", "no_space"),
    (244, "", "resource_error", "out_of_memory"),
    (232, "", "resource_error", "out_of_files"),
    (8, "", "capability_mismatch", "encoder_unavailable"),
    (255, "", "platform_error", "engine_killed"),
    (127, "", "platform_error", "engine_not_started"),
    (-25, "", "resource_error", "file_too_large"),
    (-9, "", "platform_error", "engine_killed"),
    (-11, "", "platform_error", "engine_killed"),
    (1, "[x @ 0x1] something new", "runtime_error", "engine_failed"),
]  # fmt: skip


@pytest.mark.parametrize(("exit_code", "stderr", "reason", "code"), WORDS)
def test_every_known_exit_has_a_name(plan_for: PlanFor, exit_code: int, stderr: str, reason: str, code: str) -> None:
    """A job that failed says why in a code for programs and a sentence for people."""
    failure = explain(exit_code, stderr, plan_for())
    assert (reason, code) == (failure.reason, failure.code)
    assert failure.message.endswith(".")


def test_bad_input_is_never_retried() -> None:
    """P9: no rule about the input leads to another try."""
    assert not [rule for rule in RULES if rule.failure.code.startswith("input_") and rule.failure.retryable]


def test_a_files_name_cannot_choose_its_failure(source: MediaInfo, plan_for: PlanFor) -> None:
    """A file named after an error is not that error."""
    path = Path("/media/No space left on device moov atom not found.mp4")
    stderr = f"{IN}Permission denied\nError opening input file file:{path}."
    assert explain(243, stderr, plan_for(source=source, input_path=path)).code == "permission_denied"


def test_warnings_about_the_input_do_not_excuse_a_kill(plan_for: PlanFor) -> None:
    """An engine killed for want of memory is tried again, although it had found the input imperfect."""
    failure = explain(-signal.SIGKILL, "[in#0 @ 0x1] stream 0, offset 0x61fc8: partial file", plan_for())
    assert (failure.code, failure.retryable) == ("engine_killed", True)
    assert "SIGKILL" in failure.message


def test_an_unknown_failure_quotes_the_line_that_matters(plan_for: PlanFor) -> None:
    """The last line of ffmpeg is never the cause; the quote is the last one that says something, and short."""
    stderr = (
        "[enc:x @ 0x55e8] the flux is inverted\n[vf#0:0 @ 0x1] Task finished with error code: -22 (Invalid argument)\n"
    )
    assert "(the last: the flux is inverted)" in explain(234, stderr, plan_for()).message
    assert len(explain(1, "x" * 10_000, plan_for()).message) < 400
