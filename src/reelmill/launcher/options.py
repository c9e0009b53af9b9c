"""What was typed, checked: every mistake that can be seen from here is found before anything is sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec
import uuid_utils

from reelmill.domain.label import parse_labels
from reelmill.domain.quantity import parse_count, parse_delay
from reelmill.errors import InvalidField
from reelmill.launcher.arrival import Arrival
from reelmill.launcher.distribution import Mix, mix
from reelmill.launcher.kind import read_kind
from reelmill.launcher.listing import Listing
from reelmill.launcher.manifest import IsDone
from reelmill.launcher.mixing import KIND, MIX, read_mixes
from reelmill.launcher.plan import JobKind, LaunchPlan
from reelmill.launcher.quantities import Said, as_table, shown
from reelmill.launcher.threshold import Threshold
from reelmill.launcher.workload import Workload, read_workload

DEFAULT_COUNT = 1000
MAX_COUNT = 100_000_000
"""A launcher remembers with a byte for each job whether it has its answer."""
MAX_AT_ONCE = 64
MAX_BATCH = 10_000
MAX_DELAY_MS = 3_600_000
MAX_NAME_CHARS = 200
PATIENCE_SECONDS = 60.0
"""How long one batch is tried again before the launch gives up."""

NOTHING_TYPED: Mapping[str, str | None] = {}
_OPTION_OF = {"node_labels": "--node-label", "quality_sample": "--quality-sample", "quality_min": "--quality-min"}


def new_launch_id() -> str:
    """A UUID of version 7: unique, and sorted by time."""
    return str(uuid_utils.uuid7())


class LaunchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to submit a plan. ``delay`` and ``patience`` in seconds; without an ``output`` no results file is written.

    Requests begin with ``batch_size`` jobs and grow up to ``most_batch``. ``resume`` goes on with the launch whose
    ledger is beside the output, and ``retry_failed`` gives what failed of it another try. The first ``sample`` jobs
    must complete before the others are sent. ``thresholds`` and a ``report`` need ``wait``, for they are about its end.
    ``command`` is what was typed, ``delivery`` what of it says how to send.
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
    thresholds: tuple[Threshold, ...] = ()
    report: Path | None = None
    command: tuple[str, ...] = ()
    delivery: tuple[str, ...] = ()


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
    checks: Mapping[str, str | None] = NOTHING_TYPED,
    chunk: str | None = None,
    encoder: str | None = None,
    mixes: Sequence[str] = (),
    workload: Path | None = None,
    manifest: str | None = None,
    output_name: str | None = None,
    skip_existing: bool = False,
    is_done: IsDone | None = None,
    spool: Path | None = None,
) -> LaunchPlan:
    """The plan; InvalidField naming the option, or the file and its key, that is wrong. Without a seed, one is drawn.

    A synthetic load (no ``source``) is any scenario, queue and priority unless it is said; a real file is not. What is
    typed holds for every kind of a ``workload`` file, over what the file says; the rows of a ``manifest`` go before it.
    The jobs of a manifest or of a pattern of files are kept in ``spool``, which the plan needs as long as it is used.
    ``is_done`` tells whether an output is there; None when the media root cannot be seen from here.
    """
    file = read_workload(workload) if workload is not None else None
    typed = _read_typed(
        read_mixes(mixes, [] if file is None else [kind.name for kind in file.kinds]),
        scenario=scenario,
        queue=queue,
        priority=priority,
        engine=engine,
        duration=duration,
        bitrate=bitrate,
        input=source,
        tenant=tenant,
        chunk=chunk,
        encoder=encoder,
        node_labels=parse_labels("--node-label", node_labels) or None,
        **checks,
    )
    number = _choose_seed(seed, file)
    listing = Listing(manifest, source, output_name, skip_existing)
    if listing.is_asked:
        listing.check(is_done, count=count, workload=file)
        return _plan_listing(listing, typed, number, spool, is_done)
    kinds = _check_cuts(_read_kinds(file, typed) if file is not None else mix((read_kind(typed),)))
    return LaunchPlan(
        count=_choose_count(count, file, DEFAULT_COUNT if source is None else 1),
        seed=number,
        kinds=kinds,
        arrival=file.arrival if file is not None else None,
        workload=file.path if file is not None else None,
    )


def _check_cuts(kinds: Mix[JobKind]) -> Mix[JobKind]:
    if any(kind.chunk is not None and kind.input is None for kind in kinds.choices):
        raise InvalidField("--chunk", "needs an input: a test source is not cut; name a file with --input")
    return kinds


def needs_spool(
    *, manifest: str | None, source: str | None, output_name: str | None = None, skip_existing: bool = False
) -> bool:
    """Whether ``read_plan`` needs a ``spool`` for these options."""
    return Listing(manifest, source, output_name, skip_existing).is_asked


def _read_typed(mixes: Mapping[str, Mapping[str, float]], **typed: object) -> dict[str, Said]:
    """What was typed about the jobs, each with its option."""
    said = {key: Said(value, _OPTION_OF.get(key, f"--{key}")) for key, value in typed.items() if value is not None}
    for dimension, weights in mixes.items():
        if dimension in said:
            raise InvalidField(MIX, f"and --{dimension} both say what each {dimension} gets; leave one out")
        said[dimension] = Said(weights, MIX)
    return said


def _read_kinds(file: Workload, typed: dict[str, Said]) -> Mix[JobKind]:
    mixed = typed.pop(KIND, None)
    if not file.kinds:
        return mix((read_kind({**file.defaults, **typed}),))
    weights = as_table(mixed) if mixed is not None else None
    chosen = [kind for kind in file.kinds if weights is None or kind.name in weights]
    shares = [kind.weight if weights is None else cast("float", weights[kind.name]) for kind in chosen]
    return mix([read_kind({**kind.fields, **typed}, kind.name) for kind in chosen], shares)


def _plan_listing(
    listing: Listing, typed: dict[str, Said], seed: int, spool: Path | None, is_done: IsDone | None
) -> LaunchPlan:
    if spool is None:
        raise InvalidField(
            listing.option, "makes a list of jobs, which is kept beside the results: name an --output file"
        )
    typed.pop("input", None)
    kept = listing.read(typed, seed, spool, is_done)
    return LaunchPlan(count=kept.spool.jobs, seed=seed, kinds=mix((read_kind(typed),)), manifest=kept)


def _choose_count(typed: str | None, file: Workload | None, default: int) -> int:
    if typed is not None:
        return read_count("--count", typed, 1, MAX_COUNT)
    if file is not None and file.count is not None:
        value, place = file.count
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise file.count.refuse(f"{shown(value)} is not a count; write a whole number, such as 1000 or '10k'")
        return read_count(place, str(value), 1, MAX_COUNT)
    return default


def _choose_seed(typed: str | int | None, file: Workload | None) -> int:
    if typed is not None:
        return _read_seed(typed)
    if file is not None and file.seed is not None:
        if isinstance(file.seed.value, bool) or not isinstance(file.seed.value, int):
            raise file.seed.refuse(f"{shown(file.seed.value)} is not a whole number")
        return file.seed.value
    return secrets.randbits(32)


def read_delay(option: str, text: str, most: float) -> float:
    """Seconds, of ``"100"`` milliseconds, ``"250ms"`` or ``"1s"``; at most ``most`` seconds."""
    if text.strip().startswith("-"):
        raise InvalidField(option, f"{text[:60]} is too small; the least is 0")
    try:
        seconds = parse_delay(text)
    except ValueError as error:
        raise InvalidField(option, str(error)) from None
    if seconds > most:
        raise InvalidField(option, f"{text} is too large; the most is {most:g} seconds")
    return seconds


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
