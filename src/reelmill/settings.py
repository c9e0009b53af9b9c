"""Settings: flags > environment (REELMILL_*) > ./reelmill.toml > the user's file > defaults."""

from __future__ import annotations

import math
import os
import platform
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from reelmill.domain.chunk_request import Chunking, read_chunk
from reelmill.domain.encoder import parse_sessions
from reelmill.domain.energy import Prices
from reelmill.domain.label import check_labels, parse_labels
from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.quantity import parse_duration, parse_retention, parse_size
from reelmill.domain.scenario import Scenario
from reelmill.domain.stream_url import StreamHosts
from reelmill.domain.suggestion import unknown_name
from reelmill.domain.tenant import MOST_QUEUED
from reelmill.domain.wrong_value import read_complaint
from reelmill.errors import InvalidField, SettingsError

PROJECT_FILE = Path("reelmill.toml")
DEFAULT_MASTER = "http://localhost:8080"
LEAST_ENGINE_MEMORY = 64_000_000
"""Bytes: with less no engine even starts its threads."""
_STORE_SCHEMES = ("s3://", "gs://", "az://")
_STORE_URL = re.compile(r"(s3|gs|az)://[a-z0-9][a-z0-9._-]+(/[A-Za-z0-9._/-]*)?")
_MOST_EXPENSIVE = 1e6
_CURRENCY = re.compile("[A-Z]{3}")
SHORTEST_RETENTION = 60.0
"""Seconds. Whoever submitted a job must be able to ask again with its key, and to see how it ended."""


