"""Right gradients as people have them, and 1 % mistakes on top: ``pytest bench/test_given.py -s`` prints who is accused.

Of every kind in tests/given.py so many seeds; FASTGRAD_GIVEN=1800 takes more of them, 900:1800 those of some seeds only.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from typing import Any

import fastgrad

import given

FIRST, _, STOP = os.environ.get("FASTGRAD_GIVEN", "900").rpartition(":")
SEEDS = range(int(FIRST or 0), int(STOP))


def verdict(one: Any, claim: Any) -> str:
    """Return what fastgrad says of gradients, or of a function that makes them."""
    if callable(claim):
        return str(fastgrad.check(one.parameters, backward=claim, X=one.X, Y=one.Y, **one.options).verdict)
    return str(fastgrad.check(one.parameters, claim, one.X, one.Y, **one.options).verdict)


def test_given():
    right: Counter[tuple[str, str]] = Counter()
    found: Counter[tuple[str, bool, bool]] = Counter()
    failures = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logarithms of a draw that saturates
        for seed in SEEDS:
            one = given.given(seed)
            said, of_wrong = verdict(one, one.gradients), verdict(one, one.wrong)
            right[one.kind, said] += 1
            found[one.kind, one.large, of_wrong == "wrong"] += 1
            if said == "wrong" or (one.large and of_wrong == "right"):
                failures.append((seed, one.kind, said, of_wrong))
    print(f"\n{'kind':28} {'right':>6} {'not judged':>11} {'accused':>8} {'1 % found':>10}")
    for kind in sorted({kind for kind, _ in right}):
        caught = sum(count for (name, _, is_found), count in found.items() if name == kind and is_found)
        total = sum(count for (name, *_), count in found.items() if name == kind)
        counts = [right[kind, word] for word in ("right", "not judged", "wrong")]
        print(f"{kind:28} {counts[0]:>6} {counts[1]:>11} {counts[2]:>8} {f'{caught} of {total}':>10}")
    assert not failures
