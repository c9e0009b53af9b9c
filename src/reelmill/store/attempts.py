"""What workers say about their attempts: signs of life and reports. Stale words change nothing and are counted."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, select, text, update

from reelmill.domain.attempt import AttemptKey, AttemptLog, AttemptReport, BeatAnswer, Progress, UnpublishedOutput
from reelmill.domain.chunk import parent_of
from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Fail, Lose, NotAllowed, Publish, Return, Settle, Split, Start, kept_result
from reelmill.domain.loss import with_late_word
from reelmill.domain.node import NodeInfo
from reelmill.store.bulk import BulkSelect, BulkStatement
from reelmill.store.chunks import insert_chunks
from reelmill.store.nodes import last_sign, note_all_departures, note_departure, note_nodes
from reelmill.store.protocol import Tx
from reelmill.store.rows import chunks, stored_value
from reelmill.store.schema import IS_HELD, IS_SETTLED, jobs, nodes
from reelmill.store.transition import Changes, Rules, change_all, load_many, load_numbers
from reelmill.store.turn import is_our_turn

GRANT_SECONDS = 5.0
"""How long a grant may be on its way: an attempt older than this that its node does not know was never received."""

_PUBLISHES_AT_ONCE = 32


class SignOfLife(NamedTuple):
    """A node that is there, and how far the attempts are that it holds."""

    node: NodeInfo
    held: Sequence[Progress]


class _Held(NamedTuple):
    sequence_number: int
    key: AttemptKey
    assigned_at: float
    is_paused: bool


class _Verdict(NamedTuple):
    """Whether a report counts, and whether it changed anything: only then its log is kept, which came with it.

    When an attempt was given back nobody holds its job: whose words a repeat is cannot be known.
    """

    counts: bool
    is_new: bool


_HELD = BulkSelect(
    "SELECT sequence_number, id, attempt, assigned_at, status, node_id FROM jobs "  # noqa: S608 (words of our own)
    f"WHERE node_id IN {{values}} AND {IS_HELD.text}",
    "",
)
_RENEW = BulkStatement(
    # a settled job is complete, and a paused one has no pace, whatever an old sign of life says
    "UPDATE jobs SET lease_until = new.lease, "  # noqa: S608 (words of our own)
    "progress = CASE WHEN winner IS NULL THEN new.said_progress ELSE progress END, "
    "fps = CASE WHEN winner IS NULL AND status <> 'paused' THEN new.said_fps ELSE fps END, "
    "speed = CASE WHEN winner IS NULL AND status <> 'paused' THEN new.said_speed ELSE speed END, "
    "eta = CASE WHEN winner IS NULL AND status <> 'paused' THEN new.said_eta ELSE eta END, "
    "stream = CASE WHEN winner IS NULL AND status <> 'paused' THEN new.said_stream ELSE stream END "
    "FROM {new} WHERE jobs.sequence_number = new.fence_sequence AND jobs.attempt = new.fence_attempt "
    f"AND jobs.node_id = new.fence_node AND {IS_HELD.text}",
    {
        "fence_sequence": jobs.c.sequence_number.type,
        "fence_attempt": jobs.c.attempt.type,
        "fence_node": jobs.c.node_id.type,
        "lease": jobs.c.lease_until.type,
        "said_progress": jobs.c.progress.type,
        "said_fps": jobs.c.fps.type,
        "said_speed": jobs.c.speed.type,
        "said_eta": jobs.c.eta.type,
        "said_stream": jobs.c.stream.type,
    },
)
_UNPUBLISHED = (
    select(jobs.c.sequence_number).where(IS_SETTLED, jobs.c.lease_until < bindparam("now")).limit(_PUBLISHES_AT_ONCE)
)
_HOLD_OF = select(jobs.c.id, jobs.c.attempt, jobs.c.lease_until).where(jobs.c.id.in_(bindparam("ids", expanding=True)))
_KEEP_LOG = text(  # the first log of an attempt is the one that tells what happened
    "INSERT INTO logs (sequence_number, attempt, node_name, command, text) "
    "VALUES (:sequence_number, :attempt, :node_name, :command, :text) ON CONFLICT (sequence_number, attempt) DO NOTHING"
)
_TELL_SPENT = BulkStatement(
    "UPDATE jobs SET lost_attempts = new.told FROM {new} WHERE jobs.sequence_number = new.fence_sequence",
    {"fence_sequence": jobs.c.sequence_number.type, "told": jobs.c.lost_attempts.type},
)
_EXPIRED = (
    select(jobs.c.sequence_number)
    .where(IS_HELD, jobs.c.winner.is_(None), jobs.c.lease_until < bindparam("now"))
    .limit(bindparam("most"))
)


def beat_all(tx: Tx, signs: Sequence[SignOfLife], lease_seconds: float, rules: Rules) -> list[BeatAnswer]:
    """Renew the leases of what nodes hold, and tell each where the store disagrees; an answer for each sign."""
    latest = {sign.node.id: sign for sign in signs}  # who gives a new one waits for no answer to the one before
    note_nodes(tx, [sign.node for sign in latest.values()], rules.now)
    known = _held_by(tx, list(latest))
    renewals: list[tuple[Any, ...]] = []
    answers: dict[str, BeatAnswer] = {}
    for node_id, (node, held) in latest.items():
        said = {progress.key: progress for progress in held}
        renewed = [attempt for attempt in known[node_id] if attempt.key in said]
        renewals += [_renewal(one, said[one.key], node_id, rules.now + lease_seconds) for one in renewed]
        given_before = rules.now - GRANT_SECONDS
        unknown = [one for one in known[node_id] if one.key not in said and one.assigned_at < given_before]
        _take_away(tx, unknown, Return(f"{node.name} does not know of it"), rules)
        valid = {attempt.key for attempt in renewed}
        answers[node_id] = BeatAnswer(
            lease_seconds=lease_seconds,
            renewed=[attempt.key for attempt in renewed],
            drop=[key for key in said if key not in valid],
            publish=[],
            paused=[attempt.key for attempt in renewed if attempt.is_paused],
        )
    _RENEW.run(tx, sorted(renewals, key=itemgetter(0)))  # in the order in which all lock them
    first = signs[0].node
    orders = _hand_over_publishing(tx, first, lease_seconds, rules)
    answers[first.id] = msgspec.structs.replace(answers[first.id], publish=orders)
    return [answers[sign.node.id] for sign in signs]


def _held_by(tx: Tx, node_ids: Sequence[str]) -> dict[str, list[_Held]]:
    """What each of the nodes holds, in the order in which all lock it."""
    found: dict[str, list[_Held]] = {node_id: [] for node_id in node_ids}
    for row in sorted(_HELD.run(tx, node_ids), key=itemgetter(0)):
        found[row[5]].append(_Held(row[0], AttemptKey(row[1], row[2]), row[3], row[4] == "paused"))
    return found


def _renewal(attempt: _Held, said: Progress, node_id: str, lease_until: float) -> tuple[Any, ...]:
    fence = (attempt.sequence_number, attempt.key.attempt, node_id)
    stream = stored_value("stream", said.stream)
    return (*fence, lease_until, said.progress, said.fps, said.speed, said.eta, stream)


def _take_away(tx: Tx, held: Sequence[_Held], event: Return | Lose, rules: Rules) -> int:
    """Take what is not settled from its node, if it is still that attempt which is held; how many jobs."""
    attempts = {attempt.key for attempt in held}
    loaded = load_numbers(tx, [attempt.sequence_number for attempt in held])
    return len(change_all(tx, [job for job in loaded if AttemptKey(job.id, job.attempt) in attempts], event, rules))


def _hand_over_publishing(tx: Tx, node: NodeInfo, lease_seconds: float, rules: Rules) -> list[UnpublishedOutput]:
    """Settled jobs whose worker was lost before the rename: this node finishes them."""
    orders: list[UnpublishedOutput] = []
    for job in _expired(load_numbers(tx, tx.execute(_UNPUBLISHED, {"now": rules.now}).scalars().all()), rules):
        if job.result is None or job.result.sha256 is None:
            continue
        tx.execute(
            update(jobs)
            .where(jobs.c.sequence_number == job.sequence_number, jobs.c.attempt == job.attempt)
            .values(node_id=node.id, lease_until=rules.now + lease_seconds)
        )
        key = AttemptKey(job.id, job.attempt)
        orders.append(UnpublishedOutput(key, job.result.output, job.result.sha256, job.parameters.overwrite))
    return orders


def report(tx: Tx, reports: Sequence[AttemptReport], rules: Rules) -> list[bool]:
    """Apply the reports in order; for each whether it counts. A repeat of one that counted counts again."""
    loaded = load_many(tx, _with_parents({said.key.job_id for said in reports}))
    streams = {job.id: job.parameters.stream_urls for job in loaded}
    reports = [said.storable(streams.get(said.key.job_id, ())) for said in reports]
    changes = Changes(loaded)
    verdicts = [_apply(changes, said, rules) for said in reports]
    changes.write(tx)
    _hear_late_words(tx, changes, reports)
    for before in loaded:
        after = changes.now[before.id]
        if after.chunk_plan is not None and before.chunk_plan is None:
            insert_chunks(tx, after, after.chunk_plan, rules.now)
    logs = [
        _log_row(changes.now[said.key.job_id], said.key.attempt, said.log)
        for said, verdict in zip(reports, verdicts, strict=True)
        if verdict.is_new and said.log is not None
    ]
    if logs:
        tx.execute(_KEEP_LOG, logs)
    return [verdict.counts for verdict in verdicts]


def _hear_late_words(tx: Tx, changes: Changes, reports: Sequence[AttemptReport]) -> None:
    """Keep what attempts used that had come to nothing before their workers said it; of the job nothing else changes.

    Not by `Changes`: that would begin the wait of a job anew that waits, and no step of its history is to be told.
    """
    told: dict[int, Job] = {}
    for said in reports:
        job = changes.now.get(said.key.job_id)
        if job is not None:
            job = told.get(job.sequence_number, job)
            after = with_late_word(job, said.key.attempt, said.node_id, said.event)
            if after is not job and after != job:
                told[job.sequence_number] = after
    if told:
        _TELL_SPENT.run(tx, [(n, stored_value("lost_attempts", told[n].lost_attempts)) for n in sorted(told)])


def _with_parents(job_ids: AbstractSet[str]) -> list[str]:
    """The jobs and those that they are chunks of: what may change is locked at once, in the order in which all do."""
    parents = {parent for job_id in job_ids if (parent := parent_of(job_id)) is not None}
    return sorted(job_ids | parents)


def _apply(changes: Changes, said: AttemptReport, rules: Rules) -> _Verdict:
    job = changes.now.get(said.key.job_id)
    if job is None or job.attempt != said.key.attempt or job.node_id not in (None, said.node_id):
        return _Verdict(counts=False, is_new=False)
    try:
        changes.apply(job.id, said.event, rules)
    except NotAllowed:
        return _Verdict(counts=_is_repeat(job, said), is_new=False)
    return _Verdict(counts=True, is_new=True)


def _is_repeat(job: Job, said: AttemptReport) -> bool:
    match said.event:
        case Start():
            return job.is_held  # ... and paused since
        case Settle():
            return job.winner == said.key.attempt and job.result == kept_result(job, said.event.result)
        case Publish():
            return job.status == "completed" and job.winner == said.key.attempt
        case Split():
            return job.chunk_plan is not None and job.chunk_plan.attempt == said.key.attempt
        case Fail(failure):
            why = (job.failure_reason, job.error_code, job.error)
            return not job.is_held and why == msgspec.structs.astuple(failure)
        case Return():
            return job.status in ("queued", "paused") and not job.is_held and job.attempt > 0


def _log_row(job: Job, attempt: int, log: AttemptLog) -> dict[str, Any]:
    said_by: dict[str, Any] = {"sequence_number": job.sequence_number, "attempt": attempt, "node_name": job.node_name}
    return said_by | {"command": log.command, "text": log.text}


def say_goodbye(tx: Tx, node_id: str, rules: Rules) -> None:
    """The node's worker ends: what it still holds waits again, and what it settled is published by another."""
    _let_go(tx, node_id, Return("its worker was stopped"), rules)


