"""How functions are called: forms of x, threads, batches, compiled loops; and functions that misbehave."""

import gc
import math
import os
import re
import signal
import subprocess
import sys
import weakref

import numba
import numpy as np
import pytest

import fastgrad
from fastgrad.functions import compiled, loops

from standard import chained_rosenbrock, chained_rosenbrock_gradient


@pytest.fixture
def x():
    return np.random.default_rng(3).normal(size=(4, 5))


def real(x):
    """Return a smooth function's value, for floats alone, so that differences are taken."""
    return math.fsum(np.sin(x).ravel() * np.arange(1.0, x.size + 1))


def real_gradient(x):
    return np.cos(x) * np.arange(1.0, x.size + 1).reshape(x.shape)


def test_array_of_any_shape_is_not_modified(x):
    before = x.copy()
    found = fastgrad.numerical_gradient(real, x)
    assert x.tobytes() == before.tobytes()
    assert found == pytest.approx(real_gradient(x), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "f", "expected"),
    [
        (3.0, lambda x: x**2, 6.0),
        (3, lambda x: x**2, 6.0),
        (np.float32(3), lambda x: x**2, 6.0),
        ([3.0, 4.0], lambda x: (x**2).sum(), [6.0, 8.0]),
        ((3, 4), lambda x: (x**2).sum(), [6.0, 8.0]),
        ([[1, 2], [3, 4]], lambda x: (x**2).sum(), [[2.0, 4.0], [6.0, 8.0]]),
        (np.array(3.0), lambda x: x**2, 6.0),
    ],
)
def test_forms_of_one_array(x, f, expected):
    found = fastgrad.numerical_gradient(f, x)
    assert np.shape(found) == np.shape(expected)
    assert found == pytest.approx(np.array(expected), rel=1e-12)


def test_dict_and_list_of_arrays():
    parameters = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([5.0]), "c": 2.0}
    found = fastgrad.numerical_gradient(lambda p: (p["W"] ** 2).sum() + p["b"][0] * p["c"], parameters)
    assert list(found) == ["W", "b", "c"]
    assert found["W"] == pytest.approx(2 * parameters["W"])
    assert (found["b"].tolist(), found["c"]) == (pytest.approx([2.0]), pytest.approx(5.0))
    found = fastgrad.numerical_gradient(lambda p: (p[0] ** 2).sum() + p[1], [np.array([1.0, 2.0]), 3.0])
    assert isinstance(found, list)
    assert found[0] == pytest.approx([2.0, 4.0])
    assert found[1] == pytest.approx(1.0)
    assert isinstance(fastgrad.numerical_gradient(lambda p: p[0].sum(), (np.ones(2), np.ones(3))), tuple)


@pytest.mark.parametrize("scheme", ["auto", "central"])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_workers_give_the_same_bits(x, workers, scheme):
    alone = fastgrad.numerical_gradient(real, x, scheme=scheme)
    assert fastgrad.numerical_gradient(real, x, scheme=scheme, workers=workers).tobytes() == alone.tobytes()


def test_batched_function_is_called_with_many_points():
    x, shapes = np.random.default_rng(5).normal(size=7), []

    def many(points):
        shapes.append(points.shape)
        return chained_rosenbrock(points)

    found = fastgrad.numerical_gradient(many, x, scheme="central", step=1e-6)
    assert shapes[0] == (7,)
    shapes.clear()
    found = fastgrad.numerical_gradient(many, x, batched=True, scheme="central", step=1e-6)
    assert found == pytest.approx(chained_rosenbrock_gradient(x), rel=1e-6)
    assert shapes == [(1, 7), (1, 7), (14, 7)]


def test_batched_dict():
    x = {"a": np.ones((2, 2)), "b": 3.0}
    found = fastgrad.numerical_gradient(lambda p: (p["a"] ** 2).sum(axis=(1, 2)) + p["b"] ** 2, x, batched=True)
    assert found["a"] == pytest.approx(2 * x["a"])
    assert found["b"] == pytest.approx(6.0)


def test_batched_steps_out_of_the_domain():
    def logarithm(points):
        if np.any(points <= 0):
            raise ValueError("math domain error")
        return np.log(np.real(points)).sum(axis=1)

    assert fastgrad.numerical_gradient(logarithm, np.array([1e-3, 2.0]), batched=True) == pytest.approx([1e3, 0.5], rel=1e-10)


@numba.njit
def compiled_sines(x):
    total = 0.0
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            total += np.sin(x[row, column]) * (row * x.shape[1] + column + 1)
    return total


@numba.njit
def compiled_cube(x):
    return x**3


@numba.njit
def compiled_logarithm(x):
    if x[0] <= 0.0:
        raise ValueError("outside")
    return np.log(x[0]) + x[1]


@numba.njit
def compiled_thief(x):
    value = x[0] + x[1]
    if x[1] > 2.0:
        x[0] = 7.0
    return value


