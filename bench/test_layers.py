"""Layers as courses write them, their mutants, and everybody who checks them: ``pytest bench/test_layers.py -s``.

`layers` are right; `mutator` changes their syntax trees and knows nothing of fastgrad; `layer_mutations` says what a case is
and what counts as seen and as named; `layer_rivals` asks the others the same questions.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import cache

import numpy as np
import pytest

import layer_mutations
from layer_cases import LAYERS, by_hand, real
from layer_rivals import RIVALS, Counted, numdifftools_gradient

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # exp overflows at large inputs, as it does in courses

PRECISIONS = (np.float64, np.float32)
SCALES, SEEDS = (0.01, 1.0, 30.0), (1, 2, 3)
"""Factors of all real inputs, and seeds, of the points at which right layers are asked about."""
CUT = 12
"""Mutants of each layer that the rivals are asked about too."""
LEAST_NAMED, MOST_FALSE = 0.8, 0.0
NAMED = {np.float64: 20, np.float32: 8}
"""Mutants of each layer that are named, the first in their seeded order; all are looked at."""
BEHIND = {"convolution_loops", "max_pooling"}
"""Layers of milliseconds for each call, of which JAX's check makes six: one direction, and a difference with one step."""
ROUNDS, LONG = 5, 2.0
"""Rounds of a timing, and the seconds after which no other is begun."""

each_precision = pytest.mark.parametrize("dtype", PRECISIONS, ids=lambda dtype: dtype.__name__)


@cache
def right_points(layer, dtype):
    """Return points at which a layer's outputs and gradients are finite."""
    points = [layer.point(seed, dtype, scale=scale) for scale in SCALES for seed in SEEDS]
    return [point for point in points if layer.gradient(layer.space, point) is not None and is_finite(layer, point)]


def is_finite(layer, point):
    """Whether all outputs are."""
    with np.errstate(all="ignore"):
        return all(np.isfinite(out).all() for out in layer.outputs(layer.forward, point.named))


def told(results, lines):
    """Take lines into the session's tables, and print them."""
    lines = list(lines)
    results.texts += lines
    print(*lines, sep="\n")


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_layers_are_right_by_hand(layer):
    for size in ("small", "other"):
        point = layer.point(1, size=size)
        exact, found = by_hand(layer, point), layer.gradient(layer.space, point)
        assert all(np.abs(found[name].ravel() - exact[name]).max() <= 1e-9 * np.abs(exact[name]).max() for name in exact)


@each_precision
def test_no_right_layer_is_accused(dtype):
    for layer in LAYERS:
        for point in (*right_points(layer, dtype), layer.point(1, dtype, "large")):
            report = layer_mutations.checked(layer, layer.space, point)
            assert report.verdict == "right", f"{layer.name}: {report}"


@each_precision
def test_mutants_are_seen_and_named(results, dtype):
    table, named = layer_mutations.Table(), layer_mutations.Table()
    for layer in LAYERS:
        cases = list(layer_mutations.cases(layer, dtype))
        assert len(cases) >= 8
        last = NAMED[dtype]
        outcomes = [layer_mutations.judged(case, number < last) for number, case in enumerate(cases)]
        table.outcomes += outcomes
        named.outcomes += outcomes[:last]
    heading = f"mutants of layers, {dtype.__name__}: {len(table.outcomes):,} looked at, {len(named.outcomes):,} of them named"
    told(results, ["", heading, *named.lines("layer"), "", *named.lines("kind"), *named.open()])
    assert not [one for one in table.outcomes if one.detection == "undetected" or one.missed or one.accused]
    assert sum(one.naming == "false" for one in named.outcomes) <= MOST_FALSE * len(named.outcomes)
    assert layer_mutations.share(named.outcomes) >= LEAST_NAMED


@each_precision
def test_beside_the_rivals(results, dtype):
    lines, counts = [], {}
    for rival in installed():
        said = Counter()
        for layer in (layer for layer in LAYERS if asked(rival, layer)):
            said.update(("right", rival.verdict(layer, layer.space, point)) for point in right_points(layer, dtype))
            cut = layer_mutations.cases(layer, dtype, CUT)
            said.update(("mutant", rival.verdict(layer, case.space, case.point)) for case in cut)
        counts[rival.name] = said
        row = [said["right", "wrong"], said["right", "neither"], said["mutant", "right"], said["mutant", "neither"]]
        totals = [sum(number for (what, _), number in said.items() if what == kind) for kind in ("right", "mutant")]
        lines.append(f"  {rival.name:24}" + "".join(f"{number:>10,}" for number in (totals[0], *row[:2], totals[1], *row[2:])))
    heading = "".join(f"{name:>10}" for name in ("right", "accused", "neither", "mutants", "missed", "neither"))
    told(results, ["", f"right layers accused and mutants missed, {dtype.__name__}", f"  {'':24}{heading}", *lines])
    assert counts["fastgrad"]["right", "wrong"] == counts["fastgrad"]["mutant", "right"] == 0


def installed():
    """Return the rivals whose library is there."""
    return [rival for rival in RIVALS if rival.is_installed]


def asked(rival, layer):
    """Whether a rival has the time for a layer: numdifftools calls a convolution by loops 5,000 times for a point."""
    return not (rival.library == "numdifftools" and layer.name == "convolution_loops")


@pytest.mark.parametrize("size", ["small", "large"])
def test_seconds_and_evaluations(results, size):
    rivals = [rival for rival in installed() if size == "small" or rival.library != "numdifftools"]
    names = "".join(f"{rival.name.partition(',')[0]:>26}" for rival in rivals)
    lines, behind = [], []
    for layer in LAYERS:
        point = layer.point(1, size=size)
        entries = sum(point.named[name].size for name in real(point.named))
        timed = [seconds_and_calls(rival, layer, point) for rival in rivals if asked(rival, layer)]
        cells = "".join(f"{seconds * 1e3:>12,.1f} ms{calls:>9,} ev" for seconds, calls in timed)
        lines.append(f"  {layer.name:22}{entries:>7,}{cells}")
        if size == "large" and timed[0][0] > min(seconds for seconds, _ in timed):
            behind.append(layer.name)
    heading = ["", f"milliseconds of processors and evaluations, {size} points", f"  {'':22}{'inputs':>7}{names}"]
    told(results, [*heading, *lines, f"  fastgrad is behind on: {', '.join(behind) or 'none'}"])
    assert set(behind) <= BEHIND


def seconds_and_calls(rival, layer, point):
    """Return the least processor time of some rounds, and the calls of forward in one."""
    least, began = np.inf, time.process_time()
    for _ in range(ROUNDS):
        numdifftools_gradient.cache_clear()
        counted, start = Counted(layer.forward), time.process_time()
        assert rival.verdict(layer, layer.space, point, counted) in ("right", "wrong", "neither")
        least = min(least, time.process_time() - start)
        if time.process_time() - began > LONG:
            break
    return least, counted.calls
