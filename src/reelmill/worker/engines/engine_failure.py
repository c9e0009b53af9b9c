"""What may go wrong with any engine: the failures that all of them share, and how words and exit codes choose one."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import NamedTuple

from reelmill.domain.failure import Failure
from reelmill.worker.engines.engine import EncodePlan

NO_SPACE = Failure(
    "resource_error", "no_space", "The disk of the media folder is full, or a quota is reached; free some space on it."
)
NO_DEVICE = Failure(
    "capability_mismatch",
    "no_encoder_device",
    "The hardware encoder has no device that does this; `reelmill doctor` shows which encoders work on this node.",
)
ENCODER_BUSY = Failure(
    "resource_error",
    "encoder_busy",
    "All sessions of the hardware encoder are in use; it is tried again, or run fewer jobs at once (`--slots`).",
)
OUT_OF_MEMORY = Failure(
    "resource_error",
    "out_of_memory",
    "The engine ran out of memory; run fewer jobs at once on this node (`--slots`) or give it more memory.",
)
OUT_OF_THREADS = Failure(
    "resource_error",
    "out_of_threads",
    "The engine could not start its threads; raise the node's limit on processes and threads, or lower `--slots`.",
)
OUT_OF_FILES = Failure(
    "resource_error", "out_of_files", "The engine may open no more files; raise the node's limit on open files."
)
FILE_LIMIT = Failure(
    "resource_error", "file_too_large", "The output is larger than this node allows a file to be; raise that limit."
)
NO_ENCODER = Failure(
    "capability_mismatch",
    "encoder_unavailable",
    "The engine on this node lacks the encoder or its options; `reelmill doctor` shows which encoders work there.",
)
OUTPUT_PERMISSION = Failure(
    "platform_error",
    "permission_denied",
    "The worker may not write its attempt folder; let the user it runs as write the media root's .reelmill folder.",
)
OUTPUT_MISSING = Failure(
    "platform_error",
    "output_folder_missing",
    "The attempt folder vanished while the job ran; check that nothing cleans the media root's .reelmill folder.",
)
IO_ERROR = Failure(
    "platform_error", "io_error", "Reading or writing the media folder failed; check its disk or network share."
)
NOT_STARTED = Failure(
    "platform_error", "engine_not_started", "The engine could not be started; check that the program is still there."
)
INTERRUPTED = Failure(
    "platform_error",
    "engine_killed",
    "The engine was told to stop by something else than reelmill; look who did on the node.",
)


class Rule(NamedTuple):
    """A failure and what shows it: words in stderr, one of some exit codes, or both at once."""

    failure: Failure
    words: str = ""
    exit_codes: tuple[int, ...] = ()

    def fits(self, exit_code: int, stderr: str) -> bool:
        if self.exit_codes and exit_code not in self.exit_codes:
            return False
        return re.search(self.words, stderr, re.IGNORECASE) is not None


def judge(rules: Sequence[Rule], exit_code: int, text: str) -> Failure | None:
    """The failure of the first rule that fits; None when none does."""
    was_killed = exit_code < 0
    for rule in rules:
        # Warnings about the input are no verdict on it when the engine did not end by itself.
        if (not was_killed or rule.failure.reason == "resource_error") and rule.fits(exit_code, text):
            return rule.failure
    return None


def killed(engine: str, number: int) -> Failure:
    """What a signal that ended the engine of that name means."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    likely = (
        "most likely the system ran out of memory; run fewer jobs at once (`--slots`) or give the node more memory"
        if number == signal.SIGKILL
        else "if it happens again with this input, the input makes the engine crash"
    )
    return Failure("platform_error", "engine_killed", f"The {engine} engine was ended by {name}; {likely}.")


def without_paths(stderr: str, plan: EncodePlan) -> str:
    """What the engine said, without the names of the plan's files."""
    # A file may be named after any rule's words; its name must not choose the failure.
    for path in (plan.input_path, plan.output_path):
        if path is not None:
            stderr = stderr.replace(str(path), "FILE")
    return stderr
