"""Right gradients as people have them are right, and a mistake on top of what their form hides is found and named."""

import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.errors import InputError
from fastgrad.judging import written
from fastgrad_cli.main import main

import given
import problems
from given import KINDS, MISTAKE, Net, autoencode, bfloat16, digits

DRAW = np.random.default_rng(5)
NET = Net(
    "tanh",
    "binary_crossentropy",
    {"W1": DRAW.normal(size=(3, 4)), "b1": DRAW.normal(size=4), "W2": DRAW.normal(size=(4, 1)), "b2": DRAW.normal(size=1)},
    DRAW.normal(size=(6, 3)),
    (np.arange(6) % 2)[:, None] * 1.0,
)
RIGHT = NET.backward(NET.parameters, NET.X, NET.Y)


def check(gradients, net=NET, **options):
    return fastgrad.check(net.parameters, gradients, net.X, net.Y, **{**net.options, **options})


def tried(function, parameters, X, Y, **options):
    return fastgrad.check(parameters, backward=function, X=X, Y=Y, **options)


def times(factor, *names):
    return {n: v * (factor if n in names else 1.0) for n, v in RIGHT.items()}


def rounded(gradients, k):
    return {n: np.round(v, k) for n, v in gradients.items()}


def stepped(gradients, rate, parameters=NET.parameters):
    return {n: (W - (W - rate * gradients[n])) / rate for n, W in parameters.items()}


def wrong(report):
    return {tensor.name for tensor in report.tensors if tensor.verdict == "wrong"}


def headline(report):
    text = str(report)
    return " ".join(text[: text.index("\n\n")].split())


def causes(report):
    return [finding.code for finding in report.findings]


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_right_ones_are_not_accused_and_a_hundredth_is_found(seed):
    one = given.given(seed)
    judge = tried if callable(one.gradients) else fastgrad.check
    reports = [
        judge(claim, one.parameters, one.X, one.Y, **one.options)
        if judge is tried
        else judge(one.parameters, claim, one.X, one.Y, **one.options)
        for claim in (one.gradients, one.wrong)
    ]
    assert one.large
    assert [report.verdict for report in reports] == ["right", "wrong"], one.kind


# Read off a step.


@pytest.mark.parametrize("seed", [598, 4052, 4808, 5186, 11648])
def test_steps_of_which_few_entries_tell_the_rate_are_no_mistakes(seed):
    """Among them one that moves a small parameter towards 0 and out of its binade, below which it has another spacing."""
    one = given.given(seed)
    verdicts = [fastgrad.check(one.parameters, g, one.X, one.Y, **one.options).verdict for g in (one.gradients, one.wrong)]
    assert verdicts == ["right", "wrong"]


@pytest.mark.parametrize("rate", [0.5, 0.1, 3e-3, 1e-5])
def test_gradient_read_off_a_step_is_right_and_its_rate_is_said(rate):
    report = check(stepped(RIGHT, rate))
    assert report.passed
    if rate < 0.1:
        assert f"before and after a step of rate {rate:g}" in headline(report)
        assert "which hides errors of up to" in headline(report)


@pytest.mark.parametrize("rate", [0.01 / 32, 1e-3 / 3, 0.0123457, 7.123456789e-6, 0.01 * np.cos(0.3)])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_rate_of_many_digits_is_found(rate, kind):
    net = NET.in_type(kind)
    right = net.backward(net.parameters, net.X, net.Y)
    claim = {n: (W - (W - kind(rate) * right[n])) / kind(rate) for n, W in net.parameters.items()}
    report = check(claim, net)
    assert report.passed
    said = re.search(r"before and after a step of rate ([^ ,]+)", headline(report))
    assert float(said[1]) == pytest.approx(rate, rel=1e-5)
    off = {**claim, "W1": (net.parameters["W1"] - (net.parameters["W1"] - kind(rate * 1.01) * right["W1"])) / kind(rate)}
    assert wrong(check(off, net)) == {"W1"}


