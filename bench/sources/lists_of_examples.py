"""Lists of weights and biases, one example at a time, added up; sigmoid everywhere, half the squared error."""

import numpy as np

WIDTHS, EXAMPLES = (4, 5, 5, 3), (7, 10)
OPTIONS = {"hidden": "sigmoid", "output": "sigmoid", "loss": "squared_error", "layout": "columns,out_in"}
MUTATED = ("update_mini_batch", "backprop", "cost_derivative", "sigmoid_prime")


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))


def cost_derivative(output_activations, y):
    return output_activations - y


def forward(weights, biases, x):
    activation = x
    activations = [x]
    zs = []
    for b, w in zip(biases, weights):
        z = np.dot(w, activation) + b
        zs.append(z)
        activation = sigmoid(z)
        activations.append(activation)
    return zs, activations


def backprop(weights, biases, x, y):
    nabla_b = [np.zeros(b.shape) for b in biases]
    nabla_w = [np.zeros(w.shape) for w in weights]
    zs, activations = forward(weights, biases, x)
    delta = cost_derivative(activations[-1], y) * sigmoid_prime(zs[-1])
    nabla_b[-1] = delta
    nabla_w[-1] = np.dot(delta, activations[-2].transpose())
    for l in range(2, 4):
        z = zs[-l]
        sp = sigmoid_prime(z)
        delta = np.dot(weights[-l + 1].transpose(), delta) * sp
        nabla_b[-l] = delta
        nabla_w[-l] = np.dot(delta, activations[-l - 1].transpose())
    return nabla_b, nabla_w


def update_mini_batch(weights, biases, X, Y):
    m = X.shape[1]
    sum_b = [np.zeros(b.shape) for b in biases]
    sum_w = [np.zeros(w.shape) for w in weights]
    for i in range(0, m):
        delta_b, delta_w = backprop(weights, biases, X[:, i : i + 1], Y[:, i : i + 1])
        sum_b = [sb + db for sb, db in zip(sum_b, delta_b)]
        sum_w = [sw + dw for sw, dw in zip(sum_w, delta_w)]
    return [sb / m for sb in sum_b], [sw / m for sw in sum_w]


def backward(parameters, X, Y):
    weights = [parameters["W1"], parameters["W2"], parameters["W3"]]
    biases = [parameters["b1"], parameters["b2"], parameters["b3"]]
    b, w = update_mini_batch(weights, biases, X, Y)
    return {"dW1": w[0], "db1": b[0], "dW2": w[1], "db2": b[1], "dW3": w[2], "db3": b[2]}
