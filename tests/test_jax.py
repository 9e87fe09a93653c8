"""fastgrad.jax: verdicts beside those of JAX's own check_grads, planted mistakes in custom rules, and x64 left as it was."""

import doctest
import importlib
import inspect
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import fastgrad

jax = None if find_spec("jax") is None else importlib.import_module("jax")
pytestmark = pytest.mark.extra("jax")

REV = {"modes": ("rev",)}
FWD = {"modes": ("fwd",)}


def theirs(*args, **options):
    """Return whether JAX's own check passes."""
    return passes(importlib.import_module("jax.test_util").check_grads, *args, **options)


def ours(*args, **options):
    return passes(fastgrad.jax.check_grads, *args, **options)


def passes(check, *args, **options):
    try:
        check(*args, **options)
    except AssertionError:
        return False
    return True


def vjp(backward):
    """Return a cube with a backward rule of its own."""

    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (backward(x, g),))
    return cube


def jvp(slope):
    @jax.custom_jvp
    def cube(x):
        return x**3

    cube.defjvp(lambda primals, tangents: (primals[0] ** 3, slope(primals[0]) * tangents[0]))
    return cube


def x():
    return jax.numpy.array([0.5, -1.2, 2.0])


CASES = {
    "vjp": (True, lambda: vjp(lambda x, g: 3 * x**2 * g), REV),
    "vjp, a factor": (False, lambda: vjp(lambda x, g: 2 * x**2 * g), REV),
    "vjp without the upstream gradient": (False, lambda: vjp(lambda x, g: 3 * x**2), REV),
    "vjp, one entry": (False, lambda: vjp(lambda x, g: (3 * x**2 * g).at[1].add(1.0)), REV),
    "jvp": (True, lambda: jvp(lambda x: 3 * x**2), FWD),
    "jvp, a factor": (False, lambda: jvp(lambda x: 2 * x**2), FWD),
    "several outputs": (True, lambda: lambda x: {"a": x.sum() * x, "b": jax.numpy.argmax(x)}, REV),
}


@pytest.mark.parametrize("case", CASES)
def test_verdicts_are_those_of_jaxs_check_grads(case):
    is_right, make, options = CASES[case]
    assert ours(make(), (x(),), 1, **options) is is_right
    if case != "several outputs":  # which theirs fails at
        assert theirs(make(), (x(),), 1, **options) is is_right


def test_the_signature_is_jaxs():
    kept = inspect.signature(importlib.import_module("jax.test_util").check_grads).parameters
    assert [(name, one.default) for name, one in inspect.signature(fastgrad.jax.check_grads).parameters.items()] == [
        (name, one.default) for name, one in kept.items()
    ]


def test_a_mistake_within_jaxs_tolerance_is_found_in_single_precision():
    slightly = vjp(lambda x, g: 3.003 * x**2 * g)
    assert theirs(slightly, (x(),), 1, **REV)
    with pytest.raises(fastgrad.GradientError, match=r"In reverse mode \(vjp\):\n.*3 of 3 entries") as caught:
        fastgrad.jax.check_grads(slightly, (x(),), 1, **REV)
    assert "x[2]" in str(caught.value)
    assert "computed in float32, and f differentiated in double precision" in str(caught.value)


def test_half_precision_is_judged_as_such():
    half = x().astype("bfloat16")
    assert not theirs(jax.numpy.tanh, (half,), 1, **REV)
    assert ours(jax.numpy.tanh, (half,), 1, **REV)
    assert not ours(vjp(lambda x, g: 2 * x**2 * g), (half,), 1, **REV)


def test_tolerances_and_eps_are_obeyed():
    one_percent = vjp(lambda x, g: 3.03 * x**2 * g)
    assert not ours(one_percent, (x(),), 1, **REV, rtol=0.009)
    assert ours(one_percent, (x(),), 1, **REV, rtol=0.011, eps=1e-3)
    assert ours(one_percent, (x(),), 1, **REV, rtol={np.float32: 0.011})
    assert not ours(one_percent, (x(),), 1, **REV, rtol={np.float64: 0.011})
    assert ours(one_percent, (x(),), 1, **REV, atol=1.0)
    assert not ours(one_percent, (x(),), 1, **REV, atol=1e-3)


def test_gradients_of_gradients_are_checked():
    """A backward rule whose value is right and whose own derivative is wrong."""
    detached = vjp(lambda x, g: 3 * jax.lax.stop_gradient(x) ** 2 * g)
    assert ours(detached, (x(),), 1, **REV)
    assert not theirs(detached, (x(),), 2, **REV)
    with pytest.raises(fastgrad.GradientError, match=r"In reverse mode \(vjp\) of what reverse mode \(vjp\) makes"):
        fastgrad.jax.check_grads(detached, (x(),), 2, **REV)
    assert ours(vjp(lambda x, g: 3 * x**2 * g), (x(),), 2, **REV)
    assert ours(jvp(lambda x: 3 * x**2), (x()[:1],), 2, **FWD)


