"""fastgrad.torch: verdicts beside those of torch's own gradcheck, planted mistakes, and all that must stay as it was."""

import doctest
import importlib
import inspect
import random
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import fastgrad
from fastgrad.report.base import BaseReport

torch = None if find_spec("torch") is None else importlib.import_module("torch")
pytestmark = [
    pytest.mark.extra("torch"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),  # by forward mode, of torch's own code
]


def function(forward, backward, saves_output=False):
    """Return an autograd.Function of one tensor, with its backward pass of what was saved and the upstream gradient."""

    class Written(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            out = forward(x)
            ctx.save_for_backward(out if saves_output else x)
            return out

        @staticmethod
        def backward(ctx, grad):
            return backward(ctx.saved_tensors[0], grad)

    return Written.apply


def cube(slope=lambda x: 3 * x**2):
    return function(lambda x: x**3, lambda x, grad: slope(x) * grad)


def point(*shape, dtype="float64", requires_grad=True):
    numbers = np.random.default_rng(5).normal(size=shape)
    return torch.tensor(numbers, dtype=getattr(torch, dtype)).requires_grad_(requires_grad)


def softmax(backward):
    return function(lambda x: torch.softmax(x, -1), backward, saves_output=True)


RIGHT = {
    "elementwise": lambda: (torch.sin, point(2, 3)),
    "written": lambda: (cube(), point(2, 3)),
    "softmax": lambda: (softmax(lambda s, g: s * (g - (g * s).sum(-1, keepdim=True))), point(2, 3)),
    "several": lambda: (lambda a, b: (a @ b, a.sum() * b), (point(2, 3), point(3, 2))),
    "not differentiable outputs": lambda: (lambda x: (x**2, x.argmax()), point(4)),
    "complex": lambda: (lambda z: z * z.conj() + z.exp(), torch.complex(point(3), point(3)).detach().requires_grad_()),
    "from real to complex": lambda: (lambda x: torch.fft.fft(x), point(4)),
    "scalar": lambda: (lambda x: (x**2).sum(), point(3)),
}
WRONG = {
    "factor": lambda: (cube(lambda x: 2 * x**2), point(2, 3)),
    "sign": lambda: (cube(lambda x: -3 * x**2), point(2, 3)),
    "one entry": lambda: (cube(lambda x: 3 * x**2 + torch.nn.functional.one_hot(torch.tensor(1), 3)), point(2, 3)),
    "no upstream gradient": lambda: (function(lambda x: x**3, lambda x, g: 3 * x**2), point(2, 3)),
    "softmax without its sum": lambda: (softmax(lambda s, g: s * g * (1 - s)), point(2, 3)),
    "zeros": lambda: (cube(lambda x: 0 * x), point(2, 3)),
    "detached": lambda: (lambda x: x * x.detach(), point(3)),
    "complex without conjugate": lambda: (
        function(lambda z: z**2, lambda z, g: g * 2 * z),
        torch.complex(point(3), point(3)).detach().requires_grad_(),
    ),
}


def verdict(check, func, inputs, **options):
    return check(func, inputs, raise_exception=False, **options)


@pytest.mark.parametrize("case", [*RIGHT, *WRONG])
def test_verdicts_are_those_of_torchs_gradcheck(case):
    func, inputs = (RIGHT | WRONG)[case]()
    ours, theirs = (verdict(check, func, inputs) for check in (fastgrad.torch.gradcheck, torch.autograd.gradcheck))
    assert ours is theirs is (case in RIGHT)


def test_the_signature_is_torchs():
    ours, theirs = (inspect.signature(check).parameters for check in (fastgrad.torch.gradcheck, torch.autograd.gradcheck))
    assert [(name, one.kind) for name, one in ours.items()] == [(name, one.kind) for name, one in theirs.items()]
    told = {name for name, one in theirs.items() if one.default != ours[name].default}
    assert told == {"eps", "atol", "rtol", "nondet_tol"}, "by default fastgrad judges by itself"


# What torch's gradcheck misses, or accuses.


def test_a_mistake_within_torchs_rtol_is_found():
    func = cube(lambda x: 3.0015 * x**2)
    assert torch.autograd.gradcheck(func, point(2, 3))
    with pytest.raises(fastgrad.torch.GradcheckError, match=r"6 of 6 entries"):
        fastgrad.torch.gradcheck(func, point(2, 3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_single_and_half_precision_are_judged_as_such(dtype):
    x = point(2, 3, dtype=dtype)
    assert fastgrad.torch.gradcheck(cube(), x)
    assert fastgrad.torch.gradcheck(lambda x: torch.nn.functional.layer_norm(x, (3,)), x)
    slope = 3.003 if dtype == "float32" else 4.0
    assert not fastgrad.torch.gradcheck(cube(lambda x: slope * x**2), x, raise_exception=False)


def test_what_rounding_may_explain_is_not_accused():
    """Half a period of the sine is less than the last bit of its argument, in the gradient and in the function."""
    report = fastgrad.torch.check_layer(lambda x: (1e6 * x).sin(), point(3, dtype="float32"))
    assert report.verdict == "inconclusive"
    assert fastgrad.torch.check_layer(lambda x: (1e6 * x).sin(), point(3)).passed


def test_kinks_of_single_precision_are_right_on_both_sides():
    x = torch.tensor([0.1, 0.3, 0.3, -0.0])
    assert fastgrad.torch.check_layer(lambda x: torch.relu(3 * x - 0.9), x).passed
    assert fastgrad.torch.check_layer(torch.relu, x).passed
    assert fastgrad.torch.check_layer(lambda x: x.amax(), x).passed


def test_a_function_that_takes_single_precision_only_is_judged_in_it():
    def only_single(factor):
        def forward(x):
            if x.dtype != torch.float32:
                raise TypeError("float32 only")
            return torch.tanh(x)

        return function(forward, lambda x, g: factor * g * (1 - torch.tanh(x) ** 2))

    report = fastgrad.torch.check_layer(only_single(1.0), point(3, dtype="float32"))
    assert report.passed
    assert any("differentiated in float32" in remark for remark in report.remarks)
    assert fastgrad.torch.check_layer(only_single(1.05), point(3, dtype="float32")).verdict == "wrong"


def test_expanded_inputs_are_numbers_by_themselves():
    x = point(3, 1).detach().expand(3, 4).requires_grad_()
    with pytest.raises(RuntimeError, match="stride 0"):
        torch.autograd.gradcheck(cube(), x)
    assert fastgrad.torch.gradcheck(cube(), x)


def test_inputs_keep_their_strides():
    seen = []

    def func(x):
        seen.append(x.stride())
        return x**2

    assert fastgrad.torch.gradcheck(func, point(2, 3).detach().T.requires_grad_())
    assert set(seen) == {(1, 3)}


def test_an_upstream_gradient_that_is_not_contiguous_is_tried():
    viewed = function(lambda x: 2 * x, lambda x, g: (2 * g.view(-1)).view(g.shape))
    assert torch.autograd.gradcheck(viewed, point(2, 3))
    with pytest.raises(fastgrad.torch.GradcheckError, match="other strides backward raises RuntimeError.*reshape"):
        fastgrad.torch.gradcheck(viewed, point(2, 3))
    raw = function(lambda x: 2 * x, lambda x, g: 2 * torch.as_strided(g, g.shape, (3, 1)))
    report = fastgrad.torch.check_layer(raw, point(2, 3))
    assert report.verdict == "wrong"
    assert str(report).startswith(
        "✗ WRONG  The numbers of the gradient at this point are right, and backward is wrong all the same."
    )
    assert "as if it were contiguous" in report.faults[0]
    assert report.to_dict()["faults"] == list(report.faults)


def test_backward_that_is_not_the_same_twice_is_told():
    noisy = function(lambda x: x**3, lambda x, g: 3 * x**2 * g + 1e-3 * torch.rand(x.shape))
    with pytest.raises(fastgrad.torch.GradcheckError, match="Two calls of backward.*two gradients of x"):
        fastgrad.torch.gradcheck(noisy, point(3))
    in_place = function(lambda x: x**3, lambda x, g: x.data.mul_(1.5).pow(2) * g * 3)
    assert not fastgrad.torch.gradcheck(in_place, point(3), raise_exception=False)
    tiny = function(lambda x: x**3, lambda x, g: 3 * x**2 * g + 1e-13 * torch.rand(x.shape))
    assert not torch.autograd.gradcheck(tiny, point(3), raise_exception=False)
    assert fastgrad.torch.gradcheck(tiny, point(3)), "as atomic additions on other devices make it"
    assert not fastgrad.torch.gradcheck(tiny, point(3), nondet_tol=0.0, raise_exception=False)
    assert not fastgrad.torch.gradcheck(noisy, point(3), nondet_tol=1.0, raise_exception=False), "wrong all the same"


def test_inputs_without_requires_grad_are_checked_where_none_has_it():
    x = point(3, requires_grad=False)
    with pytest.raises(ValueError, match="require"):
        torch.autograd.gradcheck(cube(), x)
    assert fastgrad.torch.gradcheck(cube(), x)
    assert not fastgrad.torch.gradcheck(cube(lambda x: 2 * x**2), x, raise_exception=False)
    halves = lambda x, y: cube(lambda x: 2 * x**2)(x) + y  # noqa: E731
    assert fastgrad.torch.gradcheck(halves, (x, point(3))), "x is held fixed beside y, which requires a gradient"


def test_a_message_names_the_input_the_entry_and_the_output():
    def layer(weight, bias):
        return weight @ torch.ones(3, dtype=torch.float64), function(lambda b: 2 * b, lambda b, g: g)(bias)

    with pytest.raises(fastgrad.torch.GradcheckError) as caught:
        fastgrad.torch.gradcheck(layer, (point(2, 3), point(2)))
    text = str(caught.value)
    assert "bias[0]" in text
    assert "output[1][0] by bias[0]: 1 by autograd, 2 by differences." in text
    assert "weight  ✓ right" in text


# Everything of the signature is obeyed or refused.


def test_atol_and_rtol_are_obeyed_by_entries_of_the_jacobian():
    one_percent = cube(lambda x: 3.03 * x**2)
    x = point(2, 3)
    assert not verdict(fastgrad.torch.gradcheck, one_percent, x, rtol=0.009)
    assert verdict(fastgrad.torch.gradcheck, one_percent, x, rtol=0.011)
    off = function(lambda x: x**3, lambda x, g: (3 * x**2 + 1e-4) * g)
    assert not verdict(fastgrad.torch.gradcheck, off, x, atol=0.9e-4)
    assert verdict(fastgrad.torch.gradcheck, off, x, atol=1.1e-4)
    # Under a random upstream gradient rows cancel: a share of the gradient's entry would be another one.
    rows = torch.arange(-2.0, 3.0).double()
    several = function(lambda x: x.sum() * rows, lambda x, g: 1.01 * (g @ rows).expand(x.shape))
    for rtol in (0.009, 0.011):
        assert verdict(fastgrad.torch.gradcheck, several, point(2), rtol=rtol) is verdict(
            torch.autograd.gradcheck, several, point(2), rtol=rtol, atol=0.0
        )


def test_eps_is_the_first_step():
    steps = []

    def func(x):
        steps.append(float((x.detach() - start).abs().max()))
        return cube()(x)

    start = point(2).detach()
    assert fastgrad.torch.gradcheck(func, point(2), eps=0.03)
    assert any(abs(step - 0.03) < 1e-15 for step in steps)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_forward_mode_and_batches_are_checked(fast_mode):
    every = {
        "check_forward_ad": True,
        "check_batched_grad": True,
        "check_batched_forward_grad": True,
        "check_grad_dtypes": True,
    }
    assert fastgrad.torch.gradcheck(torch.sin, point(2, 2), fast_mode=fast_mode, **every)


def forward_only(factor):
    class WithJvp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.x = x
            return x**3

        @staticmethod
        def backward(ctx, grad):
            return 3 * ctx.saved_tensors[0] ** 2 * grad

        @staticmethod
        def jvp(ctx, tangent):
            return factor * ctx.x**2 * tangent

    return WithJvp.apply


def test_a_wrong_forward_mode_is_found():
    assert fastgrad.torch.gradcheck(forward_only(3.0), point(2, 2), check_forward_ad=True)
    assert fastgrad.torch.gradcheck(forward_only(3.1), point(2, 2)), "nobody asked for forward mode"
    with pytest.raises(fastgrad.torch.GradcheckError, match=r"In forward mode: .*4 of 4 entries"):
        fastgrad.torch.gradcheck(forward_only(3.1), point(2, 2), check_forward_ad=True)
    assert fastgrad.torch.gradcheck(forward_only(3.1), point(2, 2), check_forward_ad=True, rtol=0.1)
    with pytest.raises(fastgrad.InputError, match="forward mode raises NotImplementedError"):
        fastgrad.torch.gradcheck(cube(), point(2), check_forward_ad=True)


def test_outputs_without_an_upstream_gradient_count_as_zeros():
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return 2 * x, 3 * x

        @staticmethod
        def backward(ctx, first, second):
            return 2 * first + 3 * second

    with pytest.raises(fastgrad.torch.GradcheckError, match="one of the outputs only, backward raises TypeError"):
        fastgrad.torch.gradcheck(Two.apply, point(3))
    assert fastgrad.torch.gradcheck(Two.apply, point(3), check_undefined_grad=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masked": True}, "sparse tensors"),
        ({"check_backward_ad": False}, "nothing to check"),
        ({"check_batched_forward_grad": True}, "needs check_forward_ad=True"),
        ({"fast_mode": True, "atol": 1e-3}, "atol is for entries of the Jacobian"),
        ({"eps": -1.0}, "eps"),
        ({"rtol": -1.0}, "expected 0 or more"),
    ],
)
def test_what_is_not_supported_is_refused(options, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.torch.gradcheck(torch.sin, point(3), **options)


def test_what_cannot_be_checked_is_refused_in_words():
    check = fastgrad.torch.gradcheck
    with pytest.raises(fastgrad.InputError, match=r"modifies x in place; let it work on a copy, x\.clone\(\)"):
        check(lambda x: x.mul_(2), point(3, requires_grad=False))
    with pytest.raises(fastgrad.InputError, match="layout torch.sparse_coo"):
        check(lambda x: x.to_dense(), point(3).detach().to_sparse().requires_grad_())
    with pytest.raises(fastgrad.InputError, match="the function raises ZeroDivisionError"):
        check(lambda x: 1 / 0, point(3))
    with pytest.raises(fastgrad.InputError, match="returns no tensor"):
        check(lambda x: 3, point(3))
    with pytest.raises(fastgrad.InputError, match="not finite"):
        check(torch.sin, torch.tensor([torch.nan], requires_grad=True))


def test_the_error_is_torchs_and_fastgrads():
    with pytest.raises(importlib.import_module("torch.autograd.gradcheck").GradcheckError):
        fastgrad.torch.gradcheck(cube(lambda x: x), point(3))
    with pytest.raises(fastgrad.GradientError):
        fastgrad.torch.gradcheck(cube(lambda x: x), point(3))


# Layers.


def test_ones_upstream_hide_what_a_random_gradient_shows():
    wrong = softmax(lambda s, g: 0.0 * s)
    ones = fastgrad.torch.check_layer(wrong, point(2, 3), upstream=1.0)
    assert ones.passed
    assert any("under which mistakes hide" in remark for remark in ones.remarks)
    drawn = fastgrad.torch.check_layer(wrong, point(2, 3))
    assert drawn.verdict == "wrong"
    assert isinstance(drawn, BaseReport)


def test_weights_of_one_do_not_hide_what_is_missing():
    """The gradient of the input lacks the factor weight, which is 1 where a normalisation begins."""

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x)
            return x * weight

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad, (grad * x).sum(0)

    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, x):
            return Scaled.apply(x, self.weight)

    report = fastgrad.torch.check_layer(Scale(), point(2, 3, dtype="float32"))
    assert report.verdict == "wrong"
    assert report.counts.wrong == 0
    assert report.faults[0].startswith("The gradient is right here, and with other numbers in the tensors it is wrong: x[")
    assert report.faults[0].endswith("] and 3 more.")
    edge = fastgrad.torch.check_layer(lambda x: torch.sqrt(1 - x**2), torch.tensor([0.9, -0.9, 0.99]))
    assert edge.passed
    assert any(remark.startswith("Not tried with other numbers: f gives nan") for remark in edge.remarks)


def modules():
    nn = torch.nn
    return {
        "linear": (nn.Linear(3, 2), (point(4, 3, dtype="float32"),)),
        "batch norm": (nn.BatchNorm1d(3), (point(5, 3, dtype="float32"),)),
        "dropout": (nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.ReLU()), (point(4, 3, dtype="float32"),)),
        "spectral norm": (
            nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2), n_power_iterations=99),
            (point(4, 3, dtype="float32"),),
        ),
        "lstm in bfloat16": (nn.LSTM(2, 2).bfloat16(), (point(3, 1, 2, dtype="bfloat16"),)),
        "embedding": (nn.Embedding(4, 2), (torch.tensor([1, 3, 1]),)),
        "by keyword": (nn.Linear(3, 2), {"input": point(4, 3, dtype="float32")}),
    }


