"""Parameters that carry their own grad, layers that remember their input and return grad_input; rows, softmax and l2."""

import numpy as np

WIDTHS, EXAMPLES = (4, 6, 5, 3), (9, 12)
OPTIONS = {
    "hidden": "relu",
    "output": "softmax",
    "loss": "softmax_crossentropy",
    "l2": 0.2,
    "layout": "rows,out_in",
}
MUTATED = ("grad_linear", "grad_relu", "grad_loss", "run")
weight_decay = 0.2


class Parameter:
    def __init__(self, data):
        self.data = data
        self.grad = np.zeros_like(data)


def linear(weight, bias, input):
    return input @ weight.data.T + bias.data


def grad_linear(weight, bias, input, grad_output):
    grad_input = grad_output @ weight.data
    weight.grad += grad_output.T @ input
    weight.grad += weight_decay * weight.data
    bias.grad += grad_output.sum(axis=0)
    return grad_input


def grad_relu(output, grad_output):
    grad_input = grad_output.copy()
    grad_input[output <= 0.0] = 0.0
    return grad_input


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def grad_loss(log_probs, target):
    batch_size = target.shape[0]
    return (np.exp(log_probs) - target) / batch_size


def forward(layers, x):
    inputs, outputs = [], []
    for i, (weight, bias) in enumerate(layers):
        inputs.append(x)
        x = linear(weight, bias, x)
        if i < len(layers) - 1:
            x = np.maximum(x, 0.0)
        outputs.append(x)
    return inputs, outputs


def run(layers, X, Y):
    inputs, outputs = forward(layers, X)
    grad = grad_loss(log_softmax(outputs[-1]), Y)
    for i in reversed(range(len(layers))):
        weight, bias = layers[i]
        grad = grad_linear(weight, bias, inputs[i], grad)
        if i > 0:
            grad = grad_relu(outputs[i - 1], grad)


def backward(parameters, X, Y):
    layers = [(Parameter(parameters["W%d" % k]), Parameter(parameters["b%d" % k])) for k in (1, 2, 3)]
    run(layers, X, Y)
    found = {}
    for k, (weight, bias) in enumerate(layers, start=1):
        found["dW%d" % k], found["db%d" % k] = weight.grad, bias.grad
    return found
