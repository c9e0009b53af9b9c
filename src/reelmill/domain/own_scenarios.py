"""Scenarios of a farm's own: the ``[scenarios.NAME]`` tables of its settings, each an older one with changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from reelmill.domain.capability import CODECS
from reelmill.domain.encoder import codec_of
from reelmill.domain.ladder import Ladder, Rung
from reelmill.domain.picture import Picture
from reelmill.domain.quantity import parse_bitrate
from reelmill.domain.rate_control import RateControl
from reelmill.domain.rendition import check_scenario
from reelmill.domain.scenario import CATALOGUE, RANDOM, Scenario, find_built_in, usual_cost, usual_preset
from reelmill.domain.sound import Sound
from reelmill.domain.suggestion import unknown_name
from reelmill.domain.thumbnails import Thumbnails
from reelmill.domain.wrong_value import read_complaint
from reelmill.errors import InvalidField

MOST_SCENARIOS = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIELDS = tuple(name for name in Scenario.__struct_fields__ if name != "name")
_GROUPS: dict[str, tuple[str, ...]] = {
    "rate": RateControl.__struct_fields__,
    "picture": Picture.__struct_fields__,
    "audio": Sound.__struct_fields__,
    "ladder": Ladder.__struct_fields__,
    "thumbnails": Thumbnails.__struct_fields__,
}
_Table = dict[str, Any]


def read_scenarios(tables: Mapping[str, Any]) -> dict[str, Scenario]:
    """The scenarios of these tables by their names, whole and checked.

    InvalidField, named such as ``scenarios.archive.rate.crf``, when one makes no sense, extends what is not there or
    itself, or has the name of a built-in one.
    """
    if len(tables) > MOST_SCENARIOS:
        raise InvalidField("scenarios", f"are {len(tables):,}, and {MOST_SCENARIOS:,} is the most")
    reader = _Reader(tables)
    found = {name: reader.resolve(name, ()) for name in tables}
    by_lower: dict[str, str] = {}
    for name in found:
        other = by_lower.setdefault(name.lower(), name)
        if other != name:
            raise InvalidField(f"scenarios.{name}", f"differs from {other!r} in its capital letters only")
    return found


class _Reader:
    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._tables = tables
        self._done: dict[str, Scenario] = {}

    def resolve(self, name: str, below: tuple[str, ...]) -> Scenario:
        """``below`` are the names that extend one another down to this one."""
        if name in below:
            raise InvalidField(f"scenarios.{below[0]}.extends", f"goes in a circle: {' -> '.join((*below, name))}")
        if name not in self._done:
            place = f"scenarios.{name}"
            _check_name(place, name)
            own = _read_table(place, self._tables[name])
            base = self._find_base(place, own.pop("extends", None), (*below, name))
            self._done[name] = _build(place, name, own, base)
        return self._done[name]

    def _find_base(self, place: str, base: object, below: tuple[str, ...]) -> Scenario | None:
        if base is None:
            return None
        if not isinstance(base, str):
            raise InvalidField(f"{place}.extends", "must be text, the name of a scenario")
        if base in self._tables:
            return self.resolve(base, below)
        found = find_built_in(base)
        if found is None:
            sentence = unknown_name("scenario", base, [*self._tables, *CATALOGUE])
            raise InvalidField(f"{place}.extends", f"names an {sentence}")
        return found


def _check_name(place: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidField(place, "is no name: use 1 to 64 letters, digits, dots, dashes and underscores")
    if name.lower() == RANDOM or find_built_in(name) is not None:
        raise InvalidField(place, "has the name of a built-in scenario; choose another, and extend that one")


def _read_table(place: str, written: object) -> _Table:
    """The table with its keys as fields are called, and bitrates as numbers."""
    table = _with_known_keys(place, written, ("extends", "bitrate", *_FIELDS))
    for group, fields in _GROUPS.items():
        if group in table:
            table[group] = _with_known_keys(f"{place}.{group}", table[group], fields)
            _read_bitrate(f"{place}.{group}", table[group], "bitrate")
    rungs: object = table.get("ladder", {}).get("rungs")
    if isinstance(rungs, list):  # anything else is refused when it is read as rungs
        spots = [(f"{place}.ladder.rungs.{number}", rung) for number, rung in enumerate(cast(list[object], rungs))]
        table["ladder"]["rungs"] = [_read_rung(spot, rung) for spot, rung in spots]
    for key in ("bitrate", "bitrate_low", "bitrate_high"):
        _read_bitrate(place, table, key)
    if "bitrate" in table:
        rate = table.pop("bitrate")
        table = {"bitrate_low": rate, "bitrate_high": rate, **table}
    return table


def _read_rung(place: str, written: object) -> _Table:
    rung = _with_known_keys(place, written, Rung.__struct_fields__)
    _read_bitrate(place, rung, "bitrate")
    return rung


def _with_known_keys(place: str, written: object, known: Sequence[str]) -> _Table:
    if not isinstance(written, dict):
        raise InvalidField(place, "must be a table, such as { extends = '1080p60-h264', preset = 'slow' }")
    table = {key.replace("-", "_"): value for key, value in cast(_Table, written).items()}
    for key in table:
        if key not in known:
            raise InvalidField(f"{place}.{key}", unknown_name("setting", key, known))
    return table


def _read_bitrate(place: str, holder: _Table, key: str) -> None:
    if isinstance(holder.get(key), str):
        try:
            holder[key] = parse_bitrate(holder[key])
        except ValueError as error:
            raise InvalidField(f"{place}.{key}", str(error)) from None


def _build(place: str, name: str, own: _Table, base: Scenario | None) -> Scenario:
    """What is inherited with what is changed; a preset and a cost that no longer fit are chosen anew."""
    values: _Table = {} if base is None else msgspec.to_builtins(base)
    for key, value in own.items():
        values[key] = {**(values.get(key) or {}), **value} if key in _GROUPS else value
    if own.get("rate", {}).get("mode") in ("bitrate", "two-pass") and "crf" not in own["rate"]:
        values["rate"].pop("crf", None)  # what was inherited means nothing any more
    values["name"] = name
    if own.get("encoder") is not None:
        _follow_encoder(place, values, own)
    elif base is not None and values["codec"] != base.codec:
        values.pop("encoder", None)  # it makes another codec
    if "preset" not in own and (base is None or values["codec"] != base.codec):
        values["preset"] = usual_preset(values.get("codec"))
    values.setdefault("cost", 1)
    try:
        found = msgspec.convert(values, Scenario)
    except msgspec.ValidationError as error:
        wrong = read_complaint(str(error))
        advice = "; give it, or say which scenario this one `extends`" if "missing" in wrong.message else ""
        raise InvalidField(f"{place}.{wrong.path}".rstrip("."), wrong.message + advice) from None
    if found.ladder is not None and found.ladder.rungs and "ladder" in own:
        top, bitrate = found.ladder.rungs[0], found.ladder.bitrate
        found = msgspec.structs.replace(
            found, width=top.width, height=top.height, bitrate_low=bitrate, bitrate_high=bitrate
        )
    is_as_large = base is not None and _work(found) == _work(base)
    if "cost" not in own and not is_as_large and found.codec in CODECS:
        found = msgspec.structs.replace(found, cost=max(1, usual_cost(found)))
    try:
        check_scenario(found)
    except InvalidField as error:
        raise InvalidField(f"{place}.{error.field}", str(error).removeprefix(f"{error.field}: ")) from None
    return found


def _follow_encoder(place: str, values: _Table, own: _Table) -> None:
    """The codec is that of the encoder where nothing else is said."""
    encoder = own["encoder"]
    if isinstance(encoder, str) and "codec" not in own:  # anything else is refused when it is read as a scenario
        values["codec"] = codec_of(f"{place}.encoder", encoder)


def _work(scenario: Scenario) -> tuple[object, ...]:
    """What a scenario's cost depends on."""
    return scenario.width, scenario.height, scenario.codec, scenario.ladder
