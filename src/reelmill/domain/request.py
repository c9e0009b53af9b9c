"""A job request as it arrives, and the check that turns it into a job or names the field that is wrong."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path, PurePosixPath

import msgspec

from reelmill.domain.capability import Needs, reading_feature, with_feature
from reelmill.domain.chunk_request import Chunking, check_chunk
from reelmill.domain.container import container_of_name
from reelmill.domain.job import EngineChoice, NewJob, Parameters, Priority, Queue, VerifyDepth
from reelmill.domain.label import MOST_LABEL_CHARS, check_labels
from reelmill.domain.live_request import check_live, check_live_input
from reelmill.domain.media_path import check_media_path
from reelmill.domain.plain_text import check_plain
from reelmill.domain.quality import Metric, check_quality
from reelmill.domain.quantity import format_bitrate, parse_bitrate
from reelmill.domain.rendition import check_output, name_encoder
from reelmill.domain.scenario import OPTIONS, Scenario, find_built_in, find_scenario
from reelmill.domain.stream import OutputMode
from reelmill.domain.stream_url import ANY_HOST, StreamHosts, scheme_of
from reelmill.domain.tenant import DEFAULT_TENANT, check_tenant
from reelmill.errors import InvalidField, NotFound

SYNTHETIC_SECONDS = 10.0
"""How long a synthetic job is when the request does not say."""

MIN_SECONDS, MAX_SECONDS = 0.1, 86_400.0
_MAX_KEY_CHARS = 200
_MAX_STEM_BYTES = 160  # the whole name must stay under 255, whatever script it is written in


class RequestedParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The ``parameters`` of a request. ``bitrate`` is bit/s or text such as ``"5M"``; times are seconds.

    ``chunk`` is seconds, or text such as ``"60s"`` or ``"2m"``.
    """

    duration: float | None = None
    bitrate: int | str | None = None
    output_mode: OutputMode = "file"
    rtmp_url: str | None = None
    input: str | None = None
    output: str | None = None
    overwrite: bool = False
    timeout: float | None = None
    quality: Metric | None = None
    quality_sample: int = 1
    quality_min: float | None = None
    verify: VerifyDepth = "ends"
    chunk: float | str | None = None
    encoder: str | None = None


class JobRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of ``POST /jobs``, and one item of ``POST /jobs/batch``."""

    scenario: str
    engine: EngineChoice = "auto"
    queue: Queue = "default"
    priority: Priority = "medium"
    parameters: RequestedParameters = RequestedParameters()
    labels: dict[str, str] = {}
    tenant: str = DEFAULT_TENANT
    node_labels: dict[str, str] = {}
    idempotency_key: str | None = None
    confidence: str | int | float | None = None


def accept(
    request: JobRequest,
    job_id: str,
    media_root: Path | None = None,
    stream_hosts: StreamHosts = ANY_HOST,
    chunking: Chunking | None = None,
) -> NewJob:
    """The checked job; InvalidField with the reason when the request makes no sense.

    An input is cut by ``chunking`` unless the request says something else.
    """
    try:
        scenario = find_scenario(request.scenario)
    except NotFound as error:
        raise InvalidField("scenario", str(error)) from None
    if request.parameters.encoder is not None:
        scenario = name_encoder("parameters.encoder", scenario, request.parameters.encoder)
    if scenario.encoder is not None and request.engine == "gstreamer":
        raise InvalidField("engine", f"'gstreamer' has no {scenario.encoder}, which is ffmpeg's; leave `engine` out")
    parameters = _check_parameters(request, scenario, job_id, media_root, stream_hosts)
    usual = None if parameters.is_live else chunking
    cut = check_chunk(request.parameters.chunk, parameters.input, scenario, request.engine, usual)
    if cut is not None:
        parameters = msgspec.structs.replace(parameters, chunk=cut.seconds, chunk_above=cut.above)
    check_live(request.engine, request.parameters.output, parameters, scenario, stream_hosts)
    check_tenant(request.tenant)
    check_labels("labels", request.labels)
    check_labels("node_labels", request.node_labels)
    node_labels = dict(sorted(request.node_labels.items()))
    encoder = scenario.encoder_needed(container_of_name(parameters.output or "") or scenario.usual_container)
    engine = _engine_for(request.engine, parameters, scenario)
    if cut is not None:
        engine = "ffmpeg"
        encoder = encoder if scenario.encoder is not None else with_feature(scenario.codec, OPTIONS)
    if parameters.input is not None and parameters.reads_stream:
        encoder = with_feature(encoder, reading_feature(scheme_of(parameters.input)))
    if isinstance(request.confidence, str):
        check_plain("confidence", request.confidence, MOST_LABEL_CHARS)
    return NewJob(
        id=job_id,
        tenant=request.tenant,
        scenario=scenario.name,
        engine=engine,
        queue=request.queue,
        priority=request.priority,
        parameters=parameters,
        needs=Needs(engine, encoder, scenario.cost, request.tenant, tuple(node_labels.items())),
        labels=request.labels,
        node_labels=node_labels,
        confidence=request.confidence,
        idempotency_key=request.idempotency_key,
        fingerprint=_fingerprint(request),
        definition=None if scenario == find_built_in(scenario.name) else scenario,
    )


def _fingerprint(request: JobRequest) -> str | None:
    if request.idempotency_key is None:
        return None
    if not request.idempotency_key:
        raise InvalidField("idempotency_key", "is empty")
    check_plain("idempotency_key", request.idempotency_key, _MAX_KEY_CHARS)
    body = msgspec.json.encode(request, order="deterministic")
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _check_parameters(
    request: JobRequest, scenario: Scenario, job_id: str, media_root: Path | None, hosts: StreamHosts
) -> Parameters:
    asked = request.parameters
    bitrate = scenario.bitrate_default
    if asked.bitrate is not None:
        bitrate = _check_bitrate(asked.bitrate, scenario)
    if scenario.makes_folder:
        _check_for_folder(asked, scenario)
    duration = _check_seconds("parameters.duration", asked.duration)
    check_quality(asked.quality, asked.quality_sample, asked.quality_min)
    source = stream = check_live_input("parameters.input", asked.input, hosts)
    if asked.input is not None and stream is None:
        source = check_media_path("parameters.input", asked.input, media_root)
    elif duration is None and stream is None:
        duration = SYNTHETIC_SECONDS
    return Parameters(
        duration=duration,
        bitrate=bitrate,
        output_mode=asked.output_mode,
        rtmp_url=asked.rtmp_url,
        input=source,
        output=None
        if asked.output_mode == "rtmp"
        else _choose_output(asked.output, None if stream else source, scenario, job_id, media_root),
        overwrite=asked.overwrite,
        timeout=_check_seconds("parameters.timeout", asked.timeout),
        quality=asked.quality,
        quality_sample=asked.quality_sample,
        quality_min=asked.quality_min,
        verify=asked.verify,
        encoder=asked.encoder,
    )


def _check_for_folder(asked: RequestedParameters, scenario: Scenario) -> None:
    for name, wanted, why in (
        ("overwrite", asked.overwrite, "a folder cannot be replaced in one step; name another output"),
        ("output_mode", asked.output_mode != "file", "a stream carries one rendition"),
        ("verify", asked.verify != "ends", "each file is looked at as it is; leave it out"),
        ("quality", asked.quality is not None, "it compares one film with its source; ask it of a single rendition"),
    ):
        if wanted:
            raise InvalidField(f"parameters.{name}", f"is not done for {scenario.name}: {why}")


def _engine_for(asked: EngineChoice, parameters: Parameters, scenario: Scenario) -> EngineChoice:
    # What reads streams is a feature, by which the node chooses, and says why.
    needs_ffmpeg = (parameters.is_streamed and not parameters.reads_stream) or scenario.encoder is not None
    return "ffmpeg" if asked == "auto" and needs_ffmpeg else asked


def _choose_output(
    asked: str | None, source: str | None, scenario: Scenario, job_id: str, media_root: Path | None
) -> str:
    suffix = "" if scenario.makes_folder else scenario.usual_container.suffix
    if asked is None and source is None:
        return f"outputs/{job_id}{suffix}"  # all of our own making
    if asked is None:
        stem = PurePosixPath(source or "").stem.encode(errors="surrogatepass")[:_MAX_STEM_BYTES].decode(errors="ignore")
        asked = f"outputs/{stem}-{scenario.name}-{job_id}{suffix}"
    output = check_media_path("parameters.output", asked, media_root)
    check_output("parameters.output", scenario, output)
    if output == source:
        raise InvalidField("parameters.output", "is the input itself")
    return output


def _check_bitrate(asked: int | str, scenario: Scenario) -> int:
    if not scenario.follows_bitrate:
        why = "is encoded at constant quality" if scenario.ladder is None else "has a bitrate for each of its rungs"
        why = "makes pictures" if scenario.thumbnails is not None else why
        reason = f"has no meaning with {scenario.name}, which {why}; leave it out"
        raise InvalidField("parameters.bitrate", reason)
    try:
        bitrate = parse_bitrate(asked) if isinstance(asked, str) else asked
    except ValueError as error:
        raise InvalidField("parameters.bitrate", str(error)) from None
    low, high = scenario.bitrate_limits
    if not low <= bitrate <= high:
        limits = f"{format_bitrate(low)} to {format_bitrate(high)}"
        raise InvalidField("parameters.bitrate", f"{asked!r} is out of range for {scenario.name} ({limits})")
    return bitrate


def _check_seconds(field: str, seconds: float | None) -> float | None:
    if seconds is not None and not (math.isfinite(seconds) and MIN_SECONDS <= seconds <= MAX_SECONDS):
        raise InvalidField(field, f"{seconds:g} is out of range ({MIN_SECONDS:g} to {MAX_SECONDS:g} seconds)")
    return seconds
