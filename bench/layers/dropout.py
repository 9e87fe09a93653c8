"""Dropout that scales what it keeps; its mask is drawn from a generator of its own with a fixed seed."""

import numpy as np

MUTATED = ("backward",)
KEEP, SEED = 0.7, 3


def forward(x):
    rng = np.random.default_rng(SEED)
    mask = rng.random(x.shape) < KEEP
    out = x * mask / KEEP
    return out, (mask, KEEP)


def backward(dout, cache):
    mask, keep = cache
    dx = dout * mask
    dx = dx / keep
    return dx


def inputs(rng, dtype=np.float64, size="small"):
    shape = {"small": (6, 8), "other": (9, 8), "large": (40, 30)}[size]
    return rng.normal(size=shape).astype(dtype)
