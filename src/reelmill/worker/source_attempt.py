"""One attempt at a job whose input is a live stream: read it through all its breaks, and record or send it on.

Each connection to the source is a run of the engine. What it records is a file of its own, sound wherever it ends; at
the end they are joined as they are.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from reelmill.domain.attempt import Grant
from reelmill.domain.failure import Failure
from reelmill.domain.job import Result
from reelmill.domain.lifecycle import Settle
from reelmill.domain.request import MAX_SECONDS
from reelmill.domain.stream import StreamEnd, StreamProgress
from reelmill.domain.stream_url import without_key
from reelmill.media.failed import AttemptFailed
from reelmill.media.publish import attempt_output
from reelmill.worker.attempt import Attempt, Workshop, output_of, time_limit
from reelmill.worker.energy import Meter
from reelmill.worker.engine_output import BoundedText
from reelmill.worker.engines.engine import EncodePlan, ProgressState, Reading, hear_progress, make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.ffmpeg_live import join_command, record_command, silence_command, stream_command
from reelmill.worker.live_attempt import LiveAttempt, Sent, as_sent
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.process import Exit
from reelmill.worker.source_watch import SourceWatch
from reelmill.worker.stream_watch import StreamWatch

log = structlog.get_logger()

RETRY_SECONDS = 1.0
"""Between two tries of a source that is away: a live stream that waits a minute is a minute lost."""

_SLACK_SECONDS = 0.5
_AWAY = frozenset({"io_error", "input_missing", "input_invalid", "input_truncated", "input_not_media", "engine_failed"})
"""What an engine's end means that saw no picture, when the source is not there, or not yet."""
_OF_THE_NODE = frozenset({"permission_denied", "output_folder_missing", "engine_not_started", "job_timed_out"})
"""What ends an attempt that has pictures, besides a lack of resources: the next connection would end as well."""

HDR_STREAM = Failure(
    "input_error",
    "hdr_stream",
    "The stream is HDR, and a live stream is encoded in SDR only; publish it in SDR (BT.709), or record it as a file "
    "and encode that.",
)
_ERROR = re.compile(r"\[(?:error|fatal)\] (.+)")


class _Run(NamedTuple):
    """One connection: what was to be read, how its engine ended, and what came."""

    plan: EncodePlan
    ended: Exit
    frames: int
    seconds: float
    watch: StreamWatch

    @property
    def is_of_use(self) -> bool:
        """Whether pictures came that go together with those of the others."""
        return self.frames > 0 and not self.watch.is_hdr

    @property
    def is_whole(self) -> bool:
        """Whether it ended because all was read that was to be."""
        return self.ended.code == 0 and self.is_of_use and self.seconds >= self.plan.duration - _SLACK_SECONDS


def begin_attempt(
    grant: Grant, workshop: Workshop, on_room: Callable[[Grant], None], meter: Meter | None = None
) -> Attempt:
    """The attempt that a grant asks for."""
    if grant.parameters.reads_stream:
        return SourceAttempt(grant, workshop, on_room, meter)
    return (LiveAttempt if grant.parameters.is_streamed else Attempt)(grant, workshop, on_room, meter)


class _Recording(NamedTuple):
    """The file of a connection, whose plan says where it is."""

    plan: EncodePlan
    seconds: float
    has_sound: bool


