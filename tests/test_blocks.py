"""Blocks of a verdict: the compiled pass against NumPy's, vectors that are not there as one, and any number of threads."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from fastgrad.judging import court as courts
from fastgrad.judging import maps
from fastgrad.judging.verdict import judge
from fastgrad.kernels import codes
from fastgrad.model.deferred import Deferred, Few, Given
from fastgrad.model.forward import base_point
from fastgrad.model.rounding import TOLERANCE, gradient
from fastgrad.numerical import difference, numerical_gradient
from fastgrad.numerical.how import How
from fastgrad.walk import check_problem

import problems
import reference

CASE = reference.random_case(7, widths=(25, 16, 14, 3), loss="softmax_crossentropy", samples=6, activations=("tanh", "sigmoid"))
EXACT = reference.gradient(CASE)
FOUND = numerical_gradient(problems.problem(CASE))


def claims():
    draw = np.random.default_rng(0)
    spread = EXACT * (1.0 + 1e-14 * draw.normal(size=EXACT.size))
    wrong = np.where(draw.random(EXACT.size) < 0.1, 1.5 * EXACT, spread)
    odd = wrong.copy()
    odd[[3, 40, -2]] = np.nan, np.inf, 1e300
    return {"right": spread, "wrong": wrong, "scaled": 3.0 * EXACT, "zeros": np.zeros_like(EXACT), "odd": odd}


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", claims())
@pytest.mark.parametrize("size", [20, 2**15])
def test_one_compiled_pass_counts_as_numpy_does(name, precision, size, monkeypatch):
    monkeypatch.setattr(courts, "JUDGED", size)
    problem = problems.problem(CASE, claims()[name], precision)
    court, quickly = courts.Court(problem, FOUND, None, TOLERANCE, FOUND.scale), 0
    for piece in (piece for tensor in problem.tensors for piece in court.pieces(tensor)):
        with np.errstate(all="ignore"):
            fast = court._quickly(piece)
        if fast is not None:
            quickly += 1
            assert_counted(fast, court, piece, rel=1e-13)
    assert quickly > 0


def assert_counted(fast, court, piece, rel):
    """Hold a tally against NumPy's of the same block."""
    slow = courts.Tally()
    with np.errstate(all="ignore"):
        courts.count(slow, court.block(piece))
    for one, other in zip(astuple(fast), astuple(slow), strict=True):
        assert one == pytest.approx(other, rel=rel, nan_ok=True), piece


WIDE = reference.random_case(3, widths=(1100, 5, 3), loss="softmax_crossentropy", samples=7, activations=("tanh",))


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("change", [1.0, 1.5, 0.0, np.nan])
@pytest.mark.parametrize("method", ["parameter", "preactivation"])
def test_a_first_layer_of_few_units_is_judged_at_once_as_in_blocks(method, change, precision, monkeypatch):
    right = gradient(problems.problem(WIDE), base_point(problems.problem(WIDE)))
    claim = right * (1.0 + 1e-9 * np.random.default_rng(1).normal(size=right.size))  # far more than the orders of sums make
    claim[[5, 2222, 4000]] *= change
    problem = problems.problem(WIDE, claim, precision)
    monkeypatch.setattr("fastgrad.numerical.preactivation.LEAST_DEFERRED", 1)
    monkeypatch.setattr(courts, "FEW_JUDGED", 1)  # so that blocks are of 256 columns, the last one narrower
    found = difference(problem, How(method), None)
    court = courts.Court(problem, found, None, TOLERANCE, found.scale)
    first = problem.tensors[0]
    assert (first.kind, first.layer) == ("W", 0)
    at_once = [court.at_once(first, threads) for threads in (1, 2, 3)]
    assert at_once[0] is not None
    assert len(at_once[0]) == 5
    assert np.isnan(change) or [*map(astuple, at_once[0])] == [*map(astuple, at_once[1])] == [*map(astuple, at_once[2])]
    for k, tally in enumerate(at_once[0]):
        piece = courts.Piece(first, slice(0, 5), slice(256 * k, min(256 * (k + 1), 1100)))
        assert_counted(tally, court, piece, rel=1e-4)
    assert [court.at_once(tensor, 1) for tensor in problem.tensors[1:]] == [None] * (len(problem.tensors) - 1)


