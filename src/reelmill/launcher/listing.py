"""Jobs that are listed one by one: in a manifest, or as files that a pattern matches."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelmill.errors import InvalidField
from reelmill.launcher.kind import Fields
from reelmill.launcher.manifest import FROM, IsDone, read_manifest
from reelmill.launcher.media_files import INPUT, is_pattern, read_files
from reelmill.launcher.output_name import DEFAULT_TEMPLATE, TO, OutputName
from reelmill.launcher.plan import Manifest
from reelmill.launcher.row import RowReader

SKIP = "--skip-existing"


class Listing(msgspec.Struct, frozen=True):
    """What was typed about listed jobs."""

    manifest: str | None = None
    source: str | None = None
    output_name: str | None = None
    skip_existing: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether jobs are listed at all; the other way, a launch draws them."""
        asked = self.manifest is not None or self.output_name is not None or self.skip_existing
        return asked or (self.source is not None and is_pattern(self.source))

    @property
    def option(self) -> str:
        """The option that lists them."""
        return FROM if self.manifest is not None else INPUT

    def check(self, is_done: IsDone | None, *, count: str | None, workload: object) -> None:
        """InvalidField when the options do not go together."""
        option = self.option
        if self.manifest is None and self.source is None:
            raise InvalidField(TO if self.output_name is not None else SKIP, f"needs {INPUT} or {FROM}")
        if self.manifest is not None and self.source is not None:
            raise InvalidField(FROM, f"and {INPUT} both say what to transcode; leave one out")
        if count is not None:
            raise InvalidField("--count", f"cannot be given here: {option} makes one job for each row or file")
        if workload is not None:
            raise InvalidField("--workload", f"and {option} both say which jobs to launch; leave one out")
        if self.skip_existing and is_done is None:
            raise InvalidField(SKIP, "must see the media root of the farm, and it is not visible from this machine")

    def read(self, typed: Fields, seed: int, spool: Path, is_done: IsDone | None) -> Manifest:
        """The jobs, checked and kept in ``spool``; InvalidField with what is wrong."""
        template = self.output_name or (DEFAULT_TEMPLATE if self.skip_existing else None)
        if self.manifest is None and "scenario" not in typed:
            raise InvalidField(
                "--scenario", f"is needed with {INPUT}, such as 720p30-h264; see `reelmill scenarios list`"
            )
        reader = RowReader(typed, seed, OutputName(template) if template is not None else None)
        done = is_done if self.skip_existing else None
        if self.manifest is not None:
            return read_manifest(self.manifest, reader, spool, done)
        return read_files(self.source or "", reader, spool, done)
