"""Workload files: kinds of jobs of one's own, and every mistake named by file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reelmill.errors import InvalidField
from reelmill.launcher.distribution import Choice, LogNormal, Span, mix
from reelmill.launcher.options import read_plan
from reelmill.launcher.plan import ArrivalText, LaunchPlan, plan_jobs, total_plan

TOML = """
count = "2k"
seed = 11
arrival = { rate = "200/s", poisson = true }

[defaults]
tenant = "studio"

[kinds.news]
scenario = "720p30-h264"
weight = 3
queue = { live = 1, default = 3 }
duration = { distribution = "lognormal", median = "45s", p95 = "3m", max = "10m" }
labels = { team = "news" }

[kinds.archive]
scenario = { "1080p30-h265" = 1, "480p30-av1" = 1 }
queue = "batch"
bitrate = "2M-4M"
duration = { distribution = "choices", values = [30, "1m"], weights = [9, 1] }
"""
YAML = """
count: 2k
seed: 11
arrival: {rate: 200/s, poisson: true}
defaults:
  tenant: studio
kinds:
  news:
    scenario: 720p30-h264
    weight: 3
    queue: {live: 1, default: 3}
    duration: {distribution: lognormal, median: 45s, p95: 3m, max: 10m}
    labels: {team: news}
  archive:
    scenario: {1080p30-h265: 1, 480p30-av1: 1}
    queue: batch
    bitrate: 2M-4M
    duration: {distribution: choices, values: [30, 00:01:00], weights: [9, 1]}