class SourceAttempt(LiveAttempt):
    """Reads a live source until its duration is over, or it is away for too long."""

    def __init__(
        self, grant: Grant, workshop: Workshop, on_room: Callable[[Grant], None], meter: Meter | None = None
    ) -> None:
        super().__init__(grant, workshop, on_room, meter)
        self._url = grant.parameters.input or ""
        self._source = SourceWatch(grant.parameters.duration, workshop.hang_seconds)
        self._before = StreamProgress("connecting")
        """The figures of all connections but this one."""
        self._text = BoundedText()
        self._end: StreamEnd = "duration"
        self._interrupted = False

    def resume(self) -> None:
        if self._is_paused:  # every beat says that it need not stand still
            self._source.forgive()
        super().resume()

    async def _encode_and_publish(self) -> None:
        parameters = self.grant.parameters
        folder = await self._workshop.depot.begin(self.grant)
        engine = self._streamer()
        self._engine = engine
        plan = _plan(self.grant, self._url, folder / "output")
        self.account.begin()
        self._announce_start()
        if parameters.is_streamed:
            await self._send_on(engine, as_sent(plan), parameters.rtmp_url or "")
        else:
            await self._record(engine, plan)

    async def _send_on(self, engine: FfmpegEngine, plan: EncodePlan, url: str) -> None:
        runs = await self._follow(engine, plan, lambda part: stream_command(engine, part, url))
        self._watch = runs[-1].watch
        self._check_connection(url)
        sent = Sent(
            frames=sum(run.frames for run in runs),
            seconds=sum(run.seconds for run in runs),
            size=sum(run.watch.bytes_sent for run in runs),
            has_sound=any(run.watch.has_sound for run in runs),
        )
        result = msgspec.structs.replace(
            self._describe_sent(plan, sent, _whole(runs), url),
            stream=self._with_breaks(self._before),
            received=self._source.received(self._end),
        )
        result = self._with_spent(result)
        self.free_room()
        await self._conclude(Settle(result))

    async def _record(self, engine: FfmpegEngine, plan: EncodePlan) -> None:
        target = output_of(self.grant.parameters)
        runs = await self._follow(engine, plan, lambda part: record_command(engine, part))
        ended = _whole(runs)
        pieces = await self._recordings(runs)
        if any(piece.has_sound for piece in pieces):
            pieces = [await self._with_sound(engine, piece) for piece in pieces]
        plan = msgspec.structs.replace(
            plan,
            output_path=attempt_output(plan.output_path.parent, plan.container),
            duration=sum(piece.seconds for piece in pieces),
            audio=plan.audio if pieces[0].has_sound else (),
            stream=None,
        )
        ended = ended.then(await self._join(engine, plan, [piece.plan.output_path for piece in pieces]))
        if self._needs_no_more_room:
            self.free_room()
        await self._publish(plan, await self._verify(plan, ended, target), target)

    async def _recordings(self, runs: list[_Run]) -> list[_Recording]:
        """Those that can be read, at least one: an engine that was killed may leave what nobody reads."""
        readable: list[_Recording] = []
        unreadable: AttemptFailed | None = None
        for run in runs:
            try:
                info = await self._workshop.probe.probe(run.plan.output_path, count_frames=True)
            except AttemptFailed as failed:
                if failed.failure.reason != "input_error":
                    raise
                unreadable = failed
                log.warning("recording_left_out", job=self.grant.key.job_id, why=failed.failure.message)
                continue
            # What a killed engine said of its last second is not in its file.
            is_sound = run.ended.ending == "exited" and run.ended.code == 0
            seconds = run.seconds if is_sound else info.video_duration or 0.0
            readable.append(_Recording(run.plan, seconds, has_sound=bool(info.audio_codecs)))
        if not readable and unreadable is not None:
            raise unreadable
        return readable

    async def _with_sound(self, engine: FfmpegEngine, piece: _Recording) -> _Recording:
        """The recording, with silence when it has no sound: all pieces of one file have the same tracks."""
        if piece.has_sound:
            return piece
        silent = piece.plan.output_path
        plan = msgspec.structs.replace(piece.plan, output_path=silent.with_name(f"{silent.stem}-sound.mkv"))
        argv = silence_command(engine, plan, silent, piece.seconds)
        on_line = hear_progress(engine, ProgressState(piece.seconds))
        await self._run_command(argv, engine, plan, time_limit(self.grant.parameters, plan), on_line)
        return _Recording(plan, piece.seconds, has_sound=True)

    async def _join(self, engine: FfmpegEngine, plan: EncodePlan, recordings: list[Path]) -> Exit:
        listing = plan.output_path.with_name("recordings.ffconcat")
        lines = ["ffconcat version 1.0", *(f"file {path.name}" for path in recordings)]
        await asyncio.to_thread(listing.write_text, "\n".join(lines) + "\n")
        argv = join_command(engine, plan, listing)
        on_line = hear_progress(engine, ProgressState(plan.duration))
        return await self._run_command(argv, engine, plan, time_limit(self.grant.parameters, plan), on_line)

    async def _follow(
        self, engine: FfmpegEngine, plan: EncodePlan, command: Callable[[EncodePlan], list[str]]
    ) -> list[_Run]:
        """Read the source to its end; the connections over which pictures came. AttemptFailed when none did."""
        runs: list[_Run] = []
        time_left = time_limit(self.grant.parameters, plan)
        self._tell()
        while True:
            path = plan.output_path.with_name(f"{len(runs)}.mkv")
            part = msgspec.structs.replace(plan, duration=self._source.left(), output_path=path)
            run = await self._connect(engine, part, command(part), time_left)
            time_left -= run.ended.wall_seconds
            if run.is_of_use:
                runs.append(run)
            end = "duration" if run.is_whole else self._source.end()
            if end is not None:
                self._end = end
                return runs
            self._tell()
            if self._source.is_missing():
                raise AttemptFailed(_missing(self._url, run.ended.stderr))
            await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self, engine: FfmpegEngine, plan: EncodePlan, argv: list[str], limit: float) -> _Run:
        self._source.connect()
        self._interrupted = False
        ended, state = await self._run_live(argv, engine, plan, limit)
        failure = self._find_fault(engine, plan, ended)
        if failure is not None:
            raise AttemptFailed(failure)
        if self._source.is_here:
            self._before = self._sum_up()
        self._source.connect()
        return _Run(plan, ended, state.frames, state.media_seconds, self._watch)

    def _find_fault(self, engine: FfmpegEngine, plan: EncodePlan, ended: Exit) -> Failure | None:
        """Why it makes no sense to try the source again; None when it does, or the engine ended as it should.

        Once pictures came they are worth more than another attempt: whatever the source does, it is tried again.
        """
        if self._watch.is_hdr and not self._source.was_here:
            return HDR_STREAM
        if ended.ending == "hung" or (ended.ending == "exited" and (ended.code == 0 or self._interrupted)):
            return None
        failure = ended.failure or engine.explain(ended.code, ended.stderr, plan)
        if self._source.was_here:
            return failure if failure.reason == "resource_error" or failure.code in _OF_THE_NODE else None
        return None if failure.code in _AWAY else failure

    def _note_stream(self, reading: Reading, state: ProgressState) -> None:
        if not self._watch.is_hdr:
            self._source.note(state.frames, state.media_seconds, ended=state.ended)
        eta = self._source.left() if self.grant.parameters.duration is not None else None
        self._note(msgspec.structs.replace(reading, percent=self._source.percent(), eta=eta))
        self._tell()
        if self.grant.parameters.is_streamed:
            self._give_up_unless_reachable()
        is_over = self._source.is_stalled() or self._source.is_overdue() or self._watch.is_hdr
        if self._process is not None and not self._interrupted and is_over:
            self._interrupted = True
            self._process.interrupt()

    def _tell(self) -> None:
        if not self._is_paused:
            self.progress = msgspec.structs.replace(self.progress, stream=self._stream_progress())

    def _stream_progress(self) -> StreamProgress:
        if self._source.is_here:
            return self._with_breaks(self._sum_up())
        state = "reconnecting" if self._source.was_here else "connecting"
        return self._with_breaks(msgspec.structs.replace(self._before, state=state, lag=0.0))

    def _with_breaks(self, sent: StreamProgress) -> StreamProgress:
        """The figures of what was sent, with how often the source was found again."""
        return msgspec.structs.replace(sent, reconnects=sent.reconnects + self._source.reconnects)

    def _sum_up(self) -> StreamProgress:
        """What was sent over all connections up to this one."""
        before, now = self._before, self._watch.progress()
        return StreamProgress(
            state=now.state if self.grant.parameters.is_streamed else "sending",
            lag=now.lag,
            most_lag=max(before.most_lag, now.most_lag),
            dropped=before.dropped + now.dropped,
            reconnects=before.reconnects + now.reconnects,
        )

    def _keep_log(self, argv: list[str], ended: Exit) -> None:
        self._text.feed(ended.stderr.encode())
        super()._keep_log(argv, msgspec.structs.replace(ended, stderr=self._text.text()))

    def _describe(self, plan: EncodePlan, info: MediaInfo, ended: Exit, target: str, sha256: str, size: int) -> Result:
        result = super()._describe(plan, info, ended, target, sha256, size)
        return msgspec.structs.replace(result, received=self._source.received(self._end))


def _plan(grant: Grant, url: str, output: Path) -> EncodePlan:
    """What is encoded of a source of which nothing is known: the scenario's very picture, and sound if there is any."""
    plan = make_plan(grant, None, None, output)
    sound = plan.scenario.audio
    one_layout = msgspec.structs.replace(sound, channels=sound.channels or 2)  # whatever it comes back with
    return msgspec.structs.replace(
        plan,
        scenario=msgspec.structs.replace(plan.scenario, audio=one_layout),
        stream=url,
        duration=grant.parameters.duration or MAX_SECONDS,
        video_duration=None,
        audio=() if sound.codec == "none" else ("encode",),
    )


def _whole(runs: list[_Run]) -> Exit:
    ended, *others = (run.ended for run in runs)
    for other in others:
        ended = ended.then(other)
    return ended


def _missing(url: str, said: str) -> Failure:
    """The first words of an engine are the closest to the cause."""
    found = _ERROR.search(said)
    why = f" ({found[1]})" if found else ""
    shown = without_key(url)
    message = f"No stream came from {shown}{why}; check that somebody publishes it, its address, and its key."
    return Failure("network_error", "stream_source_missing", message)
