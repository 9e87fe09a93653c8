"""A small cut of bench/test_diagnosis.py: mistakes planted into random networks are named, and noise is not."""

import pytest

from fastgrad.diagnosis.plants import Nursery
from fastgrad.diagnosis.selftest import selftest

import planted
import problems


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
    tally = planted.unlisted(range(1, 3))
    assert tally.planted >= 8
    assert tally.misled == 0, tally.examples


def test_selftest_names_everything_that_shows():
    found = selftest(planted.random_nursery(1, deepest=2).problem)
    assert found.passed
    assert found.to_dict()["passed"]
    assert sum(row.detected for row in found.rows) > 50


@pytest.mark.compiled
@pytest.mark.parametrize("seed", [15, 21, 64, 136] + [50] * (problems.NETWORKS > 100))  # 50 takes half a minute
def test_no_confident_lie_where_rounding_or_the_penalty_hides_the_data(seed):
    """Networks whose gradient of the data is nothing beside the parameters, or whose rounding is large."""
    nursery = Nursery(problems.problem(problems.random_case(seed)))
    steps = [plant for plant in nursery.plants() if plant.cause.code == "value.step_taken"]
    outcomes = [nursery.judged([plant]) for plant in steps]
    assert sum(outcome.detected for outcome in outcomes) >= 2
    assert not any(outcome.misled for outcome in outcomes)


@pytest.mark.compiled
def test_the_penalty_alone_does_not_make_a_row_look_like_the_only_wrong_one():
    assert planted.unlisted(range(29, 30)).misled == 0
