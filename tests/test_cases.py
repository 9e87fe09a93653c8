"""Real networks and the gradients that their own code produced: the verdict must be the recorded one, tensor by tensor."""

import pytest

from fastgrad.reading import Description, QuestionError, modelfile
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


def questions(path):
    """Return the items that are asked of a file, none where it is read."""
    try:
        modelfile.load(path)
    except QuestionError as question:
        return set(question.examples)
    return set()


@pytest.mark.parametrize("name", NAMES)
def test_a_raw_file_is_read_at_once_or_after_one_question(name):
    """Nothing is said beforehand; what is asked, and that alone, is answered as the case's own source has it."""
    path, whole = cases.model_file(name), cases.options(cases.sidecar(name))
    items = questions(path)
    if items & {"hidden", "output"}:
        items = (items - {"hidden", "output"}) | {"activations"}
    answers = {item: getattr(whole, item) for item in items}
    assert None not in answers.values()
    problem = modelfile.load(path, Description(**answers))
    assert problem.network.widths == modelfile.load(path, whole).network.widths
