"""One loop over numbered layers with a table of derivatives; columns, the penalty in dW."""

import numpy as np

WIDTHS, EXAMPLES = (4, 5, 5, 5, 3), (7, 11)
OPTIONS = {
    "activations": ["tanh", "sigmoid", "tanh", "identity"],
    "loss": "squared_error",
    "l2": 0.2,
    "layout": "columns,out_in",
}
MUTATED = ("backward_pass", "tanh_derivative", "sigmoid_derivative", "identity_derivative")
lambd = 0.2


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def tanh_derivative(z):
    return 1 - np.tanh(z) ** 2


def sigmoid_derivative(z):
    s = sigmoid(z)
    return s * (1 - s)


def identity_derivative(z):
    return np.ones(z.shape)


FUNCTIONS = [np.tanh, sigmoid, np.tanh, lambda z: z]
DERIVATIVES = [tanh_derivative, sigmoid_derivative, tanh_derivative, identity_derivative]


def forward_pass(params, X):
    memory = {"A0": X}
    for k in range(1, 5):
        memory["Z" + str(k)] = params["W" + str(k)] @ memory["A" + str(k - 1)] + params["b" + str(k)]
        memory["A" + str(k)] = FUNCTIONS[k - 1](memory["Z" + str(k)])
    return memory


def backward_pass(params, memory, Y, L):
    m = Y.shape[1]
    grads = {}
    dA = (memory["A" + str(L)] - Y) / m
    for l in range(L, 0, -1):
        W, A_prev, Z = params["W" + str(l)], memory["A" + str(l - 1)], memory["Z" + str(l)]
        dZ = dA * DERIVATIVES[l - 1](Z)
        dW = dZ @ A_prev.T + lambd * W
        db = dZ.sum(axis=1, keepdims=True)
        dA = W.T @ dZ
        grads["dW" + str(l)] = dW
        grads["db" + str(l)] = db
    return grads


def backward(parameters, X, Y):
    return backward_pass(parameters, forward_pass(parameters, X), Y, 4)
