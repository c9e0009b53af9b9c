"""What was typed, checked: every mistake that can be seen from here is found before anything is sent."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import msgspec
import uuid_utils

from reelmill.domain.job import ENGINES, PRIORITIES, QUEUES
from reelmill.domain.label import parse_labels
from reelmill.domain.media_path import check_media_path
from reelmill.domain.quantity import parse_bitrate, parse_count, parse_duration
from reelmill.domain.request import JobRequest, RequestedParameters, accept
from reelmill.domain.scenario import CATALOGUE, RANDOM, Scenario, find_scenario
from reelmill.domain.suggestion import unknown_name
from reelmill.domain.tenant import DEFAULT_TENANT, check_tenant
from reelmill.errors import InvalidField, NotFound
from reelmill.launcher.plan import LaunchPlan, Mix, Span, mix

DEFAULT_COUNT = 1000
DEFAULT_DURATION = Span(30, 300)
MAX_BATCH = 10_000
MAX_DELAY_MS = 3_600_000
MAX_NAME_CHARS = 200
MIXED = "mixed"
PATIENCE_SECONDS = 60.0
"""How long one batch is tried again before the launch gives up."""

N = TypeVar("N", int, float)
C = TypeVar("C", bound=str)


def new_launch_id() -> str:
    """A UUID of version 7: unique, and sorted by time."""
    return str(uuid_utils.uuid7())


class LaunchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to submit a plan. ``delay`` and ``patience`` in seconds; without an ``output`` no results file is written."""

    plan: LaunchPlan
    launch_id: str = msgspec.field(default_factory=new_launch_id)
    name: str | None = None
    batch_size: int = 50
    delay: float = 0.1
    output: Path | None = None
    wait: bool = False
    patience: float = PATIENCE_SECONDS


def read_plan(
    *,
    count: str | None = None,
    scenario: str | None = None,
    queue: str | None = None,
    priority: str | None = None,
    engine: str = "auto",
    duration: str | None = None,
    bitrate: str | None = None,
    source: str | None = None,
    seed: str | int | None = None,
    tenant: str = DEFAULT_TENANT,
    node_labels: Sequence[str] = (),
) -> LaunchPlan:
    """The plan; InvalidField naming the option that is wrong. Without a seed, one is drawn.

    A synthetic load (no ``source``) is any scenario, queue and priority unless it is said; a real file is not.
    """
    path = _read_input(source)
    if path is not None and scenario is None:
        raise InvalidField("--scenario", "is needed with --input, such as 720p30-h264; see `reelmill scenarios list`")
    scenario = scenario or RANDOM
    jobs = read_count("--count", count, 1) if count is not None else (1 if source else DEFAULT_COUNT)
    if engine not in ENGINES:
        raise InvalidField("--engine", unknown_name("engine", engine, ENGINES))
    length = _read_span("--duration", duration, parse_duration)
    plan = LaunchPlan(
        count=jobs,
        seed=secrets.randbits(32) if seed is None else _read_seed(seed),
        scenarios=mix(tuple(CATALOGUE.values()) if scenario == RANDOM else (_find_scenario(scenario),)),
        queues=_read_mix("--queue", "queue", queue or (MIXED if source is None else "default"), QUEUES),
        priorities=_read_mix("--priority", "priority", priority or (MIXED if source is None else "medium"), PRIORITIES),
        engine=engine,
        duration=length if length is not None or source is not None else DEFAULT_DURATION,
        bitrate=_read_span("--bitrate", bitrate, parse_bitrate),
        input=path,
        tenant=tenant,
        node_labels=parse_labels("--node-label", node_labels),
    )
    _rename_field(lambda: check_tenant(tenant))
    _check_corners(plan)
    return plan


def read_count(option: str, text: str, low: int, high: int | None = None) -> int:
    """A whole number within bounds, from text such as ``"10k"``."""
    if text.strip().startswith("-"):
        raise InvalidField(option, f"{text} is too small; the least is {low}")
    try:
        number = parse_count(text)
    except ValueError as error:
        raise InvalidField(option, str(error)) from None
    if number < low:
        raise InvalidField(option, f"{text} is too small; the least is {low}")
    if high is not None and number > high:
        raise InvalidField(option, f"{text} is too large; the most is {high}")
    return number


def _read_seed(seed: str | int) -> int:
    try:
        return int(seed)
    except ValueError:
        raise InvalidField("--seed", f"{seed!r} is not a whole number") from None


def read_name(name: str | None) -> str | None:
    """The name of a launch."""
    if name is not None and len(name) > MAX_NAME_CHARS:
        raise InvalidField("--name", f"is longer than {MAX_NAME_CHARS} characters")
    return name


def _find_scenario(name: str) -> Scenario:
    try:
        return find_scenario(name)
    except NotFound as error:
        raise InvalidField("--scenario", str(error)) from None


def _read_mix(option: str, kind: str, given: str, known: tuple[C, ...]) -> Mix[C]:
    if given == MIXED:
        return mix(known)
    if given not in known:
        raise InvalidField(option, unknown_name(kind, given, (*known, MIXED)))
    return mix((cast("C", given),))


def _read_span(option: str, text: str | None, parse: Callable[[str], N]) -> Span | None:
    """``"5M"`` or ``"4M-10M"``; in a range of two bare numbers with one unit, the unit counts for both."""
    if text is None:
        return None
    if text.strip().startswith("-"):
        raise InvalidField(option, f"{text[:60]!r} must not be negative")
    low, dash, high = text.strip().partition("-")
    try:
        if not dash:
            value = parse(text)
            return Span(value, value)
        span = Span(parse(low), parse(high))
    except ValueError as error:
        raise InvalidField(option, f"{error}, or a range LOW-HIGH") from None
    if span.low > span.high:
        raise InvalidField(option, f"{text!r} begins above its end; write LOW-HIGH")
    return span


def _read_input(source: str | None) -> str | None:
    """A path that exists here is meant from here; any other is meant from the farm's media root."""
    if source is None:
        return None
    path = Path(source).expanduser()
    if path.is_dir():
        raise InvalidField("--input", f"{source!r} is a folder; give a file")
    if path.exists():
        return os.path.abspath(path)  # noqa: PTH100  (drops '..' by the text, which resolve() would not)
    if not path.is_absolute():
        _rename_field(lambda: check_media_path("parameters.input", source))
    return source


def _check_corners(plan: LaunchPlan) -> None:
    """Let the domain judge the extremes of the plan, as the master will."""
    ends = {(span_end(plan.duration, end), span_end(plan.bitrate, end)) for end in ("low", "high")}
    for scenario in plan.scenarios.choices:
        for seconds, bits in ends:
            parameters = RequestedParameters(duration=seconds, bitrate=None if bits is None else int(bits))
            request = JobRequest(scenario=scenario.name, parameters=parameters)
            _rename_field(lambda request=request: accept(request, "plan"))


def span_end(span: Span | None, end: str) -> float | None:
    """The ``low`` or the ``high`` end."""
    return None if span is None else getattr(span, end)


def _rename_field(check: Callable[[], object]) -> None:
    """Run a check of the domain; its complaint names the option instead of the field."""
    try:
        check()
    except InvalidField as error:
        option = "--" + error.field.removeprefix("parameters.")
        raise InvalidField(option, str(error).removeprefix(f"{error.field}: ")) from None
