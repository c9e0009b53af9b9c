"""What is told of a stream."""

from __future__ import annotations

from reelmill.domain.stream import StreamProgress


def test_a_stream_is_told_of_in_one_line() -> None:
    """Its state, and only what is not as it should be."""
    assert "sending" == StreamProgress("sending", lag=0.2, most_lag=3.0).describe()
    told = StreamProgress("reconnecting", lag=1.24, dropped=1390, reconnects=1).describe()
    assert "reconnecting, 1.2 s behind, 1,390 frames dropped, 1 reconnect" == told
