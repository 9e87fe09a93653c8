"""A convolution in the order examples, height, width, channels, as one product of a matrix of patches; dicts throughout."""

import numpy as np

MUTATED = ("backward", "columns_to_image")


def image_to_columns(x, k):
    m, h, w, c = x.shape
    rows, cols = h - k + 1, w - k + 1
    patches = np.empty((m, rows, cols, k, k, c), dtype=x.dtype)
    for i in range(k):
        for j in range(k):
            patches[:, :, :, i, j, :] = x[:, i : i + rows, j : j + cols, :]
    return patches.reshape(m * rows * cols, k * k * c)


def columns_to_image(d_columns, shape, k):
    m, h, w, c = shape
    rows, cols = h - k + 1, w - k + 1
    d_patches = d_columns.reshape(m, rows, cols, k, k, c)
    dx = np.zeros(shape, dtype=d_columns.dtype)
    for i in range(k):
        for j in range(k):
            dx[:, i : i + rows, j : j + cols, :] += d_patches[:, :, :, i, j, :]
    return dx


def forward(A_prev, W, b):
    k = W.shape[0]
    m, h, w, _ = A_prev.shape
    columns = image_to_columns(A_prev, k)
    W_col = W.reshape(-1, W.shape[-1])
    Z = (columns @ W_col + b).reshape(m, h - k + 1, w - k + 1, -1)
    return Z, {"columns": columns, "W": W, "shape": A_prev.shape}


def backward(dZ, cache):
    W = cache["W"]
    filters = W.shape[-1]
    dZ_col = dZ.reshape(-1, filters)
    W_col = W.reshape(-1, filters)
    dW = (cache["columns"].T @ dZ_col).reshape(W.shape)
    db = dZ_col.sum(axis=0)
    d_columns = dZ_col @ W_col.T
    dA_prev = columns_to_image(d_columns, cache["shape"], W.shape[0])
    return {"A_prev": dA_prev, "W": dW, "b": db}


def inputs(rng, dtype=np.float64, size="small"):
    m, h, w, c, f = {"small": (2, 4, 5, 2, 3), "other": (3, 4, 5, 2, 3), "large": (6, 9, 8, 3, 8)}[size]
    return {
        "A_prev": rng.normal(size=(m, h, w, c)).astype(dtype),
        "W": (rng.normal(size=(3, 3, c, f)) / 3.0).astype(dtype),
        "b": rng.normal(size=f).astype(dtype),
    }
