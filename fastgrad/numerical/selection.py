"""Which parameters: all, or a stratified sample of them."""

from __future__ import annotations

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.model.network import Offsets, Problem

LEAST_OF_A_TENSOR = 20
"""Entries that a sample takes of every tensor, where it is large enough for that."""


def select(problem: Problem, sample: int | float | str | None, seed: int) -> Offsets | None:
    """Draw parameters without replacement, some of every tensor, small ones whole, the rest by size; None means all."""
    total = problem.network.size
    wanted = total if sample is None else sample_size(sample, total)
    if wanted >= total:
        return None
    rng = np.random.default_rng(seed)
    sizes = np.array([tensor.size for tensor in problem.tensors])
    counts = np.minimum(sizes, min(LEAST_OF_A_TENSOR, wanted // sizes.size))
    rest = sizes - counts
    counts += (rest * ((wanted - counts.sum()) / rest.sum())).astype(np.int64)
    for largest in np.argsort(-sizes, kind="stable"):
        counts[largest] += min(sizes[largest] - counts[largest], wanted - counts.sum())
    drawn = [
        tensor.start + np.sort(rng.choice(tensor.size, count, replace=False))
        for tensor, count in zip(problem.tensors, counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def sample_size(sample: int | float | str, total: int) -> int:
    """Read "500", 500, "5%" as a number of parameters, or raise InputError."""
    text = str(sample).strip()
    is_share = text.endswith("%")
    try:
        said = float(text.removesuffix("%"))
    except ValueError:
        said = float("nan")
    if is_share and 100.0 < said < float("inf"):
        raise InputError(f"sample is a share of all parameters, which is 100% at most; found {quoted(text)}")
    number = said * total / 100.0 if is_share else said
    if not (np.isfinite(number) and said > 0) or (not is_share and number != int(number)):
        raise InputError(f"sample must be a whole number of parameters or a share such as 5%, found {quoted(text)}")
    return max(1, min(total, int(np.ceil(number))))
