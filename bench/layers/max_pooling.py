"""Max pooling in the order examples, height, width, channels; windows of three at a stride of two overlap."""

import numpy as np

MUTATED = ("backward", "mask_of")
SIZE, STRIDE = 3, 2


def mask_of(window):
    return window == np.max(window)


def forward(A_prev):
    m, n_H, n_W, n_C = A_prev.shape
    out_H = (n_H - SIZE) // STRIDE + 1
    out_W = (n_W - SIZE) // STRIDE + 1
    A = np.zeros((m, out_H, out_W, n_C))
    for i in range(m):
        for h in range(out_H):
            for w in range(out_W):
                for c in range(n_C):
                    a = A_prev[i, h * STRIDE : h * STRIDE + SIZE, w * STRIDE : w * STRIDE + SIZE, c]
                    A[i, h, w, c] = np.max(a)
    return A, A_prev


def backward(dA, cache):
    A_prev = cache
    m, n_H, n_W, n_C = dA.shape
    dA_prev = np.zeros(A_prev.shape)
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                for c in range(n_C):
                    v, u = h * STRIDE, w * STRIDE
                    a = A_prev[i, v : v + SIZE, u : u + SIZE, c]
                    mask = mask_of(a)
                    dA_prev[i, v : v + SIZE, u : u + SIZE, c] += mask * dA[i, h, w, c]
    return dA_prev


def inputs(rng, dtype=np.float64, size="small"):
    m, h, w, c = {"small": (2, 5, 7, 2), "other": (3, 5, 7, 2), "large": (4, 11, 9, 3)}[size]
    return rng.normal(size=(m, h, w, c)).astype(dtype)
