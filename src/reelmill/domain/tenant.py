"""A tenant: on whose behalf jobs run."""

from __future__ import annotations

from typing import Literal

import msgspec

from reelmill.domain.name import check_name
from reelmill.errors import InvalidField

DEFAULT_TENANT = "default"
MOST_RUNNING = 1_000_000
MOST_QUEUED = 1_000_000_000


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant, how many of its jobs nodes may hold at once and how many may wait (None for any number); and both now.

    ``waiting_jobs`` are those that have not ended and on which no node works.
    """

    name: str
    max_running: int | None
    held_jobs: int
    max_queued: int | None = None
    waiting_jobs: int = 0

    @property
    def is_at_limit(self) -> bool:
        """Whether its other jobs wait for one of these to end."""
        return self.max_running is not None and self.held_jobs >= self.max_running


def check_tenant(name: str) -> None:
    """InvalidField when that cannot be a tenant's name."""
    check_name("tenant", name, "a tenant's name")


def check_limit(field: Literal["max_running", "max_queued"], limit: int) -> None:
    """InvalidField when no tenant can have that limit."""
    most = MOST_RUNNING if field == "max_running" else MOST_QUEUED
    if not 0 <= limit <= most:
        raise InvalidField(field, f"{limit} must be from 0 to {most:,}, or null for no limit")