"""


def plan_of(folder: Path, text: str, name: str = "mix.toml", **options: Any) -> LaunchPlan:
    path = folder / name
    path.write_text(text)
    return read_plan(workload=path, **options)


def test_a_workload_file_says_everything(tmp_path: Path) -> None:
    """Count, seed, arrival, kinds with their own distributions, and their name as a label of their jobs."""
    plan = plan_of(tmp_path, TOML)
    news, archive = plan.kinds.choices
    assert (2000, 11, ArrivalText("200/s", None, True)) == (plan.count, plan.seed, plan.arrival)
    assert (0.75, 0.25) == plan.kinds.weights
    assert isinstance(news.duration, LogNormal)
    assert (0.25, 0.75) == news.queues.weights
    assert (Choice(mix((30.0, 60.0), (9, 1))), Span(2e6, 4e6)) == (archive.duration, archive.bitrate)
    jobs = list(plan_jobs(plan))
    assert {"studio"} == {job.tenant for job in jobs}
    assert {("news", "news"), ("archive", None)} == {(job.labels["workload"], job.labels.get("team")) for job in jobs}
    totals = total_plan(plan)
    assert abs(totals.kinds["news"] - 1500) < 5 * (2000 * 0.75 * 0.25) ** 0.5
    assert {"720p30-h264", "1080p30-h265", "480p30-av1"} == set(totals.scenarios)


def test_yaml_says_the_same_as_toml(tmp_path: Path) -> None:
    """The two notations give the same jobs."""
    toml, yaml = plan_of(tmp_path, TOML), plan_of(tmp_path, YAML, "mix.yaml")
    assert list(plan_jobs(toml)) == list(plan_jobs(yaml))


def test_what_is_typed_goes_before_the_file(tmp_path: Path) -> None:
    """Options hold for every kind; a mix of kinds replaces their weights and leaves the others out."""
    plan = plan_of(tmp_path, TOML, count="7", seed="3", queue="live", duration="5", mixes=["archive=1"])
    assert (7, 3) == (plan.count, plan.seed)
    [kind] = plan.kinds.choices
    assert ("archive", ("live",), Span(5, 5)) == (kind.name, kind.queues.choices, kind.duration)


def test_a_file_of_defaults_alone_is_one_kind(tmp_path: Path) -> None:
    """Without kinds, the defaults are what every job is."""
    [kind] = plan_of(tmp_path, "[defaults]\nscenario = '480p30-h264'\nqueue = ['live', 'batch']").kinds.choices
    assert (None, ("live", "batch"), {}) == (kind.name, kind.queues.choices, kind.labels)


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ("cuont = 5", "mix.toml", "unknown key 'cuont'; did you mean 'count'?"),
        ("queue = 'live'", "mix.toml", "what holds for all kinds goes under [defaults]"),
        ("count = ", "mix.toml", "at end of document"),
        ("a = 1\nb = }", "mix.toml", "line 2"),
        ("count = 0", "mix.toml: count", "the least is 1"),
        ('count = "1000m"', "mix.toml: count", "the most is 100000000"),
        ("count = true", "mix.toml: count", "is not a count"),
        ("seed = 'x'", "mix.toml: seed", "is not a whole number"),
        ("arrival = '200/s'", "mix.toml: arrival", "{ rate = '200/s'"),
        ("arrival = {rat = '1/s'}", "mix.toml: arrival", "did you mean 'rate'"),
        ("arrival = {rate = 5}", "mix.toml: arrival.rate", "must be text"),
        ("kinds = 5", "mix.toml: kinds", "must be a table of kinds"),
        ("[kinds.'a b']\n", "mix.toml: kinds", "'a b' is not a name for a kind"),
        ("[kinds.a]\nweight = 0", "mix.toml: kinds.a.weight", "must be above 0"),
        ("[kinds.a]\nweigth = 1", "mix.toml: kinds.a", "did you mean 'weight'"),
        ("[kinds.a]\nscenario = '1080p60-h246'", "mix.toml: kinds.a.scenario", "did you mean '1080p60-h264'"),
        ("[kinds.a]\nqueue = {lvie = 1}", "mix.toml: kinds.a.queue", "did you mean 'live'"),
        ("[kinds.a]\nqueue = {live = -1}", "mix.toml: kinds.a.queue.live", "no weight"),
        ("[kinds.a]\nqueue = 5", "mix.toml: kinds.a.queue", "must be a name"),
        ("[kinds.a]\nduration = '30-'", "mix.toml: kinds.a.duration", "has no end"),
        ("[kinds.a]\nduration = 0", "mix.toml: kinds.a.duration", "out of range"),
        ("[kinds.a]\nduration = nan", "mix.toml: kinds.a.duration", "not a finite number"),
        ("[kinds.a]\nduration = {mean = 3}", "mix.toml: kinds.a.duration", "needs a key 'distribution'"),
        (
            "[kinds.a]\nduration = {distribution = 'nromal'}",
            "mix.toml: kinds.a.duration.distribution",
            "did you mean 'normal'",
        ),
        ("[kinds.a]\nduration = {distribution = 'normal', mean = 3}", "mix.toml: kinds.a.duration", "needs 'sd'"),
        (
            "[kinds.a]\nduration = {distribution = 'normal', mean = 3, sdd = 1}",
            "mix.toml: kinds.a.duration.sdd",
            "did you mean 'sd'",
        ),
        (
            "[kinds.a]\nduration = {distribution = 'lognormal', median = 9, p95 = 3}",
            "mix.toml: kinds.a.duration.p95",
            "at least the median",
        ),
        (
            "[kinds.a]\nduration = {distribution = 'choices', values = [1, 2], weights = [1]}",
            "mix.toml: kinds.a.duration.weights",
            "a list of 2 numbers",
        ),
        ("[kinds.a]\nbitrate = 900_000_000", "mix.toml: kinds.a.bitrate", "out of range"),
        ("[kinds.a]\nlabels = {a = 1}", "mix.toml: kinds.a.labels.a", "put it in quotes"),
        ("[kinds.a]\nlabels = {workload = 'x'}", "mix.toml: kinds.a.labels", "choose another"),
        ("[kinds.a]\ninput = 'a.mp4'", "mix.toml: kinds.a.scenario", "is needed with input"),
        ("[defaults]\ntenant = 'a b'", "mix.toml: defaults.tenant", "not a tenant's name"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, text: str, place: str, part: str) -> None:
    """One line: where, what is wrong, and what would be right."""
    with pytest.raises(InvalidField) as caught:
        plan_of(tmp_path, text)
    assert f"--workload {tmp_path / place}" == caught.value.field
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "name", "part"),
    [
        (b"count: 1\ncount: 2", "a.yaml", "line 2: 'count' is there twice"),
        (b"count: [", "a.yml", "line 1: "),
        (b"- 1", "a.yaml", "must be a table"),
        (b"[" * 1200, "a.yaml", "nested too deeply"),
        (b"", "a.yaml", "must be a table"),
        (b"!!python/object/apply:os.system [x]", "a.yaml", "line 1: could not determine a constructor"),
        (b"count = 1", "a.txt", "must end in .toml, .yaml or .yml"),
        (b"\xff", "a.toml", "is not UTF-8 text (byte 0)"),
        (b"#" * 1_000_001, "a.toml", "is larger than 1,000,000 bytes"),
    ],
)
def test_what_is_no_workload_file_is_refused(tmp_path: Path, content: bytes, name: str, part: str) -> None:
    """Whatever is in the file, the answer is one sentence."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidField) as caught:
        read_plan(workload=tmp_path / name)
    assert part in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(InvalidField, match=r"no\.toml: cannot be read \(No such file or directory\)"):
        read_plan(workload=tmp_path / "no.toml")
