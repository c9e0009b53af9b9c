"""One attempt at one job: encode in a folder of its own, verify, settle, and only then publish."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from reelmill.domain.attempt import AttemptLog, AttemptReport, Grant, Progress, UnpublishedOutput
from reelmill.domain.encoder import is_hardware
from reelmill.domain.failure import Failure
from reelmill.domain.job import Parameters, Result
from reelmill.domain.lifecycle import Fail, Publish, Report, Settle, Split, Start
from reelmill.domain.quality import Quality, judge
from reelmill.media.durable import hash_and_sync
from reelmill.media.failed import AttemptFailed
from reelmill.media.folder_output import seal
from reelmill.media.publish import attempt_output
from reelmill.worker.chunks import (
    as_piece,
    blame_pieces,
    choose_chunks,
    expected,
    gather,
    percent_of,
    spent_with_chunks,
    verify_join,
    verify_piece,
    with_chunks,
    without_tracks,
)
from reelmill.worker.confinement import UNLIMITED, EngineLimits
from reelmill.worker.decode import decode_whole
from reelmill.worker.depot import Depot
from reelmill.worker.energy import Account, Meter
from reelmill.worker.engine_output import FreshLines
from reelmill.worker.engines.engine import EncodePlan, Engine, Reading, follow, make_plan, passes_of, without_standstill
from reelmill.worker.fallback import blame_device, describe_fallback, lets_another_try, ways_to_encode
from reelmill.worker.ladder_output import finish_ladder
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.process import HANG_SECONDS, EngineProcess, Exit
from reelmill.worker.quality import measure
from reelmill.worker.reporter import Reporter
from reelmill.worker.sessions import UNLIMITED_SESSIONS, Sessions
from reelmill.worker.thumbnails_output import finish_thumbnails
from reelmill.worker.verify import verify

log = structlog.get_logger()

_TIMEOUT_FLOOR = 600.0
_TIMEOUT_PER_MEDIA_SECOND = 240.0
"""Without a timeout of its own a job may run this long: far beyond the slowest encoder that still makes progress."""


class Workshop(NamedTuple):
    """What all attempts of a worker share."""

    node_id: str
    depot: Depot
    engines: dict[str, Engine]
    probe: Probe
    reporter: Reporter
    engine_limits: EngineLimits = UNLIMITED
    hang_seconds: float = HANG_SECONDS
    """How long an engine may go without progress."""
    sessions: Sessions = UNLIMITED_SESSIONS


class Attempt:
    """Runs one grant to its end. ``on_room`` is called once, as soon as its CPU units are free again."""

    def __init__(
        self, grant: Grant, workshop: Workshop, on_room: Callable[[Grant], None], meter: Meter | None = None
    ) -> None:
        self.grant = grant
        self.progress = Progress(grant.key)
        self.said = FreshLines()
        """What its engine said that nobody was told yet."""
        self.awaits_verdict = False
        """True once the engine has ended and its outcome was reported: from then on only the store's word counts."""
        self._workshop = workshop
        self.account = Account(meter, grant.units)
        self.has_failed = False
        self._on_room = on_room
        self._has_room = True
        self._is_paused = False
        self._process: EngineProcess | None = None
        self._engine: Engine | None = None
        self._fallback: str | None = None
        self._percent_read = 0.0
        self._log: AttemptLog | None = None
        self._keep_folder = False

    @property
    def is_paused(self) -> bool:
        """Whether its engine stands still; one that has ended does not, and the attempt goes on to its verdict."""
        return self._is_paused and self._has_room and not self.awaits_verdict

    def pause(self) -> None:
        """Let the engine stand still, with its CPU units; harmless when it does, and when it has ended."""
        if self._is_paused:
            return
        self._is_paused = True
        log.info("attempt_paused", job=self.grant.key.job_id, attempt=self.grant.key.attempt)
        self.progress = Progress(self.grant.key, self.progress.progress)
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Let the engine go on; harmless when it does, and when it has ended."""
        if not self._is_paused:
            return
        self._is_paused = False
        log.info("attempt_resumed", job=self.grant.key.job_id, attempt=self.grant.key.attempt)
        if self._process is not None:
            self._process.resume()

    async def run(self) -> None:
        """Encode and publish, and report what happened. Cancelled, it ends the engine and reports nothing."""
        key = self.grant.key
        try:
            await self._encode_and_publish()
        except AttemptFailed as failed:
            if failed.__cause__ is not None:
                log.warning("attempt_failed", job=key.job_id, attempt=key.attempt, cause=repr(failed.__cause__))
            await self._conclude(Fail(failed.failure))
        except Exception:  # a fault of ours: the job must not hang on it
            log.exception("attempt_crashed", job=key.job_id, attempt=key.attempt)
            message = "reelmill itself failed on this job; the worker's log has the details."
            await self._conclude(Fail(Failure("platform_error", "internal_error", message)))
        finally:
            self.free_room()
            if not self._keep_folder:
                self._workshop.depot.remove(key)

    async def _encode_and_publish(self) -> None:
        depot, parameters = self._workshop.depot, self.grant.parameters
        target = output_of(parameters)
        folder = await depot.begin(self.grant)
        source, input_path = await self._look_at_input(parameters)
        plan = make_plan(without_tracks(self.grant), source, input_path, folder / "output")
        if plan.is_folder:
            plan.output_path.mkdir()
        else:
            plan = msgspec.structs.replace(plan, output_path=attempt_output(folder, plan.container))
        plan = as_piece(plan, parameters.piece)
        chunks = await choose_chunks(self.grant, plan, self._workshop.probe)
        if chunks:
            self.free_room()
            await self._conclude(Split(chunks))
            return
        if self.grant.chunk_plan is not None:
            plan = await gather(self.grant, plan, self.grant.chunk_plan, depot, self._workshop.probe)
        self.account.begin()
        await self._publish(plan, await self._encode(plan, target), target)

    async def _publish(self, plan: EncodePlan, result: Result, target: str) -> None:
        """Let the verified output count, with what else was asked to be looked at."""
        depot, key, parameters = self._workshop.depot, self.grant.key, self.grant.parameters
        result = msgspec.structs.replace(result, quality=await self._measure(plan))
        result = self._with_spent(result)
        self.free_room()
        assert result.sha256 is not None
        await depot.deliver(key, plan.output_path, result.sha256, result.size_bytes)
        # Until the answer is here nobody knows whether this output has won: whoever comes next may need it.
        self._keep_folder = True
        if not await self._conclude(Settle(result)):
            self._keep_folder = False  # another attempt took over: this output must not be seen
            return
        await asyncio.shield(depot.publish(UnpublishedOutput(key, target, result.sha256, parameters.overwrite)))
        await self._conclude(Publish())
        self._keep_folder = False

    async def _look_at_input(self, parameters: Parameters) -> tuple[MediaInfo | None, Path | None]:
        if parameters.input is None:
            return None, None
        path = await self._workshop.depot.fetch(self.grant, parameters.input)
        return await self._workshop.probe.probe(path), path

    async def _encode(self, plan: EncodePlan, target: str) -> Result:
        """The verified output of the first way that makes one."""
        self._announce_start()
        limit = time_limit(self.grant.parameters, plan)
        ways = ways_to_encode(self._workshop.engines, self.grant, plan)
        for way in ways:
            self._engine = way
            encoder, is_last = way.encoder_of(plan), way is ways[-1]
            is_made = False
            try:
                session = self._workshop.sessions.hold(encoder, waits=plan.scenario.encoder is not None)
                async with session:
                    with self.account.on_device_of(encoder):
                        ended = await self._encode_with(way, plan, limit)
                # What software has made is not made again by another, however it turns out.
                if (is_last or not is_hardware(encoder)) and self._needs_no_more_room:
                    self.free_room()
                is_made = True
                return await self._verify(plan, ended, target)
            except AttemptFailed as failed:
                if is_last or not lets_another_try(failed.failure, encoder, is_made=is_made):
                    raise AttemptFailed(blame_device(failed.failure, encoder)) from failed.__cause__
                self._fallback = describe_fallback(self._fallback, way, plan, failed.failure)
                log.warning("engine_replaced", job=self.grant.key.job_id, why=self._fallback)
        raise AssertionError("a job has no engine")

    @property
    def _needs_no_more_room(self) -> bool:
        """Whether what follows the encode is little work."""
        return self.grant.parameters.quality is None and self.grant.parameters.verify == "ends"

    @property
    def _used_engine(self) -> Engine:
        assert self._engine is not None, "nothing was encoded yet"
        return self._engine

    async def _encode_with(self, engine: Engine, plan: EncodePlan, limit: float) -> Exit:
        ended: Exit | None = None
        for part in passes_of(plan):
            this = await self._run(engine, part, limit - (0.0 if ended is None else ended.wall_seconds))
            ended = this if ended is None else ended.then(this)
        assert ended is not None
        return ended

    def _announce_start(self) -> None:
        task = asyncio.current_task()
        started = self._send(Start())
        started.add_done_callback(lambda verdict: task.cancel() if task and not verdict.result() else None)

    async def _run(self, engine: Engine, plan: EncodePlan, limit: float) -> Exit:
        return await self._run_command(engine.command(plan), engine, plan, limit, follow(engine, plan, self._note))

    async def _run_command(
        self, argv: list[str], engine: Engine, plan: EncodePlan, limit: float, on_line: Callable[[str], bool]
    ) -> Exit:
        """How the engine ended that ran these words of the plan; AttemptFailed when that was not well."""
        cwd = plan.output_path if plan.is_folder else None
        ended = await self._make_process(argv, limit, on_line, cwd).run()
        self._keep_log(argv, ended)
        if ended.ending == "killed":
            raise asyncio.CancelledError
        if ended.failure is not None or ended.code != 0:
            failure = ended.failure or engine.explain(ended.code, ended.stderr, plan)
            raise AttemptFailed(await asyncio.to_thread(blame_pieces, plan, failure))
        return ended

    def _keep_log(self, argv: list[str], ended: Exit) -> None:
        self._log = AttemptLog(_printable(shlex.join(argv)), ended.stderr)

    def _hear(self, words: bytes) -> bytes:
        """Take in what the engine says on stderr, as it comes; what of it is kept."""
        self.said.feed(words)
        return words

    def _make_process(
        self,
        argv: list[str],
        limit: float,
        on_line: Callable[[str], bool],
        cwd: Path | None = None,
        least_hang_seconds: float = 0.0,
    ) -> EngineProcess:
        """The process that now does the attempt's work, under the limits of its job; it stands still with the job."""
        process = self._process = EngineProcess(
            argv,
            on_line=on_line,
            on_words=self._hear,
            cwd=cwd,
            hang_seconds=max(self._workshop.hang_seconds, least_hang_seconds),
            timeout=limit,
            confinement=self._workshop.engine_limits.of(self.grant.units),
            on_end=self.account.add,
        )
        if self._is_paused:
            process.pause()
        return process

    def _with_spent(self, result: Result) -> Result:
        """The result with what all its engines used; of a join, with what its chunks did."""
        spent = spent_with_chunks(self.grant, self.account.spent())
        if spent is None:
            return result
        return msgspec.structs.replace(result, **msgspec.structs.asdict(spent))

    async def _decode(self, plan: EncodePlan) -> None:
        limit = time_limit(self.grant.parameters, plan)
        failure = await decode_whole(
            self._workshop.engines.get("ffmpeg"),
            plan.output_path,
            plan.threads,
            lambda argv, on_line: self._make_process(argv, limit, on_line),
        )
        if failure is not None:
            raise AttemptFailed(failure)

    async def _measure(self, plan: EncodePlan) -> Quality | None:
        parameters = self.grant.parameters
        if parameters.quality is None:
            return None
        limit, folder = time_limit(parameters, plan), plan.output_path.parent
        quality = await measure(
            plan,
            parameters.quality,
            parameters.quality_sample,
            encoded_by=self._used_engine,
            measured_by=self._workshop.engines.get("ffmpeg"),
            run=lambda argv, on_line: self._make_process(argv, limit, on_line, folder),
        )
        failure = judge(quality, parameters.quality_min)
        if failure is not None:
            raise AttemptFailed(failure)
        return quality

    def _note(self, reading: Reading) -> None:
        self._percent_read = reading.percent
        # 100 % is said by the store when the output was verified, not by the engine.
        percent = min(99.0, round(percent_of(self.grant, reading.percent), 1))
        self.account.keep_up()
        if self._is_paused:  # the last words of an engine that stands still
            self.progress = Progress(self.grant.key, percent)
            return
        reading = reading if self._process is None else without_standstill(reading, self._process.stretch)
        self.progress = Progress(self.grant.key, percent, reading.fps, reading.speed, reading.eta)

    async def _verify(self, plan: EncodePlan, ended: Exit, target: str) -> Result:
        if plan.is_folder:
            return await self._verify_folder(plan, ended, target)
        result = await self._verify_file(plan, ended, target)
        if self.grant.parameters.verify == "full":
            await self._decode(plan)
        return result

    async def _verify_file(self, plan: EncodePlan, ended: Exit, target: str) -> Result:
        info = await self._workshop.probe.probe(plan.output_path, count_frames=True)
        failure = verify_piece(plan, info) or verify(expected(plan, info), info) or verify_join(plan, info)
        if failure is not None:
            raise AttemptFailed(failure)
        sha256, size = await asyncio.to_thread(hash_and_sync, plan.output_path)
        return self._describe(plan, info, ended, target, sha256, size)

    async def _verify_folder(self, plan: EncodePlan, ended: Exit, target: str) -> Result:
        probe, renditions = self._workshop.probe, ()
        if plan.is_ladder:
            info, renditions = await finish_ladder(plan, probe)
        else:
            info = await finish_thumbnails(plan, probe, self._percent_read / 100 * plan.duration)
        files, sha256 = await asyncio.to_thread(seal, plan.output_path)
        result = self._describe(plan, info, ended, target, sha256, sum(file.size_bytes for file in files))
        return msgspec.structs.replace(result, files=tuple(files), renditions=renditions)

    def _describe(self, plan: EncodePlan, info: MediaInfo, ended: Exit, target: str, sha256: str, size: int) -> Result:
        encode_seconds, cpu_seconds = with_chunks(self.grant, ended)
        return Result(
            output=target,
            size_bytes=size,
            sha256=sha256,
            container=info.container,
            codec=info.codec,
            width=info.width,
            height=info.height,
            fps=round(info.fps, 3),
            duration=round(info.duration, 3),
            frames=info.frames,
            audio_codec=info.audio_codecs[0] if info.audio_codecs else None,
            pixel_format=info.pixel_format or None,
            engine=self.grant.engine if self._engine is None else self._engine.name,
            encoder=None if self._engine is None else self._engine.encoder_of(plan),
            fallback=self._fallback,
            encode_seconds=round(encode_seconds, 3),
            cpu_seconds=round(cpu_seconds, 3),
            speed=round(info.duration / encode_seconds, 3),
        )

    def _send(self, event: Report) -> asyncio.Future[bool]:
        with_log = None if isinstance(event, Start) else self._log
        if with_log is not None:
            self._log = None  # once is enough
        report = AttemptReport(self.grant.key, self._workshop.node_id, event, with_log)
        return self._workshop.reporter.send(report.storable())

    async def _conclude(self, event: Report) -> bool:
        """Report what came of the attempt, and wait for the verdict."""
        self.awaits_verdict = True
        self.has_failed = isinstance(event, Fail)
        if isinstance(event, Fail):
            event = msgspec.structs.replace(event, spent=self.account.spent())
        return await self._send(event)

    def free_room(self) -> None:
        """Give its CPU units back; only the first call does."""
        if self._has_room:
            self._has_room = False
            self._on_room(self.grant)


def time_limit(parameters: Parameters, plan: EncodePlan) -> float:
    """Seconds that the encode may take: as asked, else by the length of what is encoded."""
    return parameters.timeout or _TIMEOUT_FLOOR + _TIMEOUT_PER_MEDIA_SECOND * plan.duration


def _printable(text: str) -> str:
    """File names are bytes; the words of the bus are text."""
    return os.fsencode(text).decode(errors="replace")


def output_of(parameters: Parameters) -> str:
    """Where the output goes; AttemptFailed when nobody said it."""
    if parameters.output is None:
        raise AttemptFailed(
            Failure("user_error", "output_missing", "The job names no output; submit it again with one.")
        )
    return parameters.output
