"""Quantities as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelmill.domain.quantity import (
    format_bitrate,
    format_size,
    parse_bitrate,
    parse_count,
    parse_delay,
    parse_duration,
    parse_retention,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5M", 5_000_000), ("2500k", 2_500_000), ("800000", 800_000), ("5Mbps", 5_000_000), (" 1.5 Mbit/s ", 1_500_000)],
)
def test_bitrates(text: str, expected: int) -> None:
    """Bits per second, with the units that people write."""
    assert expected == parse_bitrate(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("2d", 172_800.0),
        ("00:01:00", 60.0),
        ("1:30", 90.0),
        ("01:00:00.5", 3600.5),
        ("100:00:00", 360_000.0),
    ],
)
def test_durations(text: str, expected: float) -> None:
    """Seconds, with the units that people write."""
    assert expected == parse_duration(text)


@pytest.mark.parametrize("text", ["1:60", "1:60:00", "1:2:3:4", ":30", "1:", "-0:30"])
def test_what_no_clock_shows_is_no_duration(text: str) -> None:
    """Minutes and seconds end at 59."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("100", 0.1), ("1s", 1.0), ("250ms", 0.25), ("0", 0.0), ("2m", 120.0), ("0:02", 2.0)]
)
def test_a_delay_without_a_unit_is_milliseconds(text: str, seconds: float) -> None:
    """As it always was; with a unit it is what it says."""
    assert seconds == pytest.approx(parse_delay(text))


@pytest.mark.parametrize("text", ["", "x", "-1", "1 day", "1.5.2"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    """The sentence names milliseconds."""
    with pytest.raises(ValueError, match="is not a delay; write milliseconds"):
        parse_delay(text)


@pytest.mark.parametrize(("text", "expected"), [("1000", 1000), ("10k", 10_000), ("1.5k", 1500), ("1M", 1_000_000)])
def test_counts(text: str, expected: int) -> None:
    """Whole numbers, with the units that people write."""
    assert expected == parse_count(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("256MB", 256_000_000), ("1.5 GiB", 1_610_612_736), ("4g", 4_000_000_000), ("12b", 12), ("1TB", 10**12)],
)
def test_sizes(text: str, expected: int) -> None:
    """Bytes, with the units that people write; an i makes them powers of 1024."""
    assert expected == parse_size(text)


@pytest.mark.parametrize("text", ["", "much", "-1MB", "1 XB", "GB", "1MiBB", "9" * 400])
def test_what_is_no_size_is_refused(text: str) -> None:
    """With a sentence that shows how to write one."""
    with pytest.raises(ValueError, match="is not a size; write bytes, or 256MB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (12_340_000, "12.3 MB"), (256_000_000, "256 MB"), (2 * 10**15, "2000 TB")],
)
def test_sizes_are_shown_with_three_figures(size: int, shown: str) -> None:
    """In the largest unit that fits."""
    assert shown == format_size(size)


@given(st.integers(0, 10**6), st.sampled_from(["", "k", "K", "m", "M", "G"]), st.sampled_from(["", "bps", "bit/s"]))
def test_a_bitrate_comes_back_as_it_was_written(number: int, unit: str, tail: str) -> None:
    """No unit loses or gains anything."""
    factor = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[unit.lower()]

    assert number * factor == parse_bitrate(f"{number}{unit}{tail}")


@given(st.integers(1, 10**5))
def test_a_shown_bitrate_can_be_typed_in_again(kbits: int) -> None:
    """What we print, we read, to the digits that are shown."""
    shown = format_bitrate(kbits * 1000)
    number, unit = shown.split(" ")

    assert parse_bitrate(number + unit[0]) == pytest.approx(kbits * 1000, rel=1e-4)


@given(st.integers(0, 10**9))
def test_milliseconds_are_thousandths(number: int) -> None:
    """The two units agree."""
    assert parse_duration(f"{number}ms") == pytest.approx(parse_duration(f"{number}s") / 1000)


@given(st.text(max_size=400) | st.text("0123456789.kMGmsh ", max_size=400))
def test_any_other_text_is_a_value_error(text: str) -> None:
    """Never another exception: callers turn ValueError into a sentence."""
    for parse in (parse_bitrate, parse_duration, parse_count):
        try:
            assert parse(text) >= 0
        except ValueError:
            continue


@pytest.mark.parametrize("text", ["9" * 400, "9" * 309 + "M"])
def test_a_number_beyond_all_measure_is_a_value_error(text: str) -> None:
    """Infinity is not a quantity."""
    for parse in (parse_bitrate, parse_duration, parse_count):
        with pytest.raises(ValueError, match="is not a"):
            parse(text)


@pytest.mark.parametrize("text", ["1.5", "0.0001k", "k", "-1", "ten"])
def test_half_a_job_is_no_count(text: str) -> None:
    """Counts are whole."""
    with pytest.raises(ValueError, match="is not a count"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12h", 43_200.0),
        ("30d", 2_592_000.0),
        ("90s", 90.0),
        ("2 m", 120.0),
        ("0", None),
        ("0.0", None),
        ("0d", None),
        ("forever", None),
    ],
)
def test_how_long_to_keep(text: str, seconds: float | None) -> None:
    """A duration, or for ever."""
    assert seconds == parse_retention(text)


@pytest.mark.parametrize("text", ["", "never", "-1d", "1 month", "30 d h"])
def test_what_is_no_time_to_keep_is_told_what_to_write(text: str) -> None:
    """The sentence is about keeping, not about durations of media."""
    with pytest.raises(ValueError, match=r"is not a time to keep jobs; write a number with a unit \(s, m, h, d\)"):
        parse_retention(text)


@pytest.mark.parametrize("text", ["90", "2592000", "1.5", " 30 "])
def test_a_time_to_keep_needs_its_unit(text: str) -> None:
    """90 days would be 90 seconds; what is forgotten is gone."""
    with pytest.raises(ValueError, match=r"has no unit; write a number with a unit \(s, m, h, d\), such as 12h or 30d"):
        parse_retention(text)
