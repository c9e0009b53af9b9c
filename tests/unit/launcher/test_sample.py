"""Samples: sorted and asked whatever their size."""

from __future__ import annotations

import random

from reelmill.launcher.sample import Sample


def test_a_large_sample_is_sorted_as_a_small_one() -> None:
    """More numbers than one piece of the sort holds: none is lost, and all are in order."""
    values = [random.Random(3).random() for _ in range(10)] + [float(n % 977) for n in range(120_000)]
    sample = Sample(values)
    assert sorted(values) == list(sample.sorted())
    assert (120_010, 0.0, 976.0) == (len(sample), sample.least, sample.most)


def test_what_is_added_later_counts_too() -> None:
    """A question in between does not freeze the sample."""
    sample = Sample([3.0, 1.0])
    assert 1.0 == sample.percentile(0.5)
    sample.add(0.5)
    sample.extend(Sample([9.0]))
    assert [0.5, 1.0, 3.0, 9.0] == list(sample.sorted())
    assert 3.375 == sample.mean