def lose_node(tx: Tx, node_id: str, left_at: float, rules: Rules) -> int | None:
    """The node's worker was lost, as if all its leases had run out; how many jobs it held.

    None, and nothing is done, when it has given a sign of life since ``left_at``, or said goodbye.
    """
    seen_at = last_sign(tx, node_id)
    return _let_go(tx, node_id, Lose(), rules) if seen_at is not None and seen_at <= left_at else None


def _let_go(tx: Tx, node_id: str, event: Return | Lose, rules: Rules) -> int:
    note_departure(tx, node_id, rules.now)
    taken = _take_away(tx, _held_by(tx, [node_id])[node_id], event, rules)
    # What the node held is locked by now, in the order in which all lock: this waits for no other master.
    void = update(jobs).where(jobs.c.node_id == node_id, IS_SETTLED)
    tx.execute(void.values(lease_until=rules.now - 1))
    return taken


def find_garbage(tx: Tx, keys: Sequence[AttemptKey]) -> list[AttemptKey]:
    """Those of the attempts that are over for good. An attempt at an unknown job may be another farm's: it is not."""
    garbage: list[AttemptKey] = []
    for some in chunks(list(keys)):
        rows = tx.execute(_HOLD_OF, {"ids": [key.job_id for key in some]})
        held = {row.id: None if row.lease_until is None else row.attempt for row in rows}
        garbage += [key for key in some if held.get(key.job_id, key.attempt) != key.attempt]
    return garbage


