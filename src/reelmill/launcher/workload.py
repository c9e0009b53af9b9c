"""A workload file: kinds of jobs of your own, in TOML or YAML. docs/workloads.md is its reference."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from reelmill.domain.suggestion import unknown_name
from reelmill.errors import InvalidField
from reelmill.launcher.kind import KIND_KEYS, Fields
from reelmill.launcher.plan import ArrivalText
from reelmill.launcher.quantities import Said, as_table, read_weight, shown

WORKLOAD = "--workload"
MOST_BYTES = 1_000_000
MOST_KINDS = 1000
_KEYS = ("count", "seed", "arrival", "defaults", "kinds")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class WrittenKind(msgspec.Struct, frozen=True):
    """A kind as it is written: what it says with the defaults of the file, and its weight."""

    name: str
    weight: float
    fields: Fields


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload file says. ``count`` and ``seed`` are as they were written; ``defaults`` hold for each kind."""

    path: str
    count: Said | None = None
    seed: Said | None = None
    arrival: ArrivalText | None = None
    defaults: Fields
    kinds: tuple[WrittenKind, ...] = ()


def read_workload(path: Path) -> Workload:
    """The file; InvalidField naming the file and the key that is wrong."""
    root = Said(_load(path), f"{WORKLOAD} {path}")
    table = as_table(root)
    if table is None:
        raise root.refuse("must be a table of keys, such as count and kinds")
    for key in table:
        if key not in _KEYS:
            moved = "; what holds for all kinds goes under [defaults]" if key in KIND_KEYS else ""
            raise root.refuse(unknown_name("key", key, _KEYS) + moved)
    said = {key: Said(value, f"{root.place}: {key}") for key, value in table.items()}
    defaults: Fields = _read_fields(said["defaults"]) if "defaults" in said else {}
    return Workload(
        path=str(path),
        count=said.get("count"),
        seed=said.get("seed"),
        arrival=_read_arrival(said["arrival"]) if "arrival" in said else None,
        defaults=defaults,
        kinds=_read_kinds(said["kinds"], defaults) if "kinds" in said else (),
    )


def _read_kinds(said: Said, defaults: Fields) -> tuple[WrittenKind, ...]:
    table = as_table(said)
    if not table:
        raise said.refuse("must be a table of kinds, such as [kinds.news]")
    if len(table) > MOST_KINDS:
        raise said.refuse(f"has {len(table)} kinds; {MOST_KINDS} are allowed")
    kinds: list[WrittenKind] = []
    for name, value in table.items():
        if not _NAME.fullmatch(name):
            raise said.refuse(f"{shown(name)} is not a name for a kind (1 to 64 letters, digits, . _ -)")
        one = Said(value, said.under(name))
        fields = dict(_read_fields(one, "weight"))
        weight = read_weight(fields.pop("weight")) if "weight" in fields else 1.0
        kinds.append(WrittenKind(name, weight, {**defaults, **fields}))
    return tuple(kinds)


def _read_fields(said: Said, *more: str) -> Fields:
    table = as_table(said)
    if table is None:
        raise said.refuse("must be a table, such as { scenario = '720p30-h264' }")
    for key in table:
        if key not in (*KIND_KEYS, *more):
            raise said.refuse(unknown_name("key", key, (*KIND_KEYS, *more)))
    return {key: Said(value, said.under(key)) for key, value in table.items()}


def _read_arrival(said: Said) -> ArrivalText:
    """Only its shape: rates and ramps are judged where those of the options are."""
    table = as_table(said)
    if table is None:
        raise said.refuse("must be a table, such as { rate = '200/s', poisson = true }")
    for key, value in table.items():
        if key not in ArrivalText.__struct_fields__:
            raise said.refuse(unknown_name("key", key, ArrivalText.__struct_fields__))
        wanted = bool if key == "poisson" else str
        if not isinstance(value, wanted):
            example = "true or false" if key == "poisson" else "text, such as '200/s'"
            raise InvalidField(said.under(key), f"{shown(value)} must be {example}")
    return msgspec.convert(table, ArrivalText)


def _load(path: Path) -> object:
    place = f"{WORKLOAD} {path}"
    read = {".toml": _load_toml, ".yaml": _load_yaml, ".yml": _load_yaml}.get(path.suffix.lower())
    if read is None:
        raise InvalidField(place, "must end in .toml, .yaml or .yml")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidField(place, f"cannot be read ({error.strerror})") from error
    if len(content) > MOST_BYTES:
        raise InvalidField(place, f"is larger than {MOST_BYTES:,} bytes; for a list of jobs use --from")
    try:
        return read(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidField(place, f"is not UTF-8 text (byte {error.start})") from None
    except RecursionError:
        raise InvalidField(place, "is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one
        raise InvalidField(place, f"{error}") from None


def _load_toml(text: str) -> object:
    return tomllib.loads(text)


def _load_yaml(text: str) -> object:
    import yaml  # only now: most launches need none

    class Loader(yaml.SafeLoader):
        """Refuses a key that is there twice, which YAML's own reader lets pass."""

    def build(loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False) -> Mapping[object, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: {key.value!r} is there twice")
            seen.add(str(getattr(key, "value", "")))
        return cast("Any", loader).construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, build)
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{where}{error.problem or 'is not YAML'}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML ({' '.join(str(error).split())[:200]})") from None
