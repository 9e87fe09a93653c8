"""Networks that outgrow memory: read from disk tile by tile, they get the verdicts and the values that they get in memory."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad import InputError, machine
from fastgrad.errors import Interrupted
from fastgrad.judging.directional import chance_of_cancelling
from fastgrad.model import product, stored
from fastgrad.model.forward import base_point
from fastgrad.model.rounding import gradient
from fastgrad.model.stored import Stored, StoredMatrix
from fastgrad.numerical import drawn, numerical_gradient
from fastgrad.numerical.directional import derivative, measured
from fastgrad.numerical.directional.signs import whole_tensor
from fastgrad.numerical.memory import peak
from fastgrad.numerical.methods import METHODS
from fastgrad.numerical.selection import select
from fastgrad.reading import Description, modelfile
from fastgrad.reading.formats import mapped
from fastgrad.report import notes
from fastgrad.walk import check_problem
from fastgrad_cli.main import main

import problems
import reference

WIDTHS = (70, 90, 65, 3)
LITTLE = 200_000
"""Bytes in which these networks do not fit."""


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Make tiles and arrays that are read at once small, so that small networks have several of them."""
    monkeypatch.setattr(stored, "TILE", 1000)
    monkeypatch.setattr(mapped, "SMALL", 1000)
    monkeypatch.setattr("fastgrad.walk.require_room", lambda problem, method: None)
    with np.errstate(all="ignore"):
        yield


