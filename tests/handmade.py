"""Backward passes of layers in the styles of courses, each right, and mistakes planted in them by hand.

Every source has `inputs(rng)`, a function `f` of these whose gradient is wanted, and `gradient`. A mistake is a piece of the
source and what somebody wrote in its place.
"""

import itertools
import linecache
from types import SimpleNamespace

BATCH_NORM = """
import numpy as np

m, d = 6, 3
dout = np.random.default_rng(1).normal(size=(m, d))


def inputs(rng):
    return {"x": rng.normal(size=(m, d)) + 2, "gamma": rng.uniform(0.5, 1.5, d), "beta": rng.normal(size=d)}


def f(p):
    centred = p["x"] - p["x"].mean(axis=0)
    return ((p["gamma"] * centred / np.sqrt((centred**2).mean(axis=0) + 1e-5) + p["beta"]) * dout).sum()


def backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    dvar = 0.5 / sqrtvar * dsqrtvar
    dsq = np.ones((N, D)) * dvar / N
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = np.ones((N, D)) * dmu / N
    dx = dx1 + dx2
    return dx, dgamma, dbeta


def gradient(p):
    x, gamma = p["x"], p["gamma"]
    mu = x.mean(axis=0)
    xmu = x - mu
    sqrtvar = np.sqrt((xmu**2).mean(axis=0) + 1e-5)
    ivar = 1.0 / sqrtvar
    dx, dgamma, dbeta = backward(dout, (xmu * ivar, gamma, xmu, ivar, sqrtvar))
    return {"x": dx, "gamma": dgamma, "beta": dbeta}
"""

LAYER_NORM = """
import numpy as np

dout = np.random.default_rng(2).normal(size=(4, 5))


def inputs(rng):
    return {"x": rng.normal(size=(4, 5)), "g": rng.uniform(0.5, 1.5, 5), "b": rng.normal(size=5)}


class LayerNorm:
    def __init__(self, g, b):
        self.g, self.b = g, b

    def forward(self, x):
        self.mean = x.mean(axis=1, keepdims=True)
        self.std = np.sqrt(((x - self.mean) ** 2).mean(axis=1, keepdims=True) + 1e-5)
        self.xhat = (x - self.mean) / self.std
        return self.g * self.xhat + self.b

    def backward(self, dout):
        dg = (dout * self.xhat).sum(axis=0)
        db = dout.sum(axis=0)
        dxhat = dout * self.g
        mean = dxhat.mean(axis=1, keepdims=True)
        projected = self.xhat * (dxhat * self.xhat).mean(axis=1, keepdims=True)
        dx = (dxhat - mean - projected) / self.std
        return dx, dg, db


def f(p):
    return (LayerNorm(p["g"], p["b"]).forward(p["x"]) * dout).sum()


def gradient(p):
    layer = LayerNorm(p["g"], p["b"])
    layer.forward(p["x"])
    dx, dg, db = layer.backward(dout)
    return {"x": dx, "g": dg, "b": db}
"""

CONVOLUTION = """
import numpy as np

pad, stride = 1, 1
dout = np.random.default_rng(3).normal(size=(2, 2, 3, 3))


def inputs(rng):
    return {"x": rng.normal(size=(2, 1, 3, 3)), "w": rng.normal(size=(2, 1, 3, 3)), "b": rng.normal(size=2)}


def f(p):
    padded = np.pad(p["x"], ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = 0.0
    for i in range(3):
        for j in range(3):
            window = padded[:, :, i : i + 3, j : j + 3]
            z = (window[:, None] * p["w"][None]).sum(axis=(2, 3, 4)) + p["b"]
            out = out + (z * dout[:, :, i, j]).sum()
    return out


def conv_backward_naive(dout, x, w, b):
    N, F, Hout, Wout = dout.shape
    HH, WW = w.shape[2], w.shape[3]
    H, W = x.shape[2], x.shape[3]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = np.zeros_like(b)
    for n in range(N):
        for k in range(F):
            db[k] += dout[n, k].sum()
            for i in range(Hout):
                for j in range(Wout):
                    window = x_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    dw[k] += window * dout[n, k, i, j]
                    dx_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW] += w[k] * dout[n, k, i, j]
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


def gradient(p):
    dx, dw, db = conv_backward_naive(dout, p["x"], p["w"], p["b"])
    return {"x": dx, "w": dw, "b": db}
"""

