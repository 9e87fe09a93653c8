"""Layers: forward and backward as people write them, the forms they come in, and mistakes that must be found.

Right backward passes are held against complex steps of the forward pass, which share nothing with the library.
"""

import json

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def wrong_tensors(report):
    return {tensor.name for tensor in report.tensors if tensor.verdict == "wrong"}


# Layers as courses write them.


def affine(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def batch_norm(x, gamma, beta):
    c = x - x.mean(axis=0)
    s = 1 / np.sqrt((c * c).mean(axis=0) + 1e-5)
    return gamma * c * s + beta, (c, s, gamma)


def batch_norm_backward(dout, cache, divide=True):
    c, s, gamma = cache
    n = dout * gamma
    dvar, dmean = (n * c).sum(axis=0) * -0.5 * s**3, (-n * s).sum(axis=0)
    return n * s + dvar * 2 * c / len(c) + dmean / (len(c) if divide else 1), (dout * c * s).sum(axis=0), dout.sum(axis=0)


def attention(Q, K, V):
    scores = Q @ K.T / Q.shape[1] ** 0.5
    w = np.exp(scores - scores.real.max(axis=1, keepdims=True))
    w = w / w.sum(axis=1, keepdims=True)
    return w @ V, (Q, K, V, w)


def attention_backward(dout, cache, scaled=True, summed=True, exchanged=False):
    Q, K, V, w = cache
    dw = dout @ V.T
    ds = w * (dw - (w * dw).sum(axis=1, keepdims=True) * summed) / (Q.shape[1] ** 0.5 if scaled else 1)
    dQ, dK = ds @ K, ds.T @ Q
    return (dK, dQ, w.T @ dout) if exchanged else (dQ, dK, w.T @ dout)


def max_pool(x, size=2, stride=1):
    n, h, w = x.shape
    rows, columns = (h - size) // stride + 1, (w - size) // stride + 1
    out = np.zeros((n, rows, columns), dtype=x.dtype)
    for i in range(rows):
        for j in range(columns):
            out[:, i, j] = x[:, i * stride : i * stride + size, j * stride : j * stride + size].max(axis=(1, 2))
    return out


def max_pool_backward(dout, x, size=2, stride=1, adds=True):
    dx = np.zeros_like(x)
    for i in range(dout.shape[1]):
        for j in range(dout.shape[2]):
            part = (slice(None), slice(i * stride, i * stride + size), slice(j * stride, j * stride + size))
            mask = x[part] == x[part].max(axis=(1, 2), keepdims=True)
            dx[part] = dx[part] * adds + mask * dout[:, i, j][:, None, None]
    return dx


def lstm_step(x, h, c, Wx, Wh, b):
    z = x @ Wx + h @ Wh + b
    i, f, o, g = np.split(z, 4, axis=1)
    i, f, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
    next_c = f * c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, h, c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache, carried=True):
    x, h, c, Wx, Wh, i, f, o, g, next_c = cache
    t = np.tanh(next_c)
    dc = dnext_c * carried + dnext_h * o * (1 - t * t)
    d = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dnext_h * t * o * (1 - o), dc * i * (1 - g * g)])
    return d @ Wx.T, d @ Wh.T, dc * f, x.T @ d, h.T @ d, d.sum(axis=0)


def embedding(ids, table):
    return table[ids]


def embedding_backward(dout, ids, table, adds=True):
    dtable = np.zeros_like(table)
    if adds:
        np.add.at(dtable, ids, dout)
    else:
        dtable[ids] = dout
    return None, dtable


def softmax_loss(scores, y):
    p = np.exp(scores - scores.real.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]).mean(), (p, y)


def softmax_loss_backward(dout, cache, mean=True):
    p, y = cache
    d = p.copy()
    d[np.arange(len(y)), y] -= 1
    return dout * d / (len(y) if mean else 1), None


