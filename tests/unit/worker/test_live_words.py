"""What a worker tells of its attempts while they run: what is new, once, and never more than fits into one word."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from reelmill.domain.attempt import AttemptKey, Progress
from reelmill.domain.stream import StreamProgress
from reelmill.worker.attempt import Attempt
from reelmill.worker.engine_output import FreshLines
from reelmill.worker.live import LiveWords


@dataclass
class Granted:
    key: AttemptKey


@dataclass
class Running:
    """As much of an attempt as is told of."""

    grant: Granted
    progress: Progress
    said: FreshLines = field(default_factory=FreshLines)


def running(name: str) -> Running:
    key = AttemptKey(name, 1)
    return Running(Granted(key), Progress(key))


def collect(words: LiveWords, *some: Running) -> tuple[list[str], dict[str, list[str]], int]:
    """Whose progress is told, the lines of each, and how many more there were."""
    live = words.collect("mill", [cast("Attempt", one) for one in some])
    if live is None:
        return [], {}, 0
    lines = {said.key.job_id: said.lines for said in live.lines}
    return [said.key.job_id for said in live.progress], lines, sum(said.left_out for said in live.lines)


def test_what_is_new_is_told_once() -> None:
    """Nothing is said of attempts that stand still or have just begun; all of them share one word."""
    words, one, two = LiveWords(), running("one"), running("two")
    assert ([], {}, 0) == collect(words, one, two)
    one.progress = Progress(one.grant.key, 10.0)
    two.said.feed(b"hm\nha")
    assert (["one"], {"two": ["hm"]}, 0) == collect(words, one, two)
    assert ([], {}, 0) == collect(words, one, two)
    two.said.feed(b"lf\n")
    two.progress = Progress(two.grant.key, 20.0)
    assert (["two"], {"two": ["half"]}, 0) == collect(words, one, two)


def test_only_a_stream_that_is_lost_or_found_is_news_for_the_store() -> None:
    """Its figures wait for the next beat, as those of every job do."""
    words, one = LiveWords(), running("one")
    news: list[bool] = []
    for stream in (
        *(None, StreamProgress("sending"), StreamProgress("sending", lag=1.0)),
        *(StreamProgress("reconnecting"), StreamProgress("reconnecting", dropped=9), StreamProgress("sending")),
    ):
        one.progress = Progress(one.grant.key, 10.0, stream=stream)
        collect(words, one)
        news.append(words.has_news_for_store)
    collect(words, one)
    assert [False, True, False, True, False, True] == news
    assert not words.has_news_for_store


def test_the_last_words_of_an_attempt_are_told_when_it_is_gone() -> None:
    """Also a line without an end."""
    words, one = LiveWords(), running("one")
    one.said.feed(b"it is over")
    words.note_end(cast("Attempt", one))
    assert ([], {"one": ["it is over"]}, 0) == collect(words)
    assert ([], {}, 0) == collect(words)


def test_many_talkative_engines_fit_into_one_word() -> None:
    """What does not fit is counted."""
    words, some = LiveWords(), [running(f"job {n}") for n in range(100)]
    for one in some:
        one.said.feed(b"x" * 400 + b"\n" + b"y" * 5000 + b"\n")
    _, lines, left_out = collect(words, *some)
    assert 100 == len(lines)
    told = [line for said in lines.values() for line in said]
    assert 200 == len(told) + left_out
    assert 60_000 < sum(len(line) for line in told) < 150_000
