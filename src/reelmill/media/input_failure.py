"""The ways an input is unfit, in one place: the probe and the engines say the same words for the same fault."""

from __future__ import annotations

from reelmill.domain.failure import Failure

MISSING = Failure("input_error", "input_missing", "The input does not exist; check its path under the media root.")
NOT_MEDIA = Failure(
    "input_error",
    "input_not_media",
    "The input is not a media file that is accepted (playlists, scripts, documents and pictures are not); "
    "give a video file such as mp4, mkv, mov, webm or ts.",
)
IS_FOLDER = Failure("input_error", "input_not_media", "The input is not a plain file; name one video file.")
TRUNCATED = Failure(
    "input_error", "input_truncated", "The input ends early: part of the file is missing; copy or export it again."
)
INVALID = Failure(
    "input_error", "input_invalid", "The input is damaged, or its pictures are too large; copy or export it again."
)
TOO_LARGE = Failure(
    "input_error", "input_too_large", "The input's picture is larger than 8K, which is the most allowed; scale it down."
)
TOO_NARROW = Failure(
    "input_error",
    "input_too_narrow",
    "The input's picture is so much longer than wide that nothing is left of one side at the scenario's size; "
    "crop it, or choose a larger scenario.",
)
TOO_LONG = Failure(
    "input_error",
    "input_too_long",
    "The input says that it lasts longer than 24 hours, the most that one job encodes; cut it, ask for a `duration`, "
    "or write it anew if it does not really last that long.",
)
ENCRYPTED = Failure(
    "input_error", "input_encrypted", "The input is encrypted; give a file that plays without a key or a licence."
)
AUDIO_UNSUPPORTED = Failure(
    "input_error",
    "audio_unsupported",
    "The input's sound has a rate or an arrangement of channels that AAC does not have; convert it, for example to "
    "5.1 or stereo at 48 kHz.",
)
NO_VIDEO = Failure("input_error", "no_video_stream", "The input has no video; give a file with a video stream.")
UNSUPPORTED = Failure(
    "capability_mismatch",
    "decoder_unavailable",
    "The engine on this node cannot decode the input's codec; convert the input, or use an ffmpeg with that decoder.",
)
PERMISSION = Failure(
    "user_error", "permission_denied", "The worker may not read the input; let the user it runs as read the file."
)
