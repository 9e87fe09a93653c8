"""How: what cannot be used is refused at the door, before anything is read or done; Ctrl-C in the second look is heard."""

import dataclasses
import inspect
import signal

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError, Interrupted
from fastgrad.judging import crosscheck
from fastgrad.numerical import differences, methods
from fastgrad.numerical.how import How
from fastgrad.walk import check_problem

import problems
import reference

CASE = reference.random_case(7, widths=(5, 6, 3), loss="softmax_crossentropy", samples=6, activations=("tanh",))
REFUSED = [
    ({"method": "newton"}, "method must be one of auto, parameter"),
    ({"step": 0.0}, "step must be a positive number, found 0.0"),
    ({"sample": "few"}, "sample must be a whole number of parameters"),
    ({"seed": -1}, "seed must be a whole number of at least 0"),
    ({"directions": 3}, "directions go with method directional, found method auto"),
    ({"tolerance": np.nan}, "tolerance must be a positive number"),
    ({"tolerance": 1e-6}, "tolerance counts roundings of an entry and is at least 1, found 1e-06; usual is 32"),
    ({"threads": 0}, "threads must be a whole number from 1"),
]


@pytest.mark.parametrize(("said", "complaint"), REFUSED)
def test_what_cannot_be_used_is_refused_before_the_function_is_called(said, complaint):
    def backward(parameters, X, Y):
        raise AssertionError("it was called")

    with pytest.raises(InputError, match=complaint):
        fastgrad.check([np.ones((1, 2))], backward=backward, X=np.ones((3, 2)), Y=np.ones((3, 1)), **said)


def test_it_holds_every_keyword_of_check_that_is_not_about_the_network():
    keywords = {name for name, p in inspect.signature(fastgrad.check).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert {field.name for field in dataclasses.fields(How)} == keywords - {"backward", "masks", "infer"}


def interrupted(*_):
    raise Interrupted(None)


@pytest.mark.parametrize("where", ["the exact difference", "the cross-check"])
def test_ctrl_c_in_a_second_look_leaves_no_half_a_gradient_for_a_report(monkeypatch, where):
    """It used to come out as Interrupted with a numerical gradient, which the command then took for a report."""
    problem = problems.problem(CASE, reference.gradient(CASE))
    if where == "the cross-check":
        monkeypatch.setattr(methods, "AFFORDABLE", -1.0)
        said, module = {}, crosscheck
    else:
        said, module = {"step": 1e-5}, differences
    undisturbed = module.undisturbed

    def pressed(*arguments):
        monkeypatch.setattr(differences, "difference", interrupted)
        return undisturbed(*arguments)

    monkeypatch.setattr(module, "undisturbed", pressed)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as stopped:
        check_problem(problem, **said)
    assert not isinstance(stopped.value, Interrupted)
    assert signal.getsignal(signal.SIGINT) is before
