"""Real networks and the gradients that their own code produced: the verdict must be the recorded one, tensor by tensor."""

import pytest

from fastgrad.reading import modelfile
from fastgrad.walk import check_problem

import cases

NAMES = cases.names()

TEXTBOOK_PARAMETERS = 400
"""Of larger networks the textbook loop, far slower, checks a sample of this many."""


def verdicts(problem, **how):
    report = check_problem(problem, **how)
    pairs = zip(problem.tensors, report.tensors, strict=True)
    wrong = {f"{tensor.kind}{tensor.layer + 1}" for tensor, found in pairs if found.verdict == "wrong"}
    return report, wrong


@pytest.mark.compiled
@pytest.mark.parametrize("method", ["parameter", "preactivation", "textbook"])
@pytest.mark.parametrize("name", NAMES)
def test_verdict_is_the_recorded_one(name, method):
    sidecar = cases.sidecar(name)
    problem = modelfile.load(cases.model_file(name), cases.options(sidecar))
    sample = TEXTBOOK_PARAMETERS if method == "textbook" else None
    report, wrong = verdicts(problem, method=method, sample=sample)
    assert wrong == set(sidecar["wrong_tensors"])
    assert report.verdict == sidecar["verdict"]


@pytest.mark.compiled
@pytest.mark.parametrize("name", NAMES)
def test_loss_is_the_sources_own_or_its_convention_is_named(name):
    sidecar = cases.sidecar(name)
    problem = modelfile.load(cases.model_file(name), cases.options(sidecar))
    report, _ = verdicts(problem)
    if "log(y+1e-7)" in sidecar["loss"]["formula"]:
        assert report.loss == pytest.approx(sidecar["loss_value"], rel=1e-6)
    else:
        assert report.loss_note is None