X, W, B = draw(4, 3), draw(3, 5), draw(5)
AFFINE = {"x": X, "w": W, "b": B}
NORM = {"x": draw(8, 4) + 3, "gamma": 1 + 0.3 * draw(4), "beta": draw(4, seed=1)}
QKV = {name: draw(5, 5, seed=place) for place, name in enumerate("QKV")}
LSTM = (draw(3, 4), draw(3, 2), draw(3, 2, seed=1), draw(4, 8), draw(2, 8), draw(8))
LOSS = (draw(6, 4), np.array([0, 3, 1, 1, 2, 0]))
IDS = (np.array([[0, 2], [2, 1]]), draw(4, 3))
LAYERS = {
    "affine": (affine, affine_backward, AFFINE),
    "batch norm": (batch_norm, batch_norm_backward, NORM),
    "attention": (attention, attention_backward, QKV),
    "max pooling": (max_pool, max_pool_backward, draw(2, 4, 4)),
    "lstm step": (lstm_step, lstm_step_backward, LSTM),
    "embedding": (embedding, embedding_backward, IDS),
    "softmax loss": (softmax_loss, softmax_loss_backward, LOSS),
    "tanh": (np.tanh, lambda dout, x: dout * (1 - np.tanh(x) ** 2), draw(2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_right_layers_are_right_in_one_call(name):
    report = fastgrad.check_layer(*LAYERS[name])
    assert report.passed, str(report)
    assert all(tensor.verdict in ("right", "left out") for tensor in report.tensors)
    assert all(point.tried for point in report.elsewhere), str(report)
    assert len(report.elsewhere) == 2 + report.outputs.endswith("()"), str(
        report
    )  # of a loss under a drawn upstream gradient too
    assert report.blind_spots == (), str(report)


@pytest.mark.parametrize("name", LAYERS)
def test_a_thousandth_off_is_found_in_the_tensor_it_is_in(name):
    forward, backward, inputs = LAYERS[name]

    def planted(*given, **named):
        found = backward(*given, **named)
        if not isinstance(found, tuple):
            return found * 1.001
        *others, last = [gradient for gradient in found if gradient is not None]
        return (
            (*others, last * 1.001)
            if len(others) + 1 == len(found)
            else found[:-2] + tuple(None if gradient is None else gradient * 1.001 for gradient in found[-2:])
        )

    planted.__signature__ = __import__("inspect").signature(backward)
    report = fastgrad.check_layer(forward, planted, inputs)
    judged = [tensor.name for tensor in report.tensors if tensor.verdict != "left out"]
    assert (report.verdict, wrong_tensors(report)) == ("wrong", {judged[-1]}), str(report)


MISTAKES = {
    "1/m missing in batch norm": (batch_norm, lambda d, cache: batch_norm_backward(d, cache, divide=False), NORM, {"x"}),
    "scale missing": (attention, lambda d, cache: attention_backward(d, cache, scaled=False), QKV, {"Q", "K"}),
    "row sum missing": (attention, lambda d, cache: attention_backward(d, cache, summed=False), QKV, {"Q", "K"}),
    "exchanged": (attention, lambda d, cache: attention_backward(d, cache, exchanged=True), QKV, {"Q", "K"}),
    "= for += in pooling": (max_pool, lambda dout, x: max_pool_backward(dout, x, adds=False), draw(2, 4, 4), {"x"}),
    "= for += in an embedding": (
        embedding,
        lambda dout, ids, table: embedding_backward(dout, ids, table, adds=False),
        IDS,
        {"table"},
    ),
    "mean missing": (softmax_loss, lambda dout, cache: softmax_loss_backward(dout, cache, mean=False), LOSS, {"scores"}),
    "dc not carried": (
        lstm_step,
        lambda dh, dc, cache: lstm_step_backward(dh, dc, cache, carried=False),
        LSTM,
        {"x", "h", "c", "Wx", "Wh", "b"},
    ),
    "bias summed over the other axis, square": (
        affine,
        lambda dout, cache: (*affine_backward(dout, cache)[:2], dout.sum(axis=1)),
        {"x": draw(5, 3), "w": W, "b": B},
        {"b"},
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_found_in_their_tensors_and_no_other(name):
    forward, backward, inputs, wrong = MISTAKES[name]
    report = fastgrad.check_layer(forward, backward, inputs)
    assert (report.verdict, wrong_tensors(report)) == ("wrong", wrong), str(report)
    with pytest.raises(fastgrad.GradientError, match="wrong"):
        report.raise_if_wrong()
    assert "✗ WRONG" in str(report)
    json.dumps(report.to_dict(), allow_nan=False)


# What one point hides.


def test_a_batch_size_written_as_a_number_shows_at_another():
    def backward(dout, cache):
        p, y = cache
        d = p - np.eye(4)[y]
        return dout * d / 6, None

    report = fastgrad.check_layer(softmax_loss, backward, LOSS)
    assert report.verdict == "wrong"
    assert wrong_tensors(report) == set()
    assert [point.wrong for point in report.elsewhere] == [(), ("scores",), ()]
    assert str(report).startswith("✗ WRONG  Right at the given point, and wrong with 5 rows in the place of 6: scores.")


def test_what_constant_inputs_hide_shows_at_other_numbers():
    inputs = {**NORM, "gamma": np.ones(4)}

    def without_gamma(dout, cache):
        c, s, _ = cache
        return batch_norm_backward(dout, (c, s, 1.0))

    report = fastgrad.check_layer(batch_norm, without_gamma, inputs)
    assert report.verdict == "wrong"
    assert [point.wrong for point in report.elsewhere] == [("x",), ()]


def test_a_missing_transpose_of_a_symmetric_matrix_shows_at_other_numbers():
    symmetric = draw(3, 3) + draw(3, 3).T
    backward = lambda dout, x, w: (dout @ w, x.T @ dout)  # noqa: E731
    report = fastgrad.check_layer(lambda x, w: x @ w, backward, {"x": X, "w": symmetric})
    assert wrong_tensors(report) == set()
    assert report.elsewhere[0].wrong == ("x",)


def only_here(x0):
    """Return a forward pass that takes no other point."""

    def forward(x, w):
        if abs(x[0, 0].real - x0) > 0.5 or len(x) != 4:
            raise ValueError("elsewhere")
        return x @ w

    return forward


@pytest.mark.parametrize(
    ("w", "said"),
    [
        (np.ones((3, 3)), "w holds one number, 1, throughout"),
        (draw(3, 3) + draw(3, 3).T, "w is symmetric: a missing transpose"),
    ],
)
def test_what_no_other_point_shows_is_a_blind_spot(w, said):
    x = draw(4, 3)
    x[0, 0] = 100.0
    report = fastgrad.check_layer(only_here(100.0), lambda dout, x, w: (dout @ w.T, x.T @ dout), {"x": x, "w": w})
    assert report.passed
    assert [point.tried for point in report.elsewhere] == [False]
    assert any(spot.startswith(said) for spot in report.blind_spots), str(report)
    assert "Blind spot: " in str(report)


def test_ones_upstream_hide_a_wrong_batch_norm_and_are_named():
    backward = lambda dout, cache: (0 * cache[0], *batch_norm_backward(dout, cache)[1:])  # noqa: E731
    assert wrong_tensors(fastgrad.check_layer(batch_norm, backward, NORM)) == {"x"}
    report = fastgrad.check_layer(batch_norm, batch_norm_backward, NORM, upstream=np.ones((8, 4)))
    assert any("Leave upstream out" in spot for spot in report.blind_spots)
    assert any(spot.startswith("the gradient of x is 0 here") for spot in report.blind_spots)
    rows = fastgrad.check_layer(batch_norm, batch_norm_backward, NORM, upstream=np.tile([1.0, 2.0, 3.0, 4.0], (8, 1)))
    assert any("Leave upstream out" in spot for spot in rows.blind_spots)


def test_windows_that_do_not_overlap_are_a_blind_spot():
    apart = fastgrad.check_layer(
        lambda x: max_pool(x, stride=2), lambda dout, x: max_pool_backward(dout, x, stride=2), draw(2, 4, 4)
    )
    assert apart.passed
    assert any("reaches more than one output" in spot for spot in apart.blind_spots)


@pytest.mark.parametrize("seed", [18, 27, 31, 52])
def test_values_that_nearly_tie_accuse_no_right_gradient(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 5, 5))
    for _ in range(6):  # kinks beside the point, at distances of 1e-7 to 1e-5
        i, j, k = rng.integers(0, 2), rng.integers(0, 5), rng.integers(0, 4)
        x[i, j, k + 1] = x[i, j, k] + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-7, -5)
    for method in ("entries", "directions"):
        assert fastgrad.check_layer(real_pool, max_pool_backward, x, seed=seed, method=method).verdict != "wrong"


def real_pool(x):
    assert not np.iscomplexobj(x)
    return max_pool(x)


def test_ties_of_max_are_told():
    x = np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 0.5]])
    backward = lambda dout, x: dout[:, None] * (x == x.max(axis=1, keepdims=True))  # noqa: E731
    report = fastgrad.check_layer(lambda x: x.max(axis=1), backward, x)
    assert wrong_tensors(report) == {"x"}  # two ones where they make 1 together
    halves = lambda dout, x: backward(dout, x) / (x == x.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)  # noqa: E731
    report = fastgrad.check_layer(lambda x: x.max(axis=1), halves, x)
    assert report.verdict == "right", str(report)
    assert any("on a kink" in note for note in report.notes)


