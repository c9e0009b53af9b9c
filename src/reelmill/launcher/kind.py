"""A kind of jobs, from what was typed or written about it: every mistake is named by its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

from msgspec.structs import asdict

from reelmill.domain.chunk_request import read_chunk
from reelmill.domain.job import ENGINES, PRIORITIES, QUEUES
from reelmill.domain.label import check_labels
from reelmill.domain.live_request import check_live_input
from reelmill.domain.media_path import check_media_path
from reelmill.domain.quantity import parse_bitrate, parse_duration
from reelmill.domain.request import MAX_SECONDS, MIN_SECONDS, JobRequest, RequestedParameters, accept
from reelmill.domain.scenario import CATALOGUE, RANDOM, Scenario, find_scenario
from reelmill.domain.stream_url import ANY_HOST, is_stream_url
from reelmill.domain.suggestion import unknown_name
from reelmill.domain.tenant import DEFAULT_TENANT, check_tenant
from reelmill.errors import InvalidField, NotFound
from reelmill.launcher.checks import CHECKS, read_checks
from reelmill.launcher.distribution import Choice, Distribution, Mix, Span, mix
from reelmill.launcher.payload import KIND_LABEL
from reelmill.launcher.plan import JobKind
from reelmill.launcher.quantities import (
    Quantity,
    Said,
    as_list,
    as_table,
    read_distribution,
    read_quantity,
    read_weight,
    shown,
)

DEFAULT_DURATION = Span(30, 300)
MIXED = "mixed"
_SOME_FILE = "film.mp4"
"""What stands for a file where only that there is one matters."""

PATTERN_CHARS = frozenset("*?[")
KIND_KEYS = (
    "scenario", "queue", "priority", "engine", "duration", "bitrate", "timeout", "input", "tenant", "labels",
    "node_labels", "chunk", "encoder", *CHECKS,
)  # fmt: skip

T = TypeVar("T")
C = TypeVar("C", bound=str)
Fields = Mapping[str, Said]

_DURATION = Quantity(parse_duration, MIN_SECONDS, MAX_SECONDS)
_TOO_FEW_BITS = 1000
"""Below this, a bitrate without a unit was most likely meant in Mbit/s."""


def read_kind(said: Fields, name: str | None = None) -> JobKind:
    """The kind; InvalidField naming the place that is wrong.

    A synthetic load (no input) is any scenario, queue and priority unless it is said; a real file is not.
    """
    source = said.get("input")
    path = place_input(source) if source is not None else None
    if source is not None and "scenario" not in said:
        place, what = source.place.replace("input", "scenario"), source.place.rpartition(".")[2]
        raise InvalidField(place, f"is needed with {what}, such as 720p30-h264; see `reelmill scenarios list`")
    scenarios = read_choices(said.get("scenario"), _find_scenario, tuple(CATALOGUE.values()), RANDOM)
    labels = _read_labels(said.get("labels"))
    if name is not None:
        if KIND_LABEL in labels:
            raise said["labels"].refuse(f"{KIND_LABEL!r} is the label that says the name of the kind; choose another")
        labels = {**labels, KIND_LABEL: name}
    kind = JobKind(
        name=name,
        scenarios=scenarios,
        queues=read_names(said.get("queue"), "queue", QUEUES, None if source is None else "default"),
        priorities=read_names(said.get("priority"), "priority", PRIORITIES, None if source is None else "medium"),
        engines=read_names(said.get("engine"), "engine", ENGINES, "auto"),
        duration=_read_duration(said, source),
        bitrate=_read_bitrate(said.get("bitrate"), scenarios),
        timeout=read_quantity(said["timeout"], _DURATION) if "timeout" in said else None,
        input=path,
        tenant=_read_tenant(said.get("tenant")),
        labels=labels,
        node_labels=_read_labels(said.get("node_labels")),
        checks=read_checks(said),
        chunk=_read_chunk(said.get("chunk")),
        encoder=_read_encoder(said.get("encoder")),
    )
    _check_corners(kind, said)
    return kind


def read_choices(said: Said | None, find: Callable[[Said, str], T], known: Sequence[T], every: str | None) -> Mix[T]:
    """A name, ``every`` for all that are known, a list of names, or a table of names with weights."""
    if said is None or (said.value == every and every is not None):
        return mix(known)
    if isinstance(said.value, str):
        return mix((find(said, said.value),))
    names = as_list(said.value)
    weighted = as_table(said) if names is None else dict.fromkeys(map(str, names), 1.0)
    if not weighted:
        raise said.refuse(f"{shown(said.value)} must be a name, or a table of names with weights")
    if names is not None and len(weighted) != len(names):
        raise said.refuse(f"{shown(said.value)} names one twice; write a table of names with weights")
    weights = [read_weight(Said(weight, said.under(name))) for name, weight in weighted.items()]
    found = [find(said, name) for name in weighted]
    return mix(found, weights)


def read_names(said: Said | None, kind: str, known: tuple[C, ...], default: C | None) -> Mix[C]:
    """A mix of queues, priorities or engines; without a word, ``default``, or all of them when that is None."""
    if said is None and default is not None:
        return mix((default,))
    every = None if kind == "engine" else MIXED

    def find(said: Said, name: str) -> C:
        for one in known:
            if one == name:
                return one
        raise said.refuse(unknown_name(kind, name, (*known, *((every,) if every else ()))))

    return read_choices(said, find, known, every)


def _find_scenario(said: Said, name: str) -> Scenario:
    try:
        return find_scenario(name)
    except NotFound as error:
        raise said.refuse(str(error)) from None


def _read_duration(said: Fields, source: Said | None) -> Distribution | None:
    if "duration" in said:
        return read_distribution(said["duration"], _DURATION)
    return DEFAULT_DURATION if source is None else None


def _read_bitrate(said: Said | None, scenarios: Mix[Scenario]) -> Distribution | None:
    if said is None:
        return None
    limits = [scenario.bitrate_limits for scenario in scenarios.choices]
    quantity = Quantity(parse_bitrate, min(low for low, _ in limits), max(high for _, high in limits))
    found = read_distribution(said, quantity)
    if 0 < found.high < _TOO_FEW_BITS and isinstance(found, Span):
        low, high = f"{found.low:g}", f"{found.high:g}"
        meant = f"{high}M" if low == high else f"{low}M-{high}M"
        raise said.refuse(f"{shown(said.value)} means {high} bit/s, which is too little; did you mean {meant}?")
    return found


def place_input(said: Said) -> str:
    """A stream's URL; a path that exists here is meant from here, and any other from the farm's media root."""
    source = said.value
    if not isinstance(source, str):
        raise said.refuse(f"{shown(source)} is not a path")
    if is_stream_url(source):
        rename_field(said.place, lambda: check_live_input("input", source, ANY_HOST))
        return source
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            raise said.refuse(f"{source!r} is a folder; for all files in it, write '{source.rstrip('/')}/**/*.mov'")
        if path.exists():
            return os.path.abspath(path)  # noqa: PTH100  (drops '..' by the text, which resolve() would not)
    except (OSError, ValueError):
        pass  # too long, or not a path at all: the check of the domain says which
    if PATTERN_CHARS & set(source):
        raise said.refuse(f"{source!r} is a pattern; those work with --input on the command line")
    rename_field(said.place, lambda: check_media_path("input", source, Path("/")))
    return source


def _read_chunk(said: Said | None) -> float | None:
    if said is None:
        return None
    if isinstance(said.value, bool) or not isinstance(said.value, int | float | str):
        raise said.refuse(f"{shown(said.value)} is not a length; write it like '60s'")
    return read_chunk(said.place, said.value)


def _read_encoder(said: Said | None) -> str | None:
    """Whether it makes what the scenarios are, the domain says."""
    if said is None:
        return None
    if not isinstance(said.value, str):
        raise said.refuse(f"{shown(said.value)} is not the name of an encoder, such as h264_nvenc")
    return said.value


def _read_tenant(said: Said | None) -> str | None:
    if said is None:
        return None
    tenant = said.value
    if not isinstance(tenant, str):
        raise said.refuse(f"{shown(tenant)} is not text")
    rename_field(said.place, lambda: check_tenant(tenant))
    return tenant if tenant != DEFAULT_TENANT else None


def _read_labels(said: Said | None) -> dict[str, str]:
    if said is None:
        return {}
    table = as_table(said)
    if table is None:
        raise said.refuse("must be a table of names and values, such as { team = 'news' }")
    labels: dict[str, str] = {}
    for name, value in table.items():
        if not isinstance(value, str) or not value.strip():
            what = "has no value" if value in ("", None) else f"{shown(value)} is not text; put it in quotes"
            raise InvalidField(said.under(name), what)
        labels[name] = value
    rename_field(said.place, lambda: check_labels("", labels))
    return labels


def _check_corners(kind: JobKind, said: Fields) -> None:
    """Let the domain judge the extremes of the kind, as the master will."""
    names = ("duration", "bitrate", "timeout", "input", "chunk", "encoder", *CHECKS)
    places = {f"parameters.{name}": said[name].place for name in names if name in said}
    places |= {name: said[name].place for name in ("scenario", "engine") if name in said}
    pairs = [(seconds, None) for seconds in _corners(kind.duration)] + [(None, bits) for bits in _corners(kind.bitrate)]
    is_stream = kind.input is not None and is_stream_url(kind.input)
    for scenario, engine, (seconds, bits) in product(kind.scenarios.choices, kind.engines.choices, pairs):
        parameters = RequestedParameters(
            duration=seconds,
            bitrate=None if bits is None else int(bits),
            timeout=kind.timeout,
            input=kind.input if is_stream else None if kind.input is None else _SOME_FILE,
            chunk=kind.chunk if kind.input is not None else None,
            encoder=kind.encoder,
            **asdict(kind.checks),
        )
        try:
            accept(JobRequest(scenario=scenario.name, engine=engine, parameters=parameters), "plan")
        except InvalidField as error:
            message = str(error).removeprefix(f"{error.field}: ")
            raise InvalidField(places.get(error.field, error.field), message) from None


def _corners(spread: Distribution | None) -> list[float | None]:
    """What must be allowed as it is; the tails of a curve are clipped to what is."""
    match spread:
        case None:
            return [None]
        case Span(low=low, high=high):
            return [low, high]
        case Choice(values=values):
            return [*values.choices]
        case _:
            return [spread.at(0.5, 2)]


def rename_field(place: str, check: Callable[[], object]) -> None:
    """Run a check of the domain; its complaint names the place instead of the field."""
    try:
        check()
    except InvalidField as error:
        raise InvalidField(place, str(error).removeprefix(f"{error.field}: ")) from None
