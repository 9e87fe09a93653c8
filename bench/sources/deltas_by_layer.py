"""A list of deltas filled from the end, an L2 penalty divided by the number of examples, relu and sigmoid; columns."""

import numpy as np

WIDTHS, EXAMPLES = (5, 4, 6, 1), (7, 7)
OPTIONS = {"hidden": "relu", "output": "sigmoid", "loss": "binary_crossentropy", "l2": 0.1, "layout": "columns,out_in"}
MUTATED = ("compute_deltas", "compute_gradients")
lam = 0.7


def activate(weights, biases, x):
    acts, zs = [x], []
    for w, b in zip(weights, biases):
        zs.append(w.dot(acts[-1]) + b)
        acts.append(1 / (1 + np.exp(-zs[-1])) if len(zs) == 3 else np.maximum(zs[-1], 0))
    return acts, zs


def compute_deltas(weights, acts, zs, y):
    deltas = [None, None, None]
    deltas[2] = acts[3] - y
    for k in (1, 0):
        back = weights[k + 1].T.dot(deltas[k + 1])
        mask = zs[k] > 0
        deltas[k] = back * mask
    return deltas


def compute_gradients(weights, acts, deltas, m):
    grads = {}
    for k in range(3):
        dw = deltas[k].dot(acts[k].T)
        db = deltas[k].sum(axis=1, keepdims=True)
        grads["dW%d" % (k + 1)] = (dw + lam * weights[k]) / m
        grads["db%d" % (k + 1)] = db / m
    return grads


def backward(parameters, X, Y):
    weights = [parameters["W1"], parameters["W2"], parameters["W3"]]
    biases = [parameters["b1"], parameters["b2"], parameters["b3"]]
    acts, zs = activate(weights, biases, X)
    return compute_gradients(weights, acts, compute_deltas(weights, acts, zs, Y), X.shape[1])