def test_trees_complex_numbers_and_other_arguments():
    def f(p, count, z):
        return {"a": p["w"] @ p["b"] * count, "c": z * jax.numpy.conj(z) + jax.numpy.exp(z)}

    args = {"w": jax.numpy.ones((1, 3)), "b": x()}, 3, x()[:2] + 1j
    assert ours(f, args, 1)
    wrong = vjp(lambda x, g: 2 * x**2 * g)
    with pytest.raises(fastgrad.GradientError, match=r"p\['b'\]\[0\]"):
        fastgrad.jax.check_grads(lambda p: wrong(p["b"]).sum() + p["w"].sum(), args[:1], 1, **REV)


def test_functions_that_cannot_be_compiled_are_called_as_they_are():
    assert ours(lambda x: x**2 if x.sum() > 0 else x, (x(),), 1, **REV)


def test_what_cannot_be_checked_is_refused_in_words():
    check = fastgrad.jax.check_grads
    with pytest.raises(fastgrad.InputError, match=r"custom_vjp.*no forward mode \(jvp\): give modes=\('rev',\)"):
        check(vjp(lambda x, g: 3 * x**2 * g), (x(),), 1)
    with pytest.raises(fastgrad.InputError, match="expected some of fwd, rev, lin"):
        check(jax.numpy.sin, (x(),), 1, modes=("reverse",))
    with pytest.raises(fastgrad.InputError, match="order"):
        check(jax.numpy.sin, (x(),), 0)
    with pytest.raises(fastgrad.InputError, match="no real or complex numbers"):
        check(jax.numpy.sin, (3,), 1)
    with pytest.raises(fastgrad.InputError, match="f raises TypeError"):
        check(lambda x: x.reshape(7), (x(),), 1)
    with pytest.raises(fastgrad.InputError, match="two values for the same args"):
        check(lambda x: x * np.random.random(), (x(),), 1)
    with pytest.raises(fastgrad.InputError, match="x is not finite"):
        check(jax.numpy.sin, (x() * np.inf,), 1)


def test_x64_and_random_states_stay_as_they_were_also_after_an_error():
    def f(x):
        np.random.random()
        return jax.numpy.sin(x)

    for before in (False, True):
        with jax.enable_x64(before):
            state = np.random.get_state()[1].tolist()
            assert ours(f, (x(),), 1, **REV)
            with pytest.raises(fastgrad.InputError):
                fastgrad.jax.check_grads(lambda x: x.reshape(7), (x(),), 1)
            assert jax.config.jax_enable_x64 is before
            assert np.random.get_state()[1].tolist() == state
    with jax.enable_x64(True):
        double = jax.numpy.array([0.5, 2.0], dtype="float64")
        assert not ours(vjp(lambda x, g: (3 + 1e-9) * x**2 * g), (double,), 1, **REV)


def test_check_function_takes_jax_arrays():
    def f(p):
        return (p["w"] @ p["b"]).sum() ** 2

    p = {"w": jax.numpy.ones((2, 3)), "b": x()}
    assert fastgrad.check_function(f, jax.grad(f), p)
    assert fastgrad.check_function(f, lambda p: {**jax.grad(f)(p), "b": p["b"]}, p).counts.wrong == 3
    assert isinstance(fastgrad.numerical_gradient(f, p)["w"], jax.Array)


def test_plain_import_reaches_it_and_does_not_import_it():
    code = "import sys, fastgrad; assert 'jax' not in sys.modules; fastgrad.jax.check_grads; assert 'jax' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_example_of_the_docstring_runs():
    (found,) = doctest.DocTestFinder(recurse=False).find(fastgrad.jax.check_grads, "check_grads", globs={})
    assert found.examples
    assert doctest.DocTestRunner(verbose=False).run(found).failed == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (np.ones((3, 2)), r"args is an array of shape \(3, 2\); expected a tuple of the arguments of f, \(x,\) for one"),
        (2.0, "args is 2.0; expected a tuple"),
        (None, "args is None; expected a tuple"),
    ],
)
def test_arguments_that_are_no_tuple_are_told_what_to_write(args, said):
    with pytest.raises(fastgrad.InputError, match=said):
        fastgrad.jax.check_grads(lambda x: (x**2).sum(), args, 1)