IM2COL = """
import numpy as np

dZ = np.random.default_rng(4).normal(size=(2, 3, 2, 2))


def inputs(rng):
    return {"A": rng.normal(size=(2, 2, 3, 3)), "W": rng.normal(size=(3, 2, 2, 2)), "b": rng.normal(size=3)}


def im2col(A, k):
    m, c, h, w = A.shape
    rows = []
    for i in range(h - k + 1):
        for j in range(w - k + 1):
            rows.append(A[:, :, i : i + k, j : j + k].reshape(m, -1))
    return np.stack(rows, axis=1)


def f(p):
    cols = im2col(p["A"], 2)
    Z = cols @ p["W"].reshape(3, -1).T + p["b"]
    return (Z.transpose(0, 2, 1).reshape(2, 3, 2, 2) * dZ).sum()


def col2im(dcols, shape, k):
    m, c, h, w = shape
    dA = np.zeros(shape)
    place = 0
    for i in range(h - k + 1):
        for j in range(w - k + 1):
            dA[:, :, i : i + k, j : j + k] += dcols[:, place].reshape(m, c, k, k)
            place += 1
    return dA


def gradient(p):
    A, W = p["A"], p["W"]
    n_f, k = W.shape[0], W.shape[2]
    cols = im2col(A, k)
    dZ_rows = dZ.reshape(2, n_f, -1).transpose(0, 2, 1)
    dW = np.einsum("mpf,mpq->fq", dZ_rows, cols).reshape(W.shape)
    db = dZ_rows.sum(axis=(0, 1))
    dcols = dZ_rows @ W.reshape(n_f, -1)
    dA = col2im(dcols, A.shape, k)
    return {"A": dA, "W": dW, "b": db}
"""

POOLING = """
import numpy as np

SIZE, STEP = 3, 1
dout = np.random.default_rng(5).normal(size=(2, 3, 3))


def inputs(rng):
    return rng.permutation(50).reshape(2, 5, 5) / 7.0 + 0.01 * rng.normal(size=(2, 5, 5))


def f(x):
    total = 0.0
    for i in range(3):
        for j in range(3):
            total = total + (x[:, i : i + SIZE, j : j + SIZE].max(axis=(1, 2)) * dout[:, i, j]).sum()
    return total


def gradient(x):
    N, H, W = dout.shape
    dx = np.zeros(x.shape)
    for n in range(N):
        for i in range(H):
            for j in range(W):
                top, left = i * STEP, j * STEP
                window = x[n, top : top + SIZE, left : left + SIZE]
                mask = window == np.max(window)
                dx[n, top : top + SIZE, left : left + SIZE] += mask * dout[n, i, j]
    return dx
"""

ATTENTION = """
import numpy as np

dO = np.random.default_rng(6).normal(size=(4, 3))


def inputs(rng):
    return {"Q": rng.normal(size=(4, 3)), "K": rng.normal(size=(4, 3)), "V": rng.normal(size=(4, 3))}


def softmax(s):
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def f(p):
    return (softmax(p["Q"] @ p["K"].T / np.sqrt(3)) @ p["V"] * dO).sum()


def attention_grad(p):
    Q, K, V = p["Q"], p["K"], p["V"]
    d = Q.shape[1]
    A = softmax(Q @ K.T / np.sqrt(d))
    dV = A.T @ dO
    dA = dO @ V.T
    dS = A * (dA - np.sum(dA * A, axis=1, keepdims=True))
    dS = dS / np.sqrt(d)
    dQ = dS @ K
    dK = dS.T @ Q
    return {"Q": dQ, "K": dK, "V": dV}


gradient = lambda p: attention_grad(p)
"""

