"""The small rules: who can run what, when to try again, which name was meant, what comes first."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelmill.domain.capability import CODECS, Capabilities, Needs, can_run, choose_engine, units_on
from reelmill.domain.failure import FAILURE_REASONS, RETRYABLE, Failure
from reelmill.domain.job import PRIORITIES, QUEUES, order_rank
from reelmill.domain.retry import RetryPolicy
from reelmill.domain.scenario import CATALOGUE
from reelmill.domain.suggestion import unknown_name

SMALL = Capabilities(2, {"ffmpeg": ["h264", "h265"], "gstreamer": ["h264", "vp9"]})
engine_names = st.sampled_from(["ffmpeg", "gstreamer"])
nodes = st.builds(Capabilities, st.integers(1, 64), st.dictionaries(engine_names, st.lists(st.sampled_from(CODECS))))
needs = st.builds(Needs, st.sampled_from(["auto", "ffmpeg", "gstreamer"]), st.sampled_from(CODECS), st.integers(1, 16))


@pytest.mark.parametrize(
    ("engine", "codec", "expected"),
    [
        ("auto", "h265", True),
        ("auto", "vp9", True),
        ("auto", "av1", False),
        ("ffmpeg", "vp9", False),
        ("gstreamer", "vp9", True),
        ("gstreamer", "h265", False),
    ],
)
def test_a_node_runs_what_one_of_its_engines_encodes(engine: str, codec: str, expected: bool) -> None:
    """`auto` takes any engine; a named engine must be there and know the codec."""
    assert expected is can_run(SMALL, Needs(engine, codec, 1))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, True),
        ({"gpu": "yes"}, True),
        ({"gpu": "yes", "site": "ber"}, True),
        ({"gpu": "no"}, False),
        ({"gpu": "yes", "rack": "1"}, False),
    ],
)
def test_a_node_runs_only_jobs_whose_labels_it_carries(asked: dict[str, str], expected: bool) -> None:
    """All of them, each with the same value; a node may carry more."""
    node = Capabilities(2, {"ffmpeg": ["h264"]}, {"gpu": "yes", "site": "ber"})

    assert expected is can_run(node, Needs("auto", "h264", 1, node_labels=tuple(asked.items())))


@given(nodes, needs)
def test_the_chosen_engine_is_there_and_knows_the_codec(node: Capabilities, asked: Needs) -> None:
    """Whatever can run gets an engine that can, the one that was asked for if any, and ffmpeg before others."""
    if not can_run(node, asked):
        return
    engine = choose_engine(node, asked).engine

    assert asked.codec in node.engines[engine]
    assert asked.engine in ("auto", engine)
    if asked.engine == "auto" and asked.codec in node.engines.get("ffmpeg", ()):
        assert engine == "ffmpeg"


@given(nodes, needs)
def test_a_job_takes_its_cost_but_never_more_than_the_node(node: Capabilities, asked: Needs) -> None:
    """So a small node still runs a big job, alone."""
    assert min(node.units, asked.cost) == units_on(node, asked.cost)


@given(st.integers(0, 5000), st.integers(0, 2**32), st.floats(0, 3600), st.floats(0, 3600))
def test_a_backoff_lies_between_nothing_and_a_doubling_ceiling(
    failures: int, seed: int, base: float, cap: float
) -> None:
    """Full jitter below base x 2^(n-1), and never above the cap."""
    policy = RetryPolicy(base_seconds=base, cap_seconds=cap)
    wait = policy.backoff(failures, random.Random(seed))

    assert 0 <= wait <= cap
    if failures <= 20:
        assert wait <= base * 2 ** max(0, failures - 1)


def test_backoffs_are_spread() -> None:
    """Jobs that failed together do not come back together."""
    rng = random.Random(7)
    waits = [RetryPolicy().backoff(5, rng) for _ in range(200)]

    assert min(waits) < 8
    assert max(waits) > 24


def test_the_order_of_the_farm_is_queue_then_priority() -> None:
    """live before default before batch, and high before medium before low within each."""
    pairs = list(itertools.product(("live", "default", "batch"), ("high", "medium", "low")))

    assert list(range(9)) == [order_rank(queue, priority) for queue, priority in pairs]
    assert set(pairs) == set(itertools.product(QUEUES, PRIORITIES))


def test_only_these_reasons_are_tried_again() -> None:
    """What another try cannot cure ends the job at once (P9)."""
    assert {"timeout", "resource_error", "network_error", "platform_error"} == RETRYABLE
    assert {reason: reason in RETRYABLE for reason in FAILURE_REASONS} == {
        reason: Failure(reason, "x", "x").retryable for reason in FAILURE_REASONS
    }


def test_an_unknown_name_is_answered_with_the_nearest_and_the_choices() -> None:
    """A short list is shown whole."""
    assert "unknown queue 'lvie'; did you mean 'live'? (one of live, default, batch)" == unknown_name(
        "queue", "lvie", QUEUES
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("1080p60-h246", "did you mean '1080p60-h264'?"),
        ("1080P", "did you mean one of '1080p60-h264', '1080p30-h264', '1080p60-h265', '1080p30-h265' ... (2 more)?"),
        ("480p60-h264x", "did you mean '480p60-h264'?"),
        ("480p60-h265 ", "did you mean '480p60-h265'?"),
    ],
)
def test_of_names_that_are_as_near_the_first_is_meant(given: str, meant: str) -> None:
    """The catalogue lists h264 first, and the beginning of a name stands for all that begin so."""
    assert meant in unknown_name("scenario", given, CATALOGUE)


def test_a_long_list_is_not_shown_and_a_long_name_is_cut() -> None:
    """The sentence stays a sentence."""
    sentence = unknown_name("scenario", "z" * 10_000, [f"name{n}" for n in range(20)])

    assert len(sentence) < 100
    assert "one of" not in sentence


BOTH = Capabilities(4, {"ffmpeg": ["h264", "h265"], "gstreamer": ["h264"]})


@pytest.mark.parametrize(
    ("asked", "codec", "live", "engine", "word", "others"),
    [
        ("auto", "h264", False, "ffmpeg", "files go to ffmpeg", ("gstreamer",)),
        ("auto", "h264", True, "gstreamer", "the live queue go to gstreamer", ("ffmpeg",)),
        ("auto", "h265", True, "ffmpeg", "this node's gstreamer does not do h265", ()),
        ("ffmpeg", "h264", True, "ffmpeg", "asked for by name, or the only engine that does what the job asks", ()),
        ("gstreamer", "h264", False, "gstreamer", "asked for by name", ()),
    ],
)
def test_auto_says_why_it_chose_and_a_name_is_kept(
    asked: str, codec: str, live: bool, engine: str, word: str, others: tuple[str, ...]
) -> None:
    """Live jobs go to GStreamer where it is, files to ffmpeg; nothing takes over from an engine asked for by name."""
    chosen = choose_engine(BOTH, Needs(asked, codec, 1), live=live)

    assert (engine, others) == (chosen.engine, chosen.others)
    assert word in chosen.reason


def test_auto_takes_what_the_node_has() -> None:
    """And says that the other is missing."""
    chosen = choose_engine(Capabilities(4, {"ffmpeg": ["h264"]}), Needs("auto", "h264", 1), live=True)

    assert ("ffmpeg", "auto: jobs of the live queue go to gstreamer, but this node has no gstreamer") == chosen[:2]
