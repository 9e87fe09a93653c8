"""The textbook loop: J(θ + step) and J(θ − step) by two whole forward passes for each parameter.

Written apart from the propagated difference, with arrays as (units, samples): it is what the other is held against.
"""

import numpy as np

from fastgrad.kernels import activations, losses
from fastgrad.kernels.codes import CODE, COUPLED, OF_SOFTMAX, SOFTMAX_CROSSENTROPY, SQUARED_HINGE, START, UNIT, WIDTH
from fastgrad.kernels.compile import helper, outlined, worker


@helper
def affine(theta, start, n_out, n_in, has_bias, index, changed, below, here, samples):
    """Fill z = W·below + b, the parameter at `index` of theta being `changed`."""
    for i in range(n_out):
        bias = start + n_out * n_in + i
        shift = 0.0
        if has_bias:
            shift = changed if bias == index else theta[bias]
        for s in range(samples):
            here[i, s] = shift
        for j in range(n_in):
            k = start + i * n_in + j
            w = changed if k == index else theta[k]
            for s in range(samples):
                here[i, s] += w * below[j, s]


@outlined
def mean_loss(code, p, a, y, factors, n_out, samples):
    """Sum over the samples of their factors times the loss."""
    total = 0.0
    for s in range(samples):
        if code == SOFTMAX_CROSSENTROPY or code >= OF_SOFTMAX:
            top = a[0, s]
            for k in range(1, n_out):
                top = max(top, a[k, s])
            mass = 0.0
            for k in range(n_out):
                mass += np.exp(a[k, s] - top)
            for k in range(n_out):
                if code == SOFTMAX_CROSSENTROPY:
                    total += factors[k, s] * y[k, s] * (np.log(mass) + top - a[k, s])
                else:
                    residual = np.exp(a[k, s] - top) / mass - y[k, s]
                    total += factors[k, s] * losses.residual_value(code - OF_SOFTMAX, p, residual)
        elif code >= COUPLED:
            total += factors[0, s] * hinge(code, p, a, y, n_out, s)
        else:
            for k in range(n_out):
                total += factors[k, s] * losses.element_value(code, p, a[k, s], y[k, s])
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
def loss_with(theta, layers, shapes, biases, masks, x, y, loss_code, loss_parameter, factors, index, changed, work):
    """J with one parameter changed, penalty left out."""
    samples, depth = x.shape[1], layers.shape[1] - 1
    affine(theta, layers[START, 0], layers[WIDTH, 1], layers[WIDTH, 0], biases[0], index, changed, x, work[0], samples)
    for layer in range(depth):
        here = work[layer % 2]
        if layer:
            n_out, n_in, below = layers[WIDTH, layer + 1], layers[WIDTH, layer], work[(layer + 1) % 2]
            affine(theta, layers[START, layer], n_out, n_in, biases[layer], index, changed, below, here, samples)
        for i in range(layers[WIDTH, layer + 1]):
            for s in range(samples):
                here[i, s] = activations.value(layers[CODE, layer], shapes[layer], here[i, s])
            if masks.size:
                for s in range(samples):
                    here[i, s] *= masks[layers[UNIT, layer] + i, s]
    return mean_loss(loss_code, loss_parameter, work[(depth - 1) % 2], y, factors, layers[WIDTH, depth], samples)


@worker(
    "void(f8[::1], i8[:,::1], f8[::1], b1[::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, f8, f8[:,::1], i8[::1], f8, "
    "i8, i8, f8[:,:,::1], f8[::1], f8[::1])"
)
def losses_of_some(
    theta, layers, shapes, biases, masks, x, y, loss_code, loss_parameter, factors, selected, step, begin, stride, work,
    forward, backward,
):  # fmt: skip
    """Take every stride-th of the selected parameters, from number `begin` on."""
    for c in range(begin, selected.size, stride):
        k = selected[c]
        above, below = theta[k] + step, theta[k] - step
        forward[c] = loss_with(
            theta, layers, shapes, biases, masks, x, y, loss_code, loss_parameter, factors, k, above, work
        )  # fmt: skip
        backward[c] = loss_with(
            theta, layers, shapes, biases, masks, x, y, loss_code, loss_parameter, factors, k, below, work
        )  # fmt: skip
