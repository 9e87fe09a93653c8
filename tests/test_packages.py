"""Arrays of PyTorch, JAX, pandas and polars as these packages make them: each is skipped where its package is not installed."""

import warnings

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the packages themselves

RNG = np.random.default_rng(3)
X, CLASSES = RNG.normal(size=(8, 4)), np.array([0, 1, 2, 0, 1, 2, 2, 0])
SAID = {"hidden": "tanh", "loss": "CrossEntropyLoss", "layout": "rows"}


# PyTorch.


def network(kind="float64", bias=True):
    """Return a module of two linear layers after a backward pass, with X and the labels as tensors, and the loss."""
    import torch

    torch.manual_seed(0)
    dtype = getattr(torch, kind)
    net = torch.nn.Sequential(torch.nn.Linear(4, 5, bias=bias), torch.nn.Tanh(), torch.nn.Linear(5, 3)).to(dtype)
    x, y = torch.tensor(X, dtype=dtype), torch.tensor(CLASSES)
    loss = torch.nn.functional.cross_entropy(net(x), y)
    loss.backward()
    return net, x, y, loss


def gradients(net):
    return {name: p.grad for name, p in net.named_parameters()}


HELD = {
    "named parameters and .grad": lambda net: (dict(net.named_parameters()), gradients(net)),
    "state_dict": lambda net: (net.state_dict(), gradients(net)),
    "list of parameters": lambda net: (list(net.parameters()), [p.grad for p in net.parameters()]),
    "generators": lambda net: (net.parameters(), (p.grad for p in net.parameters())),
    "pairs": lambda net: (
        [(m.weight, m.bias) for m in (net[0], net[2])],
        [(m.weight.grad, m.bias.grad) for m in (net[0], net[2])],
    ),
    "the module": lambda net: (net, None),
    "the module and a dict": lambda net: (net, gradients(net)),
    "modules": lambda net: (list(net), None),
    "parameters that hold their gradients": lambda net: (list(net.parameters()), None),
    "a dict of such": lambda net: (dict(net.named_parameters()), None),
    "named_parameters()": lambda net: (net.named_parameters(), None),
}


@pytest.mark.extra("torch")
@pytest.mark.parametrize("form", HELD)
def test_parameters_of_a_module_with_their_gradients(form):
    net, x, y, loss = network()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = fastgrad.check(*HELD[form](net), x.requires_grad_(), y, loss_value=loss, **SAID)
    assert report.passed
    assert (len(report.tensors), report.loss_note) == (4, None)
    net[0].weight.grad *= 1.01
    wrong = fastgrad.check(*HELD[form](net), x, y, **SAID)
    assert [tensor.verdict for tensor in wrong.tensors] == ["wrong", "right", "right", "right"]


@pytest.mark.extra("torch")
def test_modules_of_ones_own_and_without_a_bias():
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = torch.nn.Linear(4, 5, bias=False), torch.nn.Linear(5, 3)

        def forward(self, x):
            return self.fc2(torch.tanh(self.fc1(x)))

    net = Net().double()
    torch.nn.functional.cross_entropy(net(torch.tensor(X)), torch.tensor(CLASSES)).backward()
    report = fastgrad.check(net, None, X, CLASSES, **SAID)
    assert report.passed
    assert [tensor.name for tensor in report.tensors] == ["fc1.weight", "fc2.weight", "fc2.bias"]


@pytest.mark.extra("torch")
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_tensors_of_less_than_double_precision(kind):
    net, x, y, _ = network(kind)
    assert fastgrad.check(net, None, x, y, **SAID).passed
    net[0].weight.grad *= 2.0
    assert fastgrad.check(net, None, x, y, **SAID).verdict == "wrong"


@pytest.mark.extra("torch")
def test_bfloat16_is_not_accused():
    net, x, y, _ = network("bfloat16")
    assert {tensor.verdict for tensor in fastgrad.check(net, None, x, y, **SAID).tensors} <= {"right", "not judged"}


