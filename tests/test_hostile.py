"""Files that nobody would write on purpose, and some that somebody would: an answer or a complaint, never a wrong "right"."""

import io
import json
import signal
import sys
import time
import tracemalloc
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from fastgrad.errors import InputError
from fastgrad.model import forward
from fastgrad.reading import modelfile
from fastgrad.walk import check_problem
from fastgrad_cli.main import main

import fuzz
import problems

EXAMPLES = 30 if problems.JIT else 8
quick = settings(
    max_examples=EXAMPLES, deadline=20_000, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ATTACKS = {"long lists": 2, "spaces": 3, "empties": 6}
"""How many of the kinds that take long."""
LINEAR = {"output": "identity", "loss": "squared_error"}
STRANGE_NAMES = st.sampled_from(
    ["", "W0", "W3", "b9", "dW1 ", "δW1", "../W1", "W1/W2", "theta", "grad", "D1", "loss", "l2", "params"]
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hostile.npz"


def numbers(extreme=True):
    """Numbers of all sizes, those first that break things."""
    special = [0.0, -0.0, 1.0, -1.0, 5e-324, 2.0**-1022, 1e-300, 1e300, 1e308, -1e308, 2.0**53 + 2]
    wild = st.sampled_from([*special, np.nan, np.inf, -np.inf] if extreme else special)
    return st.one_of(wild, st.floats(allow_nan=extreme, allow_infinity=extreme, width=64), st.floats(-3.0, 3.0))


def any_array():
    """Arrays of any type and shape."""
    dtypes = st.one_of(
        arrays_of.floating_dtypes(),
        arrays_of.integer_dtypes(),
        arrays_of.unsigned_integer_dtypes(),
        arrays_of.boolean_dtypes(),
        arrays_of.complex_number_dtypes(),
        arrays_of.byte_string_dtypes(),
        arrays_of.unicode_string_dtypes(),
        arrays_of.datetime64_dtypes(),
        arrays_of.array_dtypes(),
        st.just(np.dtype("V8")),
        st.just(np.dtype(object)),
    )
    shapes = st.one_of(
        arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
        st.sampled_from([(4, 3), (3, 4), (2, 4), (3, 5), (4,)]),
    )
    return dtypes.flatmap(lambda dtype: shapes.flatmap(lambda shape: _filled(dtype, shape)))


def _filled(dtype, shape):
    if dtype.hasobject:
        return st.just(np.array([{}, None] * 3))
    return st.just(np.zeros(shape, dtype)) if dtype == np.dtype("V8") else arrays_of.arrays(dtype, shape)


def write(path, contents):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of NumPy's, on names of fields
        np.savez(path, **contents)


@quick
@given(
    changes=st.dictionaries(
        st.one_of(st.sampled_from(sorted(fuzz.wrong_model())), STRANGE_NAMES), any_array(), min_size=1, max_size=3
    )
)
def test_arrays_of_any_type_shape_and_name_in_the_place_of_others(path, changes):
    try:
        write(path, fuzz.wrong_model() | changes)
    except (ValueError, OSError):  # NumPy itself cannot write some names
        return
    fuzz.outcome(path)


@quick
@given(st.data())
def test_numbers_of_any_size_in_the_place_of_others(path, data):
    model = fuzz.wrong_model()
    for name in data.draw(st.sets(st.sampled_from(["W1", "b1", "W2", "b2", "X", "Y", "dW1", "db1"]), min_size=1)):
        model[name] = data.draw(arrays_of.arrays(np.float64, model[name].shape, elements=numbers()))
    write(path, model)
    fuzz.outcome(path)


@quick
@given(st.data())
def test_layouts_of_any_kind(path, data):
    """Types, byte orders and memory layouts of the same wrong gradients."""
    model = fuzz.wrong_model()
    for name in ("W1", "b1", "W2", "b2", "X", "Y", "dW1", "dW2", "db1", "db2"):
        dtype = data.draw(st.sampled_from(["f8", ">f8", "f4", ">f4", "f2", "i1", ">i8", "u2", "?", "c16", "g"]))
        turn = data.draw(st.sampled_from([np.array, np.asfortranarray, np.transpose, np.ravel, lambda a: a[..., np.newaxis]]))
        with np.errstate(all="ignore"):
            model[name] = turn(model[name]).astype(dtype)
    write(path, model)
    fuzz.outcome(path)


def exact_linear(W, X, Y):
    """Gradient of ½Σ(Wx − y)²/m by fractions, and the sum of the sizes of all that is added up."""
    m, shape = len(X), W.shape
    W, X, Y = ([[Fraction(float(v)) for v in row] for row in array] for array in (W, X, Y))
    gradient, size = np.zeros(shape), np.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            terms = [[W[i][k] * x[k] * x[j] for k in range(shape[1])] + [-y[i] * x[j]] for x, y in zip(X, Y, strict=True)]
            gradient[i, j] = _to_float(sum(map(sum, terms)) / m)
            size[i, j] = _to_float(sum(abs(term) for row in terms for term in row) / m)
    return gradient, size


def _to_float(value):
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


@quick
@given(st.data())
def test_gradients_of_a_linear_network_of_numbers_of_any_size(path, data):
    """Held against fractions, which neither round nor overflow."""
    n_out, n_in, m = (data.draw(st.integers(1, 3)) for _ in range(3))
    W, X, Y = (
        data.draw(arrays_of.arrays(np.float64, shape, elements=numbers(extreme=False)))
        for shape in ((n_out, n_in), (m, n_in), (m, n_out))
    )
    exact, size = exact_linear(W, X, Y)
    factor = data.draw(st.sampled_from([1.0, 1.0, 1.0 + 1e-6, 0.0, -1.0, 2.0, np.nan, np.inf]))
    with np.errstate(all="ignore"):
        claimed = exact * factor
    write(path, {"W1": W, "dW1": claimed, "X": X, "Y": Y, "layout": "rows,out_in", **LINEAR})
    try:
        report = check_problem(modelfile.load(path))
    except InputError:
        return
    with np.errstate(all="ignore"):
        off = np.abs(claimed - exact)
        wrong = ~(off <= 1e-9 * size + 1e-290)
    # Where a factor is subnormal, or a product is, what a right gradient may be is not what fractions say.
    factors = np.abs(np.concatenate([W.ravel(), X.ravel(), Y.ravel(), size.ravel()]))
    if np.isfinite(size).all() and (factors[factors > 0.0] > 1e-290).all():
        assert not (report.passed and wrong.any())
        assert factor != 1.0 or report.verdict != "wrong"


# Files that claim to be huge.


def refused(path, contents=None):
    """Give the file to the program under a count of its memory; return its complaint and the peak."""
    if contents is not None:
        write(path, contents)
    tracemalloc.start()
    try:
        result = CliRunner().invoke(main, ["check", str(path), "--json"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.exit_code == 2
    return json.loads(result.stdout)["error"], peak


def test_a_bomb_of_zeros_is_refused_before_it_goes_off(path, monkeypatch):
    """256 MiB of zeros in 256 KiB, which would be another 4 GiB as numbers, where 1 GiB is free."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|b1", "fortran_order": False, "shape": (2**28, 1)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("W1.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            for _ in range(256):
                member.write(bytes(2**20))
        archive.writestr("X.npy", fuzz.members({"X": np.ones((3, 1))})["X.npy"])
    assert path.stat().st_size < 2**19
    monkeypatch.setattr(modelfile, "available_memory", lambda: 2**30)
    complaint, peak = refused(path)
    assert "its arrays need 4.3 GiB, 1.0 GiB of memory are free; the largest is W1 (268435456, 1)" in complaint
    assert peak < 2**24


def test_examples_times_units_are_refused_before_they_are_tabulated(path, monkeypatch):
    """Files of some kilobytes that ask for gigabytes."""
    monkeypatch.setattr(forward, "available_memory", lambda: 2**28)
    wide, many = np.ones((3000, 1)), np.ones((1, 3001))
    contents = {"W1": wide, "dW1": wide, "W2": wide.T, "dW2": wide.T, "X": many, "Y": many, "hidden": "tanh", **LINEAR}
    complaint, peak = refused(path, contents)
    assert "3,001 examples of 3,002 units need about 1.1 GiB, 0.2 GiB of memory are free; check fewer examples" in complaint
    assert peak < 2**24


def test_more_arrays_than_a_network_has_are_refused(path, monkeypatch):
    monkeypatch.setattr(modelfile, "MOST_ARRAYS", 10)
    assert "it holds 13 arrays; a model file has 10 at most" in refused(path, fuzz.wrong_model())[0]


@pytest.mark.compiled
def test_many_layers_take_seconds(path):
    """Of a network of 40 layers every layer looks at those above it, but no more than once."""
    one = np.full((1, 1), 0.9)
    layers = {f"{mark}W{layer}": one for mark in ("", "d") for layer in range(1, 41)}
    write(path, {**layers, "X": np.ones((1, 2)), "Y": np.ones((1, 2)), "hidden": "tanh", **LINEAR})
    assert fuzz.outcome(path) == "wrong"


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_attacks(kind, tmp_path):
    """A few of each kind; `python tests/fuzz.py` makes as many as one likes, at random."""
    if kind == "long lists" and not problems.JIT:
        pytest.skip("long where nothing is compiled")
    found = fuzz.fuzz(tmp_path, number=ATTACKS.get(kind, 12), kinds=(kind,))
    assert not found.failures


# The attacks themselves see what they look for.


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def failing(arguments):
    """Fail in the way that the file's name says."""
    what = Path(arguments[1]).stem
    if what == "exception":
        raise ValueError("of our own")
    if what == "internal":
        click.echo("internal error, please report it")
    if what == "slow":
        time.sleep(0.2)
    if what == "endless":
        time.sleep(20.0)
    if what == "greedy":
        np.ones(2**22)
    if what == "long":
        click.echo("x" * 100_000)
    if what == "no_number":
        click.echo('{"verdict": "wrong", "difference": NaN}')
    if what in {"right", "wrong", "missing"}:
        click.echo('{"verdict": "right"}')
    if what == "code":
        click.echo('{"verdict": "right"}')
        click.get_current_context().exit(1)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("exception", "ValueError: of our own"),
        ("internal", "internal error"),
        ("slow", "0 s"),
        ("endless", "more than 0 s"),
        ("greedy", "memory"),
        ("long", "long output"),
        ("no_number", "NaN is no number of JSON"),
        ("code", "exit code 1 with right"),
        ("wrong", "right, and dW1 is off by"),
        ("missing", "right, and there is no db2"),
    ],
)
def test_an_attack_sees_the_failure(what, said, tmp_path, monkeypatch):
    if what == "endless" and not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timer to end it")
    monkeypatch.setattr(fuzz, "main", failing)
    if what == "greedy" and sys.platform != "linux":
        pytest.skip("elsewhere a peak that was higher before hides it")
    if what in {"slow", "endless"}:
        monkeypatch.setattr(fuzz, "SECONDS", 0.1)
    monkeypatch.setattr(fuzz, "MEMORY", 2**24)
    path = tmp_path / f"{what}.npz"
    model = fuzz.wrong_model() if what == "wrong" else fuzz.right_model()
    write(path, {name: array for name, array in model.items() if (what, name) != ("missing", "db2")})
    with pytest.raises(fuzz.FaultError, match=said):
        fuzz.outcome(path)


@pytest.mark.parametrize("network", range(len(fuzz.NETWORKS)))
def test_right_gradients_are_confirmed(network, path):
    write(path, fuzz.right_model(network))
    assert fuzz.outcome(path) == "right"
    write(path, {**fuzz.right_model(network), "hidden": np.array("sin")})
    assert fuzz.confirmed(path) == "right, not held against anything"
