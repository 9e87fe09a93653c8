"""Nothing but numbers in nested loops; rows, tanh and a linear output, half the squared error."""

import numpy as np

WIDTHS, EXAMPLES = (3, 4, 2), (6, 8)
OPTIONS = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "layout": "rows,in_out"}
MUTATED = ("accumulate",)


def hidden_values(W1, b1, x):
    return [np.tanh(b1[j] + sum(x[i] * W1[i][j] for i in range(len(x)))) for j in range(len(b1))]


def output_values(W2, b2, h):
    return [b2[k] + sum(h[j] * W2[j][k] for j in range(len(h))) for k in range(len(b2))]


def accumulate(W1, b1, W2, b2, X, Y, dW1, db1, dW2, db2):
    n_in, n_hidden, n_out = 3, 4, 2
    m = len(X)
    for s in range(m):
        x, y = X[s], Y[s]
        h = hidden_values(W1, b1, x)
        o = output_values(W2, b2, h)
        delta_out = [0.0] * n_out
        for k in range(n_out):
            delta_out[k] = (o[k] - y[k]) / m
        delta_hidden = [0.0] * n_hidden
        for j in range(n_hidden):
            error = 0.0
            for k in range(n_out):
                error += delta_out[k] * W2[j][k]
            delta_hidden[j] = error * (1.0 - h[j] * h[j])
        for k in range(n_out):
            for j in range(n_hidden):
                dW2[j][k] += delta_out[k] * h[j]
            db2[k] += delta_out[k]
        for j in range(n_hidden):
            for i in range(n_in):
                dW1[i][j] += delta_hidden[j] * x[i]
            db1[j] += delta_hidden[j]


def backward(parameters, X, Y):
    W1, b1, W2, b2 = (parameters[name] for name in ("W1", "b1", "W2", "b2"))
    dW1, db1, dW2, db2 = (np.zeros(array.shape) for array in (W1, b1, W2, b2))
    accumulate(W1, b1, W2, b2, X, Y, dW1, db1, dW2, db2)
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
