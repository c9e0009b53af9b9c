"""From a row of a manifest, or a file that was found, to a job that the master will take."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from reelmill.domain.job import ENGINES, PRIORITIES, QUEUES
from reelmill.domain.quantity import parse_bitrate, parse_duration
from reelmill.domain.request import JobRequest, RequestedParameters, accept
from reelmill.domain.scenario import Scenario, find_scenario
from reelmill.domain.suggestion import unknown_name
from reelmill.domain.tenant import DEFAULT_TENANT
from reelmill.errors import InvalidField, NotFound
from reelmill.launcher.checks import CHECKS, read_checks
from reelmill.launcher.distribution import Span, mix
from reelmill.launcher.kind import Fields, place_input, read_kind
from reelmill.launcher.output_name import OutputName
from reelmill.launcher.payload import JobPayload
from reelmill.launcher.plan import JobKind, draw_job
from reelmill.launcher.quantities import Quantity, Said, read_quantity, shown

_PARAMETERS = ("duration", "bitrate", "input", "output", "overwrite", "timeout", "chunk", "encoder", *CHECKS)
_NAMES = ("scenario", "engine", "queue", "priority", "tenant", "confidence")
_LABELS = {"label": "labels", "labels": "labels", "node_label": "node_labels", "node_labels": "node_labels"}
COLUMNS = (*_NAMES, *_PARAMETERS, "labels", "node_labels")
_CHOICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "queue": ("queues", QUEUES),
    "priority": ("priorities", PRIORITIES),
    "engine": ("engines", ENGINES),
}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SECONDS = Quantity(parse_duration, 0, 0)
_BITS = Quantity(parse_bitrate, 0, 0)
_ROOT = Path("/")
"""Whether an absolute path lies under the media root, only the farm knows."""


class RowReader:
    """Makes jobs of rows. What a row does not say is as the options say it, drawn as for a launch without rows."""

    def __init__(self, typed: Fields, seed: int, output_name: OutputName | None = None) -> None:
        self._synthetic = read_kind(typed)
        real: dict[str, Any] = {} if "duration" in typed else {"duration": None}
        if "queue" not in typed:
            real["queues"] = mix(("default",))
        if "priority" not in typed:
            real["priorities"] = mix(("medium",))
        self._real = replace(self._synthetic, **real)
        self._has_scenario = "scenario" in typed
        self._draw = random.Random(seed).random
        self._output_name = output_name
        self._scenarios: dict[str, Scenario] = {}
        self._number = 0

    def read(self, fields: Mapping[str, object], folder: str = "") -> JobPayload:
        """The job, as the domain would accept it; InvalidField naming the column that is wrong.

        ``folder`` is where the input lies below what was searched, for the name of the output.
        """
        self._number += 1
        self._draw()  # which kind: there is one, but every job takes as many draws as in any other launch
        row = _flatten(fields)
        job = draw_job(self._choose_kind(row), self._draw)
        extra: dict[str, Any] = {}
        if "output" in row:
            extra["output"] = _text("output", row["output"])
        elif self._output_name is not None and job.parameters.input is not None:
            extra["output"] = self._output_name.fill(job, folder, self._number)
        if "overwrite" in row:
            extra["overwrite"] = _truth(row["overwrite"])
        if extra:
            job = replace(job, parameters=replace(job.parameters, **extra))
        if "confidence" in row:
            job = replace(job, confidence=_confidence(row["confidence"]))
        _check(job)
        return job

    def _choose_kind(self, row: Mapping[str, object]) -> JobKind:
        changes: dict[str, Any] = {}
        kind = self._synthetic
        if "input" in row:
            kind = self._real
            changes["input"] = place_input(Said(_text("input", row["input"]), "input"))
            if "scenario" not in row and not self._has_scenario:
                raise InvalidField("scenario", "is needed with an input; name it in the row, or give --scenario")
        if "scenario" in row:
            changes["scenarios"] = mix((self._find_scenario(_text("scenario", row["scenario"])),))
        for name, (plural, known) in _CHOICES.items():
            if name in row:
                changes[plural] = mix((_one_of(name, row[name], known),))
        changes |= _read_quantities(row)
        said = {name: Said(row[name], name) for name in CHECKS if name in row}
        changes["checks"] = read_checks(said, kind.checks)
        if "tenant" in row:
            tenant = _text("tenant", row["tenant"])
            changes["tenant"] = tenant if tenant != DEFAULT_TENANT else None
        for name in ("labels", "node_labels"):
            if name in row:
                changes[name] = {**getattr(kind, name), **cast("dict[str, str]", row[name])}
        return replace(kind, **changes)

    def _find_scenario(self, name: str) -> Scenario:
        try:
            return self._scenarios.get(name) or self._scenarios.setdefault(name, find_scenario(name))
        except NotFound as error:
            raise InvalidField("scenario", str(error)) from None


def _read_quantities(row: Mapping[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "duration" in row:
        seconds = read_quantity(Said(row["duration"], "duration"), _SECONDS)
        found["duration"] = Span(seconds, seconds)
    if "bitrate" in row:
        bits = read_quantity(Said(row["bitrate"], "bitrate"), _BITS)
        if not float(bits).is_integer():
            raise InvalidField("bitrate", f"{shown(row['bitrate'])} is not a whole number of bits per second")
        found["bitrate"] = Span(bits, bits)
    if "timeout" in row:
        found["timeout"] = read_quantity(Said(row["timeout"], "timeout"), _SECONDS)
    if "chunk" in row:
        found["chunk"] = read_quantity(Said(row["chunk"], "chunk"), _SECONDS)
    if "encoder" in row:
        found["encoder"] = _text("encoder", row["encoder"])
    return found


def _flatten(fields: Mapping[str, object]) -> dict[str, object]:
    """One level of columns, and labels by name, however they were written; null is as if it was not there."""
    row: dict[str, object] = {}
    labels: dict[str, dict[str, str]] = {}
    for name, value in fields.items():
        head, dot, tail = name.partition(".")
        if value is None:
            continue
        if name in ("parameters", *_LABELS):
            if not isinstance(value, dict):
                raise InvalidField(name, f"{shown(value)} is not an object; in CSV, write columns such as label.team")
            nested = {f"{name}.{key}": inner for key, inner in cast("dict[str, object]", value).items()}
            for key, inner in _flatten(nested).items():
                if key in ("labels", "node_labels"):
                    labels.setdefault(key, {}).update(cast("dict[str, str]", inner))
                else:
                    _put(row, key, inner)
        elif dot and head in _LABELS:
            labels.setdefault(_LABELS[head], {})[tail] = _text(name, value)
        elif dot and head == "parameters" and tail in _PARAMETERS:
            _put(row, tail, value)
        elif name in COLUMNS:
            _put(row, name, value)
        elif name == "idempotency_key":
            raise InvalidField(name, "cannot be given; a launch gives each of its jobs a key of its own")
        else:
            raise InvalidField(name[:60], unknown_name("column", name, (*COLUMNS, "label.NAME")))
    return {**row, **labels}


def _put(row: dict[str, object], name: str, value: object) -> None:
    if name in row:
        raise InvalidField(name, "is given twice, also as a parameter")
    row[name] = value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidField(name, f"{shown(value)} is not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidField(name, f"{shown(value)} is not valid text") from None
    return value.strip() if name != "input" else value


def _one_of(name: str, value: object, known: tuple[str, ...]) -> str:
    text = _text(name, value)
    for one in known:
        if one == text:
            return one
    raise InvalidField(name, unknown_name(name, text, known))


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    found = _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise InvalidField("overwrite", f"{shown(value)} must be true or false")
    return found


def _confidence(value: object) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidField("confidence", f"{shown(value)} must be text or a number")
    return value


def _check(job: JobPayload) -> None:
    """Let the domain judge it, as the master will."""
    request = JobRequest(
        scenario=job.scenario,
        parameters=RequestedParameters(**{name: getattr(job.parameters, name) for name in _PARAMETERS}),
        labels=job.labels,
        tenant=job.tenant or DEFAULT_TENANT,
        node_labels=job.node_labels,
        confidence=job.confidence,
    )
    try:
        accept(request, "plan", _ROOT)
    except InvalidField as error:
        field = error.field.removeprefix("parameters.")
        raise InvalidField(field, str(error).removeprefix(f"{error.field}: ")) from None
