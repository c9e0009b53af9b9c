"""What GStreamer's messages mean: one table, read from the top; the first rule that fits decides.

gst-launch exits with 1 or 255 whatever went wrong, and may not exit at all; only its words tell.
"""

from __future__ import annotations

import re

from reelmill.domain.failure import Failure
from reelmill.media import input_failure
from reelmill.worker.engines import engine_failure
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.engine_failure import Rule, judge, killed, without_paths

_SINK, _SOURCE = r"GstFileSink:[^\n]*\n[^\n]*", r"GstFileSrc:[^\n]*\n[^\n]*"
_MESSAGE = re.compile(r"^ERROR: from element \S+: (.*)$", re.MULTILINE)

RULES: tuple[Rule, ...] = (
    Rule(engine_failure.NO_SPACE, r"no space left on (?:device|the resource)|disk quota exceeded"),
    Rule(engine_failure.OUT_OF_MEMORY, r"cannot allocate memory|out of memory|failed to allocate|bad_alloc"),
    Rule(engine_failure.OUT_OF_THREADS, r"resource temporarily unavailable|error creating thread"),
    Rule(engine_failure.OUT_OF_FILES, r"too many open files"),
    Rule(engine_failure.NO_ENCODER, r"no element \"|no property \"|could not set property"),
    Rule(engine_failure.OUTPUT_PERMISSION, _SINK + r"(?:permission denied|read-only file system)"),
    Rule(engine_failure.OUTPUT_MISSING, _SINK + r"no such file or directory"),
    Rule(input_failure.PERMISSION, _SOURCE + r"permission denied"),
    Rule(input_failure.MISSING, _SOURCE + r"no such file"),
    Rule(input_failure.IS_FOLDER, _SOURCE + r"is a directory|is a directory"),
    Rule(engine_failure.IO_ERROR, r"input/output error|stale file handle|could not write to resource"),
    Rule(input_failure.NOT_MEDIA, r"invalid and cannot be played|not a[^\n]* (?:file|stream)|could not determine type"),
    # The probe found streams: what the demuxer does not find any more is the index at the end of the file.
    Rule(input_failure.TRUNCATED, r"no playable streams|no known streams|stream is truncated|premature end"),
    Rule(input_failure.ENCRYPTED, r"encrypted"),
    Rule(input_failure.AUDIO_UNSUPPORTED, r"Gst(?:Audio|avenc_aac)[^\n]*\n[^\n]*not-negotiated"),
    Rule(input_failure.INVALID, r"error decoding|failed to decode|could not decode|could not demultiplex"),
    Rule(engine_failure.NOT_STARTED, exit_codes=(126, 127)),
)


def explain(exit_code: int, stderr: str, plan: EncodePlan) -> Failure:
    """The failure of a run; ``exit_code`` is negative for a signal, and 0 when only the output proved wrong."""
    text = without_paths(stderr, plan)
    said = _MESSAGE.findall(text)
    # After its own word of an error it is ended by us, because it may not end by itself.
    failure = judge(RULES, 1 if said else exit_code, text)
    if failure is not None:
        return failure
    if exit_code < 0 and not said:
        return killed("GStreamer", -exit_code)
    if not said and "interrupt" in text:
        return engine_failure.INTERRUPTED
    quote = f" (the first: {said[0][:200]})" if said else ""
    message = f"GStreamer failed with exit code {exit_code}; the job's log has its messages{quote}."
    return Failure("runtime_error", "engine_failed", message)
