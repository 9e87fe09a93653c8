"""Bits and verdicts of seeded networks and of the real cases, as they were recorded: what moves code must not move figures.

``python tests/test_same_bits.py`` records them anew in tests/data/bits.json, which only changed mathematics may ask for.
Verdicts, counts and causes hold on every machine; bits on processors for which LLVM makes the same code, with these versions.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest

from fastgrad.numerical import numerical_gradient
from fastgrad.reading import modelfile
from fastgrad.walk import check_problem

import cases
import problems

RECORD = Path(__file__).parent / "data" / "bits.json"
SEEDS = range(7000, 7200)
BLOCK = 20
"""Networks of one test; FASTGRAD_TEST_NETWORKS=1000 takes all that are recorded."""
METHODS = ("parameter", "preactivation")


def digest(*arrays: Any) -> str:
    """Return a short digest of the bytes of arrays."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def machine() -> str:
    """Name what bits may depend on besides our code."""
    features = llvm.get_host_cpu_features().flatten()
    parts = (numba.__version__, np.__version__, llvm.get_host_cpu_name(), features)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def outcome(report: Any) -> dict[str, Any]:
    """Return what was found, without words and seconds."""
    return {
        "verdict": report.verdict,
        "tensors": [[t.verdict, t.checked, t.wrong] for t in report.tensors],
        "causes": [[finding.code, finding.tensor, finding.confident] for finding in report.findings],
    }


def of_network(seed: int) -> tuple[str, list[Any]]:
    """Return the bits of a seeded network's gradients, and the outcomes of a right claim and of one with a mistake."""
    case = problems.random_case(seed)
    right = problems.plain_gradient(case, np.float64)
    problem = problems.problem(case, right)
    bits = digest(*(numerical_gradient(problem, method=method).values for method in METHODS))
    tensor = problem.tensors[seed % len(problem.tensors)]
    wrong = right.copy()
    wrong[tensor.start : tensor.stop] *= 2.0
    directional = check_problem(problem, method="directional")
    found = [outcome(check_problem(problems.problem(case, claim))) for claim in (right, wrong)]
    return bits, [*found, outcome(directional)]


def of_case(name: str) -> tuple[str, list[Any]]:
    """Return the bits of a real case's gradients, and the outcome of its check."""
    problem = modelfile.load(cases.model_file(name), cases.options(cases.sidecar(name)))
    bits = digest(*(numerical_gradient(problem, method=method).values for method in METHODS))
    return bits, [outcome(check_problem(problem))]


def recorded() -> dict[str, Any]:
    """Return what was recorded."""
    return json.loads(RECORD.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def hold(key: str, found: tuple[str, list[Any]]) -> None:
    """Hold what was found against the record."""
    record = recorded()
    bits, outcomes = record[key]
    assert found[1] == outcomes
    if record["machine"] == machine():
        assert found[0] == bits


@pytest.mark.compiled
@pytest.mark.parametrize("first", range(0, min(len(SEEDS), problems.NETWORKS), BLOCK))
def test_seeded_networks_are_as_they_were(first):
    for seed in SEEDS[first : first + BLOCK]:
        hold(str(seed), of_network(seed))


@pytest.mark.compiled
@pytest.mark.parametrize("name", cases.names())
def test_real_cases_are_as_they_were(name):
    hold(name, of_case(name))


if __name__ == "__main__":
    found: dict[str, Any] = {str(seed): of_network(seed) for seed in SEEDS} | {
        name: of_case(name) for (name,) in (case.values for case in cases.names())
    }
    RECORD.parent.mkdir(exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in {"machine": machine(), **found}.items()]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
