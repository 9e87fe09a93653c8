"""A seeded cut of bench/test_layers.py: fifteen layers as courses write them, and mutants of their backward passes."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "bench"))

import layer_cases
import layer_mutations

CUT = {np.float64: 2, np.float32: 1}
"""Mutants of each layer, in each precision; in double precision they are named too."""

each_layer = pytest.mark.parametrize("layer", layer_cases.LAYERS, ids=lambda layer: layer.name)
each_precision = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)


def test_fifteen_layers_lie_in_the_bench():
    assert len(layer_cases.LAYERS) == 15


@each_layer
def test_layers_of_the_bench_are_right_by_steps_taken_by_hand(layer):
    point = layer.point(1)
    gradient, exact = layer.gradient(layer.space, point), layer_cases.by_hand(layer, point)
    assert gradient.keys() == exact.keys()
    for name, found in gradient.items():
        assert np.abs(found.ravel() - exact[name]).max() <= 1e-9 * np.abs(exact[name]).max()


@each_precision
@each_layer
def test_right_layers_are_right_and_their_mutants_wrong(layer, dtype):
    right = layer_mutations.checked(layer, layer.space, layer.point(2, dtype))
    assert right.verdict == "right", str(right)
    outcomes = [layer_mutations.judged(case, dtype == np.float64) for case in layer_mutations.cases(layer, dtype, CUT[dtype])]
    assert len(outcomes) == CUT[dtype]
    for one in outcomes:
        assert (one.detection, one.accused, one.missed) == ("detected", (), ()), one.case.described
        assert one.naming != "false", one.said
