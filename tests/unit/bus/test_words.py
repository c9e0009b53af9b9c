"""The typed words between masters and workers survive the wire."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from reelmill.bus.words import BEAT, CLAIM, GARBAGE, LINKS, REPORT, Beat, Claim, LinksWanted, Room
from reelmill.domain.attempt import (
    AttemptKey,
    AttemptLog,
    AttemptOrder,
    AttemptReport,
    BeatAnswer,
    Grant,
    MediaLinks,
    Progress,
    UnpublishedOutput,
)
from reelmill.domain.chunk import Chunk
from reelmill.domain.job import Parameters
from reelmill.domain.lifecycle import Fail, Publish, Report, Return, Settle, Split, Start
from reelmill.domain.place import PlaceCheck, PlaceTrial, TrialStep
from reelmill.domain.scenario import find_scenario
from tests.samples import NETWORK_DOWN, node_info, offer, result

KEY = AttemptKey("0190a000-0000-7000-8000-000000000001", 3)
EVENTS: tuple[Report, ...] = (Start(), Settle(result()), Publish(), Fail(NETWORK_DOWN), Return("stopped"))
LATER_EVENTS: tuple[Report, ...] = (Split((Chunk(index=0, start=0, end=None, seek=0.0, seconds=9.0),)),)
"""What version 0.1 cannot say; no job of its asks a worker for it."""
GRANT = Grant(KEY, find_scenario("4K60-h265"), "ffmpeg", Parameters(bitrate=1, input="a.mp4", output="b.mp4"), 8, 30.0)
WORDS: list[tuple[object, object]] = [
    (Claim, Claim(offer(node_info(), reserve_live=2), 20.0)),
    (Room, Room("n1", 3)),
    (Beat, Beat(node_info(), [Progress(KEY, 12.5, 30.1, 1.5), Progress(KEY)])),
    (list[Grant], [GRANT]),
    (BeatAnswer, BeatAnswer(30.0, [KEY], [KEY], [UnpublishedOutput(KEY, "a.mp4", "ab", True)], [KEY])),
    (LinksWanted, LinksWanted("n1", KEY)),
    (list[MediaLinks], [MediaLinks(KEY, "http://m/a", "http://m/b", 600.0), MediaLinks(KEY, None, "http://m/b", 1.0)]),
    (AttemptOrder, AttemptOrder(KEY, "pause")),
    (PlaceCheck, PlaceCheck("c1", "r1", "http://m/c", "http://m/c", 8.0)),
    (PlaceTrial, PlaceTrial("folder /media", TrialStep("ab", 0.1), TrialStep(None, 0.1, "full"))),
    (list[AttemptReport], [AttemptReport(KEY, "n1", event, AttemptLog("ffmpeg", "said")) for event in EVENTS]),
]


@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_a_word_arrives_as_it_was_said(kind: Any, word: object) -> None:
    """Encoding and decoding change nothing, for every kind of word and of report."""
    assert word == msgspec.msgpack.decode(msgspec.msgpack.encode(word), type=kind)


def test_every_report_of_a_worker_is_among_the_words_tested() -> None:
    """A new kind of report cannot be forgotten here."""
    assert set(get_args(Report)) == {type(event) for event in (*EVENTS, *LATER_EVENTS)}


@pytest.mark.parametrize("event", LATER_EVENTS)
def test_a_later_report_arrives_as_it_was_said(event: Report) -> None:
    """As those do that the version before knows."""
    said = AttemptReport(KEY, "n1", event)
    assert said == msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=AttemptReport)


def test_each_question_has_a_subject_of_its_own() -> None:
    """No answer can be taken for another's."""
    subjects = [question.subject for question in (CLAIM, BEAT, REPORT, GARBAGE, LINKS)]

    assert len(subjects) == len(set(subjects))
