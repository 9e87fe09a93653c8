"""Layers as objects, each with a backward method; rows, the mean of all squares."""

import numpy as np

WIDTHS, EXAMPLES = (3, 5, 4, 2), (7, 9)
OPTIONS = {"activations": ["sigmoid", "tanh", "identity"], "loss": "mse", "layout": "rows,in_out"}
MUTATED = ("backward_pass", "loss_gradient", "train_step")


class Dense:
    def __init__(self, weights, bias):
        self.weights = weights
        self.bias = bias

    def forward_pass(self, x):
        self.input = x
        return x @ self.weights + self.bias

    def backward_pass(self, grad):
        self.grad_weights = self.input.T @ grad
        self.grad_bias = grad.sum(axis=0, keepdims=True)
        return grad @ self.weights.T


class Tanh:
    def forward_pass(self, x):
        self.input = x
        self.output = np.tanh(x)
        return self.output

    def backward_pass(self, grad):
        return grad * (1 - self.output * self.output)


class Sigmoid:
    def forward_pass(self, x):
        self.input = x
        self.output = 1 / (1 + np.exp(-x))
        return self.output

    def backward_pass(self, grad):
        return grad * self.output * (1 - self.output)


def loss_gradient(prediction, target):
    return 2 * (prediction - target) / target.size


def train_step(layers, x, y):
    out = x
    for layer in layers:
        out = layer.forward_pass(out)
    grad = loss_gradient(out, y)
    for layer in reversed(layers):
        grad = layer.backward_pass(grad)
    return layers


def backward(parameters, X, Y):
    first = Dense(parameters["W1"], parameters["b1"])
    second = Dense(parameters["W2"], parameters["b2"])
    third = Dense(parameters["W3"], parameters["b3"])
    train_step([first, Sigmoid(), second, Tanh(), third], X, Y)
    found = {}
    for number, layer in enumerate([first, second, third], start=1):
        found["dW%d" % number] = layer.grad_weights
        found["db%d" % number] = layer.grad_bias.reshape(-1)
    return found