def write(folder, *, widths=WIDTHS, samples=6, dtype=np.float32, in_out=False, hidden="tanh", seed=0, **said):
    """Write a network with its right gradients as .npy files, and return the folder."""
    draw, folder = np.random.default_rng(seed), Path(folder)
    arrays = {"X": draw.normal(size=(samples, widths[0])), "Y": draw.integers(0, widths[-1], samples)}
    for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        arrays[f"W{layer}"] = (draw.normal(size=(n_out, n_in)) / np.sqrt(n_in)).astype(dtype)
        arrays[f"b{layer}"] = (0.3 * draw.normal(size=n_out)).astype(dtype)
    said = {"hidden": hidden, "output": "softmax", "loss": "softmax_crossentropy", **said}
    problem = modelfile.interpret(arrays, Description(**said))
    values = gradient(problem, base_point(problem))
    for tensor in problem.tensors:
        claimed = values[tensor.start : tensor.stop].reshape(tensor.canonical_shape).astype(dtype)
        arrays[f"d{tensor.name}"] = claimed
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        turned = in_out and array.ndim == 2 and name != "X"
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array.T) if turned else array)
    (folder / "description.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def change(folder, name, index, change_of):
    array = np.load(folder / f"{name}.npy", mmap_mode="r+")
    array[index] = change_of(array[index])
    array.flush()


def in_memory_and_stored(folder):
    usual = modelfile.load(folder)
    with machine.limited_memory(LITTLE):
        from_disk = modelfile.load(folder)
    assert from_disk.is_stored
    assert not usual.is_stored
    return usual, from_disk


KINDS = {
    "float32": {},
    "float64": {"dtype": np.float64},
    "float16": {"dtype": np.float16},
    "in_out": {"in_out": True, "dtype": np.float64},
    "relu": {"hidden": "relu", "dtype": np.float64},
    "relu in float32": {"hidden": "relu", "samples": 9},
    "penalties": {"l2": 0.1, "l1": 0.01, "penalize_biases": True, "dtype": np.float64},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", [{"method": "directional"}, {"method": "parameter", "sample": 300}])
def test_verdicts_are_those_of_the_network_in_memory(tmp_path, kind, how):
    reports = [check_problem(problem, **how) for problem in in_memory_and_stored(write(tmp_path / "model", **KINDS[kind]))]
    usual, from_disk = ([(t.name, t.verdict, t.checked, t.wrong, t.precision) for t in report.tensors] for report in reports)
    assert from_disk == usual
    assert reports[1].verdict == ("not judged" if kind == "float16" else "right")
    assert reports[1].loss == pytest.approx(reports[0].loss, rel=1e-14)
    assert reports[1].audit == reports[0].audit


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_along_directions_agree_to_rounding(tmp_path, kind):
    settings = [derivative.prepare(problem, 4, 0, 1) for problem in in_memory_and_stored(write(tmp_path / "m", **KINDS[kind]))]
    for tensor in settings[0].problem.tensors:
        usual, from_disk = (measured.measure(setting, whole_tensor(tensor)) for setting in settings)
        assert from_disk.states == usual.states
        for values in ("claimed", "numerical"):
            off = np.abs(getattr(usual, values) - getattr(from_disk, values))
            assert (off <= 0.25 * usual.fine).all(), tensor.name
        np.testing.assert_allclose(from_disk.allowed, usual.allowed, rtol=1e-6)


@pytest.mark.parametrize("method", ["parameter", "preactivation"])
@pytest.mark.parametrize("kind", ["float64", "in_out", "relu", "penalties"])
def test_values_of_a_sample_agree_to_rounding(tmp_path, kind, method):
    usual, from_disk = in_memory_and_stored(write(tmp_path / "model", **KINDS[kind]))
    places = select(usual, 400, 3)
    found, expected = (numerical_gradient(p, method=method, places=places) for p in (from_disk, usual))
    size = np.abs(expected.values[places]).max()
    np.testing.assert_allclose(found.values[places], expected.values[places], rtol=1e-12, atol=1e-14 * size)


def test_a_unit_on_its_kink_leaves_the_same_range(tmp_path):
    """A zero bias and a weight of zeros put a unit of relu on its kink in every example."""
    folder = write(tmp_path / "model", hidden="relu", dtype=np.float64, widths=(90, 80, 60, 3))
    for name in ("W1", "b1"):
        change(folder, name, 4, lambda values: 0.0 * values)
    for method in ("parameter", "preactivation"):
        usual, from_disk = in_memory_and_stored(folder)
        places = select(usual, 1000, 0)
        found, expected = (numerical_gradient(p, method=method, places=places) for p in (from_disk, usual))
        for bound in ("lower", "upper"):
            np.testing.assert_allclose(getattr(found, bound)[places], getattr(expected, bound)[places], rtol=1e-9, atol=1e-12)
        assert (found.lower[places] < found.upper[places]).any()


@pytest.mark.parametrize("seed", range(8 if problems.JIT else 2))
def test_random_networks_get_the_same_verdicts(problem_of, monkeypatch, seed):
    """Of any activation, loss and penalty, right, with a wrong entry, twice too large, with a nan; each W either way round."""
    monkeypatch.setattr(stored, "TILE", 100)
    case, draw = problems.random_case(seed), np.random.default_rng(seed)
    claimed = np.array(reference.gradient(case), dtype=np.float64)
    spoilt = [claimed, claimed.copy(), 2.0 * claimed, claimed.copy()][seed % 4]
    spoilt[draw.integers(claimed.size)] *= {1: 1.5, 3: np.nan}.get(seed % 4, 1.0)
    usual = problem_of(case, spoilt)
    from_disk = replace(usual, theta=as_stored(usual, usual.theta, draw), claimed=as_stored(usual, spoilt, draw))
    for how in ({"method": "directional"}, {"method": "parameter"}, {"method": "preactivation", "sample": 40}):
        reports = [check_problem(problem, diagnosis=False, **how) for problem in (usual, from_disk)]
        found, expected = ([(t.verdict, t.checked, t.wrong) for t in report.tensors] for report in reports[::-1])
        assert found == expected, how


def as_stored(problem, vector, draw):
    parts = [vector[t.start : t.stop].reshape(t.canonical_shape) for t in problem.tensors]
    parts = [np.asfortranarray(part) if draw.random() < 0.5 else part for part in parts]
    return Stored([t.start for t in problem.tensors], parts, [t.canonical_shape for t in problem.tensors])


@pytest.mark.parametrize("column", ["first", "last"])
def test_a_bias_in_the_array_of_its_weights(column):
    draw = np.random.default_rng(2)
    thetas = {"theta1": 0.2 * draw.normal(size=(90, 71)), "theta2": 0.2 * draw.normal(size=(3, 91))}
    X, Y = draw.normal(size=(7, 70)), draw.normal(size=(7, 3))
    said = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "bias_column": column}
    claimed = fastgrad.gradient(thetas, X, Y, **said).value
    with machine.limited_memory(LITTLE):
        for how in ({}, {"sample": 500}):
            report = fastgrad.check(thetas, claimed, X, Y, **said, **how)
            assert report.verdict == "right"
            assert "read from disk" in str(report)


MISTAKES = {
    "an entry": ("dW1", (3, 5), lambda value: value + 0.1),
    "entries": ("dW2", (slice(0, 60, 20), 7), lambda values: values + 0.1),
    "a row": ("dW2", 5, lambda values: 2.0 * values),
    "a factor": ("dW1", slice(None), lambda values: 6.0 * values),
    "a bias": ("db2", 11, lambda value: value - 0.1),
    "nan": ("dW2", (64, 89), lambda value: np.nan),
    "infinity": ("dW1", (0, 0), lambda value: np.inf),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("in_out", [False, True])
def test_mistakes_are_found_and_located_as_in_memory(tmp_path, mistake, in_out):
    name, index, change_of = MISTAKES[mistake]
    folder = write(tmp_path / "model", in_out=in_out, dtype=np.float64)
    if in_out and name != "db2":
        index = (*((index,) if not isinstance(index, tuple) else index), slice(None))[:2][::-1]
    change(folder, name, index, change_of)
    usual, from_disk = (check_problem(problem, method="directional") for problem in in_memory_and_stored(folder))
    assert from_disk.verdict == "wrong"
    for a, b in zip(usual.tensors, from_disk.tensors, strict=True):
        assert (b.verdict, b.wrong, b.more, b.ratio is None) == (a.verdict, a.wrong, a.more, a.ratio is None)
        assert {entry.index for entry in b.located} == {entry.index for entry in a.located}
        assert [e.numerical for e in b.located] == pytest.approx([e.numerical for e in b.located], rel=1e-12)
    assert [t.gradient_name for t in from_disk.tensors if t.verdict == "wrong"] == [name]
    assert "The mistake was not named, since the network outgrows memory" in str(from_disk)


def test_a_wrong_sample_says_where(tmp_path):
    folder = write(tmp_path / "model", dtype=np.float64)
    change(folder, "dW2", slice(None), lambda values: 1.5 * values)
    _, problem = in_memory_and_stored(folder)
    report = check_problem(problem, sample=200)
    assert report.method == "parameter"
    wrong = [tensor for tensor in report.tensors if tensor.verdict == "wrong"]
    assert [tensor.gradient_name for tensor in wrong] == ["dW2"]
    assert wrong[0].ratio == pytest.approx(1.5)
    assert "The mistake was not named, since the network outgrows memory" in str(report)


def test_ctrl_c_leaves_what_was_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "TOGETHER", 10_000)
    _, problem = in_memory_and_stored(write(tmp_path / "model"))
    with pytest.raises(Interrupted) as stop:
        check_problem(problem, sample=300, progress=lambda done, total: os.kill(os.getpid(), signal.SIGINT))
    report = stop.value.finished
    assert report.interrupted
    assert 0 < report.parameters_checked < 300
    assert {tensor.verdict for tensor in report.tensors} == {"not judged"}


def test_a_chance_of_all_but_one_is_no_power_of_ten(tmp_path):
    _, problem = in_memory_and_stored(write(tmp_path / "model", widths=(200, 300, 100, 3)))
    text = " ".join(str(check_problem(problem, sample=70)).split())
    assert "The chance to miss all wrong entries of dW1 is nearly 100% if there is 1" in text


def test_doubles_of_single_precision_are_judged_as_such(tmp_path):
    folder = write(tmp_path / "model", dtype=np.float64)
    for file in folder.glob("d*.npy"):
        np.save(file, np.load(file).astype(np.float32).astype(np.float64))
    usual, from_disk = (check_problem(problem, method="directional") for problem in in_memory_and_stored(folder))
    assert from_disk.verdict == usual.verdict == "right"
    assert usual.notes
    assert set(from_disk.notes) == {*usual.notes, notes.FROM_DISK}


def test_a_missing_gradient_is_not_judged(tmp_path):
    folder = write(tmp_path / "model")
    (folder / "dW2.npy").unlink()
    _, problem = in_memory_and_stored(folder)
    report = check_problem(problem, method="directional")
    assert report.verdict == "not judged"
    assert report.missing == ("W2",)


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("hidden", ["tanh", "relu"])
def test_a_parameter_that_is_no_number_is_named(tmp_path, layer, hidden):
    folder = write(tmp_path / "model", hidden=hidden)
    change(folder, f"W{layer}", (7, 3), lambda value: np.nan)
    with machine.limited_memory(LITTLE):
        problem = modelfile.load(folder)
    for how in ({"method": "directional"}, {"sample": 100}):
        with pytest.raises(InputError, match=rf"W{layer}\[7, 3\] is nan: every number of W{layer} must be finite"):
            check_problem(problem, **how)


def test_a_truncated_file_is_an_error_before_and_while_it_is_read(tmp_path):
    folder = write(tmp_path / "model", widths=(70, 200, 65, 3))
    _, problem = in_memory_and_stored(folder)
    whole = (folder / "W2.npy").read_bytes()
    with (folder / "W2.npy").open("r+b") as stream:
        stream.truncate(len(whole) // 2)
    with pytest.raises(InputError, match=r"W2\.npy has become shorter while it was read"):
        check_problem(problem, method="directional")
    with machine.limited_memory(LITTLE), pytest.raises(InputError, match="W2 is damaged: its header declares"):
        modelfile.load(folder)


def test_bits_depend_neither_on_threads_nor_on_memory(tmp_path, monkeypatch):
    folder = write(tmp_path / "model", widths=(600, 90, 700, 3))
    found = []
    for threads, memory in ((1, LITTLE), (2, LITTLE), (2, 2 * LITTLE)):
        monkeypatch.setattr(machine, "most_threads", lambda count=threads: count)
        with machine.limited_memory(memory):
            problem = modelfile.load(folder)
        assert problem.is_stored
        setting = derivative.prepare(problem, 3, 0, threads)
        tensors = [measured.measure(setting, whole_tensor(tensor)) for tensor in problem.tensors]
        found.append(np.concatenate([part for t in tensors for part in (t.claimed, t.numerical, t.allowed)]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("tile", [64, 500, 5000, 10**6])
def test_signed_sums_do_not_depend_on_the_tiles_of_rows(turned, tile, monkeypatch):
    """Nor, to rounding, on those of columns, in which a sum has other terms next to each other."""
    monkeypatch.setattr(stored, "TILE", tile)
    raw = np.random.default_rng(0).normal(size=(90, 150)).astype(np.float32)
    matrix = StoredMatrix(np.asfortranarray(raw) if turned else raw)
    network = fastgrad.model.network.Network((150, 90), ("identity",), "squared_error", "mean", (False,))
    signs = derivative.Signs.of_seed(network, 5, 0, 1)
    region = derivative.whole_layer(network, 0, "W")
    found, expected = signs.sums(region, matrix), signs.sums(region, raw.astype(np.float64))
    if turned:
        np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-12)
    else:
        np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize("turned", [False, True])
def test_a_stored_matrix_is_the_matrix(turned):
    draw = np.random.default_rng(1)
    raw = draw.normal(size=(130, 170))
    matrix, flow, inputs = StoredMatrix(np.asfortranarray(raw) if turned else raw), draw.normal(size=(4, 130)), raw[:5] + 1.0
    np.testing.assert_allclose(product.product(inputs, matrix.T), inputs @ raw.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(product.product(flow, matrix), flow @ raw, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(product.row_norms(matrix), np.linalg.norm(raw, axis=1))
    np.testing.assert_array_equal(matrix[:, np.array([3, 169, 3])], raw[:, [3, 169, 3]])
    some, cube = slice(20, 90), draw.normal(size=(3, 2, 170))
    np.testing.assert_allclose(inputs[:, some] @ matrix[:, some].T, inputs[:, some] @ raw[:, some].T, atol=1e-12)
    np.testing.assert_allclose(cube @ matrix.T, cube @ raw.T, atol=1e-12)
    with pytest.raises(TypeError):
        np.abs(matrix)  # which would take the whole of it
    largest, sums = product.sizes(matrix)
    assert largest == np.abs(raw).max()
    assert sums == pytest.approx(np.abs(raw).sum(axis=1).max())
    for transposed, left in ((True, inputs), (False, flow)):
        squares = product.squared(left)
        found, expected = (product.root_product_of(squares, m, largest, transposed=transposed) for m in (matrix, raw))
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert not matrix.is_symmetric
    assert StoredMatrix(raw[:130, :130] + raw[:130, :130].T).is_symmetric


def test_a_mapped_file_gives_its_pages_back(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1000, 1000)))
    array = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert stored.mapped_from(np.asarray(array).T[3:]) is array
    for tile in StoredMatrix(np.asarray(array)).tiles():
        assert tile.values.all()
    held = [line for line in Path("/proc/self/smaps").read_text().split("\n") if line.startswith("Rss") or "a.npy" in line]
    place = next(k for k, line in enumerate(held) if "a.npy" in line)
    assert int(held[place + 1].split()[1]) == 0


@pytest.mark.extra("safetensors")
def test_safetensors_are_mapped_as_well(tmp_path):
    from safetensors.numpy import save_file

    folder = write(tmp_path / "model")
    arrays = {file.stem: np.load(file) for file in folder.glob("*.npy")}
    save_file(arrays, tmp_path / "m.safetensors", metadata=json.loads((folder / "description.json").read_text()))
    usual, from_disk = (check_problem(p, method="directional") for p in in_memory_and_stored(tmp_path / "m.safetensors"))
    assert [t.verdict for t in from_disk.tensors] == [t.verdict for t in usual.tensors]


def test_arrays_in_python_outgrow_memory_too(tmp_path, monkeypatch):
    folder = write(tmp_path / "model")
    arrays = {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}
    X, Y = arrays.pop("X"), arrays.pop("Y")
    gradients = {name: arrays.pop(name) for name in list(arrays) if name.startswith("d")}
    said = json.loads((folder / "description.json").read_text())
    with machine.limited_memory(LITTLE):
        report = fastgrad.check(arrays, gradients, X, Y, **said)
        assert report.method == "directional"
        assert report.verdict == "right"
        with pytest.raises(InputError, match="needs all 12,.* parameters in memory, and they outgrow it"):
            fastgrad.gradient(arrays, X, Y, **said)
        assert fastgrad.check(arrays, gradients, X, Y, method="preactivation", **said).parameters_checked == 12_503
        monkeypatch.setattr(drawn, "MOST_DRAWN", 1000)
        with pytest.raises(InputError, match="take method directional, which looks at all of them, or a sample"):
            fastgrad.check(arrays, gradients, X, Y, method="parameter", **said)
        with pytest.raises(InputError, match="a sample has 1,000 of them at most, found 1,001"):
            fastgrad.check(arrays, gradients, X, Y, sample=1001, **said)
        with pytest.raises(InputError, match="leave out step and method textbook"):
            fastgrad.check(arrays, gradients, X, Y, method="parameter", sample=20, step=1e-5, **said)


def test_examples_that_do_not_fit_are_refused(tmp_path):
    folder = write(tmp_path / "model", samples=200)
    with machine.limited_memory(LITTLE), pytest.raises(InputError, match=r"X \(200, 70\) and Y .* check fewer examples"):
        modelfile.load(folder)


@pytest.mark.compiled  # half a minute a million weights else
def test_the_command_keeps_to_the_memory_that_is_allowed(tmp_path, monkeypatch):
    monkeypatch.undo()
    folder = write(tmp_path / "model", widths=(600, 800, 700, 3))
    run = CliRunner().invoke(main, ["check", str(folder), "--memory", "10MB"])
    assert run.exit_code == 2
    assert "a check by method directional that reads from disk takes about 0." in run.output
    assert "0.0 GB may be taken; check fewer examples, or allow more" in run.output
    for text in ("4 parsecs", "0GB", "-1"):
        assert CliRunner().invoke(main, ["check", str(folder), f"--memory={text}"]).exit_code == 2
    assert CliRunner().invoke(main, ["check", str(folder), "--memory", "3GiB"]).exit_code == 0
    for command in (["gradient", str(folder)], ["compare", str(folder), str(folder)]):
        monkeypatch.setattr(machine, "available_memory", lambda: 10**7)
        monkeypatch.setattr(machine, "ALWAYS_THERE", 0)
        run = CliRunner().invoke(main, command)
        assert run.exit_code == 2, run.output
        assert "parameters in memory, and they outgrow it" in " ".join(run.output.split())


def test_info_states_the_peak_beforehand(tmp_path):
    folder = write(tmp_path / "model")
    run = CliRunner().invoke(main, ["info", str(folder), "--memory", "200kB"])
    assert "The parameters outgrow memory and are read from disk. Peak memory of a check" in " ".join(run.output.split())
    document = json.loads(CliRunner().invoke(main, ["info", str(folder), "--memory", "200kB", "--json"]).output)
    assert document["peak_bytes"].keys() == {"parameter", "preactivation", "directional"}
    assert document["estimated_seconds"].keys() == {"directional"}
    assert json.loads(CliRunner().invoke(main, ["info", str(folder), "--json"]).output)["peak_bytes"] == {}


MEASURED = """
import sys
from pathlib import Path
from fastgrad import machine
from fastgrad.reading import modelfile
from fastgrad.walk import check_problem
with machine.limited_memory(950_000_000):
    report = check_problem(modelfile.load(sys.argv[1]), **eval(sys.argv[2]))
print(report.verdict, next(line for line in Path("/proc/self/status").read_text().split("\\n") if line.startswith("VmHWM")))
"""


@pytest.mark.compiled
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read there")
def test_the_peak_of_a_process_is_below_what_was_stated(tmp_path, monkeypatch):
    """200 MB of parameters and gradients in float32, which would take 1 GB in memory."""
    monkeypatch.undo()
    folder = write_large(tmp_path / "model", (2500, 8000, 600, 5))
    with machine.limited_memory(950_000_000):
        problem = modelfile.load(folder)
    assert problem.is_stored
    for how in ({"method": "directional"}, {"method": "parameter", "sample": 60}):
        run = subprocess.run([sys.executable, "-c", MEASURED, folder, repr(how)], capture_output=True, text=True, check=True)
        verdict, _, kilobytes, _ = run.stdout.split()
        assert verdict == "right"
        assert 1024 * int(kilobytes) < peak(problem, METHODS[how["method"]]) < 950_000_000


def write_large(folder, widths):
    """Write a linear network of few examples with right gradients, of which the process that checks it knows nothing."""
    draw, a = np.random.default_rng(0), np.random.default_rng(1).normal(size=(3, widths[0]))
    folder.mkdir()
    activations, weights = [a], []
    for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        weights.append(np.resize(draw.normal(size=99_991).astype(np.float32), (n_out, n_in)) / np.float32(np.sqrt(n_in)))
        np.save(folder / f"W{layer}.npy", weights[-1])
        activations.append(activations[-1] @ weights[-1].T.astype(np.float64))
    Y = np.zeros((3, widths[-1]))
    delta = (activations[-1] - Y) / 3.0
    for layer in range(len(weights), 0, -1):
        np.save(folder / f"dW{layer}.npy", (delta.T @ activations[layer - 1]).astype(np.float32))
        delta = delta @ weights[layer - 1].astype(np.float64)
    np.save(folder / "X.npy", a)
    np.save(folder / "Y.npy", Y)
    said = {"hidden": "identity", "output": "identity", "loss": "squared_error"}
    (folder / "description.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def test_the_chance_of_very_many_wrong_entries_takes_no_time():
    assert chance_of_cancelling(10_002, 3) == pytest.approx(chance_of_cancelling(9_998, 3), rel=1e-3)
    assert chance_of_cancelling(10_000, 1) == pytest.approx(np.sqrt(2 / (np.pi * 10_000)), rel=1e-4)
    assert 0.0 < chance_of_cancelling(10**8, 8) < 1e-30