@pytest.mark.parametrize(
    "name", ["linear", "batch norm", "dropout", "spectral norm", "lstm in bfloat16", "embedding", "by keyword"]
)
def test_modules_are_checked_with_all_their_parameters(name):
    torch.manual_seed(0)
    module, inputs = modules()[name]
    report = fastgrad.torch.check_layer(module, inputs)
    assert report.passed, report
    named = {tensor.name for tensor in report.tensors} or {report.entries[0].name.partition("[")[0]}
    assert {key for key, _ in module.named_parameters()} <= named


def test_what_is_frozen_is_left_out_and_told():
    module = torch.nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    report = fastgrad.torch.check_layer(module, point(4, 3, dtype="float32"))
    assert {tensor.name for tensor in report.tensors} == {"input", "weight"}
    assert "Not checked, since no gradient is required: bias." in report.remarks


# A module with its loss.


def network(*middle):
    nn = torch.nn
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), *middle, nn.Linear(4, 2))


X = np.random.default_rng(2).normal(size=(6, 3))
Y = [0, 1, 1, 0, 1, 0]


@pytest.mark.compiled
def test_a_sequential_is_checked_as_a_network_and_its_mistake_named():
    class WrongTanh(torch.nn.Tanh):
        def forward(self, x):
            return function(torch.tanh, lambda y, g: g * (1 - y), saves_output=True)(x)

    data = torch.tensor(X, dtype=torch.float32), torch.tensor(Y), torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    right = fastgrad.torch.check(network(torch.nn.Tanh()), *data)
    assert isinstance(right, fastgrad.Report)
    assert right.passed
    wrong = fastgrad.torch.check(network(WrongTanh()), *data)
    assert [finding.code for finding in wrong.findings] == ["slope.form"]
    assert {tensor.name for tensor in wrong.tensors if tensor.verdict == "wrong"} == {"0.weight", "0.bias"}


