"""Quantities as people type them: bitrates, durations, sizes and counts with units."""

from __future__ import annotations

import math
import re

_BITRATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kKmMgG]?)(?:bps|bit/s|b/s)?")
_BITRATE_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)?")
_DURATION_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_CLOCK = re.compile(r"(?:(?P<hours>\d{1,3}):)?(?P<minutes>\d{1,2}):(?P<seconds>\d{1,2}(?:\.\d+)?)")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?:(?P<unit>[kmgt])(?P<binary>i?)b?|b)?", re.IGNORECASE)
_SIZE_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_COUNT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kKmM]?)")


def parse_bitrate(text: str) -> int:
    """Bits per second from ``"5M"``, ``"2500k"``, ``"800000"`` or ``"5Mbps"``; ValueError when it is none of these."""
    match = _BITRATE.fullmatch(text.strip())
    rate = float(match["number"]) * _BITRATE_UNITS[match["unit"].lower()] if match else math.inf
    if math.isinf(rate):  # no number, or more digits than any number needs
        raise ValueError(f"{_shown(text)} is not a bitrate; write bits per second, such as 5M, 2500k or 800000")
    return round(rate)


def parse_duration(text: str) -> float:
    """Seconds from ``"90"``, ``"1.5s"``, ``"250ms"``, ``"2m"``, ``"1h"``, ``"30d"`` or a clock's ``"00:01:30"``.

    ValueError when it is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match["number"]) * _DURATION_UNITS[match["unit"]] if match else _parse_clock(text.strip())
    if math.isinf(seconds):
        raise ValueError(f"{_shown(text)} is not a duration; write seconds, or 250ms, 90s, 2m, 1h, 30d, 00:01:30")
    return seconds


def _parse_clock(text: str) -> float:
    """``[HOURS:]MINUTES:SECONDS``; infinity when it is not."""
    match = _CLOCK.fullmatch(text)
    if match is None or float(match["seconds"]) >= 60 or int(match["minutes"]) >= 60:
        return math.inf
    return int(match["hours"] or 0) * 3600 + int(match["minutes"]) * 60 + float(match["seconds"])


def parse_delay(text: str) -> float:
    """Seconds from a short wait: a duration, of which a plain number is milliseconds; ValueError when it is none."""
    text = text.strip()
    try:
        return parse_duration(f"{text}ms" if text[-1:].isdigit() and ":" not in text else text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is not a delay; write milliseconds, or 250ms, 1s, 2m") from None


def parse_retention(text: str) -> float | None:
    """How many seconds to keep something: a duration with its unit; None, for ever, from ``"forever"`` or ``"0"``."""
    if text.strip() == "forever":
        return None
    advice = "write a number with a unit (s, m, h, d), such as 12h or 30d, or forever"
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{_shown(text)} is not a time to keep jobs; {advice}") from error
    if seconds and not text.strip()[-1].isalpha():  # 90 may be meant as days, and what is forgotten is gone
        raise ValueError(f"{_shown(text)} has no unit; {advice}")
    return seconds or None


def parse_size(text: str) -> int:
    """Bytes from ``"256MB"``, ``"1.5GiB"``, ``"4G"`` (decimal) or ``"1000"``; ValueError when it is none of these."""
    match = _SIZE.fullmatch(text.strip())
    base = 1024 if match and match["binary"] else 1000
    size = float(match["number"]) * base ** _SIZE_POWERS.get((match["unit"] or "").lower(), 0) if match else math.inf
    if math.isinf(size):
        raise ValueError(f"{_shown(text)} is not a size; write bytes, or 256MB, 1.5GB, 4GiB")
    return round(size)


def parse_count(text: str) -> int:
    """A whole number from ``"1000"``, ``"10k"`` or ``"1M"``; ValueError when it is none of these."""
    match = _COUNT.fullmatch(text.strip())
    count = float(match["number"]) * _BITRATE_UNITS[match["unit"].lower()] if match else 0.5
    if not count.is_integer():
        raise ValueError(f"{_shown(text)} is not a count; write a whole number, such as 1000 or 10k")
    return int(count)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def format_bitrate(bits_per_second: float) -> str:
    """``5_000_000`` as ``"5 Mbit/s"``."""
    for size, unit in ((1_000_000, "Mbit/s"), (1_000, "kbit/s")):
        if bits_per_second >= size:
            return f"{bits_per_second / size:g} {unit}"
    return f"{bits_per_second:g} bit/s"


def format_size(size: float) -> str:
    """``256_000_000`` bytes as ``"256 MB"``."""
    for power, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= power:
            return f"{size / power:.3g} {unit}" if size < 1000 * power else f"{size / power:.0f} {unit}"
    return f"{size:.0f} B"
