"""A seeded cut of bench/test_layers.py: fifteen layers as courses write them, and mutants of their backward passes."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "bench"))

import layer_cases

each_layer = pytest.mark.parametrize("layer", layer_cases.LAYERS, ids=lambda layer: layer.name)


@each_layer
def test_layers_of_the_bench_are_right_by_steps_taken_by_hand(layer):
    for size in ("small", "other"):
        point = layer.point(1, size=size)
        gradient, exact = layer.gradient(layer.space, point), layer_cases.by_hand(layer, point)
        assert gradient.keys() == exact.keys()
        for name, found in gradient.items():
            assert np.abs(found.ravel() - exact[name]).max() <= 1e-9 * np.abs(exact[name]).max()
