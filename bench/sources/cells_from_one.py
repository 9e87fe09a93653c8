"""Cells that count from one, as Octave has them: a loop down over the layers with delta, then one with the penalty; columns."""

import numpy as np

WIDTHS, EXAMPLES = (4, 6, 5, 3), (10, 10)
OPTIONS = {"hidden": "sigmoid", "output": "sigmoid", "loss": "binary_crossentropy", "l2": 0.13, "layout": "columns,out_in"}
MUTATED = ("costGradient", "sigmoidGradient")
lambda_ = 1.3


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoidGradient(z):
    g = sigmoid(z)
    return g * (1.0 - g)


def predict(W, b, X):
    z, a = {}, {1: X}
    for l in range(2, 5):
        z[l] = np.dot(W[l - 1], a[l - 1]) + b[l - 1]
        a[l] = sigmoid(z[l])
    return z, a


def costGradient(W, b, X, y):
    m = X.shape[1]
    L = 4
    z, a = predict(W, b, X)
    delta, Wgrad, bgrad = {}, {}, {}
    delta[L] = a[L] - y
    for l in range(L - 1, 1, -1):
        delta[l] = np.dot(np.transpose(W[l]), delta[l + 1]) * sigmoidGradient(z[l])
    for l in range(1, L):
        Wgrad[l] = np.dot(delta[l + 1], np.transpose(a[l])) / m
        bgrad[l] = np.sum(delta[l + 1], 1) / m
    for l in range(1, L):
        Wgrad[l] = Wgrad[l] + (lambda_ / m) * W[l]
    return Wgrad, bgrad


def backward(parameters, X, Y):
    W = {l: parameters["W%d" % l] for l in (1, 2, 3)}
    b = {l: parameters["b%d" % l] for l in (1, 2, 3)}
    Wgrad, bgrad = costGradient(W, b, X, Y)
    found = {}
    for l in (1, 2, 3):
        found["dW%d" % l], found["db%d" % l] = Wgrad[l], bgrad[l]
    return found
