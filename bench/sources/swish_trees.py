"""A tree of parameters in, a tree of gradients out; einsum with batch first, swish, the mean of squares over everything."""

import numpy as np

WIDTHS, EXAMPLES = (4, 5, 6, 2), (9, 6)
OPTIONS = {"hidden": "silu", "output": "identity", "loss": "mse", "layout": "rows,in_out"}
MUTATED = ("swish_vjp", "dense_vjp", "loss_vjp", "grad")


def sigma(u):
    return 1.0 / (1.0 + np.exp(-u))


def dense(layer, h):
    return np.einsum("bi,io->bo", h, layer["kernel"]) + layer["bias"]


def swish_vjp(u, ct):
    s = sigma(u)
    return ct * (s + u * s * (1.0 - s))


def dense_vjp(layer, h, ct):
    cotangent = np.einsum("bo,io->bi", ct, layer["kernel"])
    return {"kernel": np.einsum("bi,bo->io", h, ct), "bias": np.einsum("bo->o", ct)}, cotangent


def loss_vjp(out, target):
    residual = out - target
    return 2.0 * residual / residual.size


def run(tree, x):
    hs, us = [x], []
    for i in range(3):
        us.append(dense(tree["layer%d" % i], hs[-1]))
        hs.append(us[-1] * sigma(us[-1]))
    return hs, us


def grad(tree, x, target):
    hs, us = run(tree, x)
    ct = loss_vjp(us[-1], target)
    out = {}
    out["layer2"], ct = dense_vjp(tree["layer2"], hs[2], ct)
    for i in (1, 0):
        ct = swish_vjp(us[i], ct)
        out["layer%d" % i], ct = dense_vjp(tree["layer%d" % i], hs[i], ct)
    return out


def backward(parameters, X, Y):
    tree = {"layer%d" % i: {"kernel": parameters["W%d" % (i + 1)], "bias": parameters["b%d" % (i + 1)]} for i in range(3)}
    found = grad(tree, X, Y)
    return {
        "W1": found["layer0"]["kernel"],
        "b1": found["layer0"]["bias"],
        "W2": found["layer1"]["kernel"],
        "b2": found["layer1"]["bias"],
        "W3": found["layer2"]["kernel"],
        "b3": found["layer2"]["bias"],
    }
