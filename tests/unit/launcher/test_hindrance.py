"""Jobs that no node can run: said, with what is missing."""

from __future__ import annotations

import pytest

from reelmill.domain.capability import Capabilities
from reelmill.domain.explanation import LaunchExplanation, WaitReason
from reelmill.launcher.answers import LaunchState, NodeState
from reelmill.launcher.hindrance import contradicts, describe_waiting, judge_nodes
from reelmill.launcher.options import read_plan


def node(
    status: str = "online", labels: dict[str, str] | None = None, trouble: str | None = None, **engines: list[str]
) -> NodeState:
    return NodeState(name="mill", status=status, capabilities=Capabilities(4, engines, labels or {}), trouble=trouble)


FULL = node(ffmpeg=["h264", "h265", "vp9", "av1"])


@pytest.mark.parametrize(
    ("nodes", "engine", "scenario", "said"),
    [
        ([], "auto", "480p30-h264", "all 2 jobs: no node is online"),
        ([node("offline", ffmpeg=["h264"])], "auto", "480p30-h264", "all 2 jobs: no node is online"),
        ([node("draining", ffmpeg=["h264"])], "auto", "480p30-h264", "all 2 jobs: mill is draining"),
        ([node("stopping", ffmpeg=["h264"])], "auto", "480p30-h264", "all 2 jobs: every node is stopping"),
        ([node("stopping"), node("draining")], "auto", "480p30-h264", "all 2 jobs: mill is draining (`reelmill nodes"),
        (
            [node(trouble="its disk is full", ffmpeg=["h264"])],
            "auto",
            "480p30-h264",
            "all 2 jobs: mill takes no jobs: its",
        ),
        (
            [node(trouble="its disk is full", ffmpeg=["h264"]), node(ffmpeg=["av1"])],
            "auto",
            "480p30-h264",
            "all 2 jobs: mill takes no jobs: its disk is full",
        ),
        ([FULL], "gstreamer", "480p30-h264", "all 2 jobs: no node has gstreamer"),
        ([node(ffmpeg=["h264"])], "auto", "480p30-av1", "all 2 jobs: no node has an encoder for av1"),
        ([node(ffmpeg=["h264"])], "ffmpeg", "480p30-av1", "all 2 jobs: no node has ffmpeg with an encoder for av1"),
        ([node(ffmpeg=["h264"])], "auto", "ladder-hls", "all 2 jobs: no node has an ffmpeg that makes ladders"),
        ([node(gstreamer=["h264"])], "gstreamer", "ladder-hls", "all 2 jobs: no node has gstreamer that makes ladders"),
        ([node(ffmpeg=["mjpeg"])], "ffmpeg", "thumbnails", "all 2 jobs: no node has ffmpeg that makes thumbnails"),
        ([node(ffmpeg=["h264", "h265", "vp9"])], "auto", "random", "jobs of 480p30-av1, 1080p30-av1: no node has"),
    ],
)
def test_what_is_missing_is_named(nodes: list[NodeState], engine: str, scenario: str, said: str) -> None:
    """The node that drains, the engine or the encoder; and which jobs wait for it."""
    found = judge_nodes(nodes, read_plan(count="2", engine=engine, scenario=scenario))
    assert found is not None
    assert f"{found.share(2)}: {found.reason}".startswith(said)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "no node has the label gpu=yes, site=ber"),
        ({"gpu": "yes", "site": "par"}, "no node has the label site=ber"),
        ({"gpu": "yes", "site": "ber"}, None),
    ],
)
def test_labels_that_no_node_carries_are_named(labels: dict[str, str], said: str | None) -> None:
    """Those that none has with that value."""
    plan = read_plan(node_labels=["gpu=yes", "site=ber"])
    found = judge_nodes([node(labels=labels, ffmpeg=["h264", "h265", "vp9", "av1"])], plan)
    assert said == (found.reason if found else None)


def test_nothing_is_said_when_some_node_can() -> None:
    """One able node is enough, whatever the others are."""
    nodes = [node("draining"), node("offline"), node(ffmpeg=[]), node(trouble="full", ffmpeg=["h264"]), FULL]
    assert judge_nodes(nodes, read_plan()) is None


@pytest.mark.parametrize(("queued", "retrying", "old"), [(2, 0, True), (2, 2, False), (5, 0, False), (0, 0, True)])
def test_no_more_are_blocked_than_wait(queued: int, retrying: int, old: bool) -> None:
    """A line like "2 running, 2 queued (4 are blocked)" is made of two looks that do not go together."""
    state = LaunchState(id="a", total=9, open=9, counts={"running": 2, "queued": queued, "retrying": retrying})
    found = LaunchExplanation("a", True, [WaitReason(4, True, "no node is online"), WaitReason(7, False, "busy")])
    assert old == contradicts(found, state)


def test_a_line_does_not_tell_of_more_that_wait_than_do_now() -> None:
    """Why they wait was asked a while ago: "3 running, 2 queued (8 wait: busy)" would contradict itself."""
    busy, blocked = WaitReason(6, False, "busy"), WaitReason(2, True, "no node")
    found = LaunchExplanation("a", True, [busy, blocked])
    assert "6 wait: busy; 2 are blocked: no node" == describe_waiting(found, 8)
    assert "busy; no node" == describe_waiting(found, 7)
    assert not describe_waiting(found, 0)
