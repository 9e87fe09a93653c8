"""Layers without state: forward gives back what backward will need, as a tuple; rows, elu and sigmoid, weights decay."""

import numpy as np

WIDTHS, EXAMPLES = (5, 6, 4, 3), (8, 10)
OPTIONS = {
    "activations": ["elu", "sigmoid", "identity"],
    "loss": "softmax_crossentropy",
    "l2": 0.15,
    "layout": "rows,in_out",
}
MUTATED = ("affine_back", "elu_back", "sigmoid_back", "softmax_back", "whole_back")
decay = 0.15


def affine(x, w, b):
    return x @ w + b, (x, w)


def affine_back(dout, cache):
    x, w = cache
    dx = dout @ w.T
    dw = x.T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


def elu(x):
    out = np.where(x > 0, x, np.expm1(x))
    return out, (x, out)


def elu_back(dout, cache):
    x, out = cache
    return np.where(x > 0, dout, dout * (out + 1.0))


def sigmoid(x):
    out = 1.0 / (1.0 + np.exp(-x))
    return out, (out,)


def sigmoid_back(dout, cache):
    (out,) = cache
    return dout * (out - out * out)


def softmax(scores, y):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return -np.sum(y * np.log(p)) / y.shape[0], (p, y)


def softmax_back(cache):
    p, y = cache
    return (p - y) / y.shape[0]


def whole_back(params, caches):
    c1, e1, c2, s2, c3, top = caches
    grads = {}
    d3 = softmax_back(top)
    dh2, dw3, grads["b3"] = affine_back(d3, c3)
    d2 = sigmoid_back(dh2, s2)
    dh1, dw2, grads["b2"] = affine_back(d2, c2)
    d1 = elu_back(dh1, e1)
    dx, dw1, grads["b1"] = affine_back(d1, c1)
    grads["W3"] = dw3 + decay * params["W3"]
    grads["W2"] = dw2 + decay * params["W2"]
    grads["W1"] = dw1 + decay * params["W1"]
    return grads


def backward(parameters, X, Y):
    u1, c1 = affine(X, parameters["W1"], parameters["b1"])
    h1, e1 = elu(u1)
    u2, c2 = affine(h1, parameters["W2"], parameters["b2"])
    h2, s2 = sigmoid(u2)
    u3, c3 = affine(h2, parameters["W3"], parameters["b3"])
    loss, top = softmax(u3, Y)
    return whole_back(parameters, (c1, e1, c2, s2, c3, top))