@pytest.mark.compiled
def test_gradients_written_by_hand_are_checked_against_the_module():
    net, x, y, loss = network(torch.nn.Tanh()).double(), torch.tensor(X), torch.tensor(Y), torch.nn.functional.cross_entropy
    names = [name for name, _ in net.named_parameters()]
    gradients = dict(zip(names, torch.autograd.grad(loss(net(x), y), list(net.parameters())), strict=True))
    missing_mean = {**gradients, "0.weight": 6 * gradients["0.weight"]}
    report = fastgrad.torch.check(net, x, y, loss, gradients=missing_mean)
    assert [finding.code for finding in report.findings] == ["factor.examples"]
    other = lambda outputs, targets: loss(outputs, targets)  # noqa: E731
    assert fastgrad.torch.check(net, x, y, other, gradients=gradients).passed
    assert fastgrad.torch.check(net, x, y, other, gradients=missing_mean).verdict == "wrong"
    with pytest.raises(fastgrad.InputError, match=r"gradients have none for 2\.bias"):
        fastgrad.torch.check(net, x, y, other, gradients={name: gradients[name] for name in names[:-1]})


@pytest.mark.compiled
def test_a_layer_that_only_looks_like_one_that_is_known_is_not_taken_for_it():
    class Doubled(torch.nn.Tanh):
        def forward(self, x):
            return torch.tanh(2 * x)

    report = fastgrad.torch.check(network(Doubled()), torch.tensor(X).float(), torch.tensor(Y), torch.nn.CrossEntropyLoss())
    assert isinstance(report, fastgrad.FunctionReport)
    assert report.passed


