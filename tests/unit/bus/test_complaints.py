"""What a bus complains of is told once a minute, and a refused word is not said again on that connection."""

from __future__ import annotations

from nats.aio.subscription import Subscription
from nats.errors import Error, SlowConsumerError
from structlog.testing import capture_logs

from reelmill.bus.complaints import Complaints

REFUSED = Error('nats: permissions violation for publish to "reelmill.token1.node-a.live"')


async def test_what_happens_again_and_again_is_told_once_a_minute() -> None:
    """With how often it was since."""
    now = 100.0
    complaints = Complaints(lambda: now)
    with capture_logs() as said:
        for second in range(150):
            now = 100.0 + second
            await complaints.note(REFUSED)
    assert [("bus_refused", 0), ("bus_refused", 59), ("bus_refused", 59)] == [
        (entry["event"], entry["more"]) for entry in said
    ]


async def test_words_that_came_too_fast_are_told_of() -> None:
    """The client throws them away: whoever reads the log knows which."""
    with capture_logs() as said:
        await Complaints().note(SlowConsumerError(subject="reelmill.*.*.live", reply="", sid=1, sub=Subscription(None)))
    assert [("bus_words_lost", "more words come on reelmill.*.*.live than can be heard")] == [
        (entry["event"], entry["reason"]) for entry in said
    ]


async def test_a_refused_word_is_not_said_again_until_the_next_connection() -> None:
    """Whoever lets us in then may know of it; the client gives the subject in small letters."""
    complaints = Complaints()
    subject, other = "reelmill.Token1.node-A.live", "reelmill.Token1.node-A.beat"
    assert complaints.may_say(subject)
    await complaints.note(REFUSED)
    assert (False, True) == (complaints.may_say(subject), complaints.may_say(other))
    complaints.begin()
    assert complaints.may_say(subject)
