"""Measuring what an output kept of its source: an ffmpeg run of its own behind the encode, which may die.

Within the encode the metric would queue pictures without bound when it is slower than the encoder. Here it is the only
one that asks for pictures: two decoders feed it, and each waits for the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from array import array
from collections.abc import Iterator
from functools import partial
from math import ceil
from pathlib import Path

import msgspec

from reelmill.domain.quality import Metric, Quality
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan, Engine, ProgressState, hear_progress
from reelmill.worker.engines.ffmpeg import FfmpegEngine, file_input, source_input
from reelmill.worker.engines.ffmpeg_filters import filter_chain
from reelmill.worker.process import Exit, MakeProcess

VMAF_MODEL = "vmaf_v0.6.1"
IDENTICAL_DB = 100.0
"""What two identical pictures count as in xpsnr, where they are infinitely alike."""

_LOG_NAME = "quality.log"
_SSIM = re.compile(rb"n:\s*\d+ .*\bAll:(\S+) ")
_XPSNR = re.compile(rb"n:\s*\d+ +XPSNR y: *(\S+) ")
_XPSNR_MEAN = re.compile(rb"XPSNR average, \d+ frames +y: *(\S+) ")
_MOST_REASON_CHARS = 300


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: the file at ``output`` with a source that is read by ``source`` and made alike by ``filters``.

    Frames are paired by their number, ``threads`` decode and compare, and every ``every`` n-th frame counts.
    """

    metric: Metric
    every: int
    output: Path
    source: list[str]
    filters: list[str]
    threads: int


def comparison_of(plan: EncodePlan, metric: Metric, every: int) -> Comparison:
    """The output of a plan against what its encoder was given: the same pictures, of the same size and rate."""
    return Comparison(
        metric=metric,
        every=every,
        output=plan.output_path,
        source=source_input(plan),
        filters=[*([chain] if (chain := filter_chain(plan)) else []), f"format={plan.scenario.pixel_format}"],
        threads=plan.threads,
    )


