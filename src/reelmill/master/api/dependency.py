"""What handlers are given."""

from __future__ import annotations

from litestar.di import NamedDependency

from reelmill.master.farm import Farm

TheFarm = NamedDependency[Farm]
"""The farm that this master serves."""
