"""Reports for GitHub: annotations at a file and a line, as workflow commands, and a summary of a step in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fastgrad.report.base import BaseReport
from fastgrad.report.formatting import plain_text, printable

WHERE = re.compile(r"(?P<file>.+?):(?P<line>\d+): ")
"""The beginning of a finding's place in a source."""
LEVELS = {"right": "notice", "wrong": "error"}


def commands(reports: Iterable[tuple[str, BaseReport | str]], sources: Iterable[str] = ()) -> Iterator[str]:
    """Yield a workflow command for each finding, and one for each report; of sources the whole path is said."""
    paths = {path.rpartition("/")[2]: path for path in sources}
    for name, report in reports:
        if isinstance(report, str):
            yield _command("error", {"file": name, "title": "fastgrad"}, report)
            continue
        for finding in report.findings:
            found = WHERE.match(finding.where)
            place = (
                {"file": name} if found is None else {"file": paths.get(found["file"], found["file"]), "line": found["line"]}
            )
            words = f"{finding.sentence} {finding.repair}" if finding.confident else f"Not certain: {finding.sentence}"
            yield _command("error" if finding.confident else "warning", {**place, "title": f"fastgrad {finding.code}"}, words)
        level = LEVELS.get(report.verdict, "warning")
        yield _command(level, {"file": name, "title": f"fastgrad: {report.verdict}"}, report.sentence())


def summary(reports: Iterable[tuple[str, BaseReport | str]]) -> str:
    """Return the summary of a step: a table of reports, and those that are not right in full, folded."""
    lines, details = ["| file | verdict | |", "| --- | --- | --- |"], []
    for name, report in reports:
        told = report if isinstance(report, str) else report.sentence()
        verdict = "error" if isinstance(report, str) else report.verdict
        lines.append(f"| {_cell(name)} | {_cell(verdict)} | {_cell(told)} |")
        if isinstance(report, BaseReport) and not report.passed:
            text = plain_text(report).replace("```", "` ` `")
            details.append(f"<details><summary>{_cell(name)}</summary>\n\n```text\n{text}\n```\n\n</details>")
    return "### fastgrad\n\n" + "\n".join(lines) + "\n\n" + "\n".join(details) + "\n"


def _command(level: str, properties: dict[str, str], message: str) -> str:
    """Return a workflow command with everything escaped that could end it or begin another."""
    told = ",".join(f"{key}={_escaped(value, property=True)}" for key, value in properties.items())
    return f"::{level} {told}::{_escaped(message)}"


def _escaped(text: str, property: bool = False) -> str:
    """Return a text as GitHub's runner reads it back."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    text = text.replace(":", "%3A").replace(",", "%2C") if property else text
    return printable(text)


def _cell(text: str) -> str:
    """Return a text for a cell of a table in Markdown: no mark, no tag, no end of a line."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#|!~])", r"\\\1", text)
