"""`junit.xml`: one test case per criterion and per check of the load generator, for CI systems that read JUnit."""

import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from reports.analysis import Analysis, CriterionResult, HealthCheck, State, Verdict
from reports.figures import limit_text, pair
from reports.texts import one_line, printable

_NO_DATA = "no_data"


def junit_xml(analysis: Analysis) -> bytes:
    """Return the criteria and checks as JUnit XML; suites are phases, `whole run` and `load generator`."""
    root = ET.Element("testsuites", name=one_line(f"{analysis.run.plan.id} {analysis.run.plan.title}"))
    by_phase: dict[str, list[CriterionResult]] = {}
    for result in analysis.criteria:
        by_phase.setdefault(result.criterion.phase or "whole run", []).append(result)
    lengths = {phase.name: phase.end_s - phase.start_s for phase in analysis.phases if phase.reached}
    for phase, results in by_phase.items():
        length = analysis.length_s if phase == "whole run" else lengths.get(phase, 0.0)
        _suite(root, analysis, phase, length, [_criterion_case(analysis, r) for r in results])
    checks = [_health_case(analysis, check) for check in analysis.health]
    if not any(_bad(case) for case in (*root.iter("testcase"), *checks)) and analysis.verdict is not Verdict.PASS:
        checks.append(_verdict_case(analysis))
    if checks or not by_phase:
        _suite(root, analysis, "load generator", analysis.length_s, checks)
    for kind in ("tests", "failures", "errors"):
        root.set(kind, str(sum(int(suite.get(kind, "0")) for suite in root)))
    root.set("time", f"{analysis.length_s:.3f}")
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _suite(parent: ET.Element, analysis: Analysis, name: str, length: float, cases: Iterable[ET.Element]) -> None:
    found = list(cases)
    suite = ET.SubElement(
        parent,
        "testsuite",
        name=one_line(name),
        tests=str(len(found)),
        failures=str(sum(case.find("failure") is not None for case in found)),
        errors=str(sum(case.find("error") is not None for case in found)),
        skipped="0",
        time=f"{length:.3f}",
        timestamp=analysis.run.started_at[:19],
        hostname=socket.gethostname(),
    )
    properties = ET.SubElement(suite, "properties")
    facts = {
        "verdict": analysis.verdict.value,
        "run": analysis.run.id,
        "plan": analysis.run.plan.id,
        "seed": str(analysis.run.seed),
        "host": analysis.run.host,
        "rehearsal": str(analysis.run.rehearsal).lower(),
    }
    for key, value in facts.items():
        ET.SubElement(properties, "property", name=key, value=one_line(value))
    suite.extend(found)


def _case(analysis: Analysis, group: str, name: str) -> ET.Element:
    plan = printable(analysis.run.plan.id)
    return ET.Element("testcase", classname=f"{plan}.{one_line(group)}", name=one_line(name), time="0")


def _bad(case: ET.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def _criterion_case(analysis: Analysis, result: CriterionResult) -> ET.Element:
    criterion = result.criterion
    measured, limit = pair(result)
    where = [text for text in (criterion.scenario, criterion.name) if text]
    # The limit as the plan writes it and not as `pair` does: the name of a test case stays the same from run to run.
    words = [
        criterion.metric,
        limit_text(criterion),
        *(f"[{text}]" for text in where),
        *([f"({criterion.id})"] if criterion.id else []),
    ]
    case = _case(analysis, criterion.phase or "whole run", " ".join(words))
    line = f"{criterion.metric}: measured {measured}, limit {limit}, {result.measured.samples:,} samples"
    if result.state is State.FAIL:
        _say(case, "failure", "criterion", result.reason, line)
    elif result.state is State.NO_DATA:
        _say(case, "error", _NO_DATA, result.reason, f"{line}; {result.measured.why or 'no data'}")
    else:
        warning = f"WARNING: {result.reason}\n" if result.state is State.WARN else ""
        close = "\nclose: the limit lies inside the 95 % interval" if result.close else ""
        ET.SubElement(case, "system-out").text = printable(warning + line + close)
    return case


def _health_case(analysis: Analysis, check: HealthCheck) -> ET.Element:
    case = _case(analysis, "load generator", check.name)
    line = f"{check.name}: measured {check.measured}, limit {check.limit}"
    if check.passed:
        ET.SubElement(case, "system-out").text = printable(line)
    else:
        _say(case, "error", "invalid", f"{line}: {check.advice}", line)
    return case


def _verdict_case(analysis: Analysis) -> ET.Element:
    """Return a case that carries a verdict which no criterion and no check explains, such as `nothing measured`."""
    case = _case(analysis, "load generator", "verdict")
    kind = "error" if analysis.verdict is Verdict.INVALID else "failure"
    reasons = "\n".join(analysis.reasons) or "no reason was recorded"
    _say(case, kind, analysis.verdict.value.lower(), reasons, reasons)
    return case


def _say(case: ET.Element, tag: str, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, tag, type=kind, message=one_line(message, 1000)).text = printable(text)