@pytest.mark.compiled
def test_compiled_function(x):
    found = fastgrad.numerical_gradient(compiled_sines, x, full=True)
    assert found.value == pytest.approx(real_gradient(x), rel=1e-11, abs=1e-11)
    assert found.scheme == "extrapolated"
    assert fastgrad.derivative(compiled_cube, 2.0) == pytest.approx(12.0, rel=1e-12)


@pytest.mark.compiled
def test_compiled_loop_does_what_single_calls_do(x, monkeypatch):
    alone = fastgrad.numerical_gradient(lambda x: compiled_sines(x), x, step=1e-5)
    for threads in ("1", "2", "7"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        assert fastgrad.numerical_gradient(compiled_sines, x, step=1e-5).tobytes() == alone.tobytes()


def compiled_parabola(number):
    """Compile a function that is nobody else's."""
    namespace = {}
    exec(f"def f(x):\n    return (x[0] - {number}.0) ** 2 + x[1] * x[1]\n", namespace)
    return numba.njit(namespace["f"])


@pytest.mark.compiled
def test_nothing_is_kept_of_compiled_functions():
    functions = [compiled_parabola(number) for number in range(4)]
    for number, f in enumerate(functions):
        assert fastgrad.numerical_gradient(f, np.array([0.5, 1.0]), step=1e-5) == pytest.approx([1 - 2 * number, 2], rel=1e-9)
    # A loop around each function took 5 MB, which numba never gives back.
    assert all(len(loop.overloads) <= 4 for loop in (loops.move_entries, loops.fill_values))
    left = [weakref.ref(f.py_func) for f in functions]
    del functions, f
    gc.collect()
    assert [one() for one in left] == [None] * 4


@pytest.mark.compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_child_of_fork_calls_compiled_functions_too(x, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    expected = fastgrad.numerical_gradient(compiled_sines, x, step=1e-5)
    child = os.fork()
    if not child:
        signal.alarm(120)  # a child that waits for threads which are not there would wait for ever
        os._exit(0 if np.array_equal(fastgrad.numerical_gradient(compiled_sines, x, step=1e-5), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


@numba.njit("float64(float64[:])")
def compiled_for_any_stride(x):
    return x[0] * x[1]


@numba.njit("int64(float64[::1])")
def compiled_steps(x):
    return int(x[0]) * 2


@numba.njit
def compiled_truth(x):
    return x[0] > 0.0


@numba.njit
def compiled_single(x):
    return np.float32(x[0]) * np.float32(2.0)


@numba.njit
def compiled_with_default(x, factor=3.0):
    return factor * x[0]


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("f", "x"),
    [
        (compiled_for_any_stride, [2.0, 3.0]),
        (compiled_steps, [2.5]),
        (compiled_truth, [1.0]),
        (compiled_single, [2.0]),
        (compiled_with_default, [2.0]),
    ],
)
def test_compiled_functions_of_other_types_give_what_single_calls_give(f, x):
    found = fastgrad.numerical_gradient(f, np.array(x), step=0.25)
    assert found.tolist() == fastgrad.numerical_gradient(lambda x: f(x), np.array(x), step=0.25).tolist()


@pytest.mark.compiled
def test_exceptions_and_thefts_in_a_compiled_loop():
    assert fastgrad.numerical_gradient(compiled_logarithm, np.array([1e-3, 1.0])) == pytest.approx([1e3, 1.0], rel=1e-10)
    with pytest.raises(fastgrad.InputError, match=r"ValueError: outside; at x = \[-"):
        fastgrad.numerical_gradient(compiled_logarithm, np.array([1e-3, 1.0]), step=0.1)
    with pytest.raises(fastgrad.InputError, match="modifies its argument"):
        fastgrad.numerical_gradient(compiled_thief, np.array([1.0, 2.0]), step=0.1)


class Mutating:
    """A function that writes into its argument, at its tenth call."""

    calls = 0

    def __call__(self, x):
        self.calls += 1
        if self.calls == 10:
            x[1] += 1.0
        return float(np.sum(np.real(x) ** 2))


def replace_part(p):
    p["W"] = p["W"] * 2.0
    return p["W"].sum()


def raise_at_two(x):
    if x[0] > 2.0:
        raise KeyError("lost")
    return x[0] + x[1]


HOSTILE = [
    (lambda x: x.__setitem__(0, 5.0) or 1.0, np.ones(3), r"modifies its argument: x\[0\] was 1.0 and is 5.0 after the call"),
    (Mutating(), np.ones(6), r"modifies its argument: x\[1\]"),
    (replace_part, {"W": np.ones(2)}, "modifies its argument: an array in it is replaced"),
    (lambda x: np.random.default_rng().random(), np.ones(3), "for the same x.*seed"),
    (iter(range(1000)).__next__, 1.0, "raises TypeError"),
    (lambda x: x, np.ones(3), r"array of shape \(3,\).*expected one real number"),
    (lambda x: None, np.ones(3), "gives None .*is its return missing"),
    (lambda x: "high", np.ones(3), "gives 'high'"),
    (lambda x: 1j * x.sum(), np.ones(3), "expected one real number"),
    (lambda x: math.nan, np.ones(3), "gives nan at x = "),
    (lambda x: math.inf, np.ones(30), "gives inf at the given x"),
    (lambda x: 1 / 0, np.ones(3), r"raises ZeroDivisionError: division by zero; at x = \[1.0, 1.0, 1.0\]"),
    (lambda x: sys.exit(0), np.ones(3), r"raises SystemExit: 0; at x = "),
    (raise_at_two, np.array([2.0, 1.0]), "raises KeyError: 'lost'; at x = "),
    (lambda x: x.sum() if x.sum() == 3.0 else math.nan, np.ones(3), "gives nan at x = "),
    ("sum", np.ones(3), "f is of type str"),
    (np.sum, np.array([1.0, math.nan]), r"x\[1\] is nan"),
    (np.sum, [], "x is empty"),
    (np.sum, "abc", "x is 'abc'"),
    (np.sum, np.array([1j]), "x is complex; expected real numbers: give its real"),
    (np.sum, {"a": None}, r"x\['a'\] is None"),
    (np.sum, {}, "x is empty"),
]


@pytest.mark.parametrize(("f", "x", "message"), HOSTILE, ids=[re.sub(r"\W+", "-", case[2]) for case in HOSTILE])
def test_misbehaving_functions_are_named(f, x, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.numerical_gradient(f, x)


def test_two_values_for_one_point():
    values = iter([1.0, 2.0])
    with pytest.raises(fastgrad.InputError, match=r"gives 1.0 and then 2.0 for the same x"):
        fastgrad.numerical_gradient(lambda x: next(values), 1.0)


@pytest.mark.parametrize("workers", [None, 3])
def test_point_of_failure_is_named_in_large_x(workers):
    def picky(x):
        if x[7] > 1.05:
            raise ValueError("too large")
        return x.sum()

    with pytest.raises(fastgrad.InputError, match=r"too large; at x with x\[7\] = 1.1 \(given: 1.0\)"):
        fastgrad.numerical_gradient(picky, np.ones(20), step=0.1, workers=workers)


@pytest.mark.parametrize("value", [np.array([2]), np.array([[2.0]]), 2, np.float32(2.0), True])
def test_single_numbers_in_disguise(value):
    assert fastgrad.numerical_gradient(lambda x: value, np.ones(2)).tolist() == [0.0, 0.0]


def test_functions_may_keep_their_argument():
    kept = []

    def collector(x):
        kept.append(x)
        return float(np.real(x) @ np.real(x))

    fastgrad.numerical_gradient(collector, np.ones(3), step=0.5)
    assert [point.tolist() for point in kept[2:4]] == [[1.5, 1.0, 1.0], [0.5, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [(lambda points: points, r"gives an array of shape \(1, 3\) for 1 points"), (lambda points: 1.0, "gives 1.0 for 1 points")],
)
def test_batched_functions_that_are_none(values, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.numerical_gradient(values, np.ones(3), batched=True)


@numba.njit
def compiled_array_of_one(x):
    return x[:1] * x[1]


@pytest.mark.compiled
def test_compiled_functions_whose_loop_is_not():
    assert fastgrad.numerical_gradient(compiled_array_of_one, np.array([2.0, 3.0])) == pytest.approx([3.0, 2.0], rel=1e-12)


@numba.njit(parallel=True)
def compiled_parallel(x):
    total = 0.0
    for i in numba.prange(x.size):
        total += x[i] ** 2
    return total


@numba.njit
def calling_parallel(x):
    return compiled_parallel(x)


@pytest.mark.compiled
@pytest.mark.parametrize("f", [compiled_parallel, calling_parallel])
def test_functions_with_threads_of_their_own_are_called_one_by_one(f):
    assert fastgrad.numerical_gradient(f, np.array([2.0, 3.0]), step=1e-5) == pytest.approx([4.0, 6.0], rel=1e-9)
    assert compiled.code_of(f, (2,)) is None


CACHED = """
import numba

@numba.njit(parallel=True)
def inner(x):
    total = 0.0
    for i in numba.prange(x.size):
        total += x[i] ** 2
    return total

@numba.njit(cache=True)
def alone(x):
    return x[0] ** 2 + x[1] ** 2

@numba.njit(cache=True)
def calling(x):
    return inner(x)
"""


@pytest.mark.compiled
@pytest.mark.skipif(numba.__version__.startswith("0.61."), reason="numba 0.61 crashes by itself when it calls such a function")
def test_so_are_those_that_numba_has_loaded(tmp_path):
    (tmp_path / "cached.py").write_text(CACHED)
    script = (
        "import sys\nsys.path.insert(0, sys.argv[1])\n"
        "import cached, numpy as np\nfrom fastgrad.functions import compiled\n"
        "for f in (cached.alone, cached.calling):\n"
        "    f(np.ones(2))\n    print(sum(f.stats.cache_hits.values()), compiled.code_of(f, (2,)) is None)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    for hits in "01":
        done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, env=environment)
        assert done.stdout.split() == [hits, "False", hits, "True"], done.stderr