def test_any_module_is_checked_with_its_loss():
    net = network(torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    report = fastgrad.torch.check(net, torch.tensor(X).float(), torch.tensor(Y), torch.nn.CrossEntropyLoss())
    assert report.passed
    with pytest.raises(fastgrad.InputError, match="12 numbers; expected one"):
        fastgrad.torch.check(net, torch.tensor(X).float(), torch.zeros(6, 2), torch.nn.MSELoss(reduction="none"))


# Everything stays as it was.


def everything(net, x):
    """Return all that a check might change."""
    state = [torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()]
    state += [torch.are_deterministic_algorithms_enabled(), random.getstate(), np.random.get_state()[1].tolist()]
    state += [(one.training, one.requires_grad if isinstance(one, torch.Tensor) else None) for one in net.modules()]
    tensors = [*net.parameters(), *net.buffers(), x]
    state += [(tensor.detach().clone(), tensor.grad, tensor.requires_grad) for tensor in tensors]
    return state + [None if tensor.grad is None else tensor.grad.clone() for tensor in tensors]


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def prepared():
    net = network(torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5))
    x = torch.tensor(X, dtype=torch.float32, requires_grad=True)
    net(x).sum().backward()
    net[1].eval()
    return net, x


@pytest.mark.parametrize("fails", [False, True])
def test_everything_stays_as_it_was_also_after_an_error(fails):
    net, x = prepared()

    def careless(x):
        net.train()
        torch.set_default_dtype(torch.float16)
        torch.use_deterministic_algorithms(True)
        net[0].weight.data.add_(1.0)
        random.random(), np.random.random(), torch.rand(1)
        net[0].weight.requires_grad_(False)
        out = net(x.float())
        with torch.enable_grad():
            net(x.detach().float()).sum().backward()
        if fails:
            raise ValueError("on purpose")
        return out

    before = everything(net, x)
    with torch.no_grad():
        for check in (fastgrad.torch.gradcheck, fastgrad.torch.check_layer):
            with pytest.raises((fastgrad.InputError, fastgrad.GradientError)):
                check(careless, x)
        assert not torch.is_grad_enabled()
    assert same(before, everything(net, x))