@pytest.mark.extra("torch")
def test_a_function_of_tensors():
    import torch

    net, x, y, _ = network()

    def backward(p, x, y):
        assert all(isinstance(value, torch.Tensor) for value in (*p.values(), x, y))
        leaves = {name: value.detach().requires_grad_() for name, value in p.items()}
        z = torch.tanh(x @ leaves["0.weight"].T + leaves["0.bias"]) @ leaves["2.weight"].T + leaves["2.bias"]
        torch.nn.functional.cross_entropy(z, y).backward()
        return {name: value.grad for name, value in leaves.items()}

    assert fastgrad.check(dict(net.named_parameters()), backward=backward, X=x, Y=y, **SAID).passed


@pytest.mark.extra("torch")
def test_a_function_of_a_module():
    import torch

    net, x, y, _ = network()

    def backward(net, x, y, factor=1.0):
        net.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        return {name: p.grad * (factor if name == "0.bias" else 1.0) for name, p in net.named_parameters()}

    before = net[0].weight.detach().clone()
    report = fastgrad.check(net, backward=backward, X=x, Y=y, **SAID)
    assert report.passed, str(report)
    assert len(report.trials) == 3
    assert torch.equal(net[0].weight, before)
    wrong = fastgrad.check(net, backward=lambda net, x, y: backward(net, x, y, 1.01), X=x, Y=y, **SAID)
    assert [finding.code for finding in wrong.findings] == ["factor.constant"]


@pytest.mark.extra("torch")
@pytest.mark.parametrize("output", ["tanh", "relu", "sigmoid", "softmax"])
def test_losses_that_are_no_usual_pair_are_those_of_pytorch(output):
    import torch

    W, b = torch.tensor(RNG.normal(size=(3, 4)), requires_grad=True), torch.tensor(RNG.normal(size=3), requires_grad=True)
    a = {"softmax": lambda z: torch.softmax(z, dim=1)}.get(output, getattr(torch, output))(torch.tensor(X) @ W.T + b)
    loss, y = "CrossEntropyLoss", torch.tensor(CLASSES)
    if output == "softmax":
        loss, y = "BCELoss", torch.nn.functional.one_hot(y, 3).double()
    value = getattr(torch.nn, loss)()(a, y)
    value.backward()
    report = fastgrad.check({"W1": W, "b1": b}, None, X, y, output=output, loss=f"nn.{loss}", loss_value=value)
    assert report.passed
    assert report.loss_note is None


# JAX.


def tree():
    import jax.numpy as jnp

    shapes = {"kernel": (4, 5), "bias": (5,)}, {"kernel": (5, 3), "bias": (3,)}
    draw = np.random.default_rng(5)
    return {f"Dense_{i}": {name: jnp.asarray(draw.normal(size=s)) for name, s in one.items()} for i, one in enumerate(shapes)}


def value(p, x, y):
    import jax
    import jax.numpy as jnp

    first, second = p["Dense_0"], p["Dense_1"]
    z = jnp.tanh(x @ first["kernel"] + first["bias"]) @ second["kernel"] + second["bias"]
    return -jax.nn.log_softmax(z)[jnp.arange(len(x)), y].mean()


@pytest.mark.extra("jax")
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_trees_of_jax(kind):
    import jax

    parameters = jax.tree.map(lambda a: a.astype(kind), tree())
    x, y = jax.numpy.asarray(X).astype(kind), jax.numpy.asarray(CLASSES)
    claim = jax.grad(value)(parameters, x, y)
    report = fastgrad.check({"params": parameters}, {"params": claim}, x, y, **SAID)
    assert report.passed or (kind == "bfloat16" and report.verdict == "not judged")
    assert [tensor.name for tensor in report.tensors][:2] == ["params.Dense_0.kernel", "params.Dense_0.bias"]
    if kind != "bfloat16":
        claim["Dense_1"]["kernel"] = claim["Dense_1"]["kernel"] * 1.5
        assert fastgrad.check(parameters, claim, x, y, **SAID).verdict == "wrong"