@pytest.mark.parametrize("value", [5e-324, 1e300])
def test_entries_at_the_ends_of_the_range_are_no_steps(value):
    """Their quotient by the spacing of a parameter is 0, or more than any step can be."""
    parameters = np.full(50, 1.5 * 2.0**60 if value < 1.0 else 1.5 * 2.0**-60)
    with np.errstate(over="ignore", under="ignore"):  # as in a check
        assert written._longer_rate(np.full(50, value), parameters, "float64") is None


def test_mistake_in_a_step_is_found_and_named():
    assert wrong(check(stepped(times(MISTAKE, "W1"), 1e-4))) == {"W1"}
    report = check(stepped(times(6.0, "W1", "b1", "W2", "b2"), 1e-4))
    assert causes(report) == ["factor.examples"]


def test_full_digits_are_no_step():
    """Of a claim with all its digits an error of a ten-billionth is found, as ever."""
    report = check(times(1.0 + 1e-10, "W1"))
    assert wrong(report) == {"W1"}
    assert all(tensor.written is None for tensor in report.tensors)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_parameters_after_a_step_stand_for_the_gradient(kind):
    net = NET.in_type(kind)
    after = {n: W - kind(0.01) * net.backward(net.parameters, net.X, net.Y)[n] for n, W in net.parameters.items()}
    report = check(after, net, learning_rate=0.01)
    assert report.passed
    assert "what was given in their place are the parameters after a step" in " ".join(report.notes)
    assert "of rate 0.01" in headline(report)
    after["W2"] = after["W2"] - kind(0.0005) * RIGHT["W2"].astype(kind)
    assert wrong(check(after, net, learning_rate=0.01)) == {"W2"}


@pytest.mark.parametrize("rate", [1e-5, 0.5337, 5.0, 30.0])
def test_a_step_that_changes_all_parameters_leaves_their_meaning(rate):
    """Far from the parameters as well, what lies at them less the rate times the gradient is no gradient; and one is one."""
    net = replace(NET, parameters={n: 0.1 * v for n, v in NET.parameters.items()})
    right = net.backward(net.parameters, net.X, net.Y)
    after = {n: W - rate * right[n] for n, W in net.parameters.items()}
    report = check(after, net, learning_rate=rate)
    assert report.passed
    assert "are the parameters after a step" in " ".join(report.notes)
    assert check(right, net, learning_rate=rate).passed
    assert wrong(check({**after, "W1": after["W1"] - 0.01 * rate * right["W1"]}, net, learning_rate=rate)) == {"W1"}
    assert wrong(check({**right, "W1": MISTAKE * right["W1"]}, net, learning_rate=rate)) == {"W1"}


def test_a_gradient_of_nothing_but_the_penalty_is_no_step():
    """A penalty of 1 makes a gradient that is nearly the parameters; so it was read where only their distance counted."""
    net = replace(NET, l2=1.0, parameters={n: (9.0 if n[0] == "W" else 0.1) * v for n, v in NET.parameters.items()})
    report = check(net.backward(net.parameters, net.X, net.Y), net, learning_rate=0.01)
    assert report.passed
    assert report.notes == ()


@pytest.mark.parametrize("is_step", [True, False])
def test_of_one_parameter_the_nearer_reading_is_taken(is_step):
    """A single number is a multiple of any other."""
    w, X, Y = 2.0, np.array([[1.0], [2.0]]), np.array([[1.0], [0.5]])
    right = float((X * (w * X - Y)).mean())
    claim = {"W1": np.array([[w - 0.25 * right if is_step else right]])}
    said = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "learning_rate": 0.25}
    assert fastgrad.check({"W1": np.array([[w]])}, claim, X, Y, **said).passed


def test_a_learning_rate_beside_gradients_leaves_them_as_they_are():
    report = check(RIGHT, learning_rate=0.01)
    assert report.passed
    assert report.notes == ()
    assert check(stepped(RIGHT, 0.00123456), learning_rate=0.00123456).passed
    with pytest.raises(InputError, match="learning_rate must be a positive number"):
        check(RIGHT, learning_rate=0.0)