def command(ffmpeg: Path, comparison: Comparison) -> list[str]:
    """The argv list; it writes what it finds of each frame to a file in its current folder."""
    pick = []
    if comparison.metric == "ssim" and comparison.every > 1:
        pick = [f"select=not(mod(n\\,{comparison.every}))"]
    # By number: a container rounds times, and begins them where it likes.
    paired = [*pick, "settb=1/1000", "setpts=N"]
    graph = (
        f"[0:V:0]{','.join(paired)}[output];[1:V:0]{','.join([*comparison.filters, *paired])}[source];"
        f"[output][source]{_metric_filter(comparison)}:shortest=1[found]"
    )
    return [
        str(ffmpeg),
        *("-nostdin", "-hide_banner", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.5"),
        *("-filter_complex_threads", str(comparison.threads)),
        *file_input(comparison.output, comparison.threads),
        *comparison.source,
        *("-filter_complex", graph, "-map", "[found]", "-f", "null", "-"),
    ]


def _metric_filter(comparison: Comparison) -> str:
    if comparison.metric == "vmaf":
        settings = f"n_threads={comparison.threads}:n_subsample={comparison.every}:model=version={VMAF_MODEL}"
        return f"libvmaf=log_path={_LOG_NAME}:log_fmt=csv:{settings}"
    return f"{comparison.metric}=stats_file={_LOG_NAME}"


async def measure(
    plan: EncodePlan, metric: Metric, every: int, *, encoded_by: Engine, measured_by: Engine | None, run: MakeProcess
) -> Quality:
    """What the metric says of the plan's output, or why it says nothing; whatever fails, it does not raise.

    ``run`` makes a process of an argv and of what hears its stdout; its current folder is the output's.
    """
    if not isinstance(measured_by, FfmpegEngine):
        return _nothing(metric, every, "this node has no ffmpeg, which measures")
    if plan.source is None and encoded_by.name != measured_by.name:
        return _nothing(metric, every, f"{encoded_by.name} cannot draw its test pictures a second time")
    return await compare(measured_by, comparison_of(plan, metric, every), run)


async def compare(engine: FfmpegEngine, comparison: Comparison, run: MakeProcess) -> Quality:
    """What the metric says, or why it says nothing; see ``measure``."""
    nothing = partial(_nothing, comparison.metric, comparison.every)
    log = comparison.output.with_name(_LOG_NAME)
    try:
        ended = await run(command(engine.path, comparison), hear_progress(engine, ProgressState(0.0))).run()
        if ended.ending == "killed":
            raise asyncio.CancelledError
        if ended.code != 0:
            return nothing(_why(comparison.metric, ended))
        mean, scores = await asyncio.to_thread(read_scores, comparison.metric, log, comparison.every)
    except AttemptFailed as failed:
        return nothing(failed.failure.message)
    except (OSError, ValueError) as error:
        return nothing(f"the metric's figures could not be read: {error}")
    finally:
        with contextlib.suppress(OSError):
            log.unlink()
    if not scores:
        return nothing("no frame of the output could be compared with its source")
    ordered = sorted(scores)
    return Quality(
        metric=comparison.metric,
        model=_model(comparison.metric),
        every=comparison.every,
        mean=round(sum(ordered) / len(ordered) if mean is None else mean, 4),
        p5=round(ordered[ceil(0.05 * len(ordered)) - 1], 4),
        worst=round(ordered[0], 4),
        frames=len(ordered),
        seconds=round(ended.wall_seconds, 3),
        cpu_seconds=round(ended.cpu_seconds, 3),
    )


def _nothing(metric: Metric, every: int, why: str) -> Quality:
    return Quality(metric=metric, model=_model(metric), every=every, reason=why)


def _model(metric: Metric) -> str | None:
    return VMAF_MODEL if metric == "vmaf" else None


def _why(metric: Metric, ended: Exit) -> str:
    if ended.failure is not None:
        return "the measurement took too long" if ended.ending == "timed_out" else "the measurement made no progress"
    if "No such filter" in ended.stderr:
        return f"the ffmpeg of this node has no {'libvmaf' if metric == 'vmaf' else metric}"
    if "memory" in ended.stderr or "Cannot allocate" in ended.stderr:
        return "the measurement ran out of memory; give engines more (engine_memory)"
    if ended.code < 0:
        return f"the measurement was killed by signal {-ended.code}"
    words = next((line for line in reversed(ended.stderr.splitlines()) if line.strip()), "it said nothing")
    return f"ffmpeg failed with exit code {ended.code}: {words[:_MOST_REASON_CHARS]}"


def read_scores(metric: Metric, log: Path, every: int) -> tuple[float | None, array[float]]:
    """The mean that the metric itself names, if it has one of its own, and the score of each frame; blocks.

    A score is 8 bytes: what a day of film at 60 frames per second takes is 41 MB.
    """
    if metric == "vmaf":
        return None, array("d", _vmaf_rows(log, every))
    mean, pattern, scores = None, _XPSNR if metric == "xpsnr" else _SSIM, array("d")
    with log.open("rb") as lines:
        for line in lines:
            if (match := pattern.match(line)) is not None:
                scores.append(min(float(match[1]), IDENTICAL_DB))
            elif (match := _XPSNR_MEAN.match(line)) is not None:  # of errors, not of decibels
                mean = min(float(match[1]), IDENTICAL_DB)
    return mean, scores


def _vmaf_rows(log: Path, every: int) -> Iterator[float]:
    with log.open() as lines:
        columns = next(lines, "").strip().split(",")
        place = columns.index("vmaf") if "vmaf" in columns else -1
        for line in lines:
            row = line.split(",")
            if place > 0 and int(row[0]) % every == 0:  # libvmaf adds the last frames to a sample
                yield float(row[place])
