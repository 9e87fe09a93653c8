"""What reports say, note and advise are sentences: they begin with a capital, a number or a name, and end with a full stop."""

import re
import signal
from dataclasses import replace

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import Interrupted
from fastgrad.judging import audit
from fastgrad.numerical import methods
from fastgrad.report import notes
from fastgrad.walk import check_problem

import problems
import reference

NAME = re.compile(r"(fastgrad|f|x|[dWbXYlZ]{1,2}\d?)\b")
"""What a sentence may begin with in small letters: the names of arrays, of penalties, of the function, of the program."""


def is_sentence(text):
    first = text.lstrip()[:1]
    return bool(first) and (first.isupper() or first.isdigit() or NAME.match(text.lstrip()) is not None)


def paragraphs(report):
    """Return what stands below the table, a sentence's lines put together; headings, tables, formulas and maps left out."""
    lines = str(report).splitlines()
    below = lines[len(lines) - lines[::-1].index("") :] if "" in lines else lines
    flush = "\n".join(line for line in below if not line.startswith(" "))
    return [text for text in re.split(r"(?<=[.\]])\n(?=[^\s\[])", flush) if text]


def case_of(seed, **changes):
    return replace(
        reference.random_case(seed, widths=(4, 5, 5, 3), loss="softmax_crossentropy", samples=5, activations=("relu", "relu")),
        **changes,
    )


def reports():
    """Yield reports of many kinds: right and wrong, sampled, fixed steps, directions, kinks, zeros, interrupted, unaudited."""
    case = case_of(1)
    problem = problems.problem(case, reference.gradient(case))
    wrong = replace(problem, claimed=problem.claimed * np.where(np.arange(problem.claimed.size) % 7, 1.0, 2.0))
    ways = ({}, {"sample": 20}, {"method": "directional"}, {"method": "textbook", "scheme": "forward"})
    for each in (problem, wrong):
        yield from (check_problem(each, **said) for said in ways)
    for each in (replace(problem, claimed=2.0 * problem.claimed), replace(problem, claimed_loss=0.25)):
        yield check_problem(each)
    yield check_problem(problem, tolerance=100.0)
    yield check_problem(replace(problem, claimed=problem.claimed + np.float32(1e-7) * np.abs(problem.claimed)))
    nothing = np.zeros(problem.claimed.size)
    zero = problems.problem(case_of(2, X=np.zeros((5, 4)), theta=nothing), nothing)
    yield check_problem(replace(zero, network=replace(zero.network, l1=(0.1,) * len(zero.tensors))))
    one = reference.random_case(3, widths=(3, 1), loss="mse", samples=1, activations=("identity",))
    yield check_problem(problems.problem(one, reference.gradient(one)))


def interrupted():
    case = case_of(1)

    def stop(done, total):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        check_problem(problems.problem(case, reference.gradient(case)), method="directional", progress=stop)
    return stopped.value.finished


def hold(report):
    for text in (*report.notes, *getattr(report, "advice", ()), *paragraphs(report), report.sentence()):
        assert is_sentence(text), text
    for text in (*paragraphs(report), report.sentence()):
        assert text.rstrip().endswith((".", "]")), text


def test_every_report_is_made_of_sentences():
    for report in reports():
        hold(report)


def test_so_is_one_that_was_interrupted():
    hold(interrupted())


def test_so_is_one_whose_audit_failed(monkeypatch):
    monkeypatch.setitem(audit.ACTIVATIONS, "relu", lambda z, p: 1.001 * np.maximum(z, 0.0))
    case = case_of(1)
    for method in ("parameter", "directional"):
        report = check_problem(problems.problem(case, reference.gradient(case)), method=method)
        assert "The audit failed" in report.notes[0]
        hold(report)


def test_so_is_one_that_was_cross_checked(monkeypatch):
    monkeypatch.setattr(methods, "AFFORDABLE", -1.0)
    case = case_of(1)
    report = check_problem(problems.problem(case, reference.gradient(case)))
    assert "agree by both methods" in report.notes[-1]
    hold(report)


def bowl_with_kink(x):
    return float((x**2).sum() + np.abs(x[0]))


def test_so_are_reports_of_functions():
    for factor in (2.0, 1.0, 0.0):
        for method in ("entries", "directions"):
            x = np.array([0.0, 1.0, 2.0])
            report = fastgrad.check_function(bowl_with_kink, lambda x, factor=factor: factor * x, x, method=method)
            hold(replace(report, entries=()))


@pytest.mark.parametrize(
    "sentence",
    [
        notes.interrupted(3, 10),
        notes.not_named(20.0),
        notes.judged_with_constant("log(p + 1e-08)", 1e-8),
        notes.fits_with_constant("log(p + 1e-08)", 1e-2),
        notes.looks_rounded(1e-7),
        notes.not_drawn(["dW1"], 4),
        notes.lost(["W1", "b1"]),
        notes.zeros_in_penalty(1),
        notes.on_kinks(1, 1, 1, "float64"),
        notes.on_kinks(2, 1, 3, "float32"),
        notes.zero_gradients(["dW1"]),
    ],
)
def test_notes_are_sentences_made_from_facts(sentence):
    assert is_sentence(sentence)
    assert not sentence.endswith("."), "the full stop is put where it is printed"
