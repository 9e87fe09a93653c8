"""Two matrices with the bias in their first column, rows, a penalty that leaves that column out."""

import numpy as np

WIDTHS, EXAMPLES = (4, 5, 3), (8, 8)
OPTIONS = {
    "hidden": "sigmoid",
    "output": "sigmoid",
    "loss": "binary_crossentropy",
    "l2": 0.25,
    "bias_column": "first",
    "layout": "rows,out_in",
}
MUTATED = ("nn_gradient",)
lam = 2.0


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def nn_gradient(Theta1, Theta2, X, y):
    m = X.shape[0]
    a1 = np.hstack([np.ones((m, 1)), X])
    z2 = a1 @ Theta1.T
    a2 = np.hstack([np.ones((m, 1)), sigmoid(z2)])
    a3 = sigmoid(a2 @ Theta2.T)
    d3 = a3 - y
    d2 = (d3 @ Theta2)[:, 1:] * sigmoid(z2) * (1 - sigmoid(z2))
    Delta1 = d2.T @ a1
    Delta2 = d3.T @ a2
    grad1 = Delta1 / m
    grad2 = Delta2 / m
    grad1[:, 1:] += lam / m * Theta1[:, 1:]
    grad2[:, 1:] += lam / m * Theta2[:, 1:]
    return grad1, grad2


def backward(parameters, X, Y):
    grad1, grad2 = nn_gradient(parameters["Theta1"], parameters["Theta2"], X, Y)
    return {"D1": grad1, "D2": grad2}
