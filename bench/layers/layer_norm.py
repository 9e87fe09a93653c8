"""Layer norm of rows as a class, its backward pass in the one formula that people derive on paper."""

import numpy as np

MUTATED = ("backward",)


class LayerNorm:
    def __init__(self, gamma, beta, eps=1e-5):
        self.gamma, self.beta, self.eps = gamma, beta, eps

    def forward(self, x):
        mean = x.mean(axis=-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
        self.std = np.sqrt(variance + self.eps)
        self.xhat = (x - mean) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        dgamma = (dout * self.xhat).sum(axis=0)
        dbeta = dout.sum(axis=0)
        D = dout.shape[1]
        dxhat = dout * self.gamma
        sums = dxhat.sum(axis=1, keepdims=True)
        projected = (dxhat * self.xhat).sum(axis=1, keepdims=True)
        dx = (D * dxhat - sums - self.xhat * projected) / (D * self.std)
        return dx, dgamma, dbeta


def forward(x, gamma, beta):
    layer = LayerNorm(gamma, beta)
    return layer.forward(x), layer


def backward(dout, layer):
    return layer.backward(dout)


def inputs(rng, dtype=np.float64, size="small"):
    n, d = {"small": (5, 6), "other": (7, 6), "large": (30, 40)}[size]
    x = (2.0 * rng.normal(size=(n, d)) - 1.0).astype(dtype)
    return x, rng.uniform(0.5, 1.5, size=d).astype(dtype), rng.normal(size=d).astype(dtype)
