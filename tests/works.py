"""Networks whose numerical gradients are made in many blocks, by others than the process that asks, or not again."""

import threading
import time
from concurrent.futures import Executor, Future
from itertools import pairwise
from pathlib import Path

import numpy as np

from fastgrad.reading import Description, interpret_parts

KINDS = ("tanh", "relu on kinks", "dropout")
"""Networks of each sort that is worked on in a way of its own."""


def network(kind="tanh", widths=(6, 5, 4, 3), samples=7, seed=0):
    """Return a problem of one of these kinds, with gradients that are claimed and wrong."""
    draw = np.random.default_rng(seed)
    parameters, claim = [], []
    for n_in, n_out in pairwise(widths):
        parameters += [draw.normal(size=(n_out, n_in)), draw.normal(size=n_out)]
        claim += [np.ones((n_out, n_in)), np.ones(n_out)]
    X, Y, masks = draw.normal(size=(samples, widths[0])), draw.integers(0, widths[-1], samples), None
    said = {"hidden": "tanh", "output": "softmax", "loss": "softmax_crossentropy", "layout": "rows,out_in", "l2": 0.1}
    if kind == "relu on kinks":
        said["hidden"], X[:2], parameters[1][:] = "relu", 0.0, 0.0
    if kind == "dropout":
        said["keep_prob"] = 0.7
        masks = [draw.random((samples, width)) < 0.7 for width in widths[1:-1]]
    return interpret_parts(parameters, claim, X, Y, Description(**said), masks)


def bits(found):
    """Return what a numerical gradient consists of, as bytes."""
    return tuple(None if part is None else part.tobytes() for part in (found.values, found.lower, found.upper))


def results(store):
    """Return the files of a store's results."""
    return sorted(Path(store).glob("fastgrad-*/results/*.npy"))


class Backwards(Executor):
    """An executor with one thread that takes the latest task first, and gives some back as cancelled."""

    def __init__(self, cancelled=0):
        self.tasks, self.cancelled, self.order = [], cancelled, []
        self._open = True
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def submit(self, function, *arguments):
        self.tasks.append((future := Future(), function, arguments))
        return future

    def _work(self):
        while self._open:
            time.sleep(1e-3)
            while self.tasks:
                future, function, arguments = self.tasks.pop()
                if self.cancelled:
                    self.cancelled -= 1
                    future.cancel()
                elif future.set_running_or_notify_cancel():
                    self.order.append(arguments[-1].batch.number)
                    future.set_result(function(*arguments))

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._open = False
        self._thread.join()