# Never green.


def test_a_missing_gradient_is_not_judged_and_frozen_says_that_none_is_needed():
    backward = lambda dout, cache: (*affine_backward(dout, cache)[:2], None)  # noqa: E731
    report = fastgrad.check_layer(affine, backward, AFFINE)
    assert (report.verdict, report.passed) == ("not judged", False)
    assert str(report).startswith("? NOT JUDGED  There is no gradient of b.")
    assert fastgrad.check_layer(affine, backward, AFFINE, frozen=["b"]).passed


def test_gradients_of_two_inputs_in_the_wrong_order_are_named():
    """They were refused, since not one could be judged."""

    def exchanged(dout, cache):
        dx, dW, db = affine_backward(dout, cache)
        return dW, dx, db

    report = fastgrad.check_layer(affine, exchanged, AFFINE)
    reasons = {tensor.name: tensor.reason for tensor in report.tensors}
    assert (report.verdict, wrong_tensors(report)) == ("wrong", {"x", "w"})
    assert "that of w, whose gradient has that of x: the two are exchanged; its numbers are right" in reasons["x"]
    assert "that of x, whose gradient has that of w: the two are exchanged; its numbers are right" in reasons["w"]


def test_a_claim_of_nan_has_no_slope():
    def backward(dout, cache):
        dx, *others = affine_backward(dout, cache)
        return (np.full_like(dx, np.nan), *others)

    text = " ".join(str(fastgrad.check_layer(affine, backward, AFFINE)).split())
    assert "With other numbers x is wrong. The claimed gradient of x has entries there that are not finite." in text
    assert "the claim has the slope" not in text


