"""``--to``: how outputs are named after their inputs."""

from __future__ import annotations

from pathlib import PurePosixPath
from string import Formatter

from reelmill.domain.container import SUFFIXES
from reelmill.domain.scenario import find_scenario
from reelmill.domain.stream_url import is_stream_url
from reelmill.domain.suggestion import unknown_name
from reelmill.errors import InvalidField
from reelmill.launcher.payload import JobPayload

TO = "--to"
DEFAULT_TEMPLATE = "outputs/{dir}/{stem}-{scenario}.mp4"
_STREAM = "stream"
FIELDS = ("dir", "stem", "name", "ext", "scenario", "queue", "priority", "engine", "n")


class OutputName:
    """A template such as ``outputs/{dir}/{stem}-{scenario}.mp4``; InvalidField when it is none."""

    def __init__(self, template: str) -> None:
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise InvalidField(
                TO, f"{template[:200]!r} is not a template ({error}); fields are written {{stem}}"
            ) from None
        for _, field, form, conversion in parts:
            if field is None:
                continue
            if field not in FIELDS:
                raise InvalidField(TO, unknown_name("field", field, FIELDS) + f"; there are {', '.join(FIELDS)}")
            if conversion or (form and not (field == "n" and form.isdecimal())):
                raise InvalidField(TO, f"only {{n}} takes a width, such as {{n:05}}, not {{{field}}}")
        if PurePosixPath(template).suffix.lower() not in (*SUFFIXES, ""):  # without one it is a ladder's folder
            raise InvalidField(TO, f"{template[:200]!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
        self.template = template

    def fill(self, job: JobPayload, folder: str, number: int) -> str:
        """The path of the output. ``folder`` is where its input lies below what was searched; ``number`` is from 1."""
        source = PurePosixPath(job.parameters.input or "")
        if is_stream_url(str(job.parameters.input)):
            source = PurePosixPath(_STREAM)  # the last part of its URL is its key
        path = self.template.format(
            dir=folder,
            stem=source.stem,
            name=source.name,
            ext=source.suffix.removeprefix("."),
            scenario=job.scenario,
            queue=job.queue,
            priority=job.priority,
            engine=job.engine,
            n=number,
        )
        if self.template == DEFAULT_TEMPLATE and find_scenario(job.scenario).makes_folder:
            path = path.removesuffix(".mp4")
        return str(PurePosixPath(path))
