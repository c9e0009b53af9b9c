"""The command that joins pieces: their pictures as they are, the sound of the whole input encoded."""

from __future__ import annotations

from reelmill.worker.engines.engine import EncodePlan, Joining
from reelmill.worker.engines.ffmpeg_encoders import sample_entry

_PIECE_FORMATS = ("concat", "mov")


def pieces_input(joining: Joining) -> list[str]:
    """The pieces one behind the other, from where the first picture is shown."""
    return [
        *(["-itsoffset", f"{joining.begins:.6f}"] if joining.begins else []),
        *("-protocol_whitelist", "file", "-format_whitelist", ",".join(_PIECE_FORMATS)),
        *("-f", "concat", "-i", f"file:{joining.listing}"),
    ]


def copied_pictures(plan: EncodePlan) -> list[str]:
    """The pictures as they are in the pieces, which are the second input."""
    return ["-map", "1:v:0", "-c:v", "copy", *sample_entry(plan)]