def expire_leases(tx: Tx, most: int, rules: Rules) -> int:
    """Take jobs from workers that stopped answering; how many (at most ``most``), none while another master does."""
    if not is_our_turn(tx, "expire"):
        return 0
    numbers = tx.execute(_EXPIRED, {"now": rules.now, "most": most}).scalars().all()
    return len(change_all(tx, _expired(load_numbers(tx, numbers), rules), Lose(), rules))


def _expired(loaded: Sequence[Job], rules: Rules) -> list[Job]:
    """Without those that another master renewed, or took, between the look and the lock."""
    return [job for job in loaded if job.lease_until is not None and job.lease_until < rules.now]


def rebase_times(tx: Tx, lease_seconds: float, longest_backoff: float, now: float) -> None:
    """After the clock was set back: nothing ends later than if it began now, and nothing was seen in the future."""
    # In no order of locks: a clock is rarely set, and the writer tries again what meets another master in a circle.
    held = update(jobs).where(IS_HELD, jobs.c.lease_until > now + lease_seconds)
    tx.execute(held.values(lease_until=now + lease_seconds))
    tx.execute(update(jobs).where(IS_HELD, jobs.c.assigned_at > now).values(assigned_at=now))
    waiting = update(jobs).where(jobs.c.due_at > now + longest_backoff)
    tx.execute(waiting.values(eligible_at=now + longest_backoff, due_at=now + longest_backoff))
    paused = update(jobs).where(jobs.c.status == "paused", jobs.c.eligible_at > now + longest_backoff)
    tx.execute(paused.values(eligible_at=now + longest_backoff))
    tx.execute(update(jobs).where(jobs.c.passed_over_at > now).values(passed_over_at=now))
    tx.execute(update(nodes).where(nodes.c.last_seen > now).values(last_seen=now))


def void_all_leases(tx: Tx, rules: Rules) -> None:
    """End every lease now: only when no worker can be alive, as after the start of a farm that is one process."""
    tx.execute(update(jobs).where(IS_HELD).values(lease_until=rules.now - 1))  # such a farm has no other master
    note_all_departures(tx, rules.now)
