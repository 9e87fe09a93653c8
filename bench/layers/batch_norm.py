"""Batch norm of columns, one step of the graph after another, backwards too."""

import numpy as np

MUTATED = ("backward",)
EPS = 1e-5


def forward(Z, gamma, beta):
    m = Z.shape[1]
    mu = np.sum(Z, axis=1, keepdims=True) / m
    centred = Z - mu
    var = np.sum(centred**2, axis=1, keepdims=True) / m
    std = np.sqrt(var + EPS)
    inverse = 1.0 / std
    Z_norm = centred * inverse
    out = gamma * Z_norm + beta
    return out, {"Z_norm": Z_norm, "centred": centred, "inverse": inverse, "std": std, "gamma": gamma}


def backward(dout, cache):
    centred, inverse, std = cache["centred"], cache["inverse"], cache["std"]
    m = dout.shape[1]
    dbeta = np.sum(dout, axis=1, keepdims=True)
    dgamma = np.sum(dout * cache["Z_norm"], axis=1, keepdims=True)
    dZ_norm = dout * cache["gamma"]
    dinverse = np.sum(dZ_norm * centred, axis=1, keepdims=True)
    dcentred = dZ_norm * inverse
    dstd = -dinverse / std**2
    dvar = 0.5 * dstd / std
    dsquare = np.ones(dout.shape, dtype=dout.dtype) * dvar / m
    dcentred += 2 * centred * dsquare
    dmu = -np.sum(dcentred, axis=1, keepdims=True)
    dZ = dcentred + dmu / m
    return {"Z": dZ, "gamma": dgamma, "beta": dbeta}


def inputs(rng, dtype=np.float64, size="small"):
    n, m = {"small": (3, 8), "other": (3, 11), "large": (30, 40)}[size]
    return {
        "Z": (1.0 + 2.0 * rng.normal(size=(n, m))).astype(dtype),
        "gamma": rng.uniform(0.5, 1.5, size=(n, 1)).astype(dtype),
        "beta": rng.normal(size=(n, 1)).astype(dtype),
    }