def test_a_module_stays_as_it_was():
    net, x = prepared()
    before = everything(net, x)
    assert fastgrad.torch.check_layer(net, x).passed
    assert fastgrad.torch.check(net, x, torch.tensor(Y), torch.nn.CrossEntropyLoss()).passed
    assert fastgrad.torch.gradcheck(lambda x: net(x), x)
    assert same(before, everything(net, x))


# Arrays of other packages in check_function.


def test_check_function_takes_tensors():
    linear = torch.nn.Linear(3, 1).double()
    x = point(3)
    assert fastgrad.check_function(lambda x: (x * x).sum(), lambda x: 2 * x, x)
    assert fastgrad.check_function(linear, lambda x: linear.weight[0], x)
    assert fastgrad.check_function(lambda x: linear(torch.from_numpy(x)).sum(), lambda x: linear.weight[0], np.ones(3))
    assert fastgrad.check_function(lambda x: (x**3).sum(), lambda x: torch.autograd.grad((x**3).sum(), x)[0], x)
    pair = {"w": point(2, 3), "x": x}
    right = lambda p: {"w": p["x"].expand(2, 3), "x": p["w"].sum(0)}  # noqa: E731
    wrong = lambda p: {"w": p["x"].expand(2, 3), "x": p["w"].sum(0) + 1}  # noqa: E731
    assert fastgrad.check_function(lambda p: (p["w"] @ p["x"]).sum(), right, pair)
    assert fastgrad.check_function(lambda p: (p["w"] @ p["x"]).sum(), wrong, pair).counts.wrong == 3
    assert isinstance(fastgrad.numerical_gradient(lambda x: (x**2).sum(), x), torch.Tensor)


