"""A folder of .npy that outgrows memory, made in blocks with right gradients, and a check of it in a process that is measured.

``python bench/outgrown.py make FOLDER 20000-60000-30000-10 4`` writes the network, ``python bench/outgrown.py check FOLDER
--method directional`` checks it by the command and prints its time and its peak memory. Everything here is NumPy, block by
block, and shares nothing with fastgrad.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 2**24
"""Entries that are made, or read, at a time."""
MOST_DATA = 4 * 10**9
"""Bytes that a process may take beside the files that it maps."""
PATTERN = 2**22 + 7
"""Random numbers that a W repeats, shifted: drawing three milliards takes longer than writing them."""


def make(folder: Path, widths: tuple[int, ...], samples: int, seed: int = 0) -> None:
    """Write a tanh network with softmax cross-entropy in float32, its gradients and a few examples."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    a = [draw.normal(size=(samples, widths[0]))]
    labels = draw.integers(0, widths[-1], samples)
    for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        b = (0.1 * draw.normal(size=n_out)).astype(np.float32)
        np.save(folder / f"b{layer}.npy", b)
        W = _write_weights(folder / f"W{layer}.npy", n_out, n_in, draw)
        z = np.concatenate([a[-1] @ W[rows].astype(np.float64).T for rows in _rows(n_out, n_in)], axis=1) + b
        a.append(z if layer == len(widths) - 1 else np.tanh(z))
    delta = np.exp(a[-1] - a[-1].max(axis=1, keepdims=True))
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(samples), labels] -= 1.0
    delta /= samples
    for layer in range(len(widths) - 1, 0, -1):
        np.save(folder / f"db{layer}.npy", delta.sum(axis=0).astype(np.float32))
        dW = _new(folder / f"dW{layer}.npy", widths[layer], widths[layer - 1])
        for rows in _rows(widths[layer], widths[layer - 1]):
            dW[rows] = delta[:, rows].T @ a[layer - 1]
        if layer > 1:
            W = np.load(folder / f"W{layer}.npy", mmap_mode="r")
            delta = sum(delta[:, rows] @ W[rows].astype(np.float64) for rows in _rows(*W.shape)) * (1.0 - a[layer - 1] ** 2)
    np.save(folder / "X.npy", a[0])
    np.save(folder / "Y.npy", labels)
    said = {"hidden": "tanh", "output": "softmax", "loss": "softmax_crossentropy"}
    (folder / "description.json").write_text(json.dumps(said), encoding="utf-8")


def put(folder: Path, name: str, index: tuple[int, ...], value: float) -> None:
    """Write one entry of an array that is there."""
    array = np.load(folder / f"{name}.npy", mmap_mode="r+")
    array[index] = value
    array.flush()


def _write_weights(file: Path, n_out: int, n_in: int, draw: np.random.Generator) -> Any:
    pattern = draw.normal(scale=n_in**-0.5, size=min(PATTERN, n_out * n_in)).astype(np.float32)
    W, place = _new(file, n_out, n_in), 0
    for rows in _rows(n_out, n_in):
        size = (rows.stop - rows.start) * n_in
        turned = np.roll(pattern, place % pattern.size)
        W[rows] = np.resize(turned, size).reshape(-1, n_in)
        place += size
    return W


def _new(file: Path, n_out: int, n_in: int) -> Any:
    return np.lib.format.open_memmap(file, "w+", np.float32, (n_out, n_in))


def _rows(n_out: int, n_in: int) -> Iterator[slice]:
    length = max(1, BLOCK // n_in)
    for low in range(0, n_out, length):
        yield slice(low, min(low + length, n_out))


def check(folder: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], float, int]:
    """Check a folder by the command in a process that may take 4 GB; return what it said, its seconds and its peak in bytes.

    The peak counts what is resident, pages of mapped files included.
    """
    began = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, "check", str(folder), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=_limited)
    return result, time.perf_counter() - began, 1024 * int(result.stderr.split()[-2])


PROGRAM = """
import atexit, sys
from fastgrad_cli.main import main

def tell():
    with open("/proc/self/status") as stream:
        print(next(line for line in stream if line.startswith("VmHWM")), file=sys.stderr)

atexit.register(tell)
main()
"""
"""The command, which says at its end how much memory it has taken."""


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_DATA, MOST_DATA))


if __name__ == "__main__":
    what, path, *rest = sys.argv[1:]
    if what == "make":
        make(Path(path), tuple(map(int, rest[0].split("-"))), int(rest[1]))
    else:
        found, seconds, peak = check(Path(path), *rest)
        print(found.stdout, found.stderr, f"{seconds:.1f} s, at most {peak / 1e9:.2f} GB", sep="\n")