@pytest.mark.extra("jax")
def test_a_function_of_jax():
    import jax

    x, y = jax.numpy.asarray(X, dtype="float32"), jax.numpy.asarray(CLASSES)
    assert fastgrad.check(tree(), backward=jax.grad(value), X=x, Y=y, **SAID).passed


# pandas and polars.


def plain():
    """Return parameters and gradients by plain NumPy."""
    draw = np.random.default_rng(7)
    p = {"W1": draw.normal(size=(4, 5)), "b1": draw.normal(size=5), "W2": draw.normal(size=(5, 3)), "b2": draw.normal(size=3)}
    return p, backward(p, X, CLASSES)


def backward(p, x, y):
    x, y = np.asarray(x, dtype=float), np.asarray(y).ravel()
    p = {name: np.asarray(v) for name, v in p.items()}
    a = np.tanh(x @ p["W1"] + p["b1"])
    e = np.exp(a @ p["W2"] + p["b2"])
    d = (e / e.sum(axis=1, keepdims=True) - np.eye(3)[y]) / len(x)
    d1 = (d @ p["W2"].T) * (1.0 - a * a)
    return {"W1": x.T @ d1, "b1": d1.sum(axis=0), "W2": a.T @ d, "b2": d.sum(axis=0)}


FRAMES = {
    "frame and series": lambda pd: (pd.DataFrame(X, columns=list("abcd")), pd.Series(CLASSES)),
    "frames": lambda pd: (pd.DataFrame(X), pd.DataFrame({"y": CLASSES})),
    "dummies": lambda pd: (pd.DataFrame(X), pd.get_dummies(pd.Series(CLASSES))),
    "categories": lambda pd: (pd.DataFrame(X), pd.Series(CLASSES).astype("category")),
    "nullable": lambda pd: (pd.DataFrame(X).astype("Float64"), pd.Series(CLASSES).astype("Int64")),
    "objects": lambda pd: (pd.DataFrame(X).astype(object), pd.Series(CLASSES).astype(object)),
    "an index of its own": lambda pd: (pd.DataFrame(X, index=range(10, 18)), pd.Series(CLASSES, index=range(10, 18))),
}


@pytest.mark.extra("pandas")
@pytest.mark.parametrize("form", FRAMES)
def test_frames(form):
    import pandas as pd

    parameters, claim = plain()
    x, y = FRAMES[form](pd)
    assert fastgrad.check(parameters, claim, x, y, **SAID).passed
    claim["W1"] = claim["W1"] * 1.01
    assert fastgrad.check(parameters, claim, x, y, **SAID).verdict == "wrong"


@pytest.mark.extra("pandas")
def test_parameters_in_frames_and_functions_of_frames():
    import pandas as pd

    parameters, claim = plain()
    framed = [{n: pd.DataFrame(v) if v.ndim == 2 else pd.Series(v) for n, v in one.items()} for one in (parameters, claim)]
    assert fastgrad.check(*framed, pd.DataFrame(X), pd.Series(CLASSES), **SAID).passed
    assert fastgrad.check(framed[0], backward=backward, X=pd.DataFrame(X), Y=pd.Series(CLASSES), **SAID).passed


@pytest.mark.extra("pandas")
def test_frames_with_text_or_holes_are_refused_by_name():
    import pandas as pd

    parameters, claim = plain()
    with pytest.raises(InputError, match="Y must hold real numbers"):
        fastgrad.check(parameters, claim, X, pd.Series(list("abcabcca")), **SAID)
    with pytest.raises(InputError, match=r"X\[0, 0\] is nan"):
        fastgrad.check(parameters, claim, pd.DataFrame(X).where(pd.DataFrame(X) != X[0, 0]), CLASSES, **SAID)


@pytest.mark.extra("polars")
def test_frames_of_polars():
    import polars as pl

    parameters, claim = plain()
    assert fastgrad.check(parameters, claim, pl.DataFrame(X), pl.Series(CLASSES), **SAID).passed
    assert fastgrad.check(parameters, backward=backward, X=pl.DataFrame(X), Y=pl.Series(CLASSES), **SAID).passed