def test_a_file_and_the_command_take_a_learning_rate(tmp_path):
    after = {f"d{n}": W - 0.01 * RIGHT[n] for n, W in NET.parameters.items()}
    said = {**NET.options, "layout": "rows,in_out"}
    np.savez(tmp_path / "m.npz", **NET.parameters, **after, X=NET.X, Y=NET.Y, **said)
    run = CliRunner().invoke(main, ["check", str(tmp_path / "m.npz"), "--learning-rate", "0.01"])
    assert run.exit_code == 0, run.output
    assert CliRunner().invoke(main, ["check", str(tmp_path / "m.npz")]).exit_code == 1
    np.savez(tmp_path / "n.npz", **NET.parameters, **after, X=NET.X, Y=NET.Y, learning_rate=0.01, **said)
    assert CliRunner().invoke(main, ["check", str(tmp_path / "n.npz")]).exit_code == 0


# Few digits.


@pytest.mark.parametrize("k", [3, 4, 6, 8])
def test_decimals_that_were_given_are_what_it_is_judged_at(k):
    report = check(rounded(RIGHT, k))
    assert report.passed
    assert f"right to the {k} decimals that were given, which hide errors of up to" in headline(report)


@pytest.mark.parametrize("d", [3, 5, 7, 9])
def test_significant_digits_likewise(d):
    report = check({n: digits(v, d) for n, v in RIGHT.items()})
    assert report.passed
    assert f"right to the {d} significant digits that were given" in headline(report)


@pytest.mark.parametrize("k", [4, 8])
def test_mistake_on_top_of_few_digits_is_named(k):
    assert (wrong(report := check(rounded(times(2.0, "W2"), k))), causes(report)) == ({"W2"}, ["factor.two"])
    assert (wrong(report := check(rounded(times(6.0, "W1"), k))), causes(report)) == ({"W1"}, ["factor.examples"])


def test_one_unit_of_the_last_digit_is_wrong():
    claim = rounded(RIGHT, 4)
    claim["W1"][1, 2] += 1e-4
    claim = rounded(claim, 4)
    report = check(claim)
    assert wrong(report) == {"W1"}
    assert next(tensor for tensor in report.tensors if tensor.name == "W1").wrong == 1


def test_single_precision_behind_digits():
    net = NET.in_type(np.float32)
    claim = {n: digits(v, 9) for n, v in net.backward(net.parameters, net.X, net.Y).items()}
    assert check(claim, net).passed
    claim["W1"] = digits(claim["W1"] * 1.0001, 9)
    assert wrong(check(claim, net)) == {"W1"}


@pytest.mark.parametrize("k", [4, 6, 8])
def test_parameters_in_few_decimals(k):
    printed = replace(NET, parameters=rounded(NET.parameters, k))
    report = check(RIGHT, printed)
    assert report.passed
    assert f"the {k} decimals of the parameters" in headline(report)
    assert (wrong(report := check(times(6.0, "W1"), printed)), causes(report)) == ({"W1"}, ["factor.examples"])


def test_gradients_of_the_printed_parameters_are_judged_in_full():
    printed = replace(NET, parameters=rounded(NET.parameters, 6))
    own = printed.backward(printed.parameters, NET.X, NET.Y)
    assert check(own, printed).passed
    own["W1"] = own["W1"] * (1.0 + 1e-7)
    assert wrong(check(own, printed)) == {"W1"}


@pytest.mark.parametrize("k", [4, 6, 8])
@pytest.mark.parametrize("printed", ["X", "Y", "X and Y", "the parameters and X"])
def test_inputs_and_targets_in_few_decimals(k, printed):
    net = replace(NET, loss="squared_error", Y=np.random.default_rng(3).normal(size=NET.Y.shape))
    right = net.backward(net.parameters, net.X, net.Y)
    given_ = replace(
        net,
        X=np.round(net.X, k) if "X" in printed else net.X,
        Y=np.round(net.Y, k) if "Y" in printed else net.Y,
        parameters=rounded(net.parameters, k) if "parameters" in printed else net.parameters,
    )
    report = check(right, given_)
    assert report.passed
    named = [name for name in ("the parameters", "X", "Y") if f"the {k} decimals of {name}" in headline(report)]
    assert named
    assert {*named} <= {*printed.split(" and ")}  # where one of two explains it all, that one alone
    assert "which hide errors of up to" in headline(report)
    off = {**right, "W1": 1.01 * right["W1"]}
    report = check(off, given_)
    assert (wrong(report), causes(report)) == ({"W1"}, ["factor.constant"])
    assert wrong(check({n: 1.01 * v for n, v in right.items()}, given_)) >= {"W1", "W2"}


