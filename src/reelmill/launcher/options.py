"""What was typed, checked: every mistake that can be seen from here is found before anything is sent."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uuid_utils

from reelmill.domain.label import parse_labels
from reelmill.domain.quantity import parse_count
from reelmill.errors import InvalidField
from reelmill.launcher.arrival import Arrival
from reelmill.launcher.distribution import mix
from reelmill.launcher.kind import read_kind
from reelmill.launcher.plan import LaunchPlan
from reelmill.launcher.quantities import Said

DEFAULT_COUNT = 1000
MAX_AT_ONCE = 64
MAX_BATCH = 10_000
MAX_DELAY_MS = 3_600_000
MAX_NAME_CHARS = 200
PATIENCE_SECONDS = 60.0
"""How long one batch is tried again before the launch gives up."""

_OPTION_OF = {"node_labels": "--node-label"}


def new_launch_id() -> str:
    """A UUID of version 7: unique, and sorted by time."""
    return str(uuid_utils.uuid7())


class LaunchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to submit a plan. ``delay`` and ``patience`` in seconds; without an ``output`` no results file is written.

    Requests begin with ``batch_size`` jobs and grow up to ``most_batch``. ``resume`` goes on with the launch whose
    ledger is beside the output, and ``retry_failed`` gives what failed of it another try. The first ``sample`` jobs
    must complete before the others are sent. ``command`` is what was typed.
    """

    plan: LaunchPlan
    launch_id: str = msgspec.field(default_factory=new_launch_id)
    name: str | None = None
    batch_size: int = 50
    most_batch: int = 1000
    concurrency: int = 4
    delay: float = 0.1
    arrival: Arrival | None = None
    output: Path | None = None
    resume: bool = False
    retry_failed: bool = False
    sample: int = 0
    wait: bool = False
    patience: float = PATIENCE_SECONDS
    command: tuple[str, ...] = ()


def read_plan(
    *,
    count: str | None = None,
    scenario: str | None = None,
    queue: str | None = None,
    priority: str | None = None,
    engine: str | None = None,
    duration: str | None = None,
    bitrate: str | None = None,
    source: str | None = None,
    seed: str | int | None = None,
    tenant: str | None = None,
    node_labels: Sequence[str] = (),
) -> LaunchPlan:
    """The plan; InvalidField naming the option that is wrong. Without a seed, one is drawn.

    A synthetic load (no ``source``) is any scenario, queue and priority unless it is said; a real file is not.
    """
    typed = {
        "scenario": scenario,
        "queue": queue,
        "priority": priority,
        "engine": engine,
        "duration": duration,
        "bitrate": bitrate,
        "input": source,
        "tenant": tenant,
        "node_labels": parse_labels("--node-label", node_labels) or None,
    }
    said = {key: Said(value, _OPTION_OF.get(key, f"--{key}")) for key, value in typed.items() if value is not None}
    return LaunchPlan(
        count=read_count("--count", count, 1) if count is not None else (1 if source else DEFAULT_COUNT),
        seed=secrets.randbits(32) if seed is None else _read_seed(seed),
        kinds=mix((read_kind(said),)),
    )


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


def read_sample(text: str | None, count: int) -> int:
    """How many of ``count`` jobs ``"1%"`` or ``"20"`` are, at least one; 0 for None."""
    if text is None:
        return 0
    if not text.strip().endswith("%"):
        return min(read_count("--sample", text, 1), count)
    try:
        share = float(text.strip()[:-1])
    except ValueError:
        raise InvalidField("--sample", f"{text[:60]!r} is not a share; write it like 1% or 20") from None
    if not 0 < share <= 100:
        raise InvalidField("--sample", f"{text[:60]!r} must be more than 0% and at most 100%")
    return max(1, round(count * share / 100))


def read_name(name: str | None) -> str | None:
    """The name of a launch."""
    if name is not None and len(name) > MAX_NAME_CHARS:
        raise InvalidField("--name", f"is longer than {MAX_NAME_CHARS} characters")
    return name
