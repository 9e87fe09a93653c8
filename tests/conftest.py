"""What all tests share: kernels without compilation, and the bridge from a reference case to a Problem of fastgrad."""

import gc
import os
import shutil
import signal
import time
from importlib.util import find_spec

import numpy as np
import pytest

from fastgrad.kernels import kernel, launch
from fastgrad.model.network import Network, Problem, Tensor

EXTRAS_ARE_HERE = os.environ.get("FASTGRAD_TEST_EXTRAS", "") not in {"", "0"}
"""Whether a package or a program that a test needs and that is missing is a failure, not a reason to skip."""
JIT_DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """Compile the kernels before several processes begin, each of which would compile them for itself."""
    if session.config.getoption("numprocesses", None) and not JIT_DISABLED:
        with kernel.announcing(lambda: None):  # so that a second process helps
            kernel.load_together(*(one for one in vars(launch).values() if isinstance(one, kernel.Kernel)))


def pytest_collection_finish():
    """Leave the thousands of tests out of every later search for objects that only point at each other."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Skip what needs compiled kernels when there are none, and what needs a package that is not here."""
    for item in items:
        if JIT_DISABLED and item.get_closest_marker("compiled"):
            item.add_marker(pytest.mark.skip(reason="needs compiled kernels; NUMBA_DISABLE_JIT is set"))
        needed = item.get_closest_marker("extra")
        if needed and not EXTRAS_ARE_HERE and (missing := [one for one in needed.args if not _is_here(one)]):
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}, not here"))


def _is_here(name):
    """Whether there is a package, or a program, of that name."""
    return find_spec(name) is not None or shutil.which(name) is not None


@pytest.fixture(scope="session", autouse=True)
def listening():
    """Hear Ctrl-C even where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Give the function that has a folder made, by a function that fills it, once for all processes of a session."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root

    def folder_of(name, fill):
        folder, done = root / name, root / f"{name} is done"
        try:
            folder.mkdir()
        except FileExistsError:  # by another process
            deadline = time.monotonic() + 120.0
            while not done.exists():
                assert time.monotonic() < deadline, f"the process that fills {folder} has not done so"
                time.sleep(0.05)
            return folder
        fill(folder)
        done.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def problem_of():
    """Give the function that turns a reference.Case, and perhaps a claimed gradient, into a Problem."""
    return _problem_of


def _problem_of(case, claimed=None, claimed_loss=None, precision="float64"):
    biases = tuple(case.has_bias(layer) for layer in range(len(case.widths) - 1))
    network = Network(
        widths=case.widths,
        activations=case.activations,
        loss=case.loss,
        reduction=case.reduction,
        biases=biases,
        l2=tuple(c for has_bias in biases for c in (case.l2, case.l2 * case.penalize_biases)[: 1 + has_bias]),
    )
    return Problem(
        network=network,
        theta=np.array(case.theta, dtype=np.float64),
        X=np.ascontiguousarray(case.X, dtype=np.float64),
        Y=np.ascontiguousarray(case.Y, dtype=np.float64),
        tensors=tuple(_tensors(network, precision)),
        claimed=None if claimed is None else np.array(claimed, dtype=np.float64),
        claimed_loss=claimed_loss,
    )


def _tensors(network, precision):
    for layer in range(network.depth):
        places = {"W": network.weight_slice(layer), "b": network.bias_slice(layer)}
        shapes = {"W": (network.widths[layer + 1], network.widths[layer]), "b": (network.widths[layer + 1],)}
        for kind in ("W", "b") if network.biases[layer] else ("W",):
            yield Tensor(
                name=f"{kind}{layer + 1}",
                layer=layer,
                kind=kind,
                start=places[kind].start,
                stop=places[kind].stop,
                canonical_shape=shapes[kind],
                shape=shapes[kind],
                transposed=False,
                gradient_name=f"d{kind}{layer + 1}",
                precision=precision,
            )
