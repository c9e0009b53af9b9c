"""Dashboard, alerts and scaling ask only for figures that masters give: each query is parsed, and held against them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from reelmill.domain.job import STATUSES
from reelmill.domain.node import NODE_STATUSES
from tests.e2e.conftest import Commands, wait_for

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/reelmill.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/reelmill.rules.yml").read_text())
BY_PROMETHEUS = {"instance", "job"}
"""Labels that it adds."""


class Query(NamedTuple):
    """Which series, with which values of labels, a query asks for, and by which labels it groups."""

    selected: dict[str, dict[str, str]]
    grouped: set[str]


def _expressions() -> Iterator[tuple[str, str]]:
    """(place, PromQL) of every query."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for rule in _rules():
        yield rule["alert"], rule["expr"]
    yield "scaling", yaml.safe_load((DEPLOY / "helm/reelmill/values.yaml").read_text())["keda"]["query"]


def _rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def read_query(text: str) -> Query:
    """What stands in a query; an error of the parser when it is none."""
    selected: dict[str, dict[str, str]] = {}
    grouped: set[str] = set()

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            asked = selected.setdefault(str(node.name), {})
            asked |= {matcher.name: matcher.value for matcher in node.matchers.matchers}
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(text), visit)
    return Query(selected, grouped)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of each series that a real master gives, behind its first job."""
    commands = Commands(tmp_path_factory.mktemp("farm"))
    try:
        farm = commands.up()
        job = farm.post("/jobs", {"scenario": "480p30-h264", "parameters": {"duration": 0.2}})
        wait_for(lambda: farm.get(f"/jobs/{job['id']}")["status"], lambda status: status == "completed")
        text = farm.ask("GET", "/metrics").text
    finally:
        commands.end_all()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found: dict[str, set[str]] = {"up": set()}
    for sample in samples:
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize(("place", "text"), list(_expressions()), ids=lambda value: value.replace(" ", "-"))
def test_a_query_asks_for_what_there_is(given: dict[str, set[str]], place: str, text: str) -> None:
    """Series, labels and statuses are those of a master."""
    check_query(read_query(text), given)


def check_query(query: Query, given: dict[str, set[str]]) -> None:
    assert set() == query.selected.keys() - given.keys()
    labels = set[str]().union(*(given[name] for name in query.selected)) | BY_PROMETHEUS
    assert set() == query.grouped - labels
    for name, asked in query.selected.items():
        assert set() == asked.keys() - given[name] - BY_PROMETHEUS
        statuses = NODE_STATUSES if name == "reelmill_nodes" else STATUSES
        assert set() == set(asked["status"].split("|") if "status" in asked else []) - set(statuses)


@pytest.mark.parametrize(
    "text",
    [
        "reelmill_jobs_total",
        'reelmill_nodes{status="running"}',
        "sum by (tenant) (reelmill_jobs)",
        "reelmill_up{x='1'}",
    ],
)
def test_a_query_for_what_there_is_not_is_found(given: dict[str, set[str]], text: str) -> None:
    """The check itself can fail."""
    with pytest.raises(AssertionError):
        check_query(read_query(text), given)


def test_the_dashboard_shows_every_series(given: dict[str, set[str]]) -> None:
    """What masters count is worth a look; panels have numbers and places of their own."""
    shown = {name for _, text in _expressions() for name in read_query(text).selected}
    assert set() == given.keys() - shown
    panels = DASHBOARD["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    assert len(panels) == len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels})


def test_legends_and_words_name_labels_that_are_left() -> None:
    """A label in a legend or a summary is one by which the query groups, or one that Prometheus adds."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert set() == named - read_query(target["expr"]).grouped, panel["title"]
    for rule in _rules():
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert set() == named - read_query(rule["expr"]).grouped - BY_PROMETHEUS, rule["alert"]


def test_the_dashboard_finds_its_source_of_figures() -> None:
    """The name that panels use is that of the source that is set up, and both folders are where Grafana looks."""
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert {source["uid"]} == {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    [provider] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/reelmill.yaml").read_text())["providers"]
    mounts = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_each_alert_leads_to_a_part_of_the_runbook(rule: dict[str, Any]) -> None:
    """Its heading is there."""
    page, _, part = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert part in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
