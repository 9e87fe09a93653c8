"""Who tells wrong gradients from right ones: ``pytest bench/test_detection.py`` prints the table.

FASTGRAD_DETECTION_NETWORKS=40 takes fewer networks, 100:200 those of some seeds only. Whose library is missing has no row.
"""

from __future__ import annotations

import importlib.util

import pytest

from detection import (
    NETWORKS,
    Drawn,
    Judge,
    claims,
    course,
    fastgrad_by,
    jax_check_grads,
    network,
    scipy_check,
    torch_gradcheck,
)

BLOCK = 10


def judges() -> dict[str, Judge]:
    """Return everybody whose library is here, by the name in the table."""
    found = {f"fastgrad, {method}": fastgrad_by(method) for method in ("parameter", "preactivation", "directional", "textbook")}
    if importlib.util.find_spec("torch"):
        found |= {f"PyTorch gradcheck, {words}": torch_gradcheck(words == "fast") for words in ("slow", "fast")}
    if importlib.util.find_spec("jax"):
        found["JAX check_grads"] = jax_check_grads
    if importlib.util.find_spec("scipy"):
        found["scipy check_grad, norm < 1e-7"] = scipy_check
    return found | {"course formula < 1e-7, central, step 1e-7": course}


@pytest.mark.parametrize("block", range(NETWORKS.start, NETWORKS.stop, BLOCK))
def test_detection(detections, block):
    drawn, failures = Drawn(), []
    everybody = judges()
    for seed in range(block, min(block + BLOCK, NETWORKS.stop)):
        run = network(seed)
        for claim in claims(run, seed, drawn):
            for name, judge in everybody.items():
                verdict = judge(claim)
                detections.take(name, claim, verdict)
                missed, accused = not claim.right and verdict == "right", claim.right and verdict == "wrong"
                if name.startswith("fastgrad") and (missed or accused):
                    failures.append((name, seed, claim.name, claim.layer, claim.strength, verdict))
    detections.nothing += drawn.nothing
    assert not failures
