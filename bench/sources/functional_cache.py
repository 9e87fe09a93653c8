"""Small functions that hand on caches; columns, softmax with one-hot labels, 1/m in dW and db."""

import numpy as np

WIDTHS, EXAMPLES = (5, 6, 4), (9, 7)
OPTIONS = {"hidden": "relu", "output": "softmax", "loss": "softmax_crossentropy", "layout": "columns,out_in"}
MUTATED = ("linear_backward", "relu_backward", "linear_activation_backward", "model_backward")


def linear_forward(A, W, b):
    return W @ A + b, (A, W, b)


def relu(Z):
    return np.maximum(0, Z), Z


def softmax(Z):
    E = np.exp(Z - Z.max(axis=0))
    return E / E.sum(axis=0), Z


def linear_backward(dZ, cache):
    A_prev, W, b = cache
    m = A_prev.shape[1]
    dW = np.dot(dZ, A_prev.T) / m
    db = np.sum(dZ, axis=1, keepdims=True) / m
    dA_prev = np.dot(W.T, dZ)
    return dA_prev, dW, db


def relu_backward(dA, cache):
    Z = cache
    dZ = np.array(dA, copy=True)
    dZ[Z <= 0] = 0
    return dZ


def linear_activation_backward(dA, cache):
    linear_cache, activation_cache = cache
    dZ = relu_backward(dA, activation_cache)
    dA_prev, dW, db = linear_backward(dZ, linear_cache)
    return dA_prev, dW, db


def model_backward(AL, Y, caches):
    grads = {}
    dZ2 = AL - Y
    linear_cache, activation_cache = caches[1]
    dA1, grads["dW2"], grads["db2"] = linear_backward(dZ2, linear_cache)
    dA0, grads["dW1"], grads["db1"] = linear_activation_backward(dA1, caches[0])
    return grads


def backward(parameters, X, Y):
    Z1, first = linear_forward(X, parameters["W1"], parameters["b1"])
    A1, first_activation = relu(Z1)
    Z2, second = linear_forward(A1, parameters["W2"], parameters["b2"])
    A2, second_activation = softmax(Z2)
    return model_backward(A2, Y, [(first, first_activation), (second, second_activation)])
