"""/jobs: submit, list, look at, and act on jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from reelmill.bus.words import drop_notice
from reelmill.domain.attempt import AttemptKey
from reelmill.domain.explanation import Explanation
from reelmill.domain.job import ACTIVE, Job
from reelmill.errors import InvalidField, NotFound
from reelmill.master.api.answers import (
    BatchAnswer,
    HistoryAnswer,
    JobAnswer,
    JobPage,
    LogsAnswer,
    Summary,
    answer_fields,
    answer_job,
    answer_transition,
)
from reelmill.master.api.dependency import TheFarm
from reelmill.master.api.job_query import JobQuery, read_query
from reelmill.master.api.submission import JOB_DECODER, accept_batch, accept_one, check_text
from reelmill.master.farm import Farm
from reelmill.store.control import Action, act
from reelmill.store.counts import read_counts
from reelmill.store.explain import explain_job
from reelmill.store.listing import get_job, list_jobs, read_history, read_logs
from reelmill.store.protocol import Tx

_PAGE = 1000
_encode = msgspec.json.Encoder().encode


def _body(description: str) -> type[Operation]:
    """The request body is read by our own decoder, so its description is added here."""
    content = {"application/json": OpenAPIMediaType(schema=Schema(type="object", description=description))}  # type: ignore[arg-type]

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody(content=content, required=True)

    return Described


async def find_job(farm: Farm, reference: str) -> Job:
    """The job of that id or sequence number; NotFound otherwise."""
    job = await farm.store.read(lambda tx: get_job(tx, reference))
    if job is None:
        raise NotFound(f"there is no job {reference[:80]!r}")
    return job


class JobsController(Controller):
    """Everything below /jobs."""

    path = "/jobs"
    tags = ("jobs",)

    @post("/", operation_class=_body("JobRequest: scenario, engine, queue, priority, parameters, labels, ..."))
    async def submit(
        self,
        request: Request[Any, Any, Any],
        farm: TheFarm,
        idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
    ) -> Response[JobAnswer]:
        """Submit one job: 201 with the job after it is safely stored, 200 when its key was used for it before."""
        asked = JOB_DECODER.decode(check_text(await request.body()))
        if idempotency_key is not None:
            if asked.idempotency_key not in (None, idempotency_key):
                raise InvalidField("idempotency_key", "differs from the Idempotency-Key header")
            asked = msgspec.structs.replace(asked, idempotency_key=idempotency_key)
        accepted = await accept_one(farm, asked)
        return Response(answer_job(accepted.job), status_code=201 if accepted.created else 200)

    @post("/batch", operation_class=_body('{"jobs": [JobRequest, ...], "launch": {"id", "name"}}'))
    async def submit_batch(self, request: Request[Any, Any, Any], farm: TheFarm) -> Response[BatchAnswer]:
        """Submit up to 10,000 jobs: one answer each, in order. A bad item never sinks the good ones."""
        answer = await accept_batch(farm, check_text(await request.body()))
        return Response(answer, status_code=201 if answer.accepted else 422)

    @get("/")
    async def list(self, request: Request[Any, Any, Any], farm: TheFarm) -> Response[JobPage] | Stream:
        """List jobs by sequence number.

        Filters: status, queue, priority, scenario, engine, launch, node, tenant (each may come several times or with
        commas) and label=name:value. With `limit`, a page and the cursor of the next one; without, every match is
        streamed. `fields` names the fields to show, `order=desc` begins with the newest.
        """
        query = read_query(request.query_params)
        if query.limit is None:
            return Stream(_stream(farm, query), media_type="application/json")
        found = await farm.store.read(partial(_page, query=query, after=query.after, limit=query.limit))
        following = str(found[-1].sequence_number) if len(found) == query.limit else None
        page = {"jobs": [_shown(job, query) for job in found], "count": len(found), "next": following}
        return Response(page, media_type="application/json")  # type: ignore[return-value]

    @get("/summary")
    async def summary(self, farm: TheFarm) -> Summary:
        """Count jobs by status, queue, priority and scenario; costs the same however many there are."""
        counts = await farm.store.read(read_counts)
        totals: dict[str, Counter[str]] = {name: Counter() for name in ("status", "queue", "priority", "scenario")}
        for key, n in counts.items():
            for name, total in totals.items():
                total[getattr(key, name)] += n
        return Summary(
            total=sum(counts.values()),
            by_status=totals["status"],
            by_queue=totals["queue"],
            by_priority=totals["priority"],
            by_scenario=totals["scenario"],
            counts=[{**key._asdict(), "count": n} for key, n in counts.items()],
        )

    @get("/{reference:str}")
    async def show(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Show one job, by id or by sequence number."""
        return answer_job(await find_job(farm, reference))

    @get("/{reference:str}/history")
    async def history(self, farm: TheFarm, reference: FromPath[str]) -> HistoryAnswer:
        """Show every step of a job, oldest first."""
        job = await find_job(farm, reference)
        steps = await farm.store.read(lambda tx: read_history(tx, job))
        return HistoryAnswer(job_id=job.id, history=[answer_transition(step) for step in steps])

    @get("/{reference:str}/logs")
    async def logs(self, farm: TheFarm, reference: FromPath[str]) -> LogsAnswer:
        """Show what each attempt's engine was told and what it said."""
        job = await find_job(farm, reference)
        return LogsAnswer(job_id=job.id, attempts=await farm.store.read(lambda tx: read_logs(tx, job)))

    @get("/{reference:str}/explain")
    async def explain(self, farm: TheFarm, reference: FromPath[str]) -> Explanation:
        """Say why a job does not run, and for each node why it does not run there."""
        job = await find_job(farm, reference)
        now = farm.clock.now()
        return await farm.store.read(lambda tx: explain_job(tx, job, now))

    @post("/{reference:str}/cancel", status_code=200)
    async def cancel(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Cancel a job that has not ended; a running engine is killed."""
        return await _act(farm, reference, "cancel")

    @post("/{reference:str}/pause", status_code=200)
    async def pause(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Let a waiting job wait until it is resumed."""
        return await _act(farm, reference, "pause")

    @post("/{reference:str}/resume", status_code=200)
    async def resume(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Let a paused job go on."""
        return await _act(farm, reference, "resume")

    @post("/{reference:str}/retry", status_code=200)
    async def retry(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Try a failed, timed out or canceled job again, with all its tries."""
        return await _act(farm, reference, "retry")


async def _act(farm: Farm, reference: str, action: Action) -> JobAnswer:
    job_id = (await find_job(farm, reference)).id
    changed = await farm.change(lambda tx, rules: act(tx, job_id, action, rules))
    if changed is None:
        raise NotFound(f"there is no job {reference[:80]!r}")
    before, after = changed
    await tell_canceled(farm, before)
    if action in ("resume", "retry"):
        await farm.announce_work(action)
    return answer_job(after)


async def tell_canceled(farm: Farm, before: Job) -> None:
    """Tell the node that held the job, if any, that its attempt does not count any more."""
    if before.status in ACTIVE and before.node_id is not None:
        await drop_notice(before.node_id).tell(farm.bus, AttemptKey(before.id, before.attempt))


def _page(tx: Tx, *, query: JobQuery, after: int | None, limit: int) -> list[Job]:
    return list_jobs(tx, query.wanted, after=after, limit=limit, newest_first=query.newest_first)


def _shown(job: Job, query: JobQuery) -> JobAnswer | dict[str, Any]:
    return answer_fields(job, query.fields) if query.fields else answer_job(job)


async def _stream(farm: Farm, query: JobQuery) -> AsyncGenerator[bytes, None]:
    """Every match in pages, so that memory stays constant and no long snapshot holds the database up.

    Pages follow the sequence number, which never changes: each job comes once, as it is when its page is read.
    """
    count = 0
    after = query.after
    yield b'{"jobs":['
    while True:
        found = await farm.store.read(partial(_page, query=query, after=after, limit=_PAGE))
        if found:
            yield (b"," if count else b"") + b",".join(_encode(_shown(job, query)) for job in found)
            count += len(found)
            after = found[-1].sequence_number
        if len(found) < _PAGE:
            break
    yield b'],"count":%d,"next":null}' % count
