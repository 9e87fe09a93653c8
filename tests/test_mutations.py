"""A seeded cut of bench/test_mutations.py: mutants of hand-written backward passes, predicted at a fresh point."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bench"))

import mutations

LEAST = 0.75
"""Share of right diagnoses, of one mutant of each source."""


@pytest.mark.compiled
def test_mutants_are_seen_and_nothing_false_is_said_of_them():
    outcomes = [mutations.judged(case) for path in mutations.SOURCES for case in mutations.Source(path).cases(most=1)]
    assert len(outcomes) == len(mutations.SOURCES)
    assert {one.what for one in outcomes} <= {"right", "silent"}, [one for one in outcomes if one.what == "false"]
    assert not any(one.accused for one in outcomes)
    assert sum(one.what == "right" for one in outcomes) >= LEAST * len(outcomes)


def test_draws_end_where_a_source_has_no_more_mutants():
    source = mutations.Source(next(path for path in mutations.SOURCES if path.stem == "chain_of_modules"))
    assert 0 < len(list(source.cases(most=10_000))) < 10_000


def test_a_diagnosis_that_takes_too_long_is_silent(monkeypatch):
    def thinks(case):
        while True:
            pass

    monkeypatch.setattr(mutations, "_judged", thinks)
    monkeypatch.setattr(mutations, "THINKS", 0.02)
    (case,) = mutations.Source(mutations.SOURCES[0]).cases(most=1)
    outcome = mutations.judged(case)
    assert (outcome.what, outcome.codes) == ("silent", ("timed out",))