def test_one_pass_over_inputs_finds_what_products_find(monkeypatch):
    problem = problems.problem(WIDE)
    once = base_point(problem)
    assert once.first is not None
    monkeypatch.setattr("fastgrad.model.forward.FEW_UNITS", 0)
    plain = base_point(problem)
    assert plain.first is None
    np.testing.assert_allclose(once.plane(codes.Z, 0), plain.plane(codes.Z, 0), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(once.inputs_in_z, plain.inputs_in_z, rtol=1e-14)
    np.testing.assert_array_equal(once.reach[0], plain.reach[0])
    np.testing.assert_allclose(once.square_sums(0), plain.square_sums(0), rtol=1e-14)
    factors = np.random.default_rng(0).uniform(size=(7, 5))
    some = slice(300, 900)
    np.testing.assert_allclose(once.weighted_squares(factors, some), plain.weighted_squares(factors, some), rtol=1e-14)


@pytest.mark.parametrize("size", [1e-200, 1e200, 0.0])
def test_inputs_out_of_the_range_of_squares_are_squared_in_units(size):
    problem = problems.problem(WIDE)
    with np.errstate(over="ignore"):
        base = base_point(replace(problem, X=size * problem.X))
    assert (base.first is None) == (size > 0.0)
    assert np.isfinite(base.inputs_in_z).all()
    assert (base.inputs_in_z > 0.0).all() == (size > 0.0)


def test_verdicts_do_not_depend_on_threads():
    problem = problems.problem(CASE, claims()["wrong"])
    found = [judge(problem, FOUND, threads=threads) for threads in (1, 2, 5)]
    assert found[0].tensors == found[1].tensors == found[2].tensors
    assert found[0].relative_difference == found[1].relative_difference


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_the_gradient_of_flows_is_that_of_a_vector(l2, monkeypatch):
    plain = problems.problem(CASE)
    problem = replace(plain, network=replace(plain.network, l2=(l2,) * len(plain.tensors) if l2 else ()))
    whole = numerical_gradient(problem, method="preactivation").values
    monkeypatch.setattr("fastgrad.numerical.preactivation.LEAST_DEFERRED", 1)
    values = difference(problem, How("preactivation"), None).values
    assert isinstance(values, Deferred)
    for tensor in problem.tensors:
        place = np.arange(tensor.start, tensor.stop)
        np.testing.assert_allclose(values[place], whole[place], rtol=1e-13, atol=1e-18)
        np.testing.assert_allclose(values[tensor.start : tensor.stop], whole[place], rtol=1e-13, atol=1e-18)
    assert "whole" not in values.__dict__
    np.testing.assert_array_equal(np.asarray(values), whole)
    np.testing.assert_array_equal(2.0 * values, 2.0 * whole)
    assert values.any()


@pytest.mark.parametrize("size", [1e-160, 0.0])
def test_one_example_far_below_the_others_keeps_its_rounding(size):
    problem = problems.problem(WIDE)
    X = problem.X.copy()
    X[3] *= size
    base = base_point(replace(problem, X=X))
    assert (base.first is None) == (size > 0.0)  # whose squares of that example would underflow
    assert (base.inputs_in_z[3] > 0.0).all() == (size > 0.0)
    assert base_point(problem).first is not None


def test_zeros_and_the_largest_inputs_go_the_usual_way(monkeypatch):
    """A blank image, a unit without weights, and an input whose square is just a number."""
    problem = problems.problem(WIDE)
    X, theta = problem.X.copy(), problem.theta.copy()
    X[2] = 0.0
    X[0, 5] = 2.0**511.5
    problem.network.W(theta, 0)[1] = 0.0
    changed = replace(problem, X=X, theta=theta)
    once = base_point(changed)
    assert once.first is not None
    monkeypatch.setattr("fastgrad.model.forward.FEW_UNITS", 0)
    plain = base_point(changed)
    told = [0, 2]  # of the others the usual way knows only that they are small
    np.testing.assert_allclose(once.inputs_in_z[told], plain.inputs_in_z[told], rtol=1e-14)
    np.testing.assert_allclose(once.square_sums(0)[told], plain.square_sums(0)[told], rtol=1e-14)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_the_range_on_kinks_is_that_of_vectors(l2, monkeypatch):
    case = reference.random_case(4, widths=(9, 7, 6, 3), loss="softmax_crossentropy", samples=5, activations=("relu", "relu"))
    plain = problems.problem(case)
    problem = replace(plain, network=replace(plain.network, l2=(l2,) * len(plain.tensors) if l2 else ()))
    base = base_point(problem)
    problem.theta[problem.network.bias_slice(1)][2] -= base.plane(codes.Z, 1)[3, 2]  # one unit on its kink, in one example
    whole = numerical_gradient(problem, method="preactivation")
    assert whole.kinked_samples == 1
    monkeypatch.setattr("fastgrad.numerical.preactivation.LEAST_DEFERRED", 1)
    found = difference(problem, How("preactivation"), None)
    for bound, vector in ((found.lower, whole.lower), (found.upper, whole.upper)):
        assert isinstance(bound, Deferred)
        for tensor in problem.tensors:
            place = np.arange(tensor.start, tensor.stop)
            np.testing.assert_allclose(bound[place], vector[place], rtol=1e-13, atol=1e-18)
            np.testing.assert_allclose(bound[tensor.start : tensor.stop], vector[place], rtol=1e-13, atol=1e-18)
            bent = (whole.upper - whole.lower > 1e-14)[place].reshape(tensor.canonical_shape[0], -1).any(axis=1)
            rows = [bound.bends(tensor, slice(row, row + 1)) for row in range(bent.size)]
            assert not (bent & ~np.array(rows)).any()
        assert "whole" not in bound.__dict__
        np.testing.assert_allclose(np.asarray(bound), vector, rtol=1e-13, atol=1e-18)
    assert (whole.upper - whole.lower > 1e-6).any()
    assert not found.lower.bends(problem.tensors[-2], slice(0, 3))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_claims_are_read_where_they_lie(dtype, transposed):
    tensors = problems.problem(CASE, EXACT).tensors
    arrays = [EXACT[t.start : t.stop].reshape(t.canonical_shape).astype(dtype) for t in tensors]
    arrays = [np.asfortranarray(array) if transposed else array for array in arrays]
    given, whole = Given(tensors, arrays, EXACT.size), EXACT.astype(dtype).astype(np.float64)
    for tensor, array in zip(tensors, arrays, strict=True):
        part = given[tensor.start : tensor.stop]
        np.testing.assert_array_equal(part, whole[tensor.start : tensor.stop])
        assert np.shares_memory(part, array) == (dtype is np.float64 and array.flags.c_contiguous)
    np.testing.assert_array_equal(given[np.array([0, 399, 402, EXACT.size - 1])], whole[[0, 399, 402, EXACT.size - 1]])
    assert "whole" not in given.__dict__
    np.testing.assert_array_equal(np.asarray(given), whole)


def test_few_values_are_a_vector_of_nan_elsewhere():
    few = Few(np.array([2, 5]), np.array([1.0, 3.0]), 7)
    assert few[np.array([5, 2])].tolist() == [3.0, 1.0]
    assert "whole" not in few.__dict__
    np.testing.assert_array_equal(few[np.array([1, 5])], [np.nan, 3.0])
    assert len(few) == 7


def test_wide_inputs_are_squared_in_parts_and_make_the_same_rounding_scale(monkeypatch):
    problem = problems.problem(CASE)
    base = base_point(problem)
    scale = FOUND.scale
    monkeypatch.setattr("fastgrad.model.forward.WIDE", 40)
    monkeypatch.setattr("fastgrad.model.forward.SQUARED", 40)
    again = replace(FOUND, base=base)
    assert not base.keeps_squares
    for layer, (n_in, n_out) in enumerate(zip(CASE.widths, CASE.widths[1:], strict=False)):
        for one, other in ((again.scale, scale), (scale, again.scale)):
            unit, squares = one.squares(layer, slice(0, n_out), slice(0, n_in))
            np.testing.assert_allclose(unit * np.sqrt(squares), other.rows(layer, 0, n_out), rtol=1e-12)
        assert again.scale.size(layer, "W") == pytest.approx(scale.size(layer, "W"), rel=1e-12)


def test_nothing_is_looked_for_among_more_parameters_than_takes_seconds(monkeypatch):
    case = reference.random_case(3, widths=(4, 3, 2), loss="squared_error", samples=5, activations=("tanh",))
    problem = problems.problem(case, 2.0 * gradient(problems.problem(case), base_point(problems.problem(case))))
    monkeypatch.setattr("fastgrad.diagnosis.cost.MOST_NAMED", problem.network.size - 1)
    report = check_problem(problem)
    assert (report.verdict, report.findings) == ("wrong", ())
    assert f"among {problem.network.size:,} parameters" in " ".join(report.notes)
    monkeypatch.setattr("fastgrad.diagnosis.cost.MOST_NAMED", problem.network.size)
    assert check_problem(problem).findings


def test_a_plan_waits_only_where_every_value_is_single(monkeypatch):
    monkeypatch.setattr("fastgrad.numerical.preactivation.LEAST_DEFERRED", 1)
    problem = problems.problem(CASE)
    theta = problem.theta.copy()
    theta[0] = 0.0
    on_corner = replace(problem, theta=theta, network=replace(problem.network, l1=(0.1,) * len(problem.tensors)))
    found = difference(on_corner, How("preactivation"), None)
    assert not isinstance(found.values, Deferred)
    assert found.lower is not None


def test_a_numerical_gradient_is_an_array_however_few_of_it_are_wanted():
    problem = problems.problem(reference.random_case(1, widths=(300, 300, 2), samples=3))
    problem = replace(problem, network=replace(problem.network, l2=(), l1=()))  # a penalty would be added to an array
    for chosen in ({"sample": 50}, {"method": "preactivation"}):
        values = numerical_gradient(problem, **chosen).values
        assert type(values) is np.ndarray
        assert values.shape == (problem.network.size,)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_maps_of_errors_are_those_of_plain_loops(transposed, threads, monkeypatch):
    """Blocks that end within cells, along rows and along columns; the right values are the reference's."""
    for name, size in (("JUDGED", 20), ("FACTORS", 1), ("CACHED", 1), ("LEAST_COLUMNS", 7)):
        monkeypatch.setattr(courts, name, size)
    monkeypatch.setattr(maps, "MAP", (3, 5))
    monkeypatch.setattr(maps, "PARALLEL_WORK", 0)
    monkeypatch.setattr("fastgrad.machine.most_threads", lambda: threads)
    claimed = claims()["odd"]
    problem = problems.problem(CASE, claimed)
    for tensor in problem.tensors:
        place = slice(tensor.start, tensor.stop)
        shape = tensor.canonical_shape if tensor.kind == "W" else (tensor.size, 1)
        off = np.abs(claimed - EXACT)[place].reshape(shape)
        wrong = ~(off <= 1e-9 * np.abs(EXACT)[place].reshape(shape))
        if transposed or tensor.kind == "b":
            off, wrong = off.T, wrong.T
        found = maps.error_map(problem, FOUND, replace(tensor, transposed=transposed and tensor.kind == "W"))
        assert (found.rows[-1], found.columns[-1]) == off.shape
        assert (found.count, found.checked) == (wrong.sum(), off.size)
        for i in range(len(found.rows) - 1):
            for j in range(len(found.columns) - 1):
                cell = np.s_[found.rows[i] : found.rows[i + 1], found.columns[j] : found.columns[j + 1]]
                largest = np.where(np.isnan(off[cell]), np.inf, off[cell]).max() / found.unit
                assert found.errors[i][j] == pytest.approx(largest, rel=1e-9, abs=1e-12)
                assert found.wrong[i][j] == wrong[cell].any()