def test_check_function_calls_in_double_precision_where_f_takes_it():
    x = point(3, dtype="float32")
    seen = set()

    def f(x):
        seen.add(x.dtype)
        return (x**3).sum()

    assert fastgrad.check_function(f, lambda x: 3 * x**2, x).sensitivity < 1e-8
    assert torch.float32 not in seen
    linear = torch.nn.Linear(3, 1)
    assert fastgrad.check_function(linear, lambda x: linear.weight[0], x)
    with pytest.raises(fastgrad.InputError, match="given in bfloat16.*fastgrad.torch.check_layer"):
        fastgrad.check_function(linear.bfloat16(), lambda x: linear.weight[0], x.bfloat16())


def test_check_function_tells_what_a_tensor_must_not_be():
    with pytest.raises(fastgrad.InputError, match=r"modifies its argument in place.*clone"):
        fastgrad.check_function(lambda x: x.mul_(2).sum(), lambda x: x, point(3, requires_grad=False))
    with pytest.raises(fastgrad.InputError, match="is complex; expected real numbers: give its real and its imaginary part"):
        fastgrad.check_function(lambda z: abs(z).sum(), lambda z: z, np.array([1 + 2j]))


# Reachable, and imported only where used.


def test_plain_import_reaches_it_and_does_not_import_it():
    code = "import sys, fastgrad; assert 'torch' not in sys.modules; fastgrad.torch.gradcheck; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["check", "check_layer", "gradcheck"])