def test_a_question_in_an_error_ends_as_one():
    with pytest.raises(InputError, match=r"is its return missing\? It returns the output"):
        fastgrad.check_layer(lambda x: None, lambda dout, x: None, {"x": np.ones(3)})


class Adding:
    """A layer whose backward adds to its gradient, or puts it there."""

    def __init__(self, adds):
        self.W, self.adds = np.arange(6.0).reshape(2, 3) + 1.0, adds
        self.dW = np.zeros_like(self.W)

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW = self.x.T @ dout + (self.dW if self.adds else 0.0)
        return dout @ self.W.T


@pytest.mark.parametrize("adds", [True, False])
def test_a_layer_that_adds_to_its_gradients_is_told(adds):
    report = fastgrad.check_layer(Adding(adds), None, np.array([[1.0, -2.0], [0.5, 3.0]]))
    assert report.passed
    assert any("backward adds the gradient of W to what is there" in note for note in report.notes) == adds


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (lambda dout: dout, "its shape is (4, 5), and that of b (5,): is a sum over axis 0 missing?"),
        (
            lambda dout: dout.sum(axis=0, keepdims=True),
            "its shape is (1, 5), and that of b (5,): reshape it; its numbers are right",
        ),
        (lambda dout: dout.sum(), "its shape is (), and that of b (5,)"),
    ],
)
def test_a_misshapen_gradient_is_wrong(last, said):
    report = fastgrad.check_layer(affine, lambda d, cache: (*affine_backward(d, cache)[:2], last(d)), AFFINE)
    assert (report.verdict, wrong_tensors(report)) == ("wrong", {"b"})
    assert {tensor.name: tensor.reason for tensor in report.tensors}["b"] == said


def test_nan_is_wrong():
    report = fastgrad.check_layer(np.tanh, lambda dout, x: dout * np.nan, X)
    assert report.verdict == "wrong"


# Precision, chance, size.