def natural(draw, shape):
    """Return data on a grid of its own, as people measure, count and scale them."""
    kinds = (
        lambda: draw.integers(-9, 10, shape) * 1.0,
        lambda: draw.integers(-20, 21, shape) * 0.5,
        lambda: np.round(draw.normal(5.0, 2.0, shape), 1),
        lambda: np.round(draw.normal(size=shape), 2),
        lambda: draw.integers(0, 256, shape) / 255.0,
        lambda: np.round(draw.normal(100.0, 30.0, shape), 2) / 100.0,
        lambda: np.round(draw.normal(size=shape), 4),
    )
    return kinds[int(draw.integers(len(kinds)))]()


@pytest.mark.parametrize("seed", range(100))
def test_data_on_a_grid_of_their_own_hide_nothing(seed):
    draw = np.random.default_rng([seed, 5])
    net = replace(NET, loss="squared_error", X=natural(draw, NET.X.shape), Y=natural(draw, NET.Y.shape))
    right = net.backward(net.parameters, net.X, net.Y)
    off = ({n: v * 1.01 for n, v in right.items()}, {**right, "b1": 1.01 * right["b1"]}, {**right, "W2": right["W2"] + 1e-6})
    for claim in (right, off[seed % 3]):
        report = check(claim, net, diagnosis=False)
        assert report.passed == (claim is right)
        assert all(tensor.written is None for tensor in report.tensors)


def test_bits_of_bfloat16():
    net = replace(NET, parameters={n: bfloat16(v) for n, v in NET.parameters.items()}).in_type(np.float32)
    claim = {n: bfloat16(v).astype(np.float32) for n, v in net.backward(net.parameters, net.X, net.Y).items()}
    report = check(claim, net)
    assert report.passed
    assert "the 8 bits of bfloat16" in headline(report)
    claim["W2"] = bfloat16(claim["W2"] * np.float32(1.02)).astype(np.float32)
    assert wrong(check(claim, net)) == {"W2"}


