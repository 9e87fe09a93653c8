"""Labels as class numbers that are taken off the right scores; rows, three layers, half a squared penalty on all weights."""

import numpy as np

WIDTHS, EXAMPLES = (4, 7, 6, 4), (10, 9)
OPTIONS = {"hidden": "relu", "output": "softmax", "loss": "softmax_crossentropy", "l2": 0.05, "layout": "rows,in_out"}
MUTATED = ("loss_and_grads",)
reg = 0.05


def probabilities(model, X):
    a1 = np.maximum(X.dot(model["W1"]) + model["b1"], 0)
    a2 = np.maximum(a1.dot(model["W2"]) + model["b2"], 0)
    scores = a2.dot(model["W3"]) + model["b3"]
    shifted = np.exp(scores - scores.max(axis=1)[:, None])
    return a1, a2, shifted / shifted.sum(axis=1)[:, None]


def loss_and_grads(model, X, y):
    num_train = len(y)
    a1, a2, probs = probabilities(model, X)
    data_loss = -np.log(probs[range(num_train), y]).mean()
    penalty = 0.5 * reg * sum((model[name] ** 2).sum() for name in ("W1", "W2", "W3"))
    loss = data_loss + penalty
    grad_scores = probs
    grad_scores[range(num_train), y] -= 1
    grad_scores = grad_scores / num_train
    grads = {"W3": a2.T.dot(grad_scores), "b3": grad_scores.sum(axis=0)}
    grad_a2 = grad_scores.dot(model["W3"].T)
    grad_a2 = grad_a2 * (a2 > 0)
    grads["W2"] = a1.T.dot(grad_a2)
    grads["b2"] = grad_a2.sum(axis=0)
    grad_a1 = grad_a2.dot(model["W2"].T)
    grad_a1 = grad_a1 * (a1 > 0)
    grads["W1"] = X.T.dot(grad_a1)
    grads["b1"] = grad_a1.sum(axis=0)
    for name in ("W1", "W2", "W3"):
        grads[name] += reg * model[name]
    return loss, grads


def backward(parameters, X, Y):
    loss, grads = loss_and_grads(parameters, X, Y.argmax(axis=1))
    return grads
