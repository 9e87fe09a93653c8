"""Doors of other packages without these packages, and arrays that are known by what they can do."""

import subprocess
import sys

import numpy as np
import pytest

import fastgrad
from fastgrad.foreign import as_numpy, maker


@pytest.mark.parametrize(("door", "names"), [("torch", "PyTorch"), ("jax", "JAX")])
def test_a_door_without_its_package_names_the_extra(door, names):
    code = f"""
import sys
sys.modules[{door!r}] = None  # what Python then cannot import
import fastgrad
assert {door!r} in dir(fastgrad)
try:
    fastgrad.{door}
except ImportError as error:
    assert str(error) == "fastgrad.{door} needs {names}: pip install 'fastgrad[{door}]'", error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


class Namespace:
    """What the array interface standard calls a namespace."""

    @staticmethod
    def asarray(array, dtype=None):
        return Other(np.array(array, dtype=dtype))


class Other:
    """An array of another package, which knows its namespace."""

    def __init__(self, array):
        self.array, self.dtype = array, array.dtype

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)

    def __array_namespace__(self):
        return Namespace

    def sum(self):
        return float(self.array.sum())

    def __pow__(self, power):
        return Other(self.array**power)

    def __rmul__(self, factor):
        return Other(factor * self.array)


def test_arrays_of_any_package_are_made_again():
    x = Other(np.array([1.0, 2.0], dtype=np.float32))
    assert maker(np.ones(2)) is None
    assert maker([1.0]) is None
    assert as_numpy(maker(x)(np.ones(2))).dtype == np.float64
    assert as_numpy(maker(x, wide=False)(np.ones(2))).dtype == np.float32
    seen = set()

    def f(x):
        seen.add(type(x))
        return (x**2).sum()

    assert fastgrad.check_function(f, lambda x: 2.0 * x, x)
    assert seen == {Other}
    assert fastgrad.check_function(f, lambda x: 3.0 * x, x).verdict == "wrong"
    assert isinstance(fastgrad.numerical_gradient(f, x), Other)
