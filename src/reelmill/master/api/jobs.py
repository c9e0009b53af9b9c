"""/jobs: submit, list, look at, and act on jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from reelmill.domain.explanation import Explanation, Outlook
from reelmill.domain.job import Job
from reelmill.errors import InvalidField, NotFound
from reelmill.master.api.answers import (
    BatchAnswer,
    HistoryAnswer,
    JobAnswer,
    JobPage,
    LogsAnswer,
    ProblemAnswer,
    RowEncoder,
    Summary,
    ValidatedAnswer,
    answer_job,
    answer_transition,
)
from reelmill.master.api.dependency import TheFarm, TheIntake
from reelmill.master.api.job_query import JobQuery, read_query
from reelmill.master.api.submission import JOB_DECODER, accept_batch, accept_one, check_text, validate_batch
from reelmill.master.farm import Farm
from reelmill.master.orders import act_on
from reelmill.store.chunks import read_progress
from reelmill.store.control import Action
from reelmill.store.counts import read_counts
from reelmill.store.explain import explain_job
from reelmill.store.listing import get_job, read_history, read_logs, read_slice
from reelmill.store.nodes import present_capabilities
from reelmill.store.protocol import Tx

_PIECE = 1000
_OPENING = b'{"jobs":['
_FULL = ResponseSpec(
    ProblemAnswer,
    description="A queue or a tenant is full (`queue_full`, `tenant_full`): nothing was stored; ask again after "
    "`Retry-After` seconds.",
    generate_examples=False,
)


def body(description: str) -> type[Operation]:
    """A request body that is read by our own decoder, so that its description has to be added."""
    content = {"application/json": OpenAPIMediaType(schema=Schema(type="object", description=description))}  # type: ignore[arg-type]

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody(content=content, required=True)

    return Described


async def find_job(farm: Farm, reference: str) -> Job:
    """The job of that id or sequence number; NotFound otherwise."""
    return await farm.store.read(lambda tx: _find(tx, reference))


def _find(tx: Tx, reference: str) -> Job:
    job = get_job(tx, reference)
    if job is None:
        raise NotFound(f"there is no job {reference[:80]!r}")
    return job


class JobsController(Controller):
    """Everything below /jobs."""

    path = "/jobs"
    tags = ("jobs",)

    @post(
        "/",
        operation_class=body("JobRequest: scenario, engine, queue, priority, parameters, labels, ..."),
        responses={429: _FULL},
    )
    async def submit(
        self,
        request: Request[Any, Any, Any],
        farm: TheFarm,
        intake: TheIntake,
        idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
    ) -> Response[JobAnswer]:
        """Submit one job: 201 with the job after it is safely stored, 200 when its key was used for it before."""
        asked = JOB_DECODER.decode(check_text(await request.body()))
        if idempotency_key is not None:
            if asked.idempotency_key not in (None, idempotency_key):
                raise InvalidField("idempotency_key", "differs from the Idempotency-Key header")
            asked = msgspec.structs.replace(asked, idempotency_key=idempotency_key)
        accepted = await accept_one(farm, intake, asked)
        return Response(answer_job(accepted.job), status_code=201 if accepted.created else 200)

    @post(
        "/batch",
        operation_class=body('{"jobs": [JobRequest, ...], "launch": {"id", "name"}}'),
        responses={429: _FULL},
    )
    async def submit_batch(
        self, request: Request[Any, Any, Any], farm: TheFarm, intake: TheIntake
    ) -> Response[BatchAnswer]:
        """Submit up to 10,000 jobs: one answer each, in order. A bad item never sinks the good ones.

        A batch whose new jobs do not all fit into their queues and tenants is refused as a whole with 429.
        """
        asked = check_text(await request.body())
        async with intake.batches:
            answer = await accept_batch(farm, intake, asked)
            encoded = msgspec.json.encode(answer)
        status = 201 if answer.accepted else 422
        return Response(encoded, status_code=status, media_type="application/json")  # type: ignore[return-value]

    @post("/validate", status_code=200, operation_class=body('{"jobs": [JobRequest, ...], "launch": {"id", "name"}}'))
    async def validate(self, request: Request[Any, Any, Any], farm: TheFarm, intake: TheIntake) -> ValidatedAnswer:
        """Judge the body of a batch as `/jobs/batch` would, and store nothing: 200 with one answer each, in order.

        `warnings` says which queue or tenant is too full for it now, `room` how many more jobs they take.
        """
        asked = check_text(await request.body())
        async with intake.batches:
            return await validate_batch(farm, asked)

    @get("/")
    async def list(self, request: Request[Any, Any, Any], farm: TheFarm) -> Response[JobPage] | Stream:
        """List jobs by sequence number.

        Filters: status, queue, priority, scenario, engine, launch, node, tenant, parent (each may come several times
        or with commas) and label=name:value. Chunks are listed only where their `parent` is named. With `limit`, a
        page and the cursor of the next one; without, every match is streamed. `fields` names the fields to show,
        `order=desc` begins with the newest.
        """
        query = read_query(request.query_params)
        pieces = _pieces(farm, query)
        if query.limit is None:
            return Stream(await _from_first(pieces), media_type="application/json")
        page = b"".join([piece async for piece in pieces])
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
        now = farm.clock.now()

        def read(tx: Tx) -> tuple[Job, Outlook]:
            job = _find(tx, reference)
            job = msgspec.structs.replace(job, progress=read_progress(tx, job))
            return job, Outlook(present_capabilities(tx, now))

        return answer_job(*await farm.store.read(read))

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
        now = farm.clock.now()
        return await farm.store.read(lambda tx: explain_job(tx, _find(tx, reference), now))

    @post("/{reference:str}/cancel", status_code=200)
    async def cancel(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Cancel a job that has not ended; a running or paused engine is killed."""
        return await _act(farm, reference, "cancel")

    @post("/{reference:str}/pause", status_code=200)
    async def pause(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Let a job wait until it is resumed; a running engine stands still where it is."""
        return await _act(farm, reference, "pause")

    @post("/{reference:str}/resume", status_code=200)
    async def resume(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Let a paused job go on, in the engine that stands still if there is one."""
        return await _act(farm, reference, "resume")

    @post("/{reference:str}/retry", status_code=200)
    async def retry(self, farm: TheFarm, reference: FromPath[str]) -> JobAnswer:
        """Try a failed, timed out or canceled job again, with all its tries."""
        return await _act(farm, reference, "retry")


async def _act(farm: Farm, reference: str, action: Action) -> JobAnswer:
    after = await act_on(farm, (await find_job(farm, reference)).id, action)
    if after is None:
        raise NotFound(f"there is no job {reference[:80]!r}")
    return answer_job(after)


class _Piece(NamedTuple):
    """Some jobs as JSON, how many, and behind which number to go on; None when there are no more."""

    jobs: bytes
    size: int
    following: int | None


async def _pieces(farm: Farm, query: JobQuery) -> AsyncGenerator[bytes, None]:
    """The answer to the query, read and encoded piece by piece outside of the event loop.

    So memory stays constant and no long snapshot holds the database up. The pieces follow the sequence number, which
    never changes: each job comes once, as it is when its piece is read.
    """
    encoder = RowEncoder(query.fields)
    after = query.after
    count = 0
    while True:
        most = _PIECE if query.limit is None else min(_PIECE, query.limit - count)
        now = farm.clock.now()
        read = partial(_read_piece, query=query, encoder=encoder, after=after, most=most, now=now)
        piece = await farm.store.read(read)
        if piece.size:
            yield (b"," if count else _OPENING) + piece.jobs
        count += piece.size
        after = piece.following
        if after is None or count == query.limit:
            break
    following = b"null" if after is None else b'"%d"' % after
    yield (b"" if count else _OPENING) + b'],"count":%d,"next":%s}' % (count, following)


def _read_piece(tx: Tx, *, query: JobQuery, encoder: RowEncoder, after: int | None, most: int, now: float) -> _Piece:
    rows, following = read_slice(
        tx, query.wanted, encoder.columns, after=after, limit=most, newest_first=query.newest_first
    )
    return _Piece(encoder.encode(rows, Outlook(present_capabilities(tx, now))), len(rows), following)


async def _from_first(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same pieces, the first of which has been read: what fails before is told by a status of its own."""
    first = await anext(pieces)

    async def all_pieces() -> AsyncGenerator[bytes, None]:
        yield first
        async for piece in pieces:
            yield piece

    return all_pieces()
