"""Every operation by its NumPy name, from the loss's own slope dAL on; columns, tanh and leaky relu, one sigmoid output."""

import numpy as np

WIDTHS, EXAMPLES = (5, 4, 6, 1), (11, 8)
OPTIONS = {"activations": ["tanh", "leaky_relu", "sigmoid"], "loss": "binary_crossentropy", "layout": "columns,out_in"}
MUTATED = ("backprop",)
slope = 0.01


def run(p, X):
    Z1 = np.add(np.dot(p["W1"], X), p["b1"])
    A1 = np.tanh(Z1)
    Z2 = np.add(np.dot(p["W2"], A1), p["b2"])
    A2 = np.where(np.greater(Z2, 0), Z2, np.multiply(slope, Z2))
    Z3 = np.add(np.dot(p["W3"], A2), p["b3"])
    AL = np.divide(1, np.add(1, np.exp(np.negative(Z3))))
    return Z1, A1, Z2, A2, Z3, AL


def backprop(p, X, Y):
    m = X.shape[1]
    Z1, A1, Z2, A2, Z3, AL = run(p, X)
    dAL = -(np.divide(Y, AL) - np.divide(1 - Y, 1 - AL))
    dZ3 = np.multiply(dAL, np.multiply(AL, 1 - AL))
    dW3 = np.divide(np.dot(dZ3, A2.T), m)
    db3 = np.divide(np.sum(dZ3, axis=1, keepdims=True), m)
    dA2 = np.dot(p["W3"].T, dZ3)
    dZ2 = np.where(np.greater(Z2, 0), dA2, np.multiply(slope, dA2))
    dW2 = np.divide(np.dot(dZ2, A1.T), m)
    db2 = np.divide(np.sum(dZ2, axis=1, keepdims=True), m)
    dA1 = np.dot(p["W2"].T, dZ2)
    dZ1 = np.multiply(dA1, np.subtract(1, np.power(A1, 2)))
    dW1 = np.divide(np.dot(dZ1, X.T), m)
    db1 = np.divide(np.sum(dZ1, axis=1, keepdims=True), m)
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2, "dW3": dW3, "db3": db3}


def backward(parameters, X, Y):
    return backprop(parameters, X, Y)
