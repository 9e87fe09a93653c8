"""RMS norm over the last of three axes, as the newer language models have it."""

import numpy as np

MUTATED = ("backward",)
EPS = 1e-6


def forward(x, g):
    r = 1.0 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + EPS)
    return x * r * g, (x, g, r)


def backward(dy, saved):
    x, g, r = saved
    d = x.shape[-1]
    n = x * r
    dg = np.einsum("btd,btd->d", dy, n)
    dn = dy * g
    inner = np.sum(dn * x, axis=-1, keepdims=True)
    dx = r * dn - x * r**3 * inner / d
    return {"x": dx, "g": dg}


def inputs(rng, dtype=np.float64, size="small"):
    b, t, d = {"small": (2, 3, 5), "other": (3, 3, 5), "large": (4, 9, 30)}[size]
    return {"x": rng.normal(size=(b, t, d)).astype(dtype), "g": rng.uniform(0.5, 1.5, size=d).astype(dtype)}
