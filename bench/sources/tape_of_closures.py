"""A tape: every operation appends a function that hands its gradient on to what it was made of; rows, leaky relu and tanh."""

import numpy as np

WIDTHS, EXAMPLES = (4, 6, 5, 2), (8, 11)
OPTIONS = {"activations": ["leaky_relu:0.2", "tanh", "identity"], "loss": "half_mse", "layout": "rows,out_in"}
MUTATED = ("of_product", "of_sum", "of_leaky", "of_tanh", "of_loss")


class Node:
    def __init__(self, value):
        self.value = value
        self.grad = np.zeros_like(value)


def times(tape, x, w):
    out = Node(x.value @ w.value.T)

    def of_product():
        x.grad += out.grad @ w.value
        w.grad += out.grad.T @ x.value

    tape.append(of_product)
    return out


def plus(tape, x, b):
    out = Node(x.value + b.value)

    def of_sum():
        x.grad += out.grad
        b.grad += np.sum(out.grad, axis=0)

    tape.append(of_sum)
    return out


def leaky(tape, x, slope):
    out = Node(np.maximum(x.value, slope * x.value))

    def of_leaky():
        local = np.ones_like(x.value)
        local[x.value < 0] = slope
        x.grad += local * out.grad

    tape.append(of_leaky)
    return out


def tanh(tape, x):
    out = Node(np.tanh(x.value))

    def of_tanh():
        x.grad += (1 - out.value**2) * out.grad

    tape.append(of_tanh)
    return out


def half_of_squares(tape, x, target):
    def of_loss():
        count = x.value.shape[0] * x.value.shape[1]
        x.grad += (x.value - target) / count

    tape.append(of_loss)


def backward(parameters, X, Y):
    nodes, tape = {name: Node(value) for name, value in parameters.items()}, []
    h = leaky(tape, plus(tape, times(tape, Node(X), nodes["W1"]), nodes["b1"]), 0.2)
    h = tanh(tape, plus(tape, times(tape, h, nodes["W2"]), nodes["b2"]))
    half_of_squares(tape, plus(tape, times(tape, h, nodes["W3"]), nodes["b3"]), Y)
    for step in reversed(tape):
        step()
    return {"d" + name: node.grad for name, node in nodes.items()}
