"""For each example the errors from the output down, added to what was there; rows, tanh, the sum of all squares."""

import numpy as np

WIDTHS, EXAMPLES = (3, 6, 5, 2), (7, 9)
OPTIONS = {
    "activations": ["tanh", "tanh", "tanh"],
    "loss": "sum_squared_error",
    "reduction": "sum",
    "layout": "rows,out_in",
}
MUTATED = ("add_example", "sweep")


def answers(weights, biases, x):
    values = [x]
    for weight, bias in zip(weights, biases):
        values.append(np.tanh(weight.dot(values[-1]) + bias))
    return values


def add_example(weights, values, y, weight_sums, bias_sums):
    error = 2 * (values[3] - y) * (1 - values[3] ** 2)
    for k in range(2, -1, -1):
        weight_sums[k] += np.outer(error, values[k])
        bias_sums[k] += error
        if k > 0:
            error = weights[k].T.dot(error) * (1 - values[k] ** 2)


def sweep(weights, biases, X, Y):
    weight_sums = [np.zeros(weight.shape) for weight in weights]
    bias_sums = [np.zeros(bias.shape) for bias in biases]
    for i in range(X.shape[0]):
        values = answers(weights, biases, X[i])
        add_example(weights, values, Y[i], weight_sums, bias_sums)
    return weight_sums, bias_sums


def backward(parameters, X, Y):
    weights = [parameters["W%d" % k] for k in (1, 2, 3)]
    biases = [parameters["b%d" % k] for k in (1, 2, 3)]
    weight_sums, bias_sums = sweep(weights, biases, X, Y)
    found = {}
    for k in range(3):
        found["W%d" % (k + 1)] = weight_sums[k]
        found["b%d" % (k + 1)] = bias_sums[k]
    return found
