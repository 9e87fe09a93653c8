"""What each tool of the README's table takes and says, by the same right and wrong gradient: ``pytest bench/test_tools.py``.

The network is the demo `planted`, whose db1 is four times and whose dW2 is twice as large as it should be; `repaired` is the
same without these mistakes. Everybody has its defaults. Whose library is missing is skipped.
"""

import numpy as np
import pytest

import fastgrad
from fastgrad.teaching import demo

NAMES = ("W1", "b1", "W2", "b2", "W3", "b3")
WRONG, RIGHT = demo.find("planted").build()[0], demo.find("repaired").build()[0]
SHAPES = [WRONG[name].shape for name in NAMES]
PLACES = np.cumsum([0, *(WRONG[name].size for name in NAMES)])


def flat(arrays, prefix=""):
    return np.concatenate([arrays[prefix + name].ravel() for name in NAMES])


def parts(theta):
    return [theta[a:b].reshape(shape) for a, b, shape in zip(PLACES, PLACES[1:], SHAPES, strict=False)]


def loss(theta):
    """Return the mean cross-entropy of the network, as a course has it."""
    W1, b1, W2, b2, W3, b3 = parts(theta)
    a1 = np.maximum(W1 @ WRONG["X"] + b1, 0.0)
    a2 = np.maximum(W2 @ a1 + b2, 0.0)
    p = 1.0 / (1.0 + np.exp(-(W3 @ a2 + b3)))
    Y = WRONG["Y"].reshape(p.shape)
    return float(-np.mean(Y * np.log(p) + (1.0 - Y) * np.log(1.0 - p)))


THETA = flat(WRONG)


def test_fastgrad_names_tensors_entries_and_mistakes_from_the_arrays_alone():
    said = demo.find("planted").build()[1]
    parameters, gradients = {name: WRONG[name] for name in NAMES}, {f"d{name}": WRONG[f"d{name}"] for name in NAMES}
    report = fastgrad.check(parameters, gradients, WRONG["X"], WRONG["Y"], **said)
    assert [tensor.gradient_name for tensor in report.tensors if tensor.verdict == "wrong"] == ["db1", "dW2"]
    assert [finding.code for finding in report.findings] == ["factor.two", "factor.constant"]


def test_scipys_check_grad_answers_one_number_for_all_parameters():
    from scipy.optimize import check_grad

    assert isinstance(check_grad(loss, lambda _: flat(WRONG, "d"), THETA), float)
    assert check_grad(loss, lambda _: flat(WRONG, "d"), THETA) > 0.1
    assert 1e-9 < check_grad(loss, lambda _: flat(RIGHT, "d"), THETA) < 1e-5


def test_the_courses_formula_answers_one_number():
    central = np.array([(loss(THETA + move) - loss(THETA - move)) / 2e-7 for move in 1e-7 * np.eye(THETA.size)])
    ratios = {}
    for name, arrays in (("wrong", WRONG), ("right", RIGHT)):
        claimed = flat(arrays, "d")
        ratios[name] = np.linalg.norm(central - claimed) / (np.linalg.norm(central) + np.linalg.norm(claimed))
    assert ratios["wrong"] > 0.1
    assert 1e-12 < ratios["right"] < 1e-6


def hand(torch, arrays):
    class Hand(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *parameters):
            return torch.tensor(loss(np.concatenate([one.detach().numpy().ravel() for one in parameters])), dtype=torch.float64)

        @staticmethod
        def backward(ctx, upstream):
            return tuple(upstream * torch.from_numpy(arrays[f"d{name}"].copy()) for name in NAMES)

    inputs = [torch.from_numpy(part.copy()).requires_grad_() for part in parts(THETA)]
    return Hand.apply, inputs


def test_torch_gradcheck_wants_a_function_of_its_own_and_tells_the_first_argument():
    torch = pytest.importorskip("torch")
    assert torch.autograd.gradcheck(*hand(torch, RIGHT))
    from torch.autograd.gradcheck import GradcheckError

    with pytest.raises(GradcheckError) as caught:
        torch.autograd.gradcheck(*hand(torch, WRONG))
    text = str(caught.value)
    assert "with respect to input 1" in text, "b1 is the second argument"
    assert "with respect to input 2" not in text, "W2 is wrong as well, and not told"


def test_jax_check_grads_wants_a_custom_vjp_and_tells_no_argument():
    jax = pytest.importorskip("jax")
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)

    def of(arrays):
        function = jax.custom_vjp(lambda *values: jax.numpy.asarray(loss(np.concatenate([np.ravel(one) for one in values]))))
        backward = lambda _, upstream: tuple(upstream * arrays[f"d{name}"] for name in NAMES)  # noqa: E731
        function.defvjp(lambda *values: (function(*values), None), backward)
        return function

    check_grads(of(RIGHT), parts(THETA), order=1, modes=["rev"])
    with pytest.raises(AssertionError) as caught:
        check_grads(of(WRONG), parts(THETA), order=1, modes=["rev"])
    assert "cotangent" in str(caught.value), "one sum along a random direction"
