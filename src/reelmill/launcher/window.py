"""How much to send at once: more as long as the master answers quickly, half as much when it does not.

Additive increase and multiplicative decrease, as TCP has it, with its slow start: the size of a request doubles until
the first sign of trouble. Only when requests are as large as they may be, more of them are sent at the same time.
"""

from __future__ import annotations

QUICK_SECONDS = 0.5
"""An answer that took longer than that is no reason to send more."""

SLOW_SECONDS = 5.0
"""An answer that took longer than that is a reason to send less."""


class Window:
    """``batch`` jobs a request and ``at_once`` requests at a time, each between 1 and its ``most``."""

    def __init__(self, batch: int, *, most_batch: int, most_at_once: int) -> None:
        self.batch = min(batch, most_batch)
        self.at_once = 1
        self._step = self.batch
        self._most_batch = most_batch
        self._most_at_once = most_at_once
        self._is_starting = True
        self._answered = 0

    def note_answer(self, jobs: int, seconds: float) -> bool:
        """The master took a request of so many jobs within ``seconds``; whether less is sent from now on."""
        if seconds > SLOW_SECONDS:
            return self.note_trouble()
        if seconds > QUICK_SECONDS or jobs < self.batch:  # the last ones of a launch say nothing
            return False
        if self.batch < self._most_batch:
            grown = self.batch * 2 if self._is_starting else self.batch + self._step
            self.batch = min(grown, self._most_batch)
            return False
        self._answered += 1
        if self._answered >= self.at_once:  # one more for each round of answers
            self._answered = 0
            self.at_once = min(self.at_once + 1, self._most_at_once)
        return False

    def note_trouble(self) -> bool:
        """The master is full, too slow or away; whether less is sent from now on."""
        before = (self.batch, self.at_once)
        self._is_starting = False
        self._answered = 0
        if self.at_once > 1:
            self.at_once //= 2
        else:
            self.batch = max(self.batch // 2, 1)
        return (self.batch, self.at_once) != before

    def __str__(self) -> str:
        several = f", {self.at_once} requests at once" if self.at_once > 1 else ""
        return f"{self.batch:,} {'job' if self.batch == 1 else 'jobs'} a request{several}"
