"""Row by row with vectors, sums kept in the caller and divided at the end; leaky relu, one linear output, l2 over m."""

import numpy as np

WIDTHS, EXAMPLES = (4, 7, 5, 1), (10, 10)
OPTIONS = {"hidden": "leaky_relu:0.1", "output": "identity", "loss": "squared_error", "l2": 0.06, "layout": "rows,in_out"}
MUTATED = ("leaky_grad", "train_step")
lam, alpha = 0.6, 0.1


def leaky(v):
    return np.where(v > 0, v, alpha * v)


def leaky_grad(v):
    return np.where(v > 0, 1.0, alpha)


def through(w1, c1, w2, c2, w3, c3, x):
    s1 = x.dot(w1) + c1
    h1 = leaky(s1)
    s2 = h1.dot(w2) + c2
    h2 = leaky(s2)
    return s1, h1, s2, h2, h2.dot(w3) + c3


def train_step(w1, c1, w2, c2, w3, c3, data, target):
    count = len(data)
    gw1, gw2, gw3 = np.zeros(w1.shape), np.zeros(w2.shape), np.zeros(w3.shape)
    gc1, gc2, gc3 = np.zeros(c1.shape), np.zeros(c2.shape), np.zeros(c3.shape)
    for row in range(count):
        x, t = data[row], target[row]
        s1, h1, s2, h2, out = through(w1, c1, w2, c2, w3, c3, x)
        err3 = out - t
        err2 = w3.dot(err3) * leaky_grad(s2)
        err1 = w2.dot(err2) * leaky_grad(s1)
        gw3 += np.outer(h2, err3)
        gw2 += np.outer(h1, err2)
        gw1 += np.outer(x, err1)
        gc3 += err3
        gc2 += err2
        gc1 += err1
    gw1 = (gw1 + lam * w1) / count
    gw2 = (gw2 + lam * w2) / count
    gw3 = (gw3 + lam * w3) / count
    return gw1, gc1 / count, gw2, gc2 / count, gw3, gc3 / count


def backward(parameters, X, Y):
    order = ("W1", "b1", "W2", "b2", "W3", "b3")
    found = train_step(*(parameters[name] for name in order), X, Y)
    return {"d" + name: array for name, array in zip(order, found)}
