"""An affine layer of rows; whatever has more axes than two is laid flat. The cache is a tuple."""

import numpy as np

MUTATED = ("backward",)


def forward(x, w, b):
    rows = x.reshape(x.shape[0], -1)
    out = rows.dot(w) + b
    cache = (x, w)
    return out, cache


def backward(dout, cache):
    x, w = cache
    rows = x.reshape(x.shape[0], -1)
    dx = dout.dot(w.T).reshape(x.shape)
    dw = rows.T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


def inputs(rng, dtype=np.float64, size="small"):
    n, a, c, m = {"small": (4, 2, 3, 5), "other": (6, 2, 3, 5), "large": (32, 4, 8, 40)}[size]
    x = rng.normal(size=(n, a, c)).astype(dtype)
    w = (rng.normal(size=(a * c, m)) / np.sqrt(a * c)).astype(dtype)
    b = rng.normal(size=m).astype(dtype)
    return x, w, b