LSTM = """
import numpy as np

H, D = 2, 3
dh_next, dc_next = np.random.default_rng(7).normal(size=(2, 4, H))


def inputs(rng):
    shapes = {"x": (4, D), "h": (4, H), "c": (4, H), "Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def step(p):
    a = p["x"] @ p["Wx"] + p["h"] @ p["Wh"] + p["b"]
    i, f_, o, g = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H]), np.tanh(a[:, 3 * H :])
    c = f_ * p["c"] + i * g
    return o * np.tanh(c), c, (i, f_, o, g)


def f(p):
    h, c, _ = step(p)
    return (h * dh_next).sum() + (c * dc_next).sum()


def gradient(p):
    h, c_next, (i, forget, o, g) = step(p)
    tanh_c = np.tanh(c_next)
    do = dh_next * tanh_c
    dc = dc_next + dh_next * o * (1 - tanh_c**2)
    dforget = dc * p["c"]
    di = dc * g
    dg = dc * i
    da_i = di * i * (1 - i)
    da_f = dforget * forget * (1 - forget)
    da_o = do * o * (1 - o)
    da_g = dg * (1 - g**2)
    da = np.hstack((da_i, da_f, da_o, da_g))
    grads = {}
    grads["x"] = da @ p["Wx"].T
    grads["h"] = da @ p["Wh"].T
    grads["c"] = dc * forget
    grads["Wx"] = p["x"].T @ da
    grads["Wh"] = p["h"].T @ da
    grads["b"] = np.sum(da, axis=0)
    return grads
"""

SOFTMAX = """
import numpy as np

y = np.array([0, 2, 1, 2, 0])


def inputs(rng):
    return rng.normal(size=(5, 3))


def f(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return -(shifted[np.arange(5), y] - np.log(np.exp(shifted).sum(axis=1))).mean()


def gradient(x):
    N = x.shape[0]
    scores = np.exp(x - np.max(x, axis=1, keepdims=True))
    probs = scores / np.sum(scores, axis=1, keepdims=True)
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return dx
"""

EMBEDDING = """
import numpy as np

ids = np.array([[0, 2, 2], [1, 0, 4]])
dout = np.random.default_rng(8).normal(size=(2, 3, 4))


def inputs(rng):
    return (rng.normal(size=(5, 4)), rng.normal(size=(3, 4)))


def f(p):
    table, places = p
    return ((table[ids] * 2.0 + places) * dout).sum()


def gradient(p):
    table, places = p
    dtable = np.zeros_like(table)
    for n in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            dtable[ids[n, t]] += 2.0 * dout[n, t]
    dplaces = dout.sum(axis=0)
    return dtable, dplaces
"""

SOURCES = {
    "batch norm": BATCH_NORM,
    "layer norm": LAYER_NORM,
    "convolution": CONVOLUTION,
    "im2col": IM2COL,
    "max pooling": POOLING,
    "attention": ATTENTION,
    "LSTM cell": LSTM,
    "softmax": SOFTMAX,
    "embedding": EMBEDDING,
}