@pytest.mark.parametrize("name", ["affine", "batch norm", "attention", "lstm step", "max pooling"])
def test_single_precision_is_judged_as_such(name):
    forward, backward, inputs = LAYERS[name]
    single = lambda value: value.astype(np.float32)  # noqa: E731
    if isinstance(inputs, dict):
        inputs = {key: single(value) for key, value in inputs.items()}
    else:
        inputs = tuple(map(single, inputs)) if isinstance(inputs, tuple) else single(inputs)
    kinds = []

    def watched(*given):
        kinds.append(given[0].dtype)
        return backward(*given)

    watched.__signature__ = __import__("inspect").signature(backward)
    assert fastgrad.check_layer(forward, watched, inputs).passed
    assert set(kinds) == {np.dtype(np.float32), np.dtype(np.float64)}


def test_single_precision_is_judged_to_the_digits_of_double_where_backward_takes_that():
    single = {name: value.astype(np.float32) for name, value in NORM.items()}
    slightly = lambda d, cache: (batch_norm_backward(d, cache)[0] * 1.00001, *batch_norm_backward(d, cache)[1:])  # noqa: E731
    report = fastgrad.check_layer(batch_norm, slightly, single)
    assert wrong_tensors(report) == {"x"}
    assert max(tensor.sensitivity for tensor in report.tensors) < 1e-9
    assert any("as backward gives them in double precision" in remark for remark in report.remarks)


@pytest.mark.parametrize("method", ["entries", "directions"])
def test_what_is_wrong_in_single_precision_alone_is_found(method):
    def backward(dout, x):
        return (dout * (1 - np.tanh(x) ** 2) + (0.01 if x.dtype == np.float32 else 0.0)).astype(x.dtype)

    assert fastgrad.check_layer(np.tanh, backward, X, method=method).passed
    report = fastgrad.check_layer(np.tanh, backward, X.astype(np.float32), method=method)
    assert wrong_tensors(report) == {"x"}
    assert "in single precision" in str(report)


def test_a_layer_that_takes_single_precision_alone():
    def forward(x):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return np.tanh(x)

    x = X.astype(np.float32)
    assert fastgrad.check_layer(forward, lambda dout, x: dout * (1 - np.tanh(x) ** 2), x).passed
    report = fastgrad.check_layer(forward, lambda dout, x: dout * (1 - np.tanh(x)), x)
    assert report.verdict == "wrong"


def dropout(x, p=0.5):
    mask = (np.random.random(x.shape) < p) / p
    return x * mask, {"mask": mask}


def test_layers_that_draw_are_reset_before_each_call():
    backward = lambda dout, cache: dout * cache["mask"]  # noqa: E731
    with pytest.raises(fastgrad.InputError, match="seed=reset calls reset\\(\\)"):
        fastgrad.check_layer(dropout, backward, X)
    assert fastgrad.check_layer(dropout, backward, X, seed=lambda: np.random.seed(3)).passed
    twice = fastgrad.check_layer(dropout, lambda dout, cache: dout * cache["mask"] * 2, X, seed=lambda: np.random.seed(3))
    assert twice.verdict == "wrong"


def test_large_layers_are_checked_along_directions_and_wrong_entries_are_found():
    inputs = {"x": draw(20, 30), "w": draw(30, 40)}
    right = lambda dout, x, w: (dout @ w.T, x.T @ dout)  # noqa: E731

    def wrong(dout, x, w):
        dx, dw = right(dout, x, w)
        dw[3, 7] *= 1.5
        return dx, dw

    report = fastgrad.check_layer(
        lambda x, w: np.tanh(x) @ w,
        lambda d, x, w: (right(d, x, w)[0] * (1 - np.tanh(x) ** 2), np.tanh(x).T @ d),
        inputs,
        method="directions",
    )
    assert report.passed, str(report)
    assert report.miss < 0.01
    report = fastgrad.check_layer(lambda x, w: x @ w, wrong, inputs, method="directions")
    assert wrong_tensors(report) == {"w"}
    assert [entry.name for entry in report.entries] == ["w[3, 7]"]


