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


def with_feature(codec: str, feature: str) -> str:
    """A `Needs.codec` for engines with that feature; a node or master that knows of none never takes such a job."""
    return f"{codec}+{feature}"


def encodes(node: Capabilities, needs: Needs) -> bool:
    """Whether the node has an engine and an encoder for such a job."""
    return bool(_able_engines(node, needs))


def _able_engines(node: Capabilities, needs: Needs) -> list[str]:
    codec, _, feature = needs.codec.partition("+")
    return [
        engine
        for engine, codecs in node.engines.items()
        if needs.engine in ("auto", engine)
        and codec in codecs
        and (not feature or feature in node.features.get(engine, ()))
    ]


def can_run(node: Capabilities, needs: Needs) -> bool:
    """Whether this kind of node ever runs such a job, busy or not."""
    return encodes(node, needs) and all(node.labels.get(name) == value for name, value in needs.node_labels)


def units_on(node: Capabilities, cost: int, *, live: bool = False) -> int:
    """CPU units that a job of that cost takes on this node; never more than the node has for its queue.

    The cap lets a small node run a big job alone.
    """
    return min(cost, max(1, node.units - (0 if live else node.reserve_live)))


def choose_engine(node: Capabilities, needs: Needs) -> str:
    """The engine that runs the job on this node; ffmpeg first when the job says `auto`."""
    if needs.engine != "auto":
        return needs.engine
    able = _able_engines(node, needs)
    return "ffmpeg" if "ffmpeg" in able else able[0]
