"""The plugin for pytest: fixtures that fail with a report, a marker, reports in a folder, a summary.

pytest loads it at every start, so nothing heavy is imported before a fixture is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastgrad.report.base import BaseReport

PROPERTY = "fastgrad"
"""The user property of a test that carries what was checked in it, from a worker of xdist as well."""
LINES = 14
"""Lines of a failure; the rest stands in the report."""
LONGEST = 120
"""Characters of a test's name in that of a file."""
MARKED = ("tolerance", "seed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for reports."""
    group = parser.getgroup("fastgrad")
    group.addoption(
        "--fastgrad-report",
        metavar="DIR",
        default=None,
        help="Write an HTML and a JSON report of every check into this folder.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse a folder for reports that cannot be one."""
    folder = config.getoption("fastgrad_report")
    if folder is not None:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"--fastgrad-report {folder}: no folder can be made there: {error.strerror}") from None
    config.addinivalue_line(
        "markers",
        "fastgrad(tolerance=…, seed=…): defaults of check_gradients and check_layer in this test, as in fastgrad.check",
    )


@pytest.fixture
def check_gradients(request: pytest.FixtureRequest) -> Callable[..., BaseReport]:
    """Check gradients as `fastgrad.check` does, and fail with the report where they are not right; return the report."""
    return partial(_checked, request, "check")


@pytest.fixture
def check_layer(request: pytest.FixtureRequest) -> Callable[..., BaseReport]:
    """Check a layer as `fastgrad.check_layer` does, and fail with the report where it is not right; return the report."""
    return partial(_checked, request, "check_layer")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many gradients were checked, and which are not right."""
    checks = [
        (report.nodeid, *json.loads(value))
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not checks:
        return
    counts = {verdict: sum(found == verdict for _, found, _ in checks) for _, verdict, _ in checks}
    terminalreporter.section("fastgrad")
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    terminalreporter.line(f"{len(checks)} check{'' if len(checks) == 1 else 's'} of gradients: {told}")
    for node, verdict, sentence in checks:
        if verdict != "right":
            terminalreporter.line(f"{node}: {sentence}")


def _defaults(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what the marker says."""
    marker = request.node.get_closest_marker("fastgrad")
    if marker is None:
        return {}
    if marker.args or set(marker.kwargs) - set(MARKED):
        pytest.fail(f"the marker fastgrad takes {' and '.join(f'{name}=' for name in MARKED)}", pytrace=False)
    return dict(marker.kwargs)


def _checked(request: pytest.FixtureRequest, function: str, /, *arguments: Any, **options: Any) -> BaseReport:
    """Call a function of fastgrad's; what it cannot check fails the test with its message and nothing of ours around it."""
    __tracebackhide__ = True
    import fastgrad

    try:
        report = getattr(fastgrad, function)(*arguments, **{**_defaults(request), **options})
    except fastgrad.InputError as error:
        complaint = f"fastgrad.{function}: {error}"
    else:
        return _judged(request, report)
    pytest.fail(complaint, pytrace=False)  # out here, where pytest shows no other exception beside it


def _judged(request: pytest.FixtureRequest, report: BaseReport) -> BaseReport:
    """Record a report, write it where that is wanted, and fail where it did not pass."""
    __tracebackhide__ = True
    request.node.user_properties.append((PROPERTY, json.dumps([report.verdict, report.sentence()])))
    folder = request.config.getoption("fastgrad_report")
    written = "" if folder is None else _write(Path(folder), request.node, report)
    if not report.passed:
        pytest.fail("\n".join(_short(report, written)), pytrace=False)
    return report


def _short(report: BaseReport, written: str) -> Iterator[str]:
    """Yield the report, cut to a few lines, and where all of it stands."""
    lines = [line for line in report.complaint().splitlines() if line.strip()]
    rest = len(lines) - LINES + 1
    yield from lines if rest <= 1 else lines[: LINES - 1]
    if written:
        yield f"The whole report: {written}"
    elif rest > 1:
        yield f"… {rest} more lines; --fastgrad-report DIR writes the whole report"


def _write(folder: Path, node: Any, report: BaseReport) -> str:
    """Write a report as HTML and JSON under the test's name and the number of its check; return the name of the page."""
    from fastgrad.report import html
    from fastgrad.report.formatting import printable

    number = sum(name == PROPERTY for name, _ in node.user_properties)
    stem = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', node.nodeid)[-LONGEST:].strip('-.')}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{stem}.html"
    page.write_text(html.page(report, printable(node.nodeid)), encoding="utf-8", errors="replace")
    document = json.dumps(report.to_dict(), indent=2, allow_nan=False)
    (folder / f"{stem}.json").write_text(document, encoding="utf-8", errors="replace")
    return str(page)
