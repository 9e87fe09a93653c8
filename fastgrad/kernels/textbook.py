"""The textbook loop: J(θ + step) and J(θ − step) by two whole forward passes for each parameter.

Written apart from the propagated difference, with arrays as (units, samples): it is what the other is held against.
"""

import numpy as np

from fastgrad.kernels import activations, losses
from fastgrad.kernels.codes import (
    BINARY_CROSSENTROPY,
    CODE,
    COUPLED,
    OF_SOFTMAX,
    SOFTMAX_CROSSENTROPY,
    SQUARED_HINGE,
    START,
    UNIT,
    WIDTH,
)
from fastgrad.kernels.compile import helper, outlined, worker


@helper
def affine(network, layer, index, changed, below, here):
    """Fill z = W·below + b of a layer, the parameter at `index` of theta being `changed`."""
    layers, theta, samples = network.layers, network.theta, below.shape[1]
    start, n_out, n_in = layers[START, layer], layers[WIDTH, layer + 1], layers[WIDTH, layer]
    for i in range(n_out):
        bias = start + n_out * n_in + i
        shift = 0.0
        if network.biases[layer]:
            shift = changed if bias == index else theta[bias]
        for s in range(samples):
            here[i, s] = shift
        for j in range(n_in):
            k = start + i * n_in + j
            w = changed if k == index else theta[k]
            for s in range(samples):
                here[i, s] += w * below[j, s]


@outlined
def total_loss(examples, a):
    """Sum over the samples of their factors times the loss; a, which may have spare rows, holds the outputs."""
    code, p, y, factors, total = examples.loss_code, examples.loss_parameter, examples.y, examples.factors, 0.0
    n_out, samples = y.shape
    for s in range(samples):
        if code == SOFTMAX_CROSSENTROPY or code >= OF_SOFTMAX:
            total = with_softmax(examples, a, s, total)
        elif code >= COUPLED:
            total += factors[0, s] * hinge(code, p, a, y, n_out, s)
        else:
            for k in range(n_out):
                total += factors[k, s] * losses.element_value(code, p, a[k, s], y[k, s])
    return total


@outlined
def with_softmax(examples, a, s, total):
    """Return total with a sample's softmax cross-entropy added to it, or its loss of softmax(a) − y, factor included."""
    code, y, factors = examples.loss_code, examples.y, examples.factors
    top, mass = a[0, s], 0.0
    for k in range(1, y.shape[0]):
        top = max(top, a[k, s])
    for k in range(y.shape[0]):
        mass += np.exp(a[k, s] - top)
    for k in range(y.shape[0]):
        if code == OF_SOFTMAX + BINARY_CROSSENTROPY:
            others = 0.0
            for j in range(y.shape[0]):
                others += np.exp(a[j, s] - top) if j != k else 0.0
            total += factors[k, s] * y[k, s] * (np.log(mass) + top - a[k, s])
            total += factors[k, s] * (1.0 - y[k, s]) * (np.log(mass) - np.log(others)) if y[k, s] != 1.0 else 0.0
        elif code == SOFTMAX_CROSSENTROPY:
            total += factors[k, s] * y[k, s] * (np.log(mass) + top - a[k, s])
        else:
            residual = np.exp(a[k, s] - top) / mass - y[k, s]
            total += factors[k, s] * losses.residual_value(code - OF_SOFTMAX, examples.loss_parameter, residual)
    return total


@outlined
def hinge(code, p, a, y, n_out, s):
    """Sum of the positive p + a_j − a_target, or of their squares; of a single output p − y·a."""
    total, target = 0.0, np.argmax(y[:, s])
    for j in range(n_out):
        h = 0.0
        if n_out == 1:
            h = max(p - y[0, s] * a[0, s], 0.0)
        elif j != target:
            h = max(p + a[j, s] - a[target, s], 0.0)
        total += h * h if code == SQUARED_HINGE else h
    return total


@helper
def loss_with(network, examples, index, changed, work):
    """J with one parameter changed, penalty left out."""
    layers, samples, depth = network.layers, examples.x.shape[1], network.layers.shape[1] - 1
    affine(network, 0, index, changed, examples.x, work[0])
    for layer in range(depth):
        here = work[layer % 2]
        if layer:
            affine(network, layer, index, changed, work[(layer + 1) % 2], here)
        for i in range(layers[WIDTH, layer + 1]):
            for s in range(samples):
                here[i, s] = activations.value(layers[CODE, layer], network.shapes[layer], here[i, s])
            if network.masks.size:
                for s in range(samples):
                    here[i, s] *= network.masks[layers[UNIT, layer] + i, s]
    return total_loss(examples, work[(depth - 1) % 2])


@worker("void(Forward, Examples, i8[::1], f8, i8, i8, f8[:,:,::1], f8[::1], f8[::1])")
def losses_of_some(network, examples, selected, step, begin, stride, work, forward, backward):
    """Take every stride-th of the selected parameters, from number `begin` on."""
    for c in range(begin, selected.size, stride):
        k = selected[c]
        forward[c] = loss_with(network, examples, k, network.theta[k] + step, work)
        backward[c] = loss_with(network, examples, k, network.theta[k] - step, work)
