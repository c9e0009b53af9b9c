"""Load: a client that submits single jobs for as long as it is asked to, whatever dies meanwhile."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence

import httpx2

from tests.chaos.mortal import MortalFarm

_PAUSE = 0.02


class Load:
    """Keeps some ten jobs waiting. ``accepted`` are the ids that were answered with a 201 or a 200.

    A request whose answer never came is repeated with its idempotency key, as a careful client does.
    """

    def __init__(self, farms: Sequence[MortalFarm], seconds: float, most_waiting: int = 10) -> None:
        """``seconds`` are the length of each output."""
        self.accepted: list[str] = []
        self.repeated = 0
        self._farms = farms
        self._most_waiting = most_waiting
        self._body = {"scenario": "480p30-h264", "parameters": {"duration": seconds}}
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Submit from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Submit nothing new; the last request is repeated until it is answered."""
        self._ended.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the load's last request was not answered within a minute"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._submit_until_told()
        except Exception as failure:  # a thread's own would be nobody's
            self._failure = failure

    def _submit_until_told(self) -> None:
        with httpx2.Client(timeout=10) as client:
            turn = 0
            while not self._ended.wait(_PAUSE):
                turn += 1
                url = self._farms[turn % len(self._farms)].url
                if url is not None and self._has_room(client, url):
                    self._submit(client, str(uuid.uuid4()))

    def _has_room(self, client: httpx2.Client, url: str) -> bool:
        try:
            counts = client.get(f"{url}/jobs/summary").raise_for_status().json()["by_status"]
        except httpx2.HTTPError:
            return False
        return counts.get("queued", 0) < self._most_waiting

    def _submit(self, client: httpx2.Client, key: str) -> None:
        for turn in range(1_000_000):
            url = self._farms[turn % len(self._farms)].url
            if url is not None:
                try:
                    answer = client.post(f"{url}/jobs", json=self._body, headers={"Idempotency-Key": key})
                except httpx2.HTTPError:
                    self.repeated += 1
                else:
                    if answer.status_code in (200, 201):
                        self.accepted.append(answer.json()["id"])
                        return
                    assert answer.status_code == 503, answer.text
            threading.Event().wait(_PAUSE)
