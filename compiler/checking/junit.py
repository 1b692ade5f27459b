"""JUnit XML: a test case for each model, output, metric and number of steps."""

import re
from xml.etree import ElementTree as Xml

from spikec.checking.result import ERROR, CheckResult
from spikec.checking.verdict import FAILED, SKIPPED, Measurement

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML cannot hold


def junit(result: CheckResult) -> str:
    """The result as one test suite; what could not be carried out is one test case with an error."""
    suites = Xml.Element("testsuites", name="spikec check")
    suite = Xml.SubElement(suites, "testsuite", name=_text(f"{result.model.name} -> {result.artifact.name}"))
    if result.status == ERROR:
        case = Xml.SubElement(suite, "testcase", classname=_text(result.model.name), name="check")
        _say(case, "error", result.reason, f"exit code {result.exit_code}")
    for row in result.measurements:
        _case(suite, row, result)
    counts = {"tests": len(suite), "failures": len(result.failures), "errors": int(result.status == ERROR)}
    counts["skipped"] = sum(row.verdict == SKIPPED for row in result.measurements)
    for element in (suites, suite):
        element.attrib |= {name: str(count) for name, count in counts.items()}
        element.set("time", f"{result.timing.seconds:.3f}")
    Xml.indent(suites)
    document: bytes = Xml.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document.decode() + "\n"


def _case(suite: Xml.Element, row: Measurement, result: CheckResult) -> None:
    classname = result.model.name if row.output is None else f"{result.model.name}.{row.output}"
    case = Xml.SubElement(suite, "testcase", classname=_text(classname), name=f"{row.metric} at T = {row.steps}")
    if row.verdict == FAILED:
        _say(case, "failure", row.failure, row.key or "")
    elif row.verdict == SKIPPED:
        _say(case, "skipped", row.note or "", row.key or "")
    if row.value is not None:
        asked = "no threshold" if row.threshold is None else f"{row.key} = {row.threshold:g}"
        Xml.SubElement(case, "system-out").text = f"{row.value:.6g} ({asked})"


def _say(case: Xml.Element, what: str, message: str, kind: str) -> None:
    element = Xml.SubElement(case, what, message=_text(message), type=_text(kind))
    element.text = _text(message)


def _text(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