@pytest.mark.parametrize("seed", range(min(problems.NETWORKS // 2, 100)))
def test_whole_numbers_are_no_decimals(seed):
    """Through linear layers whole numbers stay whole, or have a few decimals after a mean; mistakes in them are wrong."""
    draw = np.random.default_rng(seed)
    m, l2 = int(draw.choice([4, 5, 8, 10, 20, 25])), float(draw.choice([0.5, 0.1, 0.01]))
    n, h = (int(k) for k in draw.integers(2, 6, 2))
    P = {"W1": draw.integers(-3, 4, (n, h)) * 1.0, "W2": draw.integers(-3, 4, (h, 2)) * 1.0}
    P["W1"][0, 0], P["W2"][0, 0] = 2.0, 3.0
    X, Y = draw.integers(-9, 10, (m, n)) * 1.0, draw.integers(-9, 10, (m, 2)) * 1.0
    a = np.maximum(X @ P["W1"], 0.0)
    d = (a @ P["W2"] - Y) / m
    data = {"W1": X.T @ ((d @ P["W2"].T) * (a > 0.0)), "W2": a.T @ d}
    said = {"hidden": "relu", "output": "identity", "loss": "squared_error", "layout": "rows,in_out"}
    mistakes = [(data, l2), ({**data, "W1": data["W1"] + 0.1}, 0.0)]
    if not np.array_equal(floor := np.floor(data["W2"]) + 0.0, data["W2"]):
        mistakes.append(({**data, "W2": floor}, 0.0))
    claim, penalty = mistakes[seed % len(mistakes)]
    report = fastgrad.check(P, claim, X, Y, **said, l2=penalty)
    assert report.verdict == "wrong"
    assert all(tensor.written is None for tensor in report.tensors)


# Relations between the given arrays.


def test_fresh_targets_of_an_autoencoder_are_its_inputs():
    draw = np.random.default_rng(0)
    parameters = {
        "W1": draw.normal(size=(6, 3)),
        "b1": draw.normal(size=3),
        "W2": draw.normal(size=(3, 6)),
        "b2": draw.normal(size=6),
    }
    X = draw.random((7, 6))
    seen = []

    def backward(p, x, y):
        seen.append(np.array_equal(x, y))
        return autoencode(p, x, y, tied=False)

    assert tried(backward, parameters, X, X.copy(), **given.CODE).passed
    assert all(seen)
    assert len(seen) > 3


@pytest.mark.parametrize(
    ("X", "holds"),
    [
        (np.eye(4)[[0, 1, 2, 3, 1, 2]], lambda x: np.isin(x, (0.0, 1.0)).all() and (x.sum(axis=1) == 1.0).all()),
        (np.where(np.arange(24).reshape(6, 4) % 3, 1.0, -1.0), lambda x: np.isin(x, (-1.0, 1.0)).all()),
        (np.arange(24.0).reshape(6, 4), lambda x: np.array_equal(x, np.rint(x))),
        (np.random.default_rng(0).dirichlet(np.ones(4), 6), lambda x: np.allclose(x.sum(axis=1), 1.0)),
        (np.column_stack([np.ones(6), np.random.default_rng(0).normal(size=(6, 3))]), lambda x: (x[:, 0] == 1.0).all()),
    ],
    ids=["one-hot", "two values", "whole numbers", "shares of one", "a column of ones"],
)
def test_fresh_inputs_are_of_the_kind_of_the_given_ones(X, holds):
    seen = []

    def backward(p, x, y):
        seen.append(x)
        return {"W1": x.T @ (x @ p["W1"] - y) / len(x)}

    W, Y = np.random.default_rng(1).normal(size=(4, 2)), np.random.default_rng(2).normal(size=(6, 2))
    report = tried(backward, {"W1": W}, X, Y, output="identity", loss="squared_error", layout="rows,in_out")
    assert report.passed
    assert all(map(holds, seen))
    assert any(len(x) > 6 or len(x) == 5 for x in seen)


# A penalty that is divided by the number of examples.


def with_penalty(off=None, total=1.0):
    return lambda p, X, Y: NET.backward(p, X, Y, off, l2=total / len(X))


@pytest.mark.parametrize("off", [None, "b2", "W1", "W2"])
def test_penalty_by_the_number_of_examples_is_told_whatever_else_is_wrong(off):
    report = tried(with_penalty(off), NET.parameters, NET.X, NET.Y, **NET.options, l2=1.0 / 6.0)
    assert any("Your penalty is divided by the number of examples" in seen.text for seen in report.observations)
    assert [wrong(trial.report) for trial in report.trials] == [{off} - {None}] * 3


def test_penalty_that_is_not_divided_is_not_said_to_be():
    function = lambda p, X, Y: NET.backward(p, X, Y, "b2", l2=0.2)  # noqa: E731
    report = tried(function, NET.parameters, NET.X, NET.Y, **NET.options, l2=0.2)
    assert not report.observations
    assert [wrong(trial.report) for trial in report.trials] == [{"b2"}] * 3


# Tied weights, a column of ones, labels.

CODER, CODED = given._autoencoder(np.random.default_rng(0))


def test_total_gradient_of_tied_weights_is_right_under_both_names():
    report = fastgrad.check(CODER, autoencode(CODER, CODED, CODED), CODED, CODED, **given.CODE)
    assert report.passed
    assert "W2 is W1 transposed: judged as one array" in " ".join(report.notes)
    other = {**CODER, "W2": CODER["W2"] * (1.0 + 1e-15)}
    assert wrong(fastgrad.check(other, autoencode(CODER, CODED, CODED), CODED, CODED, **given.CODE)) == {"W1", "W2"}


TOTAL, OWN = autoencode(CODER, CODED, CODED), autoencode(CODER, CODED, CODED, tied=False)


@pytest.mark.parametrize(
    ("name", "claim", "through"),
    [
        ("W1", OWN["W1"], "W2, which is the same array"),
        ("W2", OWN["W2"], "W1, which is the same array"),
        ("W1", OWN["W2"].T, "W1 itself: it has that of another name of the same array alone"),
    ],
)
def test_a_use_of_tied_weights_that_is_left_out_is_named(name, claim, through):
    """The other name's gradient is right: it was the one that was blamed, for a line that nobody wrote."""
    report = fastgrad.check(CODER, {**TOTAL, name: claim}, CODED, CODED, **given.CODE)
    assert wrong(report) == {name}
    assert causes(report) == ["tied.part"]
    assert report.findings[0].sentence == f"The gradient of {name} leaves out the part through {through}."
    report = fastgrad.check(CODER, {**TOTAL, name: claim, "b1": 2.0 * TOTAL["b1"]}, CODED, CODED, **given.CODE)
    assert wrong(report) == {name, "b1"}
    assert causes(report) == ["tied.part", "factor.two"]
    assert fastgrad.check(CODER, OWN, CODED, CODED, **given.CODE).passed


def test_a_function_that_leaves_out_a_use_of_tied_weights():
    report = tried(
        lambda p, X, Y: {**autoencode(p, X, Y), "W2": autoencode(p, X, Y, tied=False)["W2"]}, CODER, CODED, CODED, **given.CODE
    )
    assert causes(report) == ["tied.part"]


@pytest.mark.parametrize("uses", [2, 1])
def test_a_use_that_is_left_out_is_named_beside_a_penalty(uses):
    penalty = {n: 0.1 * CODER[n] for n in ("W1", "W2")}
    total = {**TOTAL, "W1": TOTAL["W1"] + uses * penalty["W1"], "W2": OWN["W2"] + penalty["W2"]}
    report = fastgrad.check(CODER, total, CODED, CODED, **given.CODE, l2=0.1)
    assert (wrong(report), causes(report)) == ({"W2"}, ["tied.part"])


def test_a_layer_that_is_used_three_times():
    """A recurrent layer without inputs in between: each name has the sum over all steps, or lacks a step or two."""
    draw = np.random.default_rng(2)
    W, X, Y = draw.normal(size=(3, 3)), draw.normal(size=(7, 3)), draw.normal(size=(7, 3))
    P = {f"W{layer}": W.copy() for layer in (1, 2, 3)}
    a = [X]
    for _ in range(2):
        a.append(np.tanh(a[-1] @ W))
    d, own = (a[-1] @ W - Y) / 7, {}
    for layer in (3, 2, 1):
        own[f"W{layer}"] = a[layer - 1].T @ d
        d = (d @ W.T) * (1.0 - a[layer - 1] ** 2)
    total = sum(own.values())
    said = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "layout": "rows,in_out"}
    assert fastgrad.check(P, dict.fromkeys(P, total), X, Y, **said).passed
    for missing in (["W3"], ["W2", "W3"]):
        claim = {**dict.fromkeys(P, total), "W1": total - sum(own[name] for name in missing)}
        report = fastgrad.check(P, claim, X, Y, **said)
        assert (wrong(report), causes(report)) == ({"W1"}, ["tied.part"])
        assert f"leaves out the part through {' and '.join(missing)}, which" in report.findings[0].sentence


@pytest.mark.parametrize(
    "names",
    [("W1", "b1", "b2"), ("W", "bh", "bv"), ("W", "b", "b_prime"), ("encoder.weight", "encoder.bias", "decoder.bias"), None],
)
def test_tied_weights_that_stand_once_are_asked_for_twice(names):
    """A decoder that uses the encoder's weights transposed and has a bias of its own."""
    arrays, gradients = ([one["W1"], one["b1"], one["b2"]] for one in (CODER, TOTAL))
    if names is not None:
        arrays, gradients = dict(zip(names, arrays, strict=True)), dict(zip(names, gradients, strict=True))
    told = rf"where its layer uses {re.escape(names[0] if names else 'parameters[0]')} transposed, hand that over under a name"
    with pytest.raises(InputError, match=told):
        fastgrad.check(arrays, gradients, CODED, CODED, **given.CODE)


def test_mistakes_beside_tied_weights():
    for off in ("W1", "b1", "b2"):
        report = fastgrad.check(CODER, autoencode(CODER, CODED, CODED, off), CODED, CODED, **given.CODE)
        assert off in wrong(report)
    assert causes(report) == ["factor.constant"]


@pytest.mark.parametrize(("reduction", "uses"), [("mean", 2), ("mean", 1), ("sum", 2), ("sum", 1)])
def test_function_with_tied_weights_and_a_penalty(reduction, uses):
    def backward(p, X, Y):
        found = autoencode(p, X, Y)
        found = {n: v * (len(X) if reduction == "sum" else 1.0) for n, v in found.items()}
        total = found["W1"] + uses * 0.1 * p["W1"]
        return {**found, "W1": total, "W2": total.T}

    assert tried(backward, CODER, CODED, CODED, **given.CODE, l2=0.1, reduction=reduction).passed


@pytest.mark.parametrize("bias", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_column_of_ones_beside_a_bias(bias, reduction):
    """A zero bias that nobody uses, or one that is trained as well: the penalty may leave the column's weights out."""
    draw = np.random.default_rng(0)
    X, Y = np.column_stack([draw.normal(size=(8, 3)), np.ones(8)]), draw.normal(size=(8, 2))
    P = {"W1": draw.normal(size=(4, 5)), "b1": np.full(5, bias), "W2": draw.normal(size=(5, 2)), "b2": np.full(2, bias)}
    m = len(X) if reduction == "mean" else 1.0
    a, rest = np.tanh(X @ P["W1"] + P["b1"]), P["W1"].copy()
    rest[-1] = 0.0
    d = (a @ P["W2"] + P["b2"] - Y) / m
    d1 = (d @ P["W2"].T) * (1.0 - a * a)
    claim = {"W1": X.T @ d1 + 0.3 * rest, "b1": d1.sum(axis=0), "W2": a.T @ d + 0.3 * P["W2"], "b2": d.sum(axis=0)}
    said = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "l2": 0.3, "reduction": reduction}
    report = fastgrad.check(P, claim, X, Y, **said)
    assert report.passed
    assert "input 3 is a column of ones" in " ".join(report.notes)
    assert wrong(fastgrad.check(P, {**claim, "W1": MISTAKE * claim["W1"]}, X, Y, **said)) == {"W1"}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_a_column_of_ones_may_be_left_out_of_the_penalty(reduction):
    draw = np.random.default_rng(0)
    X, Y = np.column_stack([np.ones(8), draw.normal(size=(8, 3))]), draw.normal(size=(8, 2))
    P = {"W1": draw.normal(size=(4, 5)), "W2": draw.normal(size=(5, 2))}
    said = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "l2": 0.3, "reduction": reduction}

    def backward(p, X, Y, factor=1.0):
        a, rest = np.tanh(X @ p["W1"]), p["W1"].copy()
        rest[0] = 0.0
        d = (a @ p["W2"] - Y) / (len(X) if reduction == "mean" else 1.0)
        return {"W1": factor * X.T @ ((d @ p["W2"].T) * (1.0 - a * a)) + 0.3 * rest, "W2": a.T @ d + 0.3 * p["W2"]}

    report = fastgrad.check(P, backward(P, X, Y), X, Y, **said)
    assert report.passed
    assert "input 0 is a column of ones" in " ".join(report.notes)
    assert wrong(fastgrad.check(P, backward(P, X, Y, MISTAKE), X, Y, **said)) == {"W1"}
    assert tried(backward, P, X, Y, **said).passed


def test_labels_0_and_1_where_the_code_trains_on_signs():
    net = replace(NET, loss="squared_error", Y=NET.Y)
    claim = net.backward(net.parameters, net.X, 2.0 * net.Y - 1.0)
    report = check(claim, net)
    assert report.passed
    assert "labels: judged with -1 in the place of 0" in " ".join(report.notes)
    claim["W1"] = claim["W1"] * MISTAKE
    assert wrong(check(claim, net)) == {"W1"}


# Differences of losses.


def differences(h):
    found = {}
    for name, value in NET.parameters.items():
        found[name] = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            up, down = ({n: v.copy() for n, v in NET.parameters.items()} for _ in range(2))
            up[name][index] += h
            down[name][index] -= h
            found[name][index] = (NET.cost(up) - NET.cost(down)) / (2.0 * h)
    return found


@pytest.mark.parametrize("h", [1e-4, 1e-5, 1e-6, 1e-7])
def test_central_differences_are_right_to_their_noise(h):
    report = check(differences(h))
    assert report.passed
    assert "the noise of differences of losses" in headline(report)
    assert "which hides errors of up to" in headline(report)
    assert wrong(check({**differences(h), "W1": differences(h)["W1"] * MISTAKE})) == {"W1"}


@pytest.mark.parametrize("h", [1e-5, 1e-6])
def test_forward_differences_are_right_to_what_they_cut_off(h):
    here, claim = NET.cost(NET.parameters), {n: np.zeros(v.shape) for n, v in NET.parameters.items()}
    for name, array in claim.items():
        for index in np.ndindex(array.shape):
            moved = {n: v.copy() for n, v in NET.parameters.items()}
            moved[name][index] += h
            array[index] = (NET.cost(moved) - here) / h
    report = check(claim)
    assert report.passed
    assert f"(J(w + h) - J(w))/h with h = {h:g}, which hides errors of up to" in headline(report)
    assert "W1" in wrong(check({**claim, "W1": claim["W1"] * MISTAKE}))


def test_an_error_of_the_size_of_that_noise_is_wrong_where_nothing_tells_of_differences():
    noise = np.random.default_rng(0)
    report = check({n: v + 4e-11 * noise.normal(size=v.shape) for n, v in RIGHT.items()})
    assert wrong(report) == set(RIGHT)


# Another point.


@pytest.mark.parametrize("rate", [1.0, 0.03, 1e-4])
def test_gradients_of_parameters_one_step_away(rate):
    updated = {n: W - rate * RIGHT[n] for n, W in NET.parameters.items()}
    for net, claim, code in (
        (replace(NET, parameters=updated), RIGHT, "elsewhere.before"),
        (NET, NET.backward(updated, NET.X, NET.Y), "elsewhere.after"),
    ):
        report = check(claim, net)
        assert (report.verdict, causes(report)) == ("wrong", [code])
        assert f"a step of rate {rate:g}" in report.findings[0].sentence


def test_gradients_of_a_part_of_the_examples():
    report = check(NET.backward(NET.parameters, NET.X[1:4], NET.Y[1:4]))
    assert (report.verdict, causes(report)) == ("wrong", ["elsewhere.examples"])
    assert "examples 1 to 3 alone" in report.findings[0].sentence


def test_noise_is_the_gradient_of_no_other_point():
    noise = np.random.default_rng(0)
    report = check({n: v + 0.1 * noise.normal(size=v.shape) for n, v in RIGHT.items()})
    assert not any(code.startswith("elsewhere") for code in causes(report))


def test_a_pass_in_bfloat16_is_not_accused_and_not_called_right():
    parameters = {n: bfloat16(v) for n, v in NET.parameters.items()}
    X, Y = bfloat16(NET.X), bfloat16(np.random.default_rng(3).normal(size=(6, 1)))
    A = bfloat16(np.tanh(bfloat16(X @ parameters["W1"] + parameters["b1"])))
    d2 = bfloat16(bfloat16(bfloat16(A @ parameters["W2"] + parameters["b2"]) - Y) / 6.0)
    d1 = bfloat16(bfloat16(d2 @ parameters["W2"].T) * bfloat16(1.0 - bfloat16(A * A)))
    claim = {"W1": X.T @ d1, "b1": d1.sum(axis=0), "W2": A.T @ d2, "b2": d2.sum(axis=0)}
    net = replace(NET, loss="squared_error", parameters=parameters, X=X, Y=Y).in_type(np.float32)
    report = check({n: bfloat16(v).astype(np.float32) for n, v in claim.items()}, net)
    assert report.verdict == "not judged"
    assert check({n: bfloat16(2.0 * v).astype(np.float32) for n, v in claim.items()}, net).verdict == "wrong"
