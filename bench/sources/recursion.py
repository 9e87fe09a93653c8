"""A function that calls itself for the layers below and returns the list of what it found; columns, mean of squares."""

import numpy as np

WIDTHS, EXAMPLES = (5, 4, 6, 2), (7, 9)
OPTIONS = {"hidden": "tanh", "output": "sigmoid", "loss": "mse", "layout": "columns,out_in"}
MUTATED = ("descend", "at_the_top")


def forward(Ws, bs, X):
    As = [X]
    for n, (W, b) in enumerate(zip(Ws, bs)):
        Z = np.dot(W, As[-1]) + b
        As.append(np.tanh(Z) if n + 1 < len(Ws) else 1 / (1 + np.exp(-Z)))
    return As


def at_the_top(output, Y):
    n, m = Y.shape
    return 2 / (n * m) * (output - Y) * output * (1 - output)


def descend(Ws, As, delta):
    W, A = Ws[-1], As[-1]
    here = (np.dot(delta, A.T), np.sum(delta, axis=1, keepdims=True))
    if len(Ws) == 1:
        return [here]
    below = np.dot(W.T, delta) * (1 - np.power(A, 2))
    return descend(Ws[:-1], As[:-1], below) + [here]


def backward(parameters, X, Y):
    Ws = [parameters["W1"], parameters["W2"], parameters["W3"]]
    bs = [parameters["b1"], parameters["b2"], parameters["b3"]]
    As = forward(Ws, bs, X)
    found = {}
    for k, (dW, db) in enumerate(descend(Ws, As[:-1], at_the_top(As[-1], Y)), start=1):
        found["dW%d" % k], found["db%d" % k] = dW, db
    return found
