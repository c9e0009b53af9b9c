"""A job as the launcher asks for it."""

from __future__ import annotations

import msgspec

from reelmill.domain.job import EngineChoice, Priority, Queue
from reelmill.domain.request import RequestedParameters

KIND_LABEL = "workload"
"""The label that says which kind of a workload file a job is."""


class JobPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job as it is asked for; every choice that was drawn is written out."""

    scenario: str
    engine: EngineChoice
    queue: Queue
    priority: Priority
    parameters: RequestedParameters
    tenant: str | None = None
    """None for the default one: what is not written out is told by identity, and would not survive a file."""
    node_labels: dict[str, str] = {}
    labels: dict[str, str] = {}
    confidence: str | int | float | None = None
