"""One attempt at a live job: encode in real time, send it to a server, and say what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from reelmill.domain.attempt import Grant
from reelmill.domain.failure import Failure
from reelmill.domain.job import Result
from reelmill.domain.lifecycle import Fail, Report, Settle
from reelmill.domain.stream_url import hide_keys, without_key
from reelmill.media.failed import AttemptFailed
from reelmill.worker.attempt import Attempt, Workshop, time_limit
from reelmill.worker.energy import Meter
from reelmill.worker.engines.engine import EncodePlan, ProgressState, Reading, hear_progress, make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.ffmpeg_live import LONGEST_SILENCE, QUEUE_SECONDS, stream_command
from reelmill.worker.process import Exit
from reelmill.worker.stream_watch import StreamWatch
from reelmill.worker.stream_words import StreamWords

_LEAST_SLACK_SECONDS, _RELATIVE_SLACK = 0.5, 0.01

NO_STREAMER = Failure(
    "capability_mismatch",
    "encoder_unavailable",
    "The engine of this job sends no streams; submit it again with the engine `ffmpeg`, or `auto`.",
)


class Sent(NamedTuple):
    """What was encoded and sent, over all connections; ``size`` in bytes."""

    frames: int
    seconds: float
    size: int
    has_sound: bool


class LiveAttempt(Attempt):
    """Sends a stream. There is no file to verify: what it encoded is counted, and that a server took the end of it."""

    def __init__(
        self, grant: Grant, workshop: Workshop, on_room: Callable[[Grant], None], meter: Meter | None = None
    ) -> None:
        super().__init__(grant, workshop, on_room, meter)
        self._unreachable = False

    async def _encode_and_publish(self) -> None:
        parameters = self.grant.parameters
        folder = await self._workshop.depot.begin(self.grant)
        source, input_path = await self._look_at_input(parameters)
        plan = as_sent(make_plan(self.grant, source, input_path, folder / "stream.mkv"))
        self.account.begin()
        result = self._with_spent(await self._send_stream(plan, parameters.rtmp_url or ""))
        self.free_room()
        await self._conclude(Settle(result))

    async def _send_stream(self, plan: EncodePlan, url: str) -> Result:
        engine = self._streamer()
        self._announce_start()
        limit = time_limit(self.grant.parameters, plan)
        ended, state = await self._run_live(stream_command(engine, plan, url), engine, plan, limit)
        if ended.failure is not None or ended.code != 0:
            raise AttemptFailed(ended.failure or engine.explain(ended.code, ended.stderr, plan))
        self._check_connection(url)
        _check_length(plan, state)
        sent = Sent(state.frames, state.media_seconds, self._watch.bytes_sent, has_sound=bool(plan.audio))
        return self._describe_sent(plan, sent, ended, url)

    def _streamer(self) -> FfmpegEngine:
        engine = self._workshop.engines[self.grant.engine]
        if not isinstance(engine, FfmpegEngine):
            raise AttemptFailed(NO_STREAMER)
        return engine

    async def _run_live(
        self, argv: list[str], engine: FfmpegEngine, plan: EncodePlan, limit: float
    ) -> tuple[Exit, ProgressState]:
        """One run of the engine, watched; how it ended, and how far it came. AttemptFailed when no server takes it."""
        state = ProgressState(plan.duration)
        self._watch = StreamWatch(round(QUEUE_SECONDS * plan.fps), reads_stream=plan.stream is not None)
        self._words = StreamWords(self._watch.hear)

        def note(reading: Reading) -> None:
            self._watch.note(state.frames, state.media_seconds)
            self._note_stream(reading, state)

        on_line = hear_progress(engine, state, note)
        silence = 0.0 if plan.stream is None else LONGEST_SILENCE
        with self.account.on_device_of(engine.encoder_of(plan)):
            ended = await self._make_process(argv, limit, on_line, least_hang_seconds=silence).run()
        self._keep_log(argv, ended)
        if self._unreachable:
            raise AttemptFailed(_unreachable(self.grant.parameters.rtmp_url or "", self._watch.trouble))
        if ended.ending == "killed":
            raise asyncio.CancelledError
        return ended, state

    def _note_stream(self, reading: Reading, state: ProgressState) -> None:
        """The engine of a stream came so far."""
        self._note(reading)
        self.progress = msgspec.structs.replace(self.progress, stream=self._watch.progress())
        self._give_up_unless_reachable()

    def _hear(self, words: bytes) -> bytes:
        """What is kept is judged yet, so it has its keys; what is told has not."""
        kept = self._words.feed(words)
        super()._hear(self._hide(kept.decode(errors="replace")).encode())
        return kept

    def _keep_log(self, argv: list[str], ended: Exit) -> None:
        without_keys = msgspec.structs.replace(ended, stderr=self._hide(ended.stderr))
        super()._keep_log([self._hide(word) for word in argv], without_keys)

    async def _conclude(self, event: Report) -> bool:
        if isinstance(event, Fail):
            shown = self._hide(event.failure.message)
            event = msgspec.structs.replace(event, failure=msgspec.structs.replace(event.failure, message=shown))
        return await super()._conclude(event)

    def _hide(self, text: str) -> str:
        return hide_keys(text, self.grant.parameters.stream_urls)

    def _give_up_unless_reachable(self) -> None:
        if self._process is not None and self._watch.unreachable_seconds() > self._workshop.hang_seconds:
            self._unreachable = True
            self._process.kill()

    def _check_connection(self, url: str) -> None:
        if not self._watch.is_connected:
            raise AttemptFailed(_unreachable(url, self._watch.trouble))

    def _describe_sent(self, plan: EncodePlan, sent: Sent, ended: Exit, url: str) -> Result:
        return Result(
            output=without_key(url),
            size_bytes=sent.size,
            sha256=None,
            container=plan.container,
            codec=plan.scenario.codec,
            width=plan.width,
            height=plan.height,
            fps=round(plan.fps, 3),
            duration=round(sent.seconds, 3),
            frames=sent.frames,
            audio_codec="aac" if sent.has_sound else None,
            pixel_format=plan.scenario.pixel_format,
            engine=self.grant.engine,
            encode_seconds=round(ended.wall_seconds, 3),
            cpu_seconds=round(ended.cpu_seconds, 3),
            speed=round(sent.seconds / ended.wall_seconds, 3),
            stream=self._watch.progress(),
        )


def as_sent(plan: EncodePlan) -> EncodePlan:
    """The plan of a stream: FLV, with one track of AAC at most."""
    return msgspec.structs.replace(plan, container="flv", audio=plan.audio[:1], audio_codec="aac")


def _check_length(plan: EncodePlan, state: ProgressState) -> None:
    slack = max(_LEAST_SLACK_SECONDS, _RELATIVE_SLACK * plan.duration)
    frames = plan.duration * plan.fps
    if abs(state.media_seconds - plan.duration) > slack or abs(state.frames - frames) > slack * plan.fps:
        found = f"{state.media_seconds:.2f} s with {state.frames} frames"
        message = f"{found} were encoded, where {plan.duration:.2f} s with {round(frames)} were asked for"
        raise AttemptFailed(
            Failure("runtime_error", "output_invalid", f"{message}; the job's log has the engine's messages.")
        )


def _unreachable(url: str, trouble: str) -> Failure:
    said = f" ({trouble})" if trouble else ""
    shown = without_key(url)
    message = (
        f"The server of {shown} does not take the stream{said}; check that it runs, its address, and the stream's key."
    )
    return Failure("network_error", "stream_server_unreachable", message)
