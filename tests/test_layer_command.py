"""The command `fastgrad layer`: a layer of one's own, in a process of its own, from a file of inputs."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fastgrad_cli.main import main

LAYERS = """
import os
import sys

import numpy as np

KEPT = []
print("layers prints")


def forward(x, w):
    return np.tanh(x @ w), {"x": x, "w": w, "anything": object()}


def backward(dout, cache):
    d = dout * (1 - np.tanh(cache["x"] @ cache["w"]) ** 2)
    return {"dx": d @ cache["w"].T, "dw": cache["x"].T @ d}


def doubled(dout, cache):
    return {name: 2 * value if name == "dw" else value for name, value in backward(dout, cache).items()}


def without(dout, cache):
    return backward(dout, cache)["dx"], None


def keeping(x, w):
    KEPT[:] = [x, w]
    return x @ w


def from_kept(dout):
    return dout @ KEPT[1].T, KEPT[0].T @ dout


def unclear(x, w):
    return x @ w, x * 2.0


def backward_of_two(dout, other):
    return dout, other


def leaves(dout, cache):
    sys.exit(0)


def crashes(dout, cache):
    os._exit(0)


def hangs(dout, cache):
    while True:
        pass


def strange(dout, p, q):
    return dout
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("layers.py").write_text(LAYERS, encoding="utf-8")
    rng = np.random.default_rng(0)
    np.savez("inputs.npz", x=rng.normal(size=(4, 3)), w=rng.normal(size=(3, 2)))
    np.savez("single.npz", x=rng.normal(size=(4, 3)).astype(np.float32), w=rng.normal(size=(3, 2)).astype(np.float32))


def run(forward, backward, *options, file="inputs.npz"):
    return CliRunner().invoke(
        main, ["layer", f"layers.py:{forward}", f"layers.py:{backward}", file, *options], prog_name="fastgrad"
    )


@pytest.mark.parametrize(
    ("forward", "backward", "code", "said"),
    [
        ("forward", "backward", 0, "✓ RIGHT  All 2 gradients are right."),
        ("keeping", "from_kept", 0, "✓ RIGHT"),
        ("forward", "doubled", 1, "✗ WRONG  1 of 2 gradients is wrong: w."),
        ("forward", "without", 3, "? NOT JUDGED  There is no gradient of w."),
        ("forward", "leaves", 3, "backward raises SystemExit"),
        ("forward", "crashes", 3, "it ended the process that it ran in, with exit code 0"),
        ("forward", "nowhere", 2, "there is no function 'nowhere' in layers.py"),
        ("forward", "strange", 2, "cannot be told how backward(dout, p, q) is called"),
        ("unclear", "backward_of_two", 2, "Which is it?"),
    ],
)
def test_exit_codes_and_first_lines(forward, backward, code, said):
    result = run(forward, backward)
    assert (result.exit_code, " ".join(said.split()) in " ".join(result.output.split())) == (code, True), result.output
    assert "layers prints" not in result.stdout
    assert "Traceback" not in result.output


def test_what_takes_too_long_is_not_judged():
    result = run("forward", "hangs", "--timeout", "1")
    assert result.exit_code == 3
    assert "took longer than 1 s" in " ".join(result.output.split())


@pytest.mark.parametrize(("backward", "code"), [("backward", 0), ("doubled", 1), ("crashes", 3)])
def test_one_document(backward, code):
    result = run("forward", backward, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["passed"]) == (code, code == 0)
    assert [tensor["name"] for tensor in document["tensors"]] == ([] if code == 3 else ["x", "w"])
    refused = run("forward", "strange", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["verdict"]) == (2, "not judged")


def test_options_reach_the_check():
    assert run("forward", "without", "--frozen", "w").exit_code == 0
    assert run("forward", "backward", file="single.npz").exit_code == 0
    assert "with seed 7" in run("forward", "backward", "--seed", "7").output
    assert run("forward", "backward", "--timeout", "-1").exit_code == 2
    assert run("forward", "backward", file="nothing.npz").exit_code == 2


def test_the_report_is_that_of_python():
    import importlib.util

    import fastgrad

    spec = importlib.util.spec_from_file_location("layers", "layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    here = fastgrad.check_layer(module.forward, module.doubled, dict(np.load("inputs.npz"))).to_dict()
    there = json.loads(run("forward", "doubled", "--json").stdout)
    assert {**here, "seconds": 0} == {**there, "seconds": 0}
