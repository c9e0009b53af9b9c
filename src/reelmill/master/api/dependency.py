"""What handlers are given."""

from __future__ import annotations

from litestar.di import NamedDependency

from reelmill.master.farm import Farm
from reelmill.master.intake import Intake
from reelmill.master.media_desk import MediaDesk
from reelmill.master.news import News

TheFarm = NamedDependency[Farm]
"""The farm that this master serves."""

TheIntake = NamedDependency[Intake]
"""Where jobs go that are submitted one by one."""

TheNews = NamedDependency[News]
"""What happens in the farm, for those who listen."""

TheTroubles = NamedDependency[list[str]]
"""A sentence for each background service of this master that goes on failing."""

TheWarnings = NamedDependency[list[str]]
"""A sentence for each thing that is wrong with this master and keeps it from no work."""

TheDesk = NamedDependency[MediaDesk]
"""What serves the media of the farm to workers that do not have its folder."""
