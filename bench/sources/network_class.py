"""A class that keeps its weights, its activities and its gradients in lists; columns, tanh, the mean of squares, decay."""

import numpy as np

WIDTHS, EXAMPLES = (3, 7, 5, 2), (9, 10)
OPTIONS = {"hidden": "tanh", "output": "identity", "loss": "sum_squared_error", "l2": 0.4, "layout": "columns,out_in"}
MUTATED = ("derivative", "backwards")


class Network:
    def __init__(self, weights, biases, decay):
        self.weights, self.biases, self.decay = weights, biases, decay
        self.last = len(weights) - 1

    def forwards(self, x):
        self.sums, self.outs = [], [x]
        for i, (w, b) in enumerate(zip(self.weights, self.biases)):
            self.sums.append(w @ self.outs[i] + b)
            self.outs.append(self.sums[i] if i == self.last else np.tanh(self.sums[i]))
        return self.outs[-1]

    def derivative(self, i):
        return 1.0 - np.tanh(self.sums[i]) ** 2

    def backwards(self, y):
        n = y.shape[1]
        self.grads_w, self.grads_b = [None] * len(self.weights), [None] * len(self.biases)
        error = 2.0 * (self.outs[-1] - y) / n
        for i in range(self.last, -1, -1):
            if i < self.last:
                error = error * self.derivative(i)
            self.grads_w[i] = np.matmul(error, self.outs[i].T) + self.decay * self.weights[i]
            self.grads_b[i] = np.sum(error, axis=1).reshape(-1, 1)
            error = np.matmul(self.weights[i].T, error)


def backward(parameters, X, Y):
    net = Network(
        [parameters["W1"], parameters["W2"], parameters["W3"]], [parameters["b1"], parameters["b2"], parameters["b3"]], 0.4
    )
    net.forwards(X)
    net.backwards(Y)
    found = {}
    for i in range(3):
        found["dW%d" % (i + 1)] = net.grads_w[i]
        found["db%d" % (i + 1)] = net.grads_b[i]
    return found
