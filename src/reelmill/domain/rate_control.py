"""Rate control: what an encoder spends its bits by."""

from __future__ import annotations

from typing import Literal

import msgspec

from reelmill.errors import InvalidField

RateMode = Literal["bitrate", "crf", "capped-crf", "two-pass"]
CRF_RANGES = {"h264": (0, 51), "h265": (0, 51), "vp9": (0, 63), "av1": (1, 63)}
"""Each encoder's own scale of constant quality, the best first."""

_TWO_PASS = ("h264", "h265", "vp9")


class RateControl(msgspec.Struct, frozen=True):
    """``bitrate``: an average rate in one pass. ``two-pass``: the same, planned over the whole film. ``crf``: constant
    quality, whatever it takes. ``capped-crf``: constant quality, but never more than the job's bitrate.
    """

    mode: RateMode = "bitrate"
    crf: int | None = None

    @property
    def follows_bitrate(self) -> bool:
        """Whether a job's bitrate means anything."""
        return self.mode != "crf"


def check_rate_control(field: str, rate: RateControl, codec: str) -> None:
    """InvalidField, named from ``field`` on, when the encoder cannot do it or it contradicts itself."""
    by_quality = rate.mode in ("crf", "capped-crf")
    if by_quality and rate.crf is None:
        raise InvalidField(f"{field}.crf", f"is needed with mode {rate.mode!r}, such as 23")
    if rate.crf is not None and not by_quality:
        raise InvalidField(f"{field}.crf", f"has no meaning with mode {rate.mode!r}; take it out, or say mode 'crf'")
    low, high = CRF_RANGES[codec]
    if rate.crf is not None and not low <= rate.crf <= high:
        raise InvalidField(f"{field}.crf", f"{rate.crf} is out of range for {codec} ({low} to {high})")
    if rate.mode == "two-pass" and codec not in _TWO_PASS:
        others = ", ".join(_TWO_PASS)
        raise InvalidField(f"{field}.mode", f"'two-pass' is not done for {codec} (for {others} it is); use 'bitrate'")