def test_the_same_call_gives_the_same_report():
    first, second = (fastgrad.check_layer(attention, attention_backward, QKV).to_dict() for _ in range(2))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_nothing_that_was_given_is_modified():
    inputs = {name: value.copy() for name, value in AFFINE.items()}
    fastgrad.check_layer(affine, lambda d, cache: affine_backward(np.multiply(d, 1, out=d), cache), inputs)
    assert all(np.array_equal(inputs[name], AFFINE[name]) for name in inputs)


def test_what_backward_changes_in_place_is_told():
    def backward(dout, x):
        dout *= 1 - np.tanh(x) ** 2
        return dout

    report = fastgrad.check_layer(np.tanh, backward, X)
    assert report.passed
    assert any(remark.startswith("backward changes the upstream gradient in place") for remark in report.remarks)


# Forms.


FORMS = {
    "a dict for a dict": (affine, lambda d, c: dict(zip("xwb", affine_backward(d, c), strict=True)), AFFINE),
    "a dict of dx": (affine, lambda d, c: dict(zip(("db", "dw", "dx"), affine_backward(d, c)[::-1], strict=True)), AFFINE),
    "a tuple": (affine, affine_backward, (X, W, B)),
    "a list": (affine, affine_backward, [X, W, B]),
    "inputs again": (lambda x, w: x @ w, lambda dout, w, x: (dout @ w.T, x.T @ dout), {"x": X, "w": W}),
    "inputs again by place": (lambda x, w: x @ w, lambda g, a, c: (g @ c.T, a.T @ g), (X, W)),
    "any number of arguments": (lambda *a: a[0] @ a[1], lambda d, *a: (d @ a[1].T, a[0].T @ d), (X, W)),
    "one dict": (lambda p: p["x"] @ p["w"], lambda d, p: {"x": d @ p["w"].T, "w": p["x"].T @ d}, {"x": X, "w": W}),
    "cache first": (affine, lambda cache, dout: affine_backward(dout, cache), AFFINE),
    "settings": (
        lambda x, power, mode: x**power if mode == "plain" else x,
        lambda dout, x, power, mode: dout * power * x ** (power - 1),
        {"x": X, "power": 3, "mode": "plain"},
    ),
    "a plain number": (lambda x, s: x * s, lambda d, x, s: (d * s, (d * x).sum()), {"x": X, "s": 0.7}),
    "two outputs": (lambda x: (x * 2, x**2), lambda d1, d2, x: 2 * d1 + 2 * x * d2, X),
    "two outputs as one": (lambda x: (x * 2, x**2), lambda dout, x: 2 * dout[0] + 2 * x * dout[1], X),
    "a dict of outputs": (lambda x: {"a": x * 2, "b": x**2}, lambda dout, x: 2 * dout["a"] + 2 * x * dout["b"], X),
    "a loss without dout": (lambda x, y: ((x - y) ** 2).sum(), lambda x, y: (2 * (x - y), 2 * (y - x)), (X, X + 1)),
    "an output of whole numbers": (lambda x: (x * 2, x.real.argmax(axis=1), {}), lambda dout, cache: 2 * dout[0], X),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_people_use(name):
    report = fastgrad.check_layer(*FORMS[name])
    assert report.passed, str(report)


def test_an_array_as_cache_is_a_question_with_both_answers():
    forward, backward = lambda x: (np.tanh(x), np.tanh(x)), lambda dout, t: dout * (1 - t * t)
    with pytest.raises(fastgrad.InputError, match=r"Which is it\? .*returns_cache=True\) if .*returns_cache=False\) if"):
        fastgrad.check_layer(forward, backward, X)
    assert fastgrad.check_layer(forward, backward, X, returns_cache=True).passed


WRONG_CALLS = {
    "no backward": (lambda: fastgrad.check_layer(affine, None, AFFINE), "forward is a function, and backward is None"),
    "backward is no function": (
        lambda: fastgrad.check_layer(affine, 3, AFFINE),
        "backward is of type int; expected a function",
    ),
    "an input too few": (
        lambda: fastgrad.check_layer(affine, affine_backward, (X, W)),
        r"forward takes \(x, w, b\), and inputs",
    ),
    "another key": (
        lambda: fastgrad.check_layer(affine, affine_backward, {"x": X, "W": W, "b": B}),
        "forward takes .* keys x, W and b",
    ),
    "whole numbers": (
        lambda: fastgrad.check_layer(np.tanh, lambda dout, x: dout, np.arange(3)),
        r"no real numbers.*x\.astype\(float\)",
    ),
    "complex": (lambda: fastgrad.check_layer(np.tanh, lambda dout, x: dout, X * 1j), "real and its imaginary part as two"),
    "nan": (lambda: fastgrad.check_layer(np.tanh, lambda dout, x: dout, X * np.nan), "x is empty or not finite"),
    "no return": (lambda: fastgrad.check_layer(lambda x: None, lambda dout, x: dout, X), "is its return missing"),
    "no return of backward": (lambda: fastgrad.check_layer(np.tanh, lambda dout, x: None, X), "backward returns None"),
    "too few gradients": (
        lambda: fastgrad.check_layer(affine, lambda d, c: affine_backward(d, c)[:2], AFFINE),
        "backward returns 2 gradients, and forward takes x, w and b",
    ),
    "a strange key": (
        lambda: fastgrad.check_layer(affine, lambda d, c: {"delta": d}, AFFINE),
        "a gradient by the name 'delta'.*dx",
    ),
    "upstream of another shape": (
        lambda: fastgrad.check_layer(affine, affine_backward, AFFINE, upstream=np.ones(3)),
        r"output has shape \(4, 5\)",
    ),
    "frozen misspelt": (lambda: fastgrad.check_layer(affine, affine_backward, AFFINE, frozen=["bias"]), "frozen names bias"),
    "backward raises": (lambda: fastgrad.check_layer(np.tanh, lambda dout, x: 1 / 0, X), "backward raises ZeroDivisionError"),
    "forward raises": (lambda: fastgrad.check_layer(lambda x: x @ X, lambda dout, x: dout, X), "forward raises ValueError"),
    "forward exits": (lambda: fastgrad.check_layer(lambda x: exit(0), lambda dout, x: dout, X), "forward raises SystemExit"),
    "parameters of backward": (
        lambda: fastgrad.check_layer(affine, lambda dout, p, q, r, s: dout, AFFINE, returns_cache=True),
        r"cannot be told how backward\(dout, p, q, r, s\) is called.*lambda dout, cache: backward",
    ),
    "a gradient that adds up": (
        lambda: fastgrad.check_layer(np.tanh, adding(), X),
        "two gradients of x for the same inputs: set what it adds",
    ),
    "forward modifies": (
        lambda: fastgrad.check_layer(lambda x: np.multiply(x, 2, out=x), lambda dout, x: 2 * dout, X),
        "forward modifies its argument",
    ),
    "returns_cache": (lambda: fastgrad.check_layer(np.tanh, np.tanh, X, returns_cache="yes"), "returns_cache is 'yes'"),
}


def adding():
    total = np.zeros_like(X)

    def backward(dout, x):
        total[...] += dout * (1 - np.tanh(x) ** 2)
        return total

    return backward


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_calls_are_told_what_to_write(name):
    call, said = WRONG_CALLS[name]
    with pytest.raises(fastgrad.InputError, match=said):
        call()


def test_a_function_of_several_values_is_told_what_there_is_for_it():
    with pytest.raises(fastgrad.InputError, match=r"fastgrad\.check_layer\(.*fastgrad\.check_jacobian\("):
        fastgrad.check_function(np.tanh, lambda x: 1 - np.tanh(x) ** 2, X)
    with pytest.raises(fastgrad.InputError, match="x is complex; .*give its real and its imaginary part as two arrays"):
        fastgrad.check_function(lambda z: float(abs(z).sum()), lambda z: z / abs(z), np.array([1 + 2j]))


# Objects.


class Affine:
    def __init__(self, w, b):
        self.w, self.b = w, b

    def forward(self, x):
        self.x = x
        return x @ self.w + self.b

    def backward(self, dout):
        self.dw, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.w.T


class Lists(Affine):
    """As in books from Japan: params and grads are lists, and gradients are written in place."""

    def __init__(self, w, b):
        self.params, self.grads = [w, b], [np.zeros_like(w), np.zeros_like(b)]

    def forward(self, x):
        w, b = self.params
        self.x = x
        return x @ w + b

    def backward(self, dout):
        self.grads[0][...], self.grads[1][...] = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.params[0].T


class Dicts(Affine):
    def __init__(self, w, b):
        self.params, self.grads = {"w": w, "b": b}, {}

    def forward(self, x):
        self.cache = x
        return x @ self.params["w"] + self.params["b"]

    def backward(self, dout):
        self.grads = {"w": self.cache.T @ dout, "b": dout.sum(axis=0)}
        return dout @ self.params["w"].T


class Numbers:
    def __init__(self, data):
        self.data, self.grad = data, np.zeros_like(data)


class Objects(Affine):
    def __init__(self, w, b):
        self.w, self.b = Numbers(w), Numbers(b)

    def forward(self, x):
        self.x = x
        return x @ self.w.data + self.b.data

    def backward(self, dout):
        self.w.grad += self.x.T @ dout
        self.b.grad += dout.sum(axis=0)
        return dout @ self.w.data.T


class Block:
    """Two layers in one."""

    def __init__(self):
        self.first, self.second = Affine(W.copy(), B.copy()), Dicts(draw(5, 2), draw(2))

    def forward(self, x):
        self.hidden = np.tanh(self.first.forward(x))
        return self.second.forward(self.hidden)

    def backward(self, dout):
        return self.first.backward(self.second.backward(dout) * (1 - self.hidden**2))


@pytest.mark.parametrize("kind", [Affine, Lists, Dicts, Objects])
def test_parameters_of_an_object_are_judged_with_its_input(kind):
    layer = kind(W.copy(), B.copy())
    layer.forward(X)  # what it keeps of an earlier call is no parameter
    layer.backward(draw(4, 5))
    report = fastgrad.check_layer(layer, None, X)
    assert report.passed, str(report)
    assert len(report.tensors) == 3
    assert {tensor.name for tensor in report.tensors} in ({"x", "w", "b"}, {"x", "params[0]", "params[1]"})
    assert fastgrad.check_layer(layer.forward, layer.backward, X).to_dict()["tensors"] == report.to_dict()["tensors"]


def test_an_object_is_left_as_it_was():
    layer = Objects(W.copy(), B.copy())
    fastgrad.check_layer(layer, None, X)
    assert np.array_equal(layer.w.data, W)
    assert not layer.w.grad.any()
    assert not hasattr(layer, "x")


def test_a_layer_of_layers():
    report = fastgrad.check_layer(Block(), None, X)
    assert report.passed, str(report)
    assert [tensor.name for tensor in report.tensors] == ["x", "first.w", "first.b", "second.w", "second.b"]


def test_a_wrong_parameter_of_an_object_is_found():
    class Wrong(Affine):
        def backward(self, dout):
            dx = super().backward(dout)
            self.dw = self.dw / len(self.x)
            return dx

    assert wrong_tensors(fastgrad.check_layer(Wrong(W, B), None, X)) == {"w"}


def test_a_parameter_without_a_gradient_is_not_judged():
    class Forgetful(Affine):
        def backward(self, dout):
            self.dw = self.x.T @ dout
            return dout @ self.w.T

    report = fastgrad.check_layer(Forgetful(W, B), None, X)
    assert report.verdict == "not judged"
    assert [tensor.name for tensor in report.tensors if tensor.verdict == "not judged"] == ["b"]
    assert fastgrad.check_layer(Forgetful(W, B), None, X, frozen="b").passed


class OfNothing:
    def forward(self, x):
        return 2 * x

    def backward(self, dout):
        return 2 * dout


def test_a_class_in_the_place_of_a_layer_is_told():
    x = np.array([0.5, 2.0])
    told = r"^OfNothing is a class; give a layer made of it, OfNothing\(\.\.\.\)$"
    with pytest.raises(fastgrad.InputError, match=told):
        fastgrad.check_layer(OfNothing, None, x)
    with pytest.raises(fastgrad.InputError, match=told):
        fastgrad.check_chain([OfNothing], lambda y, Y: (y.sum(), np.ones_like(y)), x, x)
    assert fastgrad.check_layer(OfNothing(), None, x)


@pytest.mark.parametrize("nothing", [{}, (), []])
def test_no_inputs_are_told(nothing):
    with pytest.raises(fastgrad.InputError, match="no real numbers, which alone have a gradient"):
        fastgrad.check_layer(lambda x: x, lambda dout, x: dout, nothing)
