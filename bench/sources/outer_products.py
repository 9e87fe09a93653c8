"""One example after the other with outer products, added up and divided at the end; rows, sigmoid and a binary output."""

import numpy as np

WIDTHS, EXAMPLES = (5, 6, 4, 1), (11, 8)
OPTIONS = {"activations": ["sigmoid", "relu", "sigmoid"], "loss": "binary_crossentropy", "layout": "rows,out_in"}
MUTATED = ("one_example", "total")


def squash(v):
    return 1.0 / (1.0 + np.exp(-v))


def activities(p, x):
    u1 = p["W1"] @ x + p["b1"]
    h1 = squash(u1)
    u2 = p["W2"] @ h1 + p["b2"]
    h2 = np.maximum(u2, 0.0)
    return u1, h1, u2, h2, squash(p["W3"] @ h2 + p["b3"])


def one_example(p, x, y):
    u1, h1, u2, h2, out = activities(p, x)
    e3 = out - y
    e2 = p["W3"].T @ e3
    e2 = e2 * (u2 > 0)
    e1 = (p["W2"].T @ e2) * h1 * (1.0 - h1)
    return {
        "W1": np.outer(e1, x),
        "b1": e1,
        "W2": np.outer(e2, h1),
        "b2": e2,
        "W3": np.outer(e3, h2),
        "b3": e3,
    }


def total(p, X, Y):
    grads = {name: np.zeros_like(value) for name, value in p.items()}
    for x, y in zip(X, Y):
        found = one_example(p, x, y)
        for name in grads:
            grads[name] = grads[name] + found[name]
    for name in grads:
        grads[name] = grads[name] / len(X)
    return grads


def backward(parameters, X, Y):
    return total(parameters, X, Y)
