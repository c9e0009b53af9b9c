"""What a node can run, what a job needs, and how much room it takes."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

CODECS = ("h264", "h265", "vp9", "av1")


class Capabilities(msgspec.Struct, frozen=True):
    """What one node offers: ``units`` of CPU, and for each engine the codecs that it encodes there."""

    units: int
    engines: dict[str, list[str]]


class Needs(NamedTuple):
    """What a job needs of a node. Jobs with equal needs wait in one lane."""

    engine: str
    codec: str
    cost: int


def can_run(node: Capabilities, needs: Needs) -> bool:
    """Whether this kind of node ever runs such a job, busy or not."""
    if needs.engine == "auto":
        return any(needs.codec in codecs for codecs in node.engines.values())
    return needs.codec in node.engines.get(needs.engine, ())


def units_on(node: Capabilities, needs: Needs, kept: int = 0) -> int:
    """CPU units the job takes on this node: its cost, but never more than the node has beside ``kept`` ones.

    The cap lets a small node run a big job alone.
    """
    return min(needs.cost, max(1, node.units - kept))


def choose_engine(node: Capabilities, needs: Needs) -> str:
    """The engine that runs the job on this node; ffmpeg first when the job says `auto`."""
    if needs.engine != "auto":
        return needs.engine
    able = [engine for engine, codecs in node.engines.items() if needs.codec in codecs]
    return "ffmpeg" if "ffmpeg" in able else able[0]
