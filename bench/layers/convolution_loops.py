"""A convolution in the order examples, channels, height, width, by loops over all of them; zeros around the image."""

import numpy as np

MUTATED = ("backward",)
STRIDE, PAD = 2, 1


def forward(x, w, b):
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out = 1 + (H + 2 * PAD - HH) // STRIDE
    W_out = 1 + (W + 2 * PAD - WW) // STRIDE
    x_pad = np.pad(x, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    out = np.zeros((N, F, H_out, W_out))
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    top, left = i * STRIDE, j * STRIDE
                    window = x_pad[n, :, top : top + HH, left : left + WW]
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return out, (x, w, b)


def backward(dout, cache):
    x, w, b = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    _, _, H_out, W_out = dout.shape
    x_pad = np.pad(x, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    dx_pad = np.zeros(x_pad.shape)
    dw = np.zeros(w.shape)
    db = np.zeros(b.shape)
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    top, left = i * STRIDE, j * STRIDE
                    window = x_pad[n, :, top : top + HH, left : left + WW]
                    db[f] += dout[n, f, i, j]
                    dw[f] += window * dout[n, f, i, j]
                    dx_pad[n, :, top : top + HH, left : left + WW] += w[f] * dout[n, f, i, j]
    dx = dx_pad[:, :, PAD : PAD + H, PAD : PAD + W]
    return dx, dw, db


def inputs(rng, dtype=np.float64, size="small"):
    N, C, F, H = {"small": (2, 2, 3, 5), "other": (3, 2, 3, 5), "large": (4, 3, 6, 9)}[size]
    x = rng.normal(size=(N, C, H, H)).astype(dtype)
    w = (rng.normal(size=(F, C, 3, 3)) / 3.0).astype(dtype)
    b = rng.normal(size=F).astype(dtype)
    return x, w, b
