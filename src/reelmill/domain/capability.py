"""What a node can run, what a job needs, and how much room it takes."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from reelmill.domain.tenant import DEFAULT_TENANT

CODECS = ("h264", "h265", "vp9", "av1")


class Capabilities(msgspec.Struct, frozen=True):
    """What one node offers: ``units`` of CPU, for each engine the codecs that it encodes there, and its labels.

    ``reserve_live`` of its units are kept for the live queue. ``features`` are what an engine does beyond plain
    encodes, see `with_feature`.
    """

    units: int
    engines: dict[str, list[str]]
    labels: dict[str, str] = {}
    reserve_live: int = 0
    features: dict[str, list[str]] = {}


class Needs(NamedTuple):
    """What a job needs of a node, and on whose behalf. Jobs with equal needs wait in one lane."""

    engine: str
    codec: str
    cost: int
    tenant: str = DEFAULT_TENANT
    node_labels: tuple[tuple[str, str], ...] = ()
    """Names and values that the node must carry, sorted by name."""


_READS = "-input"


def with_feature(codec: str, feature: str) -> str:
    """A `Needs.codec` for engines with that feature; a node or master that knows of none never takes such a job."""
    return f"{codec}+{feature}"


BY_NAME = "encoder-by-name"
"""The feature of engines that use the encoder that a job names and no other; the encoders themselves are features too.

An older worker offers its hardware encoders, and would take another where one of them fails.
"""


def reading_feature(scheme: str) -> str:
    """The feature of engines that read streams of that scheme, such as ``srt``."""
    return f"{scheme}{_READS}"


def scheme_read(needs: Needs) -> str | None:
    """The scheme of the stream that such jobs read; None when they read none."""
    *_, last = needs.codec.split("+")
    return last.removesuffix(_READS) if last.endswith(_READS) else None


def with_encoder(codec: str, encoder: str) -> str:
    """A `Needs.codec` for engines that have this encoder, and use no other in its place."""
    return with_feature(with_feature(codec, BY_NAME), encoder)


def encoder_named(needs: Needs) -> str | None:
    """The encoder that such jobs name; None where it is the node's choice."""
    _, *features = needs.codec.split("+")
    return features[1] if features[:1] == [BY_NAME] else None


def encodes(node: Capabilities, needs: Needs) -> bool:
    """Whether the node has an engine and an encoder for such a job."""
    return bool(_able_engines(node, needs))


def _able_engines(node: Capabilities, needs: Needs) -> list[str]:
    codec, *features = needs.codec.split("+")
    return [
        engine
        for engine, codecs in node.engines.items()
        if needs.engine in ("auto", engine) and codec in codecs and set(features) <= set(node.features.get(engine, ()))
    ]


def can_run(node: Capabilities, needs: Needs) -> bool:
    """Whether this kind of node ever runs such a job, busy or not."""
    return encodes(node, needs) and all(node.labels.get(name) == value for name, value in needs.node_labels)


def units_on(node: Capabilities, cost: int, *, live: bool = False) -> int:
    """CPU units that a job of that cost takes on this node; never more than the node has for its queue.

    The cap lets a small node run a big job alone.
    """
    return min(cost, max(1, node.units - (0 if live else node.reserve_live)))


class EngineChosen(NamedTuple):
    """The engine that runs a job on a node, and why that one; ``others`` may take over when it cannot open the input.

    One that was asked for by name has no others.
    """

    engine: str
    reason: str
    others: tuple[str, ...] = ()


def choose_engine(node: Capabilities, needs: Needs, *, live: bool = False) -> EngineChosen:
    """The engine for a job that the node can run. ``auto`` is GStreamer for the live queue, ffmpeg for the others."""
    if needs.engine != "auto":
        also = ", or the only engine that does what the job asks" if needs.engine == "ffmpeg" else ""
        return EngineChosen(needs.engine, f"asked for by name{also}")
    able = _able_engines(node, needs)
    wanted, why = _LIVE_CHOICE if live else _FILE_CHOICE
    chosen = wanted if wanted in able else able[0]
    reason = why if chosen == wanted else f"{why}, but this node's {wanted} does not do {needs.codec}"
    if chosen != wanted and wanted not in node.engines:
        reason = f"{why}, but this node has no {wanted}"
    return EngineChosen(chosen, f"auto: {reason}", tuple(engine for engine in able if engine != chosen))


_LIVE_CHOICE = ("gstreamer", "jobs of the live queue go to gstreamer")
_FILE_CHOICE = ("ffmpeg", "files go to ffmpeg")
