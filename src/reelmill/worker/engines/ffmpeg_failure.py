"""What ffmpeg's exit codes and messages mean: one table, read from the top; the first rule that fits decides.

ffmpeg exits with the low byte of its error (254 is ENOENT, 183 "invalid data", …), and only its text tells whether the
input or the output was meant.
"""

from __future__ import annotations

import re
import signal

from reelmill.domain.failure import Failure
from reelmill.media import input_failure
from reelmill.worker.engines import engine_failure
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.engine_failure import Rule, judge, killed, without_paths

_MOST_QUOTED = 200
_NOT_WORTH_QUOTING = re.compile(
    r"^(?:Svt\[(?:info|warn)|x265 \[(?:info|warning)\]|\s*Last message repeated)|Terminating thread|Task finished with"
    r"|Error opening (?:input|output) files|Error sending frames|Conversion failed|Nothing was written"
    r"|Could not open encoder before EOF"
)
_COMPONENT = re.compile(r"\[[^\]]* @ 0x[0-9a-f]+\] ?")

# Words that name a cause come before exit codes, which are shared by many causes; faults of the machine come before
# those of the input, which a failing machine can imitate.
RULES: tuple[Rule, ...] = (
    # NVENC says "out of memory" of its sessions too.
    Rule(engine_failure.ENCODER_BUSY, r"openencodesessionex failed: (?:out of memory|incompatible client key)"),
    Rule(
        engine_failure.NO_DEVICE,
        r"no capable devices found|cannot load (?:libcuda|libnvidia-encode|nvcuda)|no va display found"
        r"|failed to initialise vaapi|error (?:creating|initializing)[^\n]* mfx session|dll libamf",
    ),
    Rule(engine_failure.NO_SPACE, r"no space left on device|disk quota exceeded"),
    Rule(
        engine_failure.OUT_OF_MEMORY,
        r"cannot allocate memory|out of memory|malloc of size \d+ failed|bad_alloc|\bmalloc\b.*fail",
    ),
    Rule(engine_failure.OUT_OF_THREADS, r"pthread_create\(?\)? failed|resource temporarily unavailable"),
    Rule(engine_failure.OUT_OF_FILES, r"too many open files"),
    Rule(engine_failure.FILE_LIMIT, r"file too large"),
    Rule(
        engine_failure.NO_ENCODER,
        r"unknown encoder|encoder not found|error selecting an encoder|unrecognized option|option .* not found",
    ),
    Rule(engine_failure.IO_ERROR, r"input/output error|stale file handle"),
    Rule(
        input_failure.AUDIO_UNSUPPORTED,
        r"unsupported channel (?:layout|count)|sample rate \S+ is not supported",
    ),
    Rule(input_failure.NO_VIDEO, r"matches no streams|does not contain any stream"),
    Rule(input_failure.TOO_LARGE, r"exceeds specified max pixel count|picture size \S+ is invalid"),
    Rule(input_failure.NOT_MEDIA, r"not on whitelist|detected only with low score"),
    Rule(input_failure.UNSUPPORTED, r"decoder .*not found|no decoder (?:for|could)|decoding requested, but no decoder"),
    Rule(engine_failure.OUTPUT_PERMISSION, r"error opening output.*(?:permission denied|read-only file system)"),
    Rule(engine_failure.OUTPUT_MISSING, r"error opening output.*no such file or directory"),
    Rule(input_failure.PERMISSION, r"error opening input.*permission denied"),
    Rule(input_failure.MISSING, r"error opening input.*no such file or directory"),
    Rule(input_failure.IS_FOLDER, r"error opening input.*is a directory"),
    Rule(input_failure.TRUNCATED, r"moov atom not found|file ended prematurely|partial file|truncat"),
    Rule(input_failure.INVALID, r"decode error rate .* exceeds maximum", exit_codes=(69,)),
    Rule(engine_failure.NO_ENCODER, exit_codes=(8,)),
    Rule(engine_failure.NOT_STARTED, exit_codes=(126, 127)),
    Rule(input_failure.NOT_MEDIA, r"error opening input", exit_codes=(183, 234)),
    Rule(input_failure.INVALID, exit_codes=(69, 183)),
    Rule(engine_failure.NO_SPACE, exit_codes=(228,)),
    Rule(engine_failure.FILE_LIMIT, exit_codes=(229, -signal.SIGXFSZ)),
    Rule(engine_failure.OUT_OF_FILES, exit_codes=(232,)),
    Rule(input_failure.IS_FOLDER, exit_codes=(235,)),
    Rule(engine_failure.OUT_OF_MEMORY, exit_codes=(244,)),
    Rule(engine_failure.OUT_OF_THREADS, exit_codes=(245,)),
    Rule(engine_failure.IO_ERROR, exit_codes=(251,)),
    Rule(input_failure.MISSING, exit_codes=(254,)),
    Rule(engine_failure.INTERRUPTED, exit_codes=(255,)),
)


def explain(exit_code: int, stderr: str, plan: EncodePlan) -> Failure:
    """The failure of a run; ``exit_code`` is negative for a signal, and 0 when only the output proved wrong."""
    text = without_paths(stderr, plan)
    failure = judge(RULES, exit_code, text)
    if failure is not None:
        return failure
    if exit_code < 0:
        return killed("ffmpeg", -exit_code)
    said = _last_words(text)
    quote = f" (the last: {said})" if said else ""
    message = f"ffmpeg failed with exit code {exit_code}; the job's log has its messages{quote}."
    return Failure("runtime_error", "engine_failed", message)


def _last_words(text: str) -> str:
    lines = [_COMPONENT.sub("", line).strip() for line in text.splitlines() if not _NOT_WORTH_QUOTING.search(line)]
    said = next((line for line in reversed(lines) if line), "")
    return said if len(said) <= _MOST_QUOTED else said[: _MOST_QUOTED - 1] + "…"
