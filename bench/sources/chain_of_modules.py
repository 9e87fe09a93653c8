"""Modules that keep what went through them and add to their gradients, called in reverse; rows, half the mean of squares."""

import numpy as np

WIDTHS, EXAMPLES = (3, 6, 6, 2), (5, 8)
OPTIONS = {"activations": ["tanh", "elu", "identity"], "loss": "squared_error", "layout": "rows,in_out"}
MUTATED = ("back",)


class Affine:
    def __init__(self, w, b):
        self.w, self.b = w, b
        self.dw, self.db = np.zeros(w.shape), np.zeros(b.shape)

    def go(self, x):
        self.x = x
        return np.dot(x, self.w) + self.b

    def back(self, dout):
        self.dw += np.dot(self.x.T, dout)
        self.db += np.sum(dout, axis=0)
        return np.dot(dout, self.w.T)


class Tanh:
    def go(self, x):
        self.y = np.tanh(x)
        return self.y

    def back(self, dout):
        dx = dout * (1.0 - np.square(self.y))
        return dx


class Elu:
    def go(self, x):
        self.x = x
        self.y = np.where(x > 0, x, np.exp(x) - 1)
        return self.y

    def back(self, dout):
        negative = self.x <= 0
        dx = dout.copy()
        dx[negative] = dx[negative] * (self.y[negative] + 1)
        return dx


class HalfSquares:
    def go(self, x, t):
        self.x, self.t = x, t
        return 0.5 * np.sum((x - t) ** 2) / len(x)

    def back(self, dout):
        dx = (self.x - self.t) / len(self.x)
        return dout * dx


def backward(parameters, X, Y):
    chain = [Affine(parameters["W1"], parameters["b1"]), Tanh(), Affine(parameters["W2"], parameters["b2"]), Elu()]
    chain.append(Affine(parameters["W3"], parameters["b3"]))
    x = X
    for module in chain:
        x = module.go(x)
    loss = HalfSquares()
    loss.go(x, Y)
    dout = loss.back(1.0)
    for module in reversed(chain):
        dout = module.back(dout)
    return {
        "dW1": chain[0].dw,
        "db1": chain[0].db,
        "dW2": chain[2].dw,
        "db2": chain[2].db,
        "dW3": chain[4].dw,
        "db3": chain[4].db,
    }
