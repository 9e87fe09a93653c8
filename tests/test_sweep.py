"""Error curves over a range of steps: their slopes, their published figures, the draw, the table and the picture."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from fastgrad.errors import InputError
from fastgrad.machine import most_threads
from fastgrad.numerical import numerical_gradient
from fastgrad.numerical.methods import SCHEMES
from fastgrad.reading import modelfile
from fastgrad.report.pictures import require
from fastgrad.teaching import demo, pictures
from fastgrad.teaching.sweep import Curve, Sweep, relative_difference, sweep_steps
from fastgrad_cli.main import main

import problems
import reference

CASE = reference.random_case(2, widths=(3, 5, 4, 2), loss="mse", activations=("tanh",), samples=6)


@pytest.fixture(scope="module")
def swept():
    return sweep_steps(problems.problem(CASE))


def curve(sweep, name):
    """Return a curve as a dict from steps to errors."""
    (found,) = (each for each in sweep.curves if each.name == name)
    return dict(zip(found.steps, found.errors, strict=True))


def slope(errors, largest, smallest):
    """Return the slope between two steps, both axes logarithmic."""
    return np.log(errors[largest] / errors[smallest]) / np.log(largest / smallest)


def of_demo(name, tmp_path, **how):
    arrays, description = demo.find(name).build()
    path = tmp_path / f"{name}.npz"
    modelfile.save_arrays(path, {**arrays, **description})
    return sweep_steps(modelfile.load(path), **how)


# The curves.


@pytest.mark.parametrize(
    ("name", "order", "largest", "smallest"),
    [("forward", 1, 1e-3, 1e-5), ("central", 2, 1e-2, 1e-3), ("five-point", 4, 5e-2, 1e-2), ("propagated", 2, 1e-2, 1e-5)],
)
def test_truncation_falls_with_the_order_of_the_scheme(swept, name, order, largest, smallest):
    # The next term of the series is of the order of h, or h² where the scheme is symmetric, relative to the first: a few
    # per cent of the error at these steps, and less than that of the slope over half a decade or more.
    assert slope(curve(swept, name), largest, smallest) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("name", SCHEMES)
def test_noise_of_the_textbook_grows_as_the_step_falls(swept, name):
    # Rounding is random: of a root mean square over this many parameters a factor 2 is a rare deviation, which over four
    # decades is log10(2)/4 of slope at either end.
    assert slope(curve(swept, name), 1e-9, 1e-13) == pytest.approx(-1.0, abs=0.15)


def test_propagated_difference_stays_at_rounding(swept):
    errors = curve(swept, "propagated")
    assert max(error for step, error in errors.items() if step <= 1e-8) <= 8 * 2.0**-53
    assert min(min(curve(swept, name).values()) for name in SCHEMES) > 8 * 2.0**-53


def test_reference_is_the_gradient(swept):
    """The error at a step where truncation rules is that of the 40-digit difference from the 40-digit gradient."""
    exact = reference.exact_gradient(CASE, digits=40)
    expected = relative_difference(reference.exact_central_difference(CASE, 1e-2, digits=40), exact)
    # Central losses at 1e-2 carry rounding of some 1e-14, the propagated ones none.
    assert curve(swept, "propagated")[1e-2] == pytest.approx(expected, rel=1e-9)
    assert curve(swept, "central")[1e-2] == pytest.approx(expected, rel=1e-6)


@pytest.mark.compiled
def test_published_picture(tmp_path):
    """What the courses see: at 1e-7 a right gradient is off by 1e-8 to 1e-7 by the central difference."""
    swept = of_demo("digits", tmp_path, largest=1e-5, smallest=1e-8)
    assert 1e-8 < curve(swept, "central")[1e-7] < 1e-7
    assert curve(swept, "propagated")[1e-7] < 1e-14


def test_penalty_and_kinks_are_in_every_curve():
    """A large penalty left out of one of them would keep it far from the others at every step."""
    case = reference.random_case(3, widths=(3, 4, 2), loss="mse", activations=("relu",), samples=4)
    problem = problems.problem(case)
    problem = replace(problem, network=replace(problem.network, l2=(10.0,) * 4, l1=(3.0,) * 4))
    for each in sweep_steps(problem).curves:
        assert each.best[1] < 1e-7, each.name


def test_forward_difference_on_a_kink_tends_to_one_side_which_is_said(swept):
    """By hand: J = ½(2·relu(w) − 1)² at w = 0 has the slopes 0 and −2; forward finds −2, central −1: an error of ⅓."""
    theta, one = np.array([0.0, 2.0]), np.ones((1, 1))
    case = reference.Case((1, 1, 1), ("relu", "identity"), "squared_error", theta, one, one, biases=(False, False))
    found = sweep_steps(problems.problem(case))
    assert curve(found, "forward")[1e-5] == pytest.approx(1 / 3, rel=1e-4)
    assert curve(found, "central")[1e-5] < 1e-4
    assert (found.on_kink, swept.on_kink) == (True, False)


def test_values_that_are_no_numbers_have_the_largest_error():
    reference = np.array([1.0, -2.0])
    assert relative_difference(np.array([np.inf, 0.0]), reference) == 1.0
    assert relative_difference(np.array([np.nan, 0.0]), reference) == 1.0
    assert relative_difference(np.zeros(2), reference) == 1.0
    assert relative_difference(np.zeros(2), np.zeros(2)) == 0.0
    assert relative_difference(1e-300 * reference, 3e-300 * reference) == pytest.approx(0.5, rel=1e-15)


# The draw.


def test_same_seed_same_bits_on_any_number_of_threads():
    problem = problems.problem(CASE)
    threads = {1, min(2, most_threads())}
    sweeps = [sweep_steps(problem, smallest=1e-8, sample=20, seed=5, threads=count).curves for count in (1, *threads)]
    assert all(found == sweeps[0] for found in sweeps)
    assert sweep_steps(problem, smallest=1e-8, sample=20, seed=6).curves != sweeps[0]


def test_large_networks_are_swept_on_fewer_parameters(monkeypatch):
    problem = problems.problem(CASE)
    short = {"largest": 1e-4, "smallest": 1e-5}
    everything = sweep_steps(problem, **short)
    assert (everything.parameters_checked, everything.parameters_total) == (CASE.theta.size, CASE.theta.size)
    # Four steps, four losses each, of 6 examples and 3·5 + 5·4 + 4·2 weights.
    monkeypatch.setattr("fastgrad.teaching.sweep.AFFORDABLE_WORK", 20 * 4 * 4 * 6 * 43)
    assert sweep_steps(problem, **short).parameters_checked == 20
    monkeypatch.setattr("fastgrad.teaching.sweep.AFFORDABLE_WORK", 0)
    assert sweep_steps(problem, **short).parameters_checked == len(problem.tensors)


def test_steps_are_1_2_and_5_times_powers_of_ten():
    found = sweep_steps(problems.problem(CASE), largest=0.03, smallest=2e-4, sample=5)
    assert found.steps == (2e-2, 1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4)


@pytest.mark.parametrize(
    ("largest", "smallest", "message"),
    [
        (0.0, 1e-13, "largest step must be a positive number, found 0"),
        (1e-1, -1e-7, "smallest step must be a positive number, found -1e-07"),
        (float("nan"), 1e-7, "largest step must be a positive number"),
        ("1e-1", 1e-7, "largest step must be a positive number"),
        (1e-7, 1e-1, "at least ten times the smallest, found 1e-07 and 0.1"),
        (1e-7, 1e-7, "at least ten times the smallest"),
    ],
)
def test_ranges_that_are_none(largest, smallest, message):
    with pytest.raises(InputError, match=message):
        sweep_steps(problems.problem(CASE), largest=largest, smallest=smallest)


# What is said of them.

STEPS = (1e-1, 1e-2, 1e-3, 1e-4)


@pytest.mark.parametrize(
    ("errors", "best", "passing"),
    [
        ((1e-2, 1e-5, 1e-4, 1e-3), (1e-2, 1e-5), ()),
        ((1e-2, 1e-8, 1e-9, 1e-3), (1e-3, 1e-9), (1e-2, 1e-3)),
        ((1e-4, 5e-16, 0.0, 3e-16), (1e-2, 5e-16), (1e-2, 1e-3, 1e-4)),  # all three are rounding alone
    ],
)
def test_best_step_and_the_steps_that_pass(errors, best, passing):
    found = Curve("central", STEPS, errors)
    assert found.best == best
    assert found.passing == passing


def test_document(swept):
    found = json.loads(json.dumps(swept.to_dict(), allow_nan=False))
    assert [each["name"] for each in found["curves"]] == ["forward", "central", "five-point", "propagated"]
    assert all(len(each["errors"]) == len(found["steps"]) == 37 for each in found["curves"])
    assert (found["schema"], found["sample_seed"], found["parameters_checked"]) == (1, 0, CASE.theta.size)


# The command.


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays, description = demo.find("forgotten-m").build()
    modelfile.save_arrays("model.npz", {**arrays, **description})
    return "model.npz"


def run(*arguments):
    return CliRunner().invoke(main, ["sweep", *arguments], prog_name="fastgrad")


def test_command(model):
    result = run(model, "--sample", "30", "--seed", "2")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.lstrip().startswith("1e-") for line in lines) == 13
    text = " ".join(result.stdout.split())
    for phrase in ["2-16-1, tanh, identity", "best steps are forward", "threshold of 1e-07", "30 of 65 parameters", "seed 2"]:
        assert phrase in text
    # The strip shows the V: the mark of the five-point difference goes left, then right again.
    places = [line.rindex("5") for line in lines if line.lstrip().startswith("1e-")]
    lowest = places.index(min(places))
    assert 0 < lowest < 12
    assert places[0] > places[lowest] < places[-1]


def test_command_as_json(model):
    result = run(model, "--from", "1e-3", "--to", "1e-6", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["steps"][0], found["steps"][-1], len(found["steps"])) == (1e-3, 1e-6, 10)


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("suffix", ["svg", "png", "SVG"])
def test_picture(model, tmp_path, suffix):
    name = f"curves.{suffix}"
    written = []
    for _ in range(2):
        result = run(model, "--plot", name, "--sample", "10", "--from", "1e-3", "--to", "1e-7")
        assert result.exit_code == 0, result.output
        assert f"Wrote {name}." in result.stdout
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1], "the same picture, the same bytes"
    assert written[0].startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    assert len(written[0]) < 300_000


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("errors", [(0.0,) * 4, (1.0,) * 4, (1e-16,) * 4, (1e-1, 1e-3, 1e-5, 1e-7)])
def test_picture_of_curves_of_any_shape(tmp_path, errors):
    curves = tuple(Curve(name, STEPS, errors) for name in (*SCHEMES, "propagated"))
    path = require(tmp_path / "x.svg")
    pictures.draw_sweep(Sweep(curves, "2-1, tanh; mse, mean over 1 example", 0, 3, 3, False, 0.1, 1), path)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'FILE'"),
        (["no.npz"], "no.npz"),
        (["model.npz", "--to", "0"], "smallest step must be a positive number, found 0.0"),
        (["model.npz", "--from", "-1"], "largest step must be a positive number, found -1.0"),
        (["model.npz", "--from", "much"], "--from"),
        (["model.npz", "--plot", "curves.jpeg"], "must end in .png or .svg, found 'curves.jpeg'"),
        (["model.npz", "--plot", "model.npz"], "must end in .png or .svg, found 'model.npz'"),
        (["model.npz", "--plot", "nowhere/curves.png"], "no folder 'nowhere'"),
        (["model.npz", "--sample", "some"], "sample must be"),
    ],
)
def test_command_used_wrongly(model, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_picture_without_matplotlib(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run(model, "--plot", "curves.svg")
    assert result.exit_code == 2
    assert 'pip install "matplotlib>=3.8,<4"' in result.stderr
    assert not (tmp_path / "curves.svg").exists()
    assert run(model).exit_code == 0, "the table needs no matplotlib"


# The schemes by themselves.


def plain_loop(case, step, scheme):
    """Form the differences of `reference.loss` as the books write them."""
    values = []
    for k in range(case.theta.size):
        at = {}
        for multiple in (-2, -1, 0, 1, 2):
            theta = case.theta.copy()
            theta[k] += multiple * step
            at[multiple] = reference.loss(case, theta)
        if scheme == "forward":
            values.append((at[1] - at[0]) / step)
        elif scheme == "central":
            values.append((at[1] - at[-1]) / (2 * step))
        else:
            values.append((-at[2] + 8 * at[1] - 8 * at[-1] + at[-2]) / (12 * step))
    return np.array(values)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("step", [1e-2, 1e-5])
def test_scheme_does_what_the_plain_loop_does(scheme, seed, step):
    case = reference.random_case(seed, activations=("tanh", "softplus", "sin"))
    result = numerical_gradient(problems.problem(case), method="textbook", step=step, scheme=scheme)
    assert (result.scheme, result.step) == (scheme, step)
    # Both sides round every loss and every θ ± h; divided by h, the weights of the losses add up to 2 at most, forward.
    noise = 2.0 * 2.0**-53 * (4.0 * result.base.loss_error + 1.0) / step
    assert np.abs(result.values - plain_loop(case, step, scheme)).max() <= noise


@pytest.mark.parametrize("scheme", SCHEMES)
def test_penalty_of_absolute_values_near_and_on_its_kink(scheme):
    """|w| by the formulas themselves, the kink at every place between the points."""
    h, drawn = 0.25, reference.random_case(1, widths=(4, 3), loss="mse", activations=("tanh",))
    theta = np.array([0.0, 0.1, -0.1, 0.2, -0.2, 0.25, -0.25, 0.3, -0.3, 0.45, -0.45, 0.6, 0.5, -0.5, -0.6])
    bare = problems.problem(replace(drawn, theta=theta, l2=0.0))
    problem = replace(bare, network=replace(bare.network, l1=(0.7, 0.3), l2=(0.5, 0.1)))
    coefficients = np.repeat([[0.7, 0.5], [0.3, 0.1]], [12, 3], axis=0).T
    value = [coefficients[0] * abs(theta + k * h) + 0.5 * coefficients[1] * (theta + k * h) ** 2 for k in range(-2, 3)]
    expected = {
        "forward": (value[3] - value[2]) / h,
        "central": (value[3] - value[1]) / (2 * h),
        "five-point": (-value[4] + 8 * value[3] - 8 * value[1] + value[0]) / (12 * h),
    }[scheme]
    with_penalty, without = (numerical_gradient(p, method="textbook", step=h, scheme=scheme).values for p in (problem, bare))
    np.testing.assert_allclose(with_penalty - without, expected, atol=1e-14)


@pytest.mark.parametrize("method", ["auto", "parameter", "preactivation"])
@pytest.mark.parametrize("scheme", ["forward", "five-point"])
def test_schemes_belong_to_the_textbook(method, scheme):
    with pytest.raises(InputError, match=f"scheme {scheme} is for method textbook; method "):
        numerical_gradient(problems.problem(CASE), method=method, scheme=scheme)


@pytest.mark.parametrize("scheme", ["backward", "", None, 2])
def test_scheme_that_is_none(scheme):
    with pytest.raises(InputError, match="scheme must be one of forward, central, five-point; found"):
        numerical_gradient(problems.problem(CASE), method="textbook", scheme=scheme)
