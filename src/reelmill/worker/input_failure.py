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
    "input_error", "input_too_large", "The input's picture is larger than 8K, which is the most allowed."
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
