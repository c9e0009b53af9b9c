"""Docs that cannot rot: what users can type, set or ask for is documented, and what is linked exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from reelmill.bus.memory import MemoryBus
from reelmill.cli.commands import app
from reelmill.clock import SystemClock
from reelmill.domain.ladder import Ladder
from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.picture import Picture
from reelmill.domain.rate_control import RateControl
from reelmill.domain.request import RequestedParameters
from reelmill.domain.scenario import Scenario
from reelmill.domain.sound import Sound
from reelmill.domain.thumbnails import Thumbnails
from reelmill.launcher.options import read_plan
from reelmill.launcher.plan import plan_jobs
from reelmill.master.api.app import create_app
from reelmill.master.master import Master
from reelmill.master.news import News
from reelmill.settings import Settings
from reelmill.store.sqlite import SqliteStore

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "deploy" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _commands() -> Iterator[tuple[str, list[str]]]:
    """(name, options) of every command; the options by their long names."""
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        for inner, one in getattr(command, "commands", {"": command}).items():
            options = [max(parameter.opts, key=len) for parameter in one.params if parameter.opts[0].startswith("-")]
            yield f"{name} {inner}".strip(), options


@pytest.mark.parametrize(
    ("command", "options"), list(_commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_command_and_option_is_documented(command: str, options: list[str]) -> None:
    """docs/commands.md names every command and each of its options."""
    assert f"`{command}" in COMMANDS or f"`reelmill {command}`" in COMMANDS
    missing = [option for option in options if f"`{option}" not in COMMANDS and f"/`{option}`" not in COMMANDS]
    assert [] == missing


def test_the_guide_names_every_option_of_launch() -> None:
    """docs/launching.md is the whole guide."""
    guide = (ROOT / "docs" / "launching.md").read_text()
    [options] = [options for command, options in _commands() if command == "launch"]
    missing = set(options) - set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", guide)) - {"--help"}
    assert set() == missing


def test_the_examples_of_the_workload_page_are_read(tmp_path: Path) -> None:
    """The file and the list are what `launch` takes."""
    page = (ROOT / "docs" / "workloads.md").read_text()
    for suffix in ("toml", "csv"):
        [example] = re.findall(rf"```{suffix}\n(.*?)```", page, re.DOTALL)
        (tmp_path / f"example.{suffix}").write_text(example)
    plan = read_plan(workload=tmp_path / "example.toml")
    assert (2000, 11, ["news", "archive"]) == (plan.count, plan.seed, [kind.name for kind in plan.kinds.choices])
    listed = read_plan(manifest=str(tmp_path / "example.csv"), spool=tmp_path / "spool")
    jobs = [(job.parameters.input, job.labels) for job in plan_jobs(listed)]
    assert [("in/one.mov", {"show": "evening"}), ("in/two.mov", {"show": "evening"})] == jobs


def test_the_scenarios_of_the_docs_are_scenarios() -> None:
    """docs/renditions.md names each field, and its example is one that a master takes."""
    page = (ROOT / "docs" / "renditions.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    own = read_scenarios(tomllib.loads("".join(examples))["scenarios"])
    assert ["small-ladder", "seekbar", "archive", "archive-small", "social"] == list(own)
    groups = {"rate": RateControl, "picture": Picture, "audio": Sound, "ladder": Ladder, "thumbnails": Thumbnails}
    fields = [name for name in Scenario.__struct_fields__ if name not in ("name", *groups)]
    fields += [f"{group}.{name}" for group, kind in groups.items() for name in kind.__struct_fields__]
    assert [] == [name for name in fields if f"`{name}`" not in page]


def test_the_readme_names_only_options_that_there_are() -> None:
    """What it shows can be typed; and what works is not said to be still to come."""
    readme = (ROOT / "README.md").read_text()
    known = {option for _, options in _commands() for option in options}
    assert set() == set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", readme)) - known
    works, _, missing = readme.partition("## What does not work yet")
    for word in ("PostgreSQL", "Tenants", "labels", "pause", "retention"):
        assert (True, False) == (word in works, word in missing), word


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_each_setting_is_documented(setting: str) -> None:
    """docs/commands.md names every setting."""
    assert f"`{setting}`" in COMMANDS


@pytest.mark.parametrize("parameter", RequestedParameters.__struct_fields__)
def test_each_parameter_of_a_job_is_documented(parameter: str) -> None:
    """docs/api.md names every parameter."""
    assert f"| `{parameter}` |" in API


def _paths() -> list[str]:
    master = Master(Settings(), SqliteStore(None), MemoryBus(), SystemClock(), alone=True)
    return sorted(
        route.path
        for route in create_app(master.farm, News(master.farm)).routes
        if not route.path.startswith("/openapi/") and route.path != "/openapi"
    )


@pytest.mark.parametrize("path", _paths())
def test_each_path_of_the_api_is_documented(path: str) -> None:
    """docs/api.md names every path, or for the paths of one thing its last part."""
    plain = re.sub(r"\{\w+:str\}", "{id}", path)
    assert any(f"{form}`" in API for form in (plain, "/" + plain.rpartition("/")[2], plain.replace("{id}", "{name}")))


def _links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    """Relative links of README and docs point to files that exist."""
    assert [] == [target for target in _links(page) if not (page.parent / target).exists()]
