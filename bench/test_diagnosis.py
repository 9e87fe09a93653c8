"""How many planted mistakes are named: ``pytest bench/test_diagnosis.py -s`` prints the figures; it takes some minutes.

Random networks of every activation and loss, 1 to 5 layers deep, each drawn from its seed; every mistake that applies
to it is planted in every place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import planted

SEEDS = range(20)
PAIRS = 40


@pytest.mark.parametrize(
    ("what", "run", "least"),
    [
        ("single mistakes", lambda: planted.single(SEEDS), 0.98),
        ("pairs of independent mistakes", lambda: planted.double(SEEDS, PAIRS), 0.90),
        ("mistakes that no table lists, not named with confidence", lambda: planted.unlisted(SEEDS), 0.98),
    ],
)
def test_planted_mistakes_are_named(what, run, least):
    tally = run()
    counts = f"{tally.planted} planted, {tally.share:.2%} named, {tally.misled} misled"
    print(f"\nSeeds {SEEDS.start} to {SEEDS.stop - 1}, {what}: {counts}")
    print(*tally.examples, sep="\n")
    assert tally.share >= least
    if what == "single mistakes":
        assert tally.planted >= 3000
        assert tally.misled == 0