MISTAKES = [
    ("batch norm", "dbeta = np.sum(dout, axis=0)", "dbeta = np.mean(dout, axis=0)"),
    ("batch norm", "dgamma = np.sum(dout * xhat, axis=0)", "dgamma = np.sum(dxhat * xhat, axis=0)", "dxhat = dout * gamma"),
    ("batch norm", "dgamma = np.sum(dout * xhat, axis=0)", "dgamma = np.sum(dout * xmu, axis=0)"),
    ("batch norm", "dsqrtvar = -1.0 / (sqrtvar**2) * divar", "dsqrtvar = -1.0 / sqrtvar * divar"),
    ("batch norm", "dvar = 0.5 / sqrtvar", "dvar = 0.5 * sqrtvar"),
    ("batch norm", "dsq = np.ones((N, D)) * dvar / N", "dsq = np.ones((N, D)) * dvar"),
    ("batch norm", "dx2 = np.ones((N, D)) * dmu / N", "dx2 = np.ones((N, D)) * dmu / D"),
    ("batch norm", "dx1 = dxmu1 + dxmu2", "dx1 = dxmu1"),
    ("batch norm", "dmu = -1 * np.sum", "dmu = np.sum"),
    ("batch norm", "dx = dx1 + dx2", "dx = dx1 - dx2"),
    ("layer norm", "dg = (dout * self.xhat).sum(axis=0)", "dg = (dout * self.xhat).mean(axis=0)"),
    ("layer norm", "dxhat = dout * self.g", "dxhat = dout"),
    ("layer norm", "dx = (dxhat - mean - projected) / self.std", "dx = (dxhat - mean - projected) * self.std"),
    ("layer norm", "dx = (dxhat - mean - projected) / self.std", "dx = dxhat - mean - projected / self.std"),
    ("layer norm", "dx = (dxhat - mean - projected)", "dx = (dxhat - projected)"),
    ("layer norm", "projected = self.xhat * (dxhat * self.xhat)", "projected = self.xhat * (dxhat)"),
    ("layer norm", "mean = dxhat.mean(axis=1, keepdims=True)", "mean = dout.mean(axis=1, keepdims=True)"),
    ("convolution", "dw[k] += window", "dw[k] = window"),
    ("convolution", "j * stride : j * stride + WW] += w[k]", "j * stride : j * stride + WW] = w[k]"),
    ("convolution", "db[k] += dout[n, k].sum()", "db[k] += dout[n, k].mean()"),
    ("convolution", "+= w[k] * dout[n, k, i, j]", "+= w[k, :, ::-1] * dout[n, k, i, j]"),
    ("convolution", "dw[k] += window * dout[n, k, i, j]", "dw[k] += window * dout[n, k, j, i]"),
    ("convolution", "dx = dx_pad[:, :, pad : pad + H, pad : pad + W]", "dx = dx_pad[:, :, :H, pad : pad + W]"),
    ("im2col", 'np.einsum("mpf,mpq->fq", dZ_rows, cols)', 'np.einsum("mpf,mpq->qf", dZ_rows, cols)'),
    ("im2col", "j : j + k] += dcols", "j : j + k] = dcols"),
    ("im2col", "db = dZ_rows.sum(axis=(0, 1))", "db = dZ_rows.sum(axis=(0, 1)) / 2"),
    ("im2col", "reshape(2, n_f, -1).transpose(0, 2, 1)", "reshape(2, -1, n_f)"),
    ("max pooling", "SIZE] += mask", "SIZE] = mask"),
    ("max pooling", "mask = window == np.max(window)", "mask = window != np.max(window)"),
    ("max pooling", "mask = window == np.max(window)", "mask = window == np.min(window)"),
    ("max pooling", "mask * dout[n, i, j]", "mask * dout[n, j, i]"),
    ("attention", "dS = dS / np.sqrt(d)", "dS = dS / d"),
    ("attention", "    dS = dS / np.sqrt(d)\n", ""),
    ("attention", "dK = dS.T @ Q", "dK = dS @ Q"),
    ("attention", "dV = A.T @ dO", "dV = A @ dO"),
    ("attention", '{"Q": dQ, "K": dK', '{"Q": dK, "K": dQ'),
    ("attention", "dS = A * (dA - np.sum(dA * A, axis=1, keepdims=True))", "dS = A * dA"),
    ("attention", "np.sum(dA * A, axis=1, keepdims=True)", "np.sum(dA * A, axis=0, keepdims=True)"),
    ("attention", "dS = A * (dA - ", "dS = (dA - "),
    ("LSTM cell", "da_f = dforget * forget * (1 - forget)", "da_f = dforget * (1 - forget)"),
    ("LSTM cell", "da_g = dg * (1 - g**2)", "da_g = dg * g * (1 - g)"),
    ("LSTM cell", "dc = dc_next + dh_next * o", "dc = dh_next * o"),
    ("LSTM cell", "o * (1 - tanh_c**2)", "o * (1 - c_next**2)"),
    ("LSTM cell", "np.hstack((da_i, da_f, da_o, da_g))", "np.hstack((da_i, da_o, da_f, da_g))"),
    ("LSTM cell", 'grads["c"] = dc * forget', 'grads["c"] = dc * i'),
    ("softmax", "    dx /= N\n", ""),
    ("softmax", "y] -= 1", "y] += 1"),
    ("softmax", "np.sum(scores, axis=1, keepdims=True)", "np.sum(scores)"),
    ("softmax", "dx /= N", "dx /= len(y) - 1"),
    ("embedding", "dtable[ids[n, t]] += 2.0", "dtable[ids[n, t]] = 2.0"),
    ("embedding", "dtable[ids[n, t]] += 2.0 * dout[n, t]", "dtable[ids[n, t]] += dout[n, t]"),
    ("embedding", "dplaces = dout.sum(axis=0)", "dplaces = dout.mean(axis=0)"),
]
"""Layer, the right piece, the wrong one; a fourth stands before the wrong one where it needs it."""

_numbers = itertools.count()


def loaded(source):
    """Run a source as a file whose lines can be read."""
    name = f"handmade_{next(_numbers)}.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space = {"__name__": "handmade", "__file__": name}
    exec(compile(source, name, "exec"), space)
    return SimpleNamespace(**space)


def planted(layer, right, wrong, before=""):
    """Return a source with a mistake."""
    source = SOURCES[layer]
    assert source.count(right) == 1, (layer, right)
    return source.replace(right, f"{before}\n    {wrong}" if before else wrong)
