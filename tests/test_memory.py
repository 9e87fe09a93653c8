"""Memory that a check takes: what is given stays where it lies, and no second or third vector of all parameters is made."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="this system does not tell the peak of a process")

CHECK = """\
import json, resource, sys
import numpy as np
import fastgrad

def check(widths):
    draw = np.random.default_rng(0)
    pairs = list(zip(widths, widths[1:]))
    W = [draw.standard_normal((n_out, n_in), dtype=np.float32) / np.float32(n_in ** 0.5) for n_in, n_out in pairs]
    b = [np.full(n_out, 0.1, dtype=np.float32) for _, n_out in pairs]
    X, Y = draw.uniform(-1, 1, (8, widths[0])).astype(np.float32), np.arange(8) % widths[-1]
    a = [X]
    for weights, bias in zip(W[:-1], b):
        a.append(np.tanh(a[-1] @ weights.T + bias))
    z = a[-1] @ W[-1].T + b[-1]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    dZ = (p / p.sum(axis=1, keepdims=True) - np.eye(widths[-1], dtype=np.float32)[Y]) / 8
    gradients = []
    for layer in reversed(range(len(W))):
        gradients[:0] = [dZ.T @ a[layer], dZ.sum(axis=0)]
        dZ = (dZ @ W[layer]) * (1 - a[layer] ** 2)
    gradients[2] *= np.float32(sys.argv[2])
    parameters = [array for pair in zip(W, b) for array in pair]
    given = sum(array.nbytes for array in (*parameters, *gradients))
    before = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = dict(hidden="tanh", output="softmax", loss="softmax_crossentropy", threads=1, method=sys.argv[1])
    report = fastgrad.check(parameters, gradients, X, Y, **said)
    return report.verdict, report.method, given, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

check((300, 300, 10))
print(json.dumps(check((784, 2500, 1600, 10))))
"""
BESIDE = 12 * 2**20
"""What a check of this size takes in any case: tables of units, blocks that are worked on."""


@pytest.mark.compiled
@pytest.mark.parametrize("method", ["auto", "preactivation"])
def test_five_million_float32_parameters_take_half_as_much_again_as_what_is_given(method):
    verdict, used, given, taken = json.loads(subprocess.check_output([sys.executable, "-c", CHECK, method, "1"]))
    assert (verdict, used) == ("right", "preactivation")
    # theta in double precision is as much as parameters and gradients in single; two and a half times in all.
    assert taken <= 1.5 * given + BESIDE, f"{taken / given:.2f} times the arrays given, beside them"


@pytest.mark.compiled
def test_a_wrong_gradient_takes_no_more():
    """Whether a claim was rounded is looked for in a few of its entries, for which no large one is made in doubles."""
    verdict, _, given, taken = json.loads(subprocess.check_output([sys.executable, "-c", CHECK, "preactivation", "1.5"]))
    assert verdict == "wrong"
    assert taken <= 1.5 * given + BESIDE, f"{taken / given:.2f} times the arrays given, beside them"
