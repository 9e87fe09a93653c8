"""For each example a chain of Jacobians from the right, diagonal ones of the activations among them; columns, l2 over m."""

import numpy as np

WIDTHS, EXAMPLES = (5, 4, 6, 3), (8, 8)
OPTIONS = {"hidden": "sigmoid", "output": "tanh", "loss": "squared_error", "l2": 0.1, "layout": "columns,out_in"}
MUTATED = ("d_sigmoid", "d_tanh", "row_vectors", "collect")
decay = 0.8


def sigmoid(v):
    return 1.0 / (1.0 + np.exp(-v))


def d_sigmoid(v):
    e = np.exp(-v)
    return np.diagflat(e / (1.0 + e) ** 2)


def d_tanh(v):
    return np.diagflat(1.0 - np.tanh(v) ** 2)


def trace(p, x):
    z1 = p["W1"] @ x + p["b1"]
    a1 = sigmoid(z1)
    z2 = p["W2"] @ a1 + p["b2"]
    a2 = sigmoid(z2)
    z3 = p["W3"] @ a2 + p["b3"]
    return z1, a1, z2, a2, z3, np.tanh(z3)


def row_vectors(p, z1, z2, z3, a3, y):
    r3 = (a3 - y).T @ d_tanh(z3)
    r2 = r3 @ p["W3"] @ d_sigmoid(z2)
    r1 = r2 @ p["W2"] @ d_sigmoid(z1)
    return r1, r2, r3


def collect(p, X, Y):
    m = X.shape[1]
    g = {name: decay / m * value if name[0] == "W" else 0 * value for name, value in p.items()}
    for i in range(m):
        x = X[:, [i]]
        z1, a1, z2, a2, z3, a3 = trace(p, x)
        r1, r2, r3 = row_vectors(p, z1, z2, z3, a3, Y[:, [i]])
        g["W3"] += (a2 @ r3).T / m
        g["W2"] += (a1 @ r2).T / m
        g["W1"] += (x @ r1).T / m
        g["b3"] += r3.T / m
        g["b2"] += r2.T / m
        g["b1"] += r1.T / m
    return g


def backward(parameters, X, Y):
    return {"d" + name: value for name, value in collect(parameters, X, Y).items()}
