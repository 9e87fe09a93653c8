"""A classifier with scores; examples in rows, the division at the top, half a squared penalty on the weights."""

import numpy as np

WIDTHS, EXAMPLES = (5, 7, 7, 3), (8, 11)
OPTIONS = {"hidden": "relu", "output": "softmax", "loss": "softmax_crossentropy", "l2": 0.3, "layout": "rows,in_out"}
MUTATED = ("gradients",)
reg = 0.3


def gradients(params, X, y):
    W1, b1 = params["W1"], params["b1"]
    W2, b2 = params["W2"], params["b2"]
    W3, b3 = params["W3"], params["b3"]
    N = X.shape[0]
    h1, h2, probs = scores(params, X)
    grads = {}
    dscores = probs.copy()
    dscores -= y
    dscores /= N
    grads["W3"] = h2.T.dot(dscores) + reg * W3
    grads["b3"] = np.sum(dscores, axis=0)
    dh2 = dscores.dot(W3.T)
    dh2[h2 <= 0] = 0
    grads["W2"] = h1.T.dot(dh2) + reg * W2
    grads["b2"] = np.sum(dh2, axis=0)
    dh1 = dh2.dot(W2.T)
    dh1[h1 <= 0] = 0
    grads["W1"] = X.T.dot(dh1)
    grads["b1"] = np.sum(dh1, axis=0)
    grads["W1"] += reg * W1
    return grads


def scores(params, X):
    h1 = np.maximum(0, X.dot(params["W1"]) + params["b1"])
    h2 = np.maximum(0, h1.dot(params["W2"]) + params["b2"])
    s = h2.dot(params["W3"]) + params["b3"]
    e = np.exp(s - np.max(s, axis=1, keepdims=True))
    return h1, h2, e / np.sum(e, axis=1, keepdims=True)


def backward(parameters, X, Y):
    return gradients(parameters, X, Y)
