"""Reports as JUnit's XML, which every CI shows: a suite for each report, a case for each tensor."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from fastgrad.report.base import BaseReport, Case

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even as a reference."""


def document(reports: Iterable[tuple[str, BaseReport | str]]) -> str:
    """Return the document; in place of a report stands the message of what went wrong before there could be one."""
    root = ElementTree.Element("testsuites", name="fastgrad")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for name, report in reports:
        cases = [Case("file", "error", report)] if isinstance(report, str) else list(report.cases())
        suite = ElementTree.SubElement(root, "testsuite", name=_legal(name))
        counts = dict.fromkeys(totals, 0) | {"tests": len(cases)}
        for case in cases:
            outcome = _put(suite, name, case)
            if outcome:
                counts[outcome] += 1
        seconds = getattr(report, "seconds", 0.0)
        suite.attrib.update({key: str(count) for key, count in counts.items()} | {"time": f"{seconds:.3f}"})
        totals = {key: totals[key] + counts[key] for key in totals}
    root.attrib.update({key: str(count) for key, count in totals.items()})
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _put(suite: ElementTree.Element, file: str, case: Case) -> str:
    """Put a case into a suite; return what it counts as besides a test."""
    element = ElementTree.SubElement(suite, "testcase", classname=_legal(file), name=_legal(case.name))
    kinds = {"wrong": ("failure", "failures"), "left out": ("skipped", "skipped"), "error": ("error", "errors")}
    kinds |= dict.fromkeys(("not judged", "inconclusive"), ("error", "errors"))
    if case.verdict not in kinds:
        return ""
    tag, count = kinds[case.verdict]
    first = next(iter(case.message.splitlines()), case.verdict)
    child = ElementTree.SubElement(element, tag, message=_legal(first), type=case.verdict)
    child.text = _legal(case.message)
    return count


def _legal(text: str) -> str:
    """Return a text with what XML cannot hold written as an escape of Python's."""
    return ILLEGAL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
