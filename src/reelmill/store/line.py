"""The line: the ready jobs in the order of the farm, as several claims that share a transaction take them away."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from reelmill.store.lanes import Lane, Waiting, read_lanes
from reelmill.store.protocol import Tx


class Line:
    """What is ready in some lanes, without the jobs that are ``lost`` (sequence numbers) and those that were taken.

    Only the heads of the lanes are given; what stands behind them is read when it is needed. What comes in between, in
    front of what was read already, is left to the next line: so the order that was seen is kept.
    """

    def __init__(self, tx: Tx, lanes: Sequence[Lane], lost: AbstractSet[int]) -> None:
        self._tx = tx
        self._lost = lost
        self._taken: Counter[int] = Counter()
        self._whole: set[int] = set()
        """Lanes that were read to their end."""
        self._ahead: dict[int, list[Waiting]] = {lane.head.lane_id: [] for lane in lanes}
        self._end = {lane.head.lane_id: (-1, -1) for lane in lanes}
        """Up to where each lane was read."""
        for lane in lanes:
            self._append(lane.head.lane_id, [lane.head])

    def heads(self, lane_ids: Collection[int], most: int) -> list[Waiting]:
        """The first job of each of these lanes, as a heap; of each ``most`` may be needed."""
        self._read([lane_id for lane_id in lane_ids if not self._ahead[lane_id]], most)
        heads = [self._ahead[lane_id][0] for lane_id in lane_ids if self._ahead[lane_id]]
        heapq.heapify(heads)
        return heads

    def take(self, job: Waiting) -> None:
        """The job, the first of its lane, is given away."""
        self._taken[job.lane_id] += 1
        del self._ahead[job.lane_id][0]

    def follow(self, heads: list[Waiting], lane_id: int, most: int) -> None:
        """Push the first job of that lane to the ``heads``, of which ``most`` may be needed."""
        if not self._ahead[lane_id]:
            soon = [head.lane_id for head in heapq.nsmallest(most, heads) if len(self._ahead[head.lane_id]) == 1]
            self._read([lane_id, *soon], most)
        if self._ahead[lane_id]:
            heapq.heappush(heads, self._ahead[lane_id][0])

    def note_passed_over(self, job: Waiting, since: float, holder: str | None) -> None:
        """The job, the first of its lane, has been passed over since then, and that node is kept for it."""
        self._ahead[job.lane_id][0] = job._replace(passed_over_at=since, reserved_node=holder)

    def _read(self, lane_ids: Collection[int], most: int) -> None:
        """Let at least ``most`` jobs stand in each of these lanes, if there are so many."""
        wanted: list[int] = [lane_id for lane_id in lane_ids if lane_id not in self._whole]
        while wanted:
            shown = max(self._taken[lane_id] for lane_id in wanted) + len(self._lost) + most + 1
            found: dict[int, list[Waiting]] = {lane_id: [] for lane_id in wanted}
            for job in read_lanes(self._tx, wanted, shown):
                found[job.lane_id].append(job)
            for lane_id, jobs in found.items():
                self._append(lane_id, jobs)
                if len(jobs) < shown:
                    self._whole.add(lane_id)
            wanted = [lane_id for lane_id in wanted if not (self._ahead[lane_id] or lane_id in self._whole)]
            most *= 2  # others came in front meanwhile

    def _append(self, lane_id: int, jobs: Sequence[Waiting]) -> None:
        new = [job for job in jobs if job[:2] > self._end[lane_id]]
        if new:
            self._end[lane_id] = new[-1][:2]
        self._ahead[lane_id] += [job for job in new if job.sequence_number not in self._lost]
