"""One protocol for all reports: what they share is written once, and each verdict has a sign, a style and an exit code."""

import json
import re
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import fastgrad
from fastgrad.diagnosis.selftest import selftest
from fastgrad.functions import report as functions_report
from fastgrad.layers import report as layers_report
from fastgrad.report.base import BaseReport
from fastgrad.report.parts import Finding
from fastgrad.report.verdicts import SIGNS, STYLES
from fastgrad.trials import report as trials_report
from fastgrad_cli import terminal
from fastgrad_cli.main import main

import problems
import reference

ROOT = Path(__file__).parents[1]
SHARED = ("passed", "__bool__", "raise_if_wrong", "to_dict", "headline", "__str__", "__rich_console__")
rng = np.random.default_rng(0)
W, X, Y = rng.normal(size=(3, 2)), rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
LINEAR = {"output": "identity", "loss": "squared_error", "layout": "rows,in_out"}


def backward(parameters, X, Y):
    return {"dW1": X.T @ (X @ parameters["W1"] - Y) / len(X)}


def check(gradient):
    return fastgrad.check({"W1": W}, {"dW1": gradient}, X, Y, **LINEAR)


def tried(function):
    return fastgrad.check({"W1": W}, backward=function, X=X, Y=Y, **LINEAR)


def of_function(factor):
    return fastgrad.check_function(lambda x: float((x**2).sum()), lambda x: factor * x, np.array([1.0, 2.0]))


def of_layer(factor):
    return fastgrad.check_layer(np.tanh, lambda dout, x: factor * dout * (1 - np.tanh(x) ** 2), X)


def of_jacobian(factor):
    return fastgrad.check_jacobian(np.sin, lambda x: factor * np.diag(np.cos(x)), X[0])


def of_chain(factor):
    layer = (np.tanh, lambda dout, x: factor * dout * (1 - np.tanh(x) ** 2))
    return fastgrad.check_chain([layer, layer], lambda s, Y: (((s - Y) ** 2).sum(), 2 * (s - Y)), X, 0.0)


RIGHT = backward({"W1": W}, X, Y)["dW1"]
CASE = reference.random_case(3, widths=(3, 2), loss="squared_error", samples=4, activations=("identity",))
MAKERS = {
    "check, right": (lambda: check(RIGHT), "right"),
    "check, wrong": (lambda: check(2 * RIGHT), "wrong"),
    "trials, right": (lambda: tried(backward), "right"),
    "trials, wrong": (lambda: tried(lambda *given: {"dW1": -backward(*given)["dW1"]}), "wrong"),
    "function, right": (lambda: of_function(2.0), "right"),
    "function, wrong": (lambda: of_function(1.0), "wrong"),
    "layer, right": (lambda: of_layer(1.0), "right"),
    "layer, wrong": (lambda: of_layer(2.0), "wrong"),
    "layer, not judged": (
        lambda: fastgrad.check_layer(lambda x, y: x * y, lambda dout, x, y: (dout * y, None), (X, X)),
        "not judged",
    ),
    "Jacobian, right": (lambda: of_jacobian(1.0), "right"),
    "Jacobian, wrong": (lambda: of_jacobian(2.0), "wrong"),
    "chain, right": (lambda: of_chain(1.0), "right"),
    "chain, wrong": (lambda: of_chain(2.0), "wrong"),
    "self-test": (lambda: selftest(problems.problem(CASE)), "right"),
}


@cache
def made(name):
    return MAKERS[name][0]()


@pytest.mark.parametrize("name", MAKERS)
def test_every_report_answers_the_same_questions(name):
    report, verdict = made(name), MAKERS[name][1]
    assert isinstance(report, BaseReport)
    assert (report.verdict, report.passed, bool(report)) == (verdict, verdict == "right", verdict == "right")
    document = report.to_dict()
    assert list(document)[:3] == ["schema", "passed", "verdict"]
    assert (document["passed"], document["verdict"]) == (report.passed, verdict)
    json.dumps(document, allow_nan=False)
    first = str(report).splitlines()[0]
    assert first == report.headline().plain.rstrip()
    assert first.startswith(f"{SIGNS[verdict]} {verdict.upper()}  ")
    assert all(isinstance(finding, Finding) for finding in report.findings)
    assert all(isinstance(note, str) for note in report.notes)
    if report.passed:
        report.raise_if_wrong()
    else:
        with pytest.raises(fastgrad.GradientError, match=re.escape(report.sentence().split(":")[0])):
            report.raise_if_wrong()


@pytest.mark.parametrize("name", MAKERS)
def test_a_terminal_that_knows_ascii_only_gets_an_ascii_sign(name):
    report = made(name)
    console = Console(width=100, color_system=None, force_terminal=False, _environ={})
    with console.capture() as capture:
        console.print(report.headline(ascii_only=True))
    assert capture.get().isascii()


def test_findings_of_trials_are_those_of_its_points_once():
    report = tried(lambda *given: {"dW1": -backward(*given)["dW1"]})
    named = {(finding.code, finding.tensor) for trial in report.trials for finding in trial.report.findings}
    assert [(finding.code, finding.tensor) for finding in report.findings] == list(named) == [("factor.sign", "dW1")]
    assert sum(len(trial.report.findings) for trial in report.trials) > 1


def test_what_reports_share_is_written_once():
    reports = BaseReport.__subclasses__()
    assert {report.__name__ for report in reports} == {
        *("Report", "BackwardReport", "FunctionReport", "SelfTest"),
        *("LayerReport", "JacobianReport", "ChainReport"),
    }
    for report in reports:
        assert set(vars(report)).isdisjoint(SHARED), report


def test_every_verdict_has_a_sign_a_style_and_an_exit_code():
    of_reports = {"right", "wrong", "not judged", *get_args(functions_report.Verdict), *get_args(trials_report.Verdict)}
    of_reports |= {*get_args(layers_report.Verdict)}
    assert set(terminal.EXIT_CODES) == of_reports
    assert of_reports <= SIGNS.keys() == STYLES.keys()
    assert terminal.EXIT_CODES["inconclusive"] == terminal.EXIT_CODES["not judged"] == terminal.NOT_JUDGED


def test_the_version_of_the_documents_is_said_once():
    sources = [*(ROOT / "fastgrad").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    said = [path.name for path in sources if re.search(r"^SCHEMA\b.*=", path.read_text(encoding="utf-8"), re.M)]
    assert said == ["_version.py"]


def test_a_selftest_begins_with_its_verdict(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("rows.npz", W1=W, X=X, Y=Y)
    said = ["--output", "identity", "--loss", "squared_error", "--layout", "rows,in_out"]
    result = CliRunner().invoke(main, ["selftest", "rows.npz", *said])
    assert result.exit_code == 0, result.output
    assert re.match(r"(✓|\+) RIGHT  \d+ mistakes planted, ", result.stdout)
