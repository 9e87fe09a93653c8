"""The JSON Schema, held against real documents of every kind: what it does not name, or what is missing, fails."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import fastgrad
from fastgrad.teaching import demo
from fastgrad_cli.main import main

import handmade

SCHEMA = json.loads((Path(fastgrad.__file__).parent / "report" / "schema.json").read_text(encoding="utf-8"))
NETWORK = """
import numpy as np

def backward(parameters, X, Y):
    dZ = X @ parameters["W1"] - Y
    return {"dW1": X.T @ dZ}


def forward(X):
    return np.tanh(X)


def backward_of_layer(dout, X):
    return dout * (1 - np.tanh(X) ** 2)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with some files to check."""
    monkeypatch.chdir(tmp_path)
    arrays, description = demo.planted()
    np.savez("planted.npz", **arrays, **description)
    np.savez("repaired.npz", **demo.repaired()[0], **description)
    np.savez("strange.npz", **{**arrays, "dW1": arrays["dW1"] * np.nan, "b2": arrays["b2"] * 0}, **description)
    np.savez("missing.npz", dW1=arrays["dW1"] * np.nan)
    rng = np.random.default_rng(0)
    np.savez("rows.npz", W1=rng.normal(size=(3, 2)), X=rng.normal(size=(5, 3)), Y=rng.normal(size=(5, 2)))
    masked = {"D1": np.ones((5, 3)), "keep_prob": 0.8, "example_weights": np.ones(3), "l2": 0.1}
    np.savez("masked.npz", **arrays, **{**description, **masked})
    np.savez("layer.npz", X=rng.normal(size=(5, 3)))
    Path("network.py").write_text(NETWORK, encoding="utf-8")


def complaints(document, kind):
    validator = Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{kind}"}]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


COMMANDS = [
    ("check", "check repaired.npz"),
    ("check", "check planted.npz"),
    ("check", "check strange.npz"),
    ("check", "check masked.npz"),
    ("check", "check planted.npz --method directional --directions 2"),
    ("check", "check planted.npz --method textbook --scheme forward --step 1e-3 --sample 5"),
    ("check", "demo repaired"),
    ("trials", "check rows.npz --output identity --loss squared_error --backward network.py:backward"),
    ("files", "check planted.npz repaired.npz nowhere.npz"),
    ("layer", "layer network.py:forward network.py:backward_of_layer layer.npz"),
    ("info", "info planted.npz"),
    ("info", "info masked.npz"),
    ("selftest", "selftest rows.npz --output identity --loss squared_error"),
    ("compare", "compare planted.npz repaired.npz"),
    ("compare", "compare planted.npz missing.npz"),
    ("grade", "grade network.py --network rows.npz --output identity --loss squared_error --to graded"),
    ("sweep", "sweep planted.npz --from 1e-2 --to 1e-4"),
    ("explain", "explain"),
    ("explain", "explain slope.missing"),
    ("gradient", "gradient planted.npz"),
    ("train", "demo train --iterations 1"),
    ("descent", "demo descent"),
    ("error", "check nowhere.npz"),
    ("error", "check --nonsense"),
    ("error", "explain nonsense"),
]


@pytest.mark.compiled
@pytest.mark.parametrize(("kind", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
def test_documents_of_commands(kind, command):
    printed = CliRunner().invoke(main, [*command.split(), "--json"], prog_name="fastgrad").stdout
    document = json.loads(printed)
    assert complaints(document, kind) == []
    Draft202012Validator(SCHEMA).validate(document)


@pytest.mark.parametrize("gradient", [lambda x: 2 * x, lambda x: 3 * x, lambda x: x * np.nan])
@pytest.mark.parametrize("method", ["entries", "directions"])
def test_documents_of_functions(gradient, method):
    report = fastgrad.check_function(lambda x: (x**2).sum(), gradient, np.array([1.0, -2.0]), method=method)
    assert complaints(report.to_dict(), "function") == []


@pytest.mark.parametrize("claim", [{"W": np.ones((2, 2)), "b": 1.0}, {"W": np.full((2, 2), np.inf), "b": 0.0}])
def test_documents_of_functions_of_several_arrays(claim):
    x = {"W": np.zeros((2, 2)), "b": 0.0}
    document = fastgrad.check_function(lambda p: float(np.cbrt(p["W"]).sum()) + p["b"], claim, x).to_dict()
    assert [tensor["name"] for tensor in document["tensors"]] == ["W", "b"]
    assert complaints(json.loads(json.dumps(document, allow_nan=False)), "function") == []


@pytest.mark.parametrize("factor", [1.0, 2.0, np.nan])
@pytest.mark.parametrize("method", ["entries", "directions"])
def test_documents_of_layers(factor, method):
    forward, backward = lambda x, y: np.tanh(x), lambda dout, x, y: (factor * dout * (1 - np.tanh(x) ** 2), None)
    inputs = {"x": np.ones((2, 3)), "y": np.array([1, 2])}
    document = fastgrad.check_layer(forward, backward, inputs, method=method).to_dict()
    assert complaints(json.loads(json.dumps(document, allow_nan=False)), "layer") == []


@pytest.mark.parametrize("factor", [1.0, 2.0, np.nan])
@pytest.mark.parametrize("method", ["columns", "directions"])
def test_documents_of_jacobians(factor, method):
    document = fastgrad.check_jacobian(np.sin, lambda x: factor * np.diag(np.cos(x)), np.ones(3), method=method).to_dict()
    assert complaints(json.loads(json.dumps(document, allow_nan=False)), "jacobian") == []


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_documents_of_chains(factor):
    layers = [(np.tanh, lambda dout, x: factor * dout * (1 - np.tanh(x) ** 2)), (np.sin, lambda dout, x: dout * np.cos(x))]
    document = fastgrad.check_chain(layers, lambda s, Y: (((s - Y) ** 2).sum(), 2 * (s - Y)), np.ones((2, 3)), 0.0).to_dict()
    assert complaints(json.loads(json.dumps(document, allow_nan=False)), "chain") == []


def test_documents_of_functions_with_edits_of_their_source():
    module = handmade.loaded(handmade.planted("softmax", "y] -= 1", "y] += 1"))
    report = fastgrad.check_function(module.f, module.gradient, module.inputs(np.random.default_rng(3)))
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert [finding["code"] for finding in document["findings"]] == ["repair.line"]
    assert document["findings"][0]["alternatives"]
    assert complaints(document, "function") == []


def test_every_kind_is_tried():
    kinds = {reference["$ref"].rpartition("/")[2] for reference in SCHEMA["anyOf"]}
    assert kinds == {kind for kind, _ in COMMANDS} | {"function", "jacobian", "chain"}


@pytest.fixture
def document():
    return json.loads(CliRunner().invoke(main, ["check", "planted.npz", "--json"], prog_name="fastgrad").stdout)


def test_a_key_too_many_or_too_few_is_seen(document):
    for place in ((), ("tensors", 0), ("tensors", 0, "worst"), ("tensors", 0, "outcomes"), ("findings", 0), ("audit",)):
        more, fewer = copy.deepcopy(document), copy.deepcopy(document)
        inner, outer = more, fewer
        for key in place:
            inner, outer = inner[key], outer[key]
        inner["new"] = 0
        del outer[next(key for key in outer if key != "interrupted")]
        assert complaints(more, "check")
        assert complaints(fewer, "check")


def undescribed(node, place="schema"):
    """Yield the keys of objects that have no description, in a schema and in the schemas within."""
    if isinstance(node, list):
        for part in node:
            yield from undescribed(part, place)
    elif isinstance(node, dict):
        for key, part in node.items():
            if key == "properties":
                yield from (f"{place}.{name}" for name, value in part.items() if "description" not in value)
            yield from undescribed(part, f"{place}.{key}")


def test_every_key_of_every_object_is_described():
    assert list(undescribed(SCHEMA)) == []
    assert list(undescribed({"items": {"properties": {"step": {"type": "number"}}}})) == ["schema.items.step"]
