"""GELU by the hyperbolic tangent; the backward function takes the input itself and there is no cache."""

import math

import numpy as np

MUTATED = ("backward",)
C = math.sqrt(2.0 / math.pi)


def forward(x):
    return 0.5 * x * (1.0 + np.tanh(C * (x + 0.044715 * x**3)))


def backward(dout, x):
    t = np.tanh(C * (x + 0.044715 * x**3))
    inner = C * (1.0 + 3 * 0.044715 * x**2)
    slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t**2) * inner
    return dout * slope


def inputs(rng, dtype=np.float64, size="small"):
    shape = {"small": (6, 7), "other": (8, 7), "large": (40, 30)}[size]
    return (1.5 * rng.normal(size=shape)).astype(dtype)