def test_the_examples_of_a_docstring_run(name):
    (found,) = doctest.DocTestFinder(recurse=False).find(getattr(fastgrad.torch, name), name, globs={})
    assert found.examples
    assert doctest.DocTestRunner(verbose=False).run(found).failed == 0


def _wrong_calls():
    X, Y, module = torch.ones(3, 2), torch.ones(3, 1), torch.nn.Linear(2, 1)
    loss, array = torch.nn.MSELoss(), np.ones((3, 2))
    square = lambda x: (x**2).sum()  # noqa: E731
    gradcheck, check, check_layer = fastgrad.torch.gradcheck, fastgrad.torch.check, fastgrad.torch.check_layer
    return [
        (lambda: gradcheck(square, (array,)), r"x is an array of shape \(3, 2\); expected a tensor, torch.from_numpy\(x\)"),
        (lambda: gradcheck(square, 1.5), r"x is 1.5; expected a tensor, torch.tensor\(x\)"),
        (lambda: gradcheck(torch.nn.Linear, (X,)), r"is the class Linear; give a module that is made of it, Linear\("),
        (lambda: check_layer(torch.nn.Linear, X), r"is the class Linear; give a module that is made of it, Linear\("),
        (lambda: check_layer(module, array), r"input is an array of shape \(3, 2\); expected a tensor"),
        (lambda: check_layer(torch.autograd.Function, X), "give its method that is called, Function.apply"),
        (lambda: check(torch.nn.Linear, X, Y, loss), "the module is the class Linear; give a module"),
        (lambda: check(module, X, Y, "mse"), "the loss is 'mse'; expected a function of outputs and targets"),
        (lambda: check(module, X, Y, torch.nn.MSELoss), r"the loss is the class MSELoss; give a module .* MSELoss\("),
        (lambda: check(module, array, Y, loss), "X is an array"),
        (lambda: check(module, X, array[:, :1], loss), "Y is an array"),
        (lambda: check(module, X, Y, loss, gradients={"w": X}), "gradients hold w, and the parameters are weight and bias"),
        (lambda: check(module, X, Y, loss, gradients=[X]), "gradients is a list of 1; expected a mapping"),
    ]


@pytest.mark.parametrize("number", range(13))
def test_arguments_of_another_kind_are_told_what_to_write(number):
    """They came back as errors of torch's own, from deep within, or as none at all."""
    call, said = _wrong_calls()[number]
    with pytest.raises(fastgrad.InputError, match=said):
        call()
