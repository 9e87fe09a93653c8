"""A small cut of bench/test_diagnosis.py: mistakes planted into random networks are named, and noise is not."""

import pytest

from fastgrad.selftest import selftest

import planted


@pytest.mark.compiled
def test_planted_mistakes_are_named():
    tally = planted.single(range(1))
    assert tally.planted > 80
    assert tally.share >= 0.98, tally.examples
    assert tally.misled == 0, tally.examples


@pytest.mark.compiled
def test_pairs_are_named():
    tally = planted.double(range(2, 3), 12)
    assert tally.share >= 0.9, tally.examples


@pytest.mark.compiled
def test_noise_is_not_named_with_confidence():
    tally = planted.unlisted(range(5))
    assert tally.planted > 10
    assert tally.misled == 0, tally.examples


def test_selftest_names_everything_that_shows():
    found = selftest(planted.random_nursery(1, deepest=2).problem)
    assert found.passed
    assert found.to_dict()["passed"]
    assert sum(row.detected for row in found.rows) > 50
