"""The report as JUnit XML, as CI servers read it: one test suite, a case for each threshold and each scenario."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from reelmill.launcher.figures import FailureKind
from reelmill.launcher.plain_text import showable
from reelmill.launcher.report import Report, ScenarioReport

_NOT_XML = re.compile(r"[\ufffe\uffff]")


def encode_junit(report: Report) -> bytes:
    """The report as XML.

    With thresholds it is they that fail; a scenario then only tells of its failed jobs. Without any, a scenario fails
    when one of its jobs did, and is skipped when some were canceled or have not ended.
    """
    suite = ET.Element("testsuite", {"name": _text(f"reelmill launch {report.name or report.launch_id}")})
    properties = ET.SubElement(suite, "properties")
    for name, value in (("launch", report.launch_id), ("command", report.command), ("total", str(report.total))):
        if value is not None:
            ET.SubElement(properties, "property", {"name": name, "value": _text(value)})
    for verdict in report.thresholds:
        case = _case(suite, "thresholds", verdict.threshold)
        if not verdict.passed:
            reason = f": {verdict.reason}" if verdict.reason else ""
            ET.SubElement(case, "failure", {"message": _text(f"found {verdict.found}{reason}"), "type": "threshold"})
    for scenario in report.scenarios:
        _add_scenario(suite, scenario, report)
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", f"{report.wall_seconds or 0:.3f}")
    if report.created_at is not None:
        suite.set("timestamp", f"{report.created_at:%Y-%m-%dT%H:%M:%S}")
    ET.indent(suite)
    return ET.tostring(suite, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(suite: ET.Element, group: str, name: str, seconds: float = 0.0) -> ET.Element:
    attributes = {"classname": f"reelmill.{group}", "name": _text(name), "time": f"{seconds:.3f}"}
    return ET.SubElement(suite, "testcase", attributes)


def _add_scenario(suite: ET.Element, scenario: ScenarioReport, report: Report) -> None:
    seconds = scenario.run_time.mean * scenario.run_time.n if scenario.run_time is not None else 0.0
    case = _case(suite, "scenarios", scenario.name, seconds)
    failed = scenario.counts.get("failed", 0) + scenario.counts.get("timed_out", 0)
    other = scenario.total - failed - scenario.counts.get("completed", 0)
    if failed:
        message = f"{failed:,} of {scenario.total:,} jobs failed"
        lines = [line for kind in report.failures for line in _examples(kind, scenario.name)]
        if report.thresholds:
            ET.SubElement(case, "system-out").text = _text("\n".join([message, *lines]))
        else:
            failure = ET.SubElement(case, "failure", {"message": message, "type": "failed"})
            failure.text = _text("\n".join(lines))
    elif other:
        message = f"{other:,} of {scenario.total:,} jobs were canceled or have not ended"
        ET.SubElement(case, "skipped", {"message": message})


def _examples(kind: FailureKind, scenario: str) -> list[str]:
    return [
        f"{kind.reason} {kind.code}, job {one.job} on {one.node or 'no node'}: {one.error}"
        for one in kind.examples
        if one.scenario == scenario
    ]


def _text(text: str) -> str:
    """Text that XML can hold: of control characters it has only newline and tab."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", showable(text))
