"""The rows of activations and losses are whole, and everything else that names them is made from them; kernels take records."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError
from fastgrad.kernels import activations as formulas
from fastgrad.kernels import codes, launch, records
from fastgrad.model import activations, losses
from fastgrad.reading.description import Description, network

import reference

KERNELS = Path(fastgrad.__file__).parent / "kernels"
MOST_ARGUMENTS = 10


def functions():
    """Yield every function in the files of kernels, those inside of others and lambdas included, with its place."""
    for path in sorted(KERNELS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.Lambda):
                yield path.name, getattr(node, "name", "lambda"), node.args


def test_no_function_of_kernels_takes_more_than_ten_arguments():
    found = {}
    for file, name, arguments in functions():
        every = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        # Where numba asks for an intrinsic, it hands over a context of its own first.
        found[f"{file}: {name}"] = len(every) - ("typing_context" in every)
    assert {name for name, number in found.items() if number > MOST_ARGUMENTS} == set()


def test_records_are_read_in_signatures():
    flat = records.flat_signature("void(Loss, f8[::1], i8, Moves)")
    assert flat == "void(i8, f8, f8[:,:,::1], i8[::1], f8[::1], i8, f8[::1], i8, u8, u8)"
    loss = records.Loss(1, 2.0, np.empty((7, 1, 1)), np.empty(1, dtype=np.int64))
    assert list(records.flat_arguments((3, loss, 4.0))) == [3, *loss, 4.0]


@pytest.mark.compiled
def test_a_part_of_a_record_that_is_of_another_type_is_refused():
    loss = records.Loss(codes.SQUARED, 0.0, np.empty((7, 1, 1)), np.empty(1, dtype=np.int32))
    with pytest.raises(TypeError, match="a kernel takes .* found int32"):
        launch.tabulate_loss(loss, np.empty(1))


@pytest.mark.parametrize("rows", [activations.ROWS, losses.ROWS], ids=["activations", "losses"])
def test_every_name_and_synonym_is_said_once_and_as_people_are_read(rows):
    words = [word for row in rows for word in (row.name, *row.synonyms)]
    assert len(words) == len(set(words))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", word) for word in words)


@pytest.mark.parametrize("row", activations.ROWS, ids=lambda row: row.name)
def test_row_of_an_activation_is_whole(row):
    assert row.formula
    assert row.slope
    if row.code is None:
        assert row.name == "softmax"
        return
    assert row.code in formulas.FORMULAS
    p = row.parameter.default if row.parameter else 0.0
    assert row.parameter is None or (row.parameter.words and p > 0.0)
    # Where the independent formulas have a kink, the row has one; it may have others, of f″.
    assert set(reference.activation(row.name).kinks) <= set(row.kinks(p))


def test_every_formula_has_a_row_and_every_row_a_formula():
    assert sorted(formulas.FORMULAS) == sorted(activations.BY_CODE)
    assert len(activations.BY_CODE) == len(activations.ACTIVATION_CODES)
    assert set(activations.ACTIVATION_CODES) <= set(reference.ACTIVATIONS)
    assert set(losses.LOSSES) == set(reference.LOSSES)


@pytest.mark.parametrize("row", losses.ROWS, ids=lambda row: row.name)
def test_row_of_a_loss_is_whole(row):
    assert all((row.formula, row.after, row.targets.words))
    assert (row.code is None) <= bool(row.logits)
    assert set(row.logits) <= set(activations.ACTIVATIONS)
    assert row.parameter is None or (row.parameter.words and row.parameter.default > 0.0)
    known = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}
    assert {code % codes.OF_SOFTMAX for code in (row.code, *row.logits.values()) if code is not None} <= known
    # What model/outputs does on kinks goes by codes.
    assert bool(row.kinks) == (row.code in {codes.ABSOLUTE, codes.HUBER, codes.HINGE, codes.SQUARED_HINGE})


SAID = {"hidden": "tanh", "output": "identity", "loss": "mse"}


@pytest.mark.parametrize(("item", "what", "rows"), [("hidden", "activation", activations.ROWS), ("loss", "loss", losses.ROWS)])
def test_suggestions_and_lists_of_names_come_from_the_rows(item, what, rows):
    words = [word for row in rows for word in (row.name, *row.synonyms)]
    listed = ", ".join(row.name for row in rows)
    for word in words:
        with pytest.raises(InputError) as error:
            network(Description(**{**SAID, item: f"{word}_x"}), (3, 2, 1), (True, True))
        message = str(error.value)
        suggested = re.search(r"did you mean (\w+)\?", message)
        assert message.startswith(f"unknown {what} ")
        assert message.endswith(f"(known: {listed})")
        assert suggested is not None
        assert suggested[1] in words


def test_every_synonym_is_understood():
    for row in activations.ROWS[:-1]:
        for word in (row.name, *row.synonyms):
            found = network(Description(hidden=word.upper(), output="identity", loss="mse"), (3, 2, 1), (True, True))
            assert found.activations == (row.name, "identity")
    for row in losses.ROWS:
        output = next(iter(row.logits), "identity")
        for word in (row.name, *row.synonyms):
            found = network(Description(hidden="tanh", output=output, loss=word.replace("_", "-")), (3, 2, 1), (True, True))
            assert found.loss == row.name
