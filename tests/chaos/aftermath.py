"""What is there when all is over: the rows, their histories, the farm's books, and the files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from reelmill.domain.job import Job, Result
from reelmill.media.folder_output import FILE_LIST
from reelmill.store.counts import read_counts
from reelmill.store.listing import Transition
from reelmill.store.protocol import Store
from tests.farmhand import Farmhand
from tests.history_checker import violations


class Aftermath(NamedTuple):
    """A store and a media folder, read once nothing runs on them any more."""

    jobs: Sequence[Job]
    histories: Mapping[str, Sequence[Transition]]
    counts: Mapping[str, int]
    media: Path

    def violations(self, accepted: Collection[str]) -> list[str]:
        """A sentence for each broken promise: of the rows, the histories, the books and the files."""
        return [*violations(self.jobs, self.histories, self.counts, accepted=accepted), *self._wrong_files()]

    def _wrong_files(self) -> list[str]:
        results = [(job, job.result) for job in self.jobs if job.status == "completed" and job.result]
        completed = {_hashed(result): job for job, result in results}
        known = {f"{result.output}/{file.name}" for _, result in results for file in result.files}
        outputs = self.media / "outputs"
        there = {str(path.relative_to(self.media)) for path in outputs.rglob("*") if path.is_file()}
        wrong = [f"{name} is in place and no job completed with it" for name in there - set(completed) - known]
        for name, job in completed.items():
            assert job.result is not None
            if name not in there:
                wrong.append(f"job {job.sequence_number} is completed, and {name} is not there")
            elif hashlib.sha256((self.media / name).read_bytes()).hexdigest() != job.result.sha256:
                wrong.append(f"job {job.sequence_number} is completed, and {name} is another file")
        attempts = self.media / ".reelmill" / "attempts"
        wrong += [f"the attempt folder {path.name} was left" for path in attempts.iterdir()]
        return wrong

    @property
    def by_status(self) -> dict[str, int]:
        """Jobs by how they ended."""
        return dict(Counter(job.status for job in self.jobs))

    def reruns(self, killed_at: float, node_name: str) -> list[float]:
        """For each job whose encode this kill took away: seconds from the kill to the start of the next attempt."""
        seconds: list[float] = []
        for steps in self.histories.values():
            before = [step for step in steps if step.at <= killed_at]
            if not before or before[-1].to_status != "running" or before[-1].node_name != node_name:
                continue
            attempt = before[-1].attempt
            again = next((step for step in steps if step.to_status == "running" and step.attempt > attempt), None)
            if again is not None:
                seconds.append(again.at - killed_at)
        return seconds


def _hashed(result: Result) -> str:
    """The file whose hash a result has: of a folder, its list."""
    return f"{result.output}/{FILE_LIST}" if result.files else result.output


async def read_aftermath(store: Store, media: Path) -> Aftermath:
    """Everything that is left in the store, which is opened for it, and in the media folder."""
    await store.start()
    try:
        farm = Farmhand(store)
        jobs = await farm.jobs()
        histories = {job.id: await farm.history(job.id) for job in jobs}
        counts: Counter[str] = Counter()
        for key, n in (await store.read(read_counts)).items():
            counts[key.status] += n
        return Aftermath(jobs, histories, counts, media)
    finally:
        await store.stop()