def user_file() -> Path:
    """The user's own settings file (XDG)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "reelmill" / "reelmill.toml"


def default_data_folder() -> Path:
    """Where a farm keeps its database when nothing else is said (XDG)."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "reelmill"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a farm and its commands can be told. Times in seconds; ``slots`` are CPU units, None for one per core.

    ``store`` is a postgresql:// URL; empty for a SQLite file in the ``data`` folder. ``bus`` is the nats:// or tls://
    URL by which masters reach the bus of a fleet, ``bus_ca`` a file with the authority of its certificate, and ``join``
    the URL with which a worker joins; the bus of `up --fleet` listens on ``bus_host``:``bus_port``. ``retention``,
    ``min_free`` and ``engine_memory`` are written as people do. ``max_queued`` is for each queue, 0 for no limit.
    ``public_url`` is where workers on other machines reach the API; empty for where it listens. A worker without a
    ``media`` folder has it from the masters, and keeps up to ``cache_size`` of inputs. ``media_store`` is the s3://,
    gs:// or az:// URL of media in an object store, also when it was given as ``media``; ``media_endpoint`` the address
    of one that speaks S3 and is not Amazon's. Inputs that last more than ``chunk_above`` are encoded in chunks of about
    ``chunk_length`` ("0": none are). ``scenarios`` are tables by their names, see `own_scenarios`. ``stream_hosts``
    are names or patterns with commas between.
    """

    master: str = DEFAULT_MASTER
    host: str = "127.0.0.1"
    port: int = 8080
    data: Path = msgspec.field(default_factory=default_data_folder)
    media: Path | None = None
    node_name: str = msgspec.field(default_factory=platform.node)
    slots: int | None = None
    reserve_live: int = 0
    lease_seconds: float = 30.0
    beat_seconds: float = 2.0
    max_failures: int = 3
    max_crashes: int = 3
    retry_base_seconds: float = 2.0
    hang_seconds: float = 60.0
    allowed_hosts: str = ""
    stream_hosts: str = ""
    store: str = ""
    bus: str = ""
    bus_ca: str = ""
    bus_host: str = "127.0.0.1"
    bus_port: int = 4222
    join: str = ""
    retention: str | int | float = "30d"
    labels: dict[str, str] = {}
    min_free: str | int | float = "256MB"
    engine_memory: str | int | float = "auto"
    engine_nice: int = 5
    hardware_sessions: dict[str, int] = {}
    max_queued: int = 5_000_000
    public_url: str = ""
    cache_size: str | int | float = "10GB"
    chunk_above: str | int | float = "0"
    chunk_length: str | int | float = "60s"
    scenarios: dict[str, Any] = {}
    media_store: str = ""
    media_endpoint: str = ""

    price_per_hour: float | None = None
    """Prices, in ``currency``, and ``watts_per_core`` are of the worker's node."""
    price_per_kwh: float | None = None
    currency: str = "EUR"
    watts_per_core: float | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("port", 0, 65535),
            ("bus_port", 1, 65535),
            ("reserve_live", 0, 4096),
            ("lease_seconds", 1, 3600),
            ("beat_seconds", 0.1, self.lease_seconds / 3),
            ("max_failures", 1, 1000),
            ("max_crashes", 1, 1000),
            ("retry_base_seconds", 0, 3600),
            ("engine_nice", 0, 19),
            ("hang_seconds", 0.5, 86400),
            ("max_queued", 0, MOST_QUEUED),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(f"{name.replace('_', '-')} is {value:g}; it must be from {low:g} to {high:g}")
        if self.slots is not None and not 1 <= self.slots <= 4096:
            raise SettingsError(f"slots is {self.slots}; it must be from 1 to 4096")
        if (self.retention_seconds or math.inf) < SHORTEST_RETENTION:
            raise SettingsError(f"retention is {self.retention}; it must be 1m or longer, or forever")
        _ = self.min_free_bytes  # says what is wrong with it
        _ = self.cache_bytes
        _ = self.chunking
        _ = self.own_scenarios
        _check_address("public-url", self.public_url, "http://farm.example:8080")
        _check_address("media-endpoint", self.media_endpoint, "http://store.example:9000")
        if self.media_store and self.media is not None:
            raise SettingsError(f"media are in {self.media_store} or in {self.media}? Give one of the two")
        if self.media_store and not _STORE_URL.fullmatch(self.media_store):
            raise SettingsError(f"media is {self.media_store!r}; write it like s3://BUCKET/PREFIX, gs:// or az://")
        _ = self.prices
        if 0 < (self.engine_memory_bytes or 0) < LEAST_ENGINE_MEMORY:
            advice = "it must be 64MB or more, 0 for no limit, or auto"
            raise SettingsError(f"engine-memory is {self.engine_memory}; {advice}")

    @property
    def media_folder(self) -> Path:
        """The farm's media folder, for those that need one: the current folder unless another was given."""
        return self.media or Path.cwd()

    @property
    def hosts_to_stream_with(self) -> StreamHosts:
        """The setting ``stream_hosts``, read; a farm that only this machine can reach may stream with what it likes."""
        named = tuple(host.strip() for host in self.stream_hosts.split(",") if host.strip())
        return StreamHosts(named, not _is_loopback(self.host) or bool(self.public_url or self.allowed_hosts))

    @property
    def retention_seconds(self) -> float | None:
        """How long jobs are kept behind their end; None is for ever."""
        try:
            return parse_retention(str(self.retention))
        except ValueError as error:
            raise SettingsError(f"retention: {error}") from error

    @property
    def min_free_bytes(self) -> int:
        """How much of the media disk must be free before a worker takes a job."""
        try:
            return parse_size(str(self.min_free))
        except ValueError as error:
            raise SettingsError(f"min-free: {error}") from error

    @property
    def cache_bytes(self) -> int:
        """How much of its disk a worker without the media folder uses for inputs that no job needs now."""
        try:
            return parse_size(str(self.cache_size))
        except ValueError as error:
            raise SettingsError(f"cache-size: {error}") from error

    @property
    def chunking(self) -> Chunking | None:
        """How inputs are cut where a job does not say it; None: not at all."""
        try:
            above = parse_duration(str(self.chunk_above))
            length = read_chunk("chunk-length", str(self.chunk_length))
        except ValueError as error:
            raise SettingsError(f"chunk-above: {error}") from error
        except InvalidField as error:
            raise SettingsError(str(error)) from error
        return Chunking(length, above) if above else None

    @property
    def own_scenarios(self) -> dict[str, Scenario]:
        """The scenarios of the tables, whole and checked."""
        try:
            return read_scenarios(self.scenarios)
        except InvalidField as error:
            raise SettingsError(f"settings: {error}") from error

    @property
    def prices(self) -> Prices:
        """What this node costs."""
        for name in ("price_per_hour", "price_per_kwh", "watts_per_core"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= _MOST_EXPENSIVE:
                place = name.replace("_", "-")
                raise SettingsError(f"{place} is {value:g}; it must be above 0 and at most {_MOST_EXPENSIVE:g}")
        if self.price_per_hour is not None and self.price_per_kwh is not None:
            raise SettingsError(
                "price-per-hour and price-per-kwh: a node is paid by the one or the other; leave one out"
            )
        if not _CURRENCY.fullmatch(self.currency):
            raise SettingsError(f"currency is {self.currency[:20]!r}; write its three letters, such as EUR")
        return Prices(per_hour=self.price_per_hour, per_kwh=self.price_per_kwh, currency=self.currency)

    @property
    def engine_memory_bytes(self) -> int | None:
        """How much memory each engine may take; 0 is any amount, None a share of the machine's."""
        if self.engine_memory == "auto":
            return None
        try:
            return parse_size(str(self.engine_memory))
        except ValueError as error:
            raise SettingsError(f"engine-memory: {error}, or auto") from error


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """The settings that hold now; SettingsError naming the place of a wrong one. A flag that is None was not given."""
    values: dict[str, Any] = {}
    for path in (user_file(), PROJECT_FILE):
        read = _read_file(path)
        own, added = values.get("scenarios"), read.get("scenarios")
        if isinstance(own, dict) and isinstance(added, dict):  # a project adds to what a user has
            read["scenarios"] = {**own, **added}
        values |= read
    values |= _read_environment(os.environ if environment is None else environment)
    values |= {name: value for name, value in flags.items() if value is not None}
    if flags.get("store") is not None and not flags["store"].strip():  # SQLite would be a farm without its jobs
        raise SettingsError("--store is empty (a variable that is not set?); give a postgresql:// URL, or leave it out")
    if str(values.get("media", "")).startswith(_STORE_SCHEMES):
        values["media_store"] = str(values.pop("media"))
    if "hardware_sessions" in values:
        values["hardware_sessions"] = _read_sessions(values["hardware_sessions"])
    if "labels" in values:
        values["labels"] = _read_labels(values["labels"])
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        path, message = read_complaint(str(error).replace(" | null", ""))  # no place of settings can say null
        raise SettingsError(f"{path.replace('_', '-')} {message}; mend the flag, the variable or the file") from error


def _read_labels(written: object) -> object:
    """Labels that came as a table, as ``"gpu=yes,site=ber"``, or as a list of such texts."""
    texts: list[object] = cast("list[object]", written) if isinstance(written, list) else [written]
    try:
        if isinstance(written, dict):
            labels = msgspec.convert(written, dict[str, str])
            check_labels("labels", labels)
            return labels
        return parse_labels("labels", [part for text in texts for part in str(text).split(",") if part.strip()])
    except InvalidField as error:
        raise SettingsError(f"settings: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"settings: labels: every value {read_complaint(str(error)).message}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_sessions(written: object) -> dict[str, int]:
    """Sessions that came as a table, as ``"nvenc=3,qsv=8"``, or as a list of such texts."""
    if isinstance(written, dict):
        texts = [f"{family}={number}" for family, number in cast("dict[object, object]", written).items()]
    else:
        several = cast("list[object]", written) if isinstance(written, list) else [written]
        texts = [part for text in several for part in str(text).split(",") if part.strip()]
    try:
        return parse_sessions("hardware-sessions", texts)
    except InvalidField as error:
        raise SettingsError(f"settings: {error}") from error


def _to_path(kind: type, value: object) -> Path:
    if kind is not Path:
        raise NotImplementedError(kind)
    try:
        return Path(str(value)).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"is {str(value)!r}, and that user has no home folder here") from error


def _check_address(name: str, url: str, example: str) -> None:
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and not parts.query
    except ValueError:
        is_one = False
    if not is_one:
        raise SettingsError(f"{name} is {url!r}, which is no address; write it like {example}")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    try:
        values = {name.replace("-", "_"): value for name, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    known = Settings.__struct_fields__
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(f"{path}: {unknown_name('setting', unknown[0], known)}; known are {', '.join(known)}")
    return values


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    values = {
        name: environment[f"REELMILL_{name.upper()}"]
        for name in Settings.__struct_fields__
        if environment.get(f"REELMILL_{name.upper()}")
    }
    if "master" not in values and environment.get("MASTER_URL"):
        values["master"] = environment["MASTER_URL"]
    return values
