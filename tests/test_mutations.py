"""A seeded cut of bench/test_mutations.py: mutants of hand-written backward passes, predicted at a fresh point."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bench"))

import mutations

CUT = 3
"""Mutants of each source."""


@pytest.mark.compiled
@pytest.mark.parametrize("path", mutations.SOURCES, ids=lambda path: path.stem)
def test_mutants_are_seen_and_nothing_false_is_said_of_them(path):
    outcomes = [mutations.judged(case) for case in mutations.Source(path).cases(most=CUT)]
    assert len(outcomes) == CUT
    assert {one.what for one in outcomes} <= {"right", "silent"}, [one for one in outcomes if one.what == "false"]
    assert not any(one.accused for one in outcomes)
    assert sum(one.what == "right" for one in outcomes) >= CUT - 2
