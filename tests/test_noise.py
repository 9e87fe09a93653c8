"""The noise level from tables of differences, and the steps made from it."""

import math

import numpy as np
import pytest

from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import Noise, difference_table, measure_noise, scale_of
from fastgrad.functions.step import choose_steps

from standard import trembling

PUBLISHED = 1.003 + np.cumsum([0.0, 7.54e-3, 9.69e-3, 1.20e-2, 8.67e-3, 8.38e-3, 9.52e-3])
"""cos t + sin t with noise of standard deviation 1e-3 at t = 0, 0.01, …: table 3.1 of Moré and Wild, its first differences."""


def test_published_table():
    # Its estimates are 6.65e-3, 8.69e-4, 7.39e-4, 7.34e-4, …; the first that agrees with the next two is the second.
    table = difference_table(PUBLISHED)
    assert table.outcome == "found"
    assert table.level == pytest.approx(8.69e-4, rel=0.02)  # three digits of differences leave two of theirs


@pytest.mark.parametrize("level", [1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("seed", range(20))
def test_white_noise_on_a_parabola(level, seed):
    places = np.arange(7.0)
    values = 1.0 + 1e-3 * places * level + 1e-2 * (places * level) ** 2 + level * np.random.default_rng(seed).normal(size=7)
    table = difference_table(values)
    # Six differences of a column leave a deviation of about 1/√12 = 29 %; a factor 4 is beyond three of them either way.
    if table.outcome == "found":
        assert level / 4 < table.level < 4 * level


def test_white_noise_is_mostly_found():
    found = [difference_table(1.0 + 1e-6 * np.random.default_rng(seed).normal(size=7)).outcome for seed in range(200)]
    assert found.count("found") > 150


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ([1.0] * 7, "too close"),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0 + 1e-16, 1.0 + 3e-16], "too close"),
        (np.exp(np.arange(7.0)), "too far apart"),
        ([0.1, -0.3, 0.2, 0.05, -0.15, 0.22, -0.09], "uncertain"),
    ],
)
def test_tables_without_noise(values, outcome):
    assert difference_table(np.array(values)).outcome == outcome


@pytest.mark.parametrize("level", [1e-10, 1e-6, 1e-3])
@pytest.mark.parametrize("size", [1, 3, 50])
def test_noise_of_a_function(level, size):
    noise = measure_noise(Function(lambda x: np.cos(x).sum() + trembling(x, level), np.linspace(0.3, 1.0, size))).level
    # Uniform in ±level: deviation level/√3.
    assert level / math.sqrt(3) / 4 < noise < 4 * level / math.sqrt(3)


def test_noise_of_single_precision():
    noise = measure_noise(Function(lambda x: float(np.sin(np.float32(x[0]))), np.array([1.0]))).level
    assert 2.0**-28 < noise < 2.0**-23  # about 2⁻²⁴·sin 1/√3, times the factor 4 of the method either way


def test_rounding_is_the_least_noise():
    assert measure_noise(Function(lambda x: 3.0, 1.0)).level == 3.0 * 2.0**-53


@pytest.mark.parametrize("function", [abs, lambda x: abs(x) + 1.0, lambda x: max(x, 0.0) + 2.0])
def test_kink_at_the_point_is_no_noise(function):
    assert measure_noise(Function(function, 0.0)).level <= 4.0 * 2.0**-53


def test_scale_is_a_power_of_two():
    assert scale_of(np.array([0.0, 1e-9, 1.0, -3.0, 1e6])).tolist() == [1.0, 1.0, 1.0, 4.0, 2.0**20]


@pytest.mark.parametrize(
    ("scheme", "order", "room"), [("forward", 1 / 2, 30), ("central", 1 / 3, 30), ("five-point", 1 / 5, 30)]
)
@pytest.mark.parametrize("level", [1e-9, 1e-6])
def test_steps_grow_with_noise_as_theory_says(scheme, order, room, level):
    # For sin at 1 every derivative is between 0.5 and 0.9, so that the best step is noise^order up to a small factor.
    function = Function(lambda x: math.sin(x) + trembling(x, level), 1.0)
    step = float(choose_steps(function, Noise(function), scheme)[0])
    assert level**order / room < step < room * level**order
