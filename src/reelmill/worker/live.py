"""What a worker tells of its attempts while they run, once a second and only when something changed."""

from __future__ import annotations

from collections.abc import Iterable

from reelmill.bus.words import Live, LogLines
from reelmill.domain.attempt import AttemptKey, Progress
from reelmill.domain.stream import StreamState
from reelmill.worker.attempt import Attempt

LIVE_SECONDS = 1.0
_MOST_ENDED = 200
"""Of how many attempts that ended within a second the last lines are told."""
_MOST_CHARACTERS = 128 * 1024
"""Of lines in one word, which must fit on every bus; of more it is told how many they were."""


class LiveWords:
    """Knows what was told already. An attempt that is over before the second is leaves its lines here, and no more."""

    def __init__(self) -> None:
        self._told: dict[AttemptKey, Progress] = {}
        self._last_lines: list[LogLines] = []
        self.has_news_for_store = False
        """Whether a stream was lost or found before the last call: who looks at its job shall not wait for a beat."""

    def collect(self, node_id: str, attempts: Iterable[Attempt]) -> Live | None:
        """What is new since the last call; None when nothing is."""
        told, lines = self._told, self._last_lines
        self._told, self._last_lines, self.has_news_for_store = {}, [], False
        progress: list[Progress] = []
        for attempt in attempts:
            key = attempt.grant.key
            now = self._told[key] = attempt.progress
            before = told.get(key)
            if now is not before and now != Progress(key):
                progress.append(now)
                self.has_news_for_store |= _state(now) != _state(before)
            lines += _new_lines(attempt, whole=True)
        return Live(node_id, progress, _fitting(lines)) if progress or lines else None

    def note_end(self, attempt: Attempt) -> None:
        """The attempt is over: keep what its engine said last for the next call."""
        if len(self._last_lines) < _MOST_ENDED:
            self._last_lines += _new_lines(attempt, whole=False)


def _state(progress: Progress | None) -> StreamState | None:
    return None if progress is None or progress.stream is None else progress.stream.state


def _new_lines(attempt: Attempt, *, whole: bool) -> list[LogLines]:
    if not attempt.said.is_fresh:
        return []
    lines, left_out = attempt.said.take(whole=whole)
    return [LogLines(attempt.grant.key, lines, left_out)] if lines or left_out else []


def _fitting(said: list[LogLines]) -> list[LogLines]:
    """What fits into one word, in its order."""
    fitting: list[LogLines] = []
    room = _MOST_CHARACTERS
    for one in said:
        room -= sum(len(line) for line in one.lines)
        fitting.append(one if room >= 0 else LogLines(one.key, [], one.left_out + len(one.lines)))
    return fitting
