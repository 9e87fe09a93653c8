"""The smallest edit of a gradient's source that makes it right: found for mistakes planted by hand, and never a wrong one."""

import itertools
import os
import random
import re
import warnings

import numpy as np
import pytest

import fastgrad
from fastgrad.functions import repair
from fastgrad.functions.repair.source import NotSearchedError, parts_of

import handmade
from handmade import MISTAKES, SOURCES, loaded, planted


def flat(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
    return [np.asarray(part, dtype=float) for part in parts]


def point(module, seed):
    return module.inputs(np.random.default_rng(seed))


def checked(source, seed=3, **options):
    module = loaded(source)
    return fastgrad.check_function(module.f, module.gradient, point(module, seed), **options)


def edited(source, findings):
    """Make the edits in the source: on each named line the text is replaced."""
    lines = source.splitlines()
    for finding in findings:
        at = int(finding.where.rpartition(":")[2]) - 1
        text = "\n".join(lines[at:])
        new = re.sub(r"\s*".join(map(re.escape, finding.line.split())), lambda _, one=finding: one.formula, text, count=1)
        assert new != text, (finding.where, finding.line)
        lines[at:] = new.splitlines()
    return "\n".join(lines) + "\n"


def repairs_of(report):
    return [finding for finding in report.findings if finding.code == "repair.line"]


def are_right(source, layer, names, seed):
    """Whether the named parts of a source's gradient are the right ones at a point that nobody has seen."""
    ours, right = loaded(source), loaded(SOURCES[layer])
    pair = zip(flat(ours.gradient(point(ours, seed))), flat(right.gradient(point(right, seed))), strict=True)
    labels = list(right.inputs(np.random.default_rng(0))) if isinstance(point(right, 0), dict) else ["x", "x[0]", "x[1]"]
    labels = labels if isinstance(point(right, 0), dict) else labels[1:] if isinstance(point(right, 0), tuple) else labels[:1]
    close = {name: np.allclose(one, other, rtol=1e-9, atol=1e-12) for name, (one, other) in zip(labels, pair, strict=True)}
    return all(close[name] for name in names)


@pytest.mark.parametrize("layer", SOURCES)
def test_sources_are_right(layer):
    report = checked(SOURCES[layer])
    assert report.passed, report
    assert report.findings == ()


@pytest.mark.parametrize(
    "mistake", MISTAKES, ids=[f"{layer}: {wrong.strip() or 'left out'}" for layer, _, wrong, *_ in MISTAKES]
)
def test_mistakes_are_repaired(mistake):
    source = planted(*mistake)
    report = checked(source)
    assert report.verdict == "wrong"
    found = repairs_of(report)
    assert found, "no repair"
    wrong = [tensor.name for tensor in report.tensors if tensor.verdict == "wrong"] or ["x"]
    assert {name for one in found for name in one.concerns} == set(wrong)
    assert all(one.confident for one in found)
    assert are_right(edited(source, found), mistake[0], wrong, seed=77)


def test_the_report_shows_the_line_as_it_is_and_as_it_is_right():
    report = checked(planted("attention", "dK = dS.T @ Q", "dK = dS @ Q"))
    text = str(report)
    assert "One edit makes K right: all 12 entries agree here and at a fresh point." in text
    assert "    - dK = dS @ Q\n    + dK = dS.T @ Q\n" in text
    (found,) = repairs_of(report)
    assert re.fullmatch(r"handmade_\d+\.py:29", found.where)
    document = report.to_dict()["findings"][0]
    assert (document["code"], document["line"], document["formula"]) == ("repair.line", "dK = dS @ Q", "dK = dS.T @ Q")


QUICK = ("attention", "softmax", "layer norm", "embedding")
PAIRS = [
    pair
    for pair in itertools.combinations([one for one in MISTAKES if one[0] in QUICK], 2)
    if pair[0][0] == pair[1][0] and pair[0][1] not in pair[1][1] and pair[1][1] not in pair[0][1]
]


@pytest.mark.parametrize(("first", "second"), random.Random(4).sample(PAIRS, 5))
def test_of_two_mistakes_no_repair_is_false(first, second):
    layer = first[0]
    source = SOURCES[layer]
    for _, right, wrong, *before in (first, second):
        source = source.replace(right, f"{before[0]}\n    {wrong}" if before else wrong)
    report = checked(source)
    found = repairs_of(report)
    names = [name for one in found for name in one.concerns]
    assert are_right(edited(source, found), layer, names, seed=78), report


def test_two_mistakes_in_different_gradients_are_both_repaired():
    source = planted("attention", "dK = dS.T @ Q", "dK = dS @ Q").replace("dV = A.T @ dO", "dV = A @ dO")
    found = repairs_of(checked(source))
    assert {(one.line, one.formula) for one in found} == {("dK = dS @ Q", "dK = dS.T @ Q"), ("dV = A @ dO", "dV = A.T @ dO")}


def test_the_same_is_found_every_time():
    source = planted("batch norm", "dvar = 0.5 / sqrtvar", "dvar = 0.5 * sqrtvar")
    first, second = (
        [
            (one.line, one.formula, [other.sentence.partition(":")[2] for other in one.alternatives])
            for one in repairs_of(report)
        ]
        for report in (checked(source), checked(source))
    )
    assert first == second != []


def test_without_diagnosis_nothing_is_searched(monkeypatch):
    source = planted("attention", "dK = dS.T @ Q", "dK = dS @ Q")
    monkeypatch.setattr(repair, "repairs", None)
    report = checked(source, diagnosis=False)
    assert (report.verdict, report.findings) == ("wrong", ())


def test_arrays_alone_are_not_searched():
    module = loaded(planted("attention", "dK = dS.T @ Q", "dK = dS @ Q"))
    x = point(module, 3)
    assert repairs_of(fastgrad.check_function(module.f, module.gradient(x), x)) == []


def test_a_source_that_is_not_what_runs_proves_nothing():
    source = planted("attention", "dK = dS.T @ Q", "dK = dS @ Q")
    module = loaded(source)
    name = module.gradient.__code__.co_filename
    handmade.linecache.cache[name] = (1, None, SOURCES["attention"].splitlines(keepends=True), name)
    assert repairs_of(fastgrad.check_function(module.f, module.gradient, point(module, 3))) == []


def test_what_f_calls_is_right_and_is_not_edited():
    source = """
import numpy as np

def squash(z):
    return np.tanh(z)

def inputs(rng):
    return rng.normal(size=5)

def f(x):
    return (squash(x) * np.arange(5.0)).sum()

def gradient(x):
    return squash(x) * np.arange(5.0)
"""
    for finding in repairs_of(checked(source)):
        assert "squash" in finding.line
        assert finding.where.endswith(":14")


UNSAFE = {
    "a file": ("", "    open(MARK, 'w').close()\n"),
    "an import": ("", "    import os\n    os.mkdir(MARK)\n"),
    "a module": ("import os\n", "    os.mkdir(MARK)\n"),
    "a file of NumPy": ("", "    np.save(MARK, x)\n"),
    "a method that writes": ("", "    x.tofile(MARK)\n"),
    "a loop without an end": ("", "    k = 0\n    while k < 3:\n        k += 1\n"),
    "global state": ("COUNT = 0\n", "    global COUNT\n    COUNT += 1\n"),
    "a name from inside": ("", "    x.__class__\n"),
    "text as code": ("", "    eval('1 + 1')\n"),
    "state of NumPy": ("", "    np.seterr(all='ignore')\n"),
    "random numbers": ("", "    np.random.seed(0)\n"),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_functions_that_do_more_than_calculate_are_not_run_changed(what, tmp_path):
    before, line = UNSAFE[what]
    source = f"import numpy as np\n{before}MARK = {str(tmp_path / 'mark')!r}\n\n\ndef gradient(x):\n{line}    return 3 * x\n"
    with pytest.raises(NotSearchedError):
        parts_of(loaded(source).gradient)
    assert os.listdir(tmp_path) == []


def test_edits_print_nothing_warn_of_nothing_and_leave_arguments_alone(capsys):
    source = planted("layer norm", "dxhat = dout * self.g", "dxhat = dout").replace(
        "    def backward(self, dout):\n", "    def backward(self, dout):\n        print('called')\n"
    )
    module = loaded(source)
    x = point(module, 3)
    kept = {name: value.copy() for name, value in x.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = fastgrad.check_function(module.f, module.gradient, x)
    assert repairs_of(report)
    assert capsys.readouterr().out.count("called") <= 6  # by the check itself
    assert all(np.array_equal(x[name], kept[name]) for name in x)


def test_objects_and_partial_functions_are_searched_too():
    source = """
import functools

import numpy as np

A = np.random.default_rng(0).normal(size=(4, 4))


def f(v):
    return (np.tanh(A @ v) ** 2).sum()


class Layer:
    def __init__(self, A):
        self.A = A

    def slope(self, t):
        return 1 - t**2

    def __call__(self, v, factor):
        t = np.tanh(self.A @ v)
        return self.A @ (factor * t * self.slope(t))


method = functools.partial(Layer(A), factor=2)
"""
    module = loaded(source)
    x = np.random.default_rng(1).normal(size=4)
    (found,) = repairs_of(fastgrad.check_function(module.f, module.method, x))
    assert (found.line, found.formula) == (
        "return self.A @ (factor * t * self.slope(t))",
        "return self.A.T @ (factor * t * self.slope(t))",
    )


def test_gradients_that_are_attributes_of_an_object_are_searched_by_its_class():
    source = """
class Linear:
    def __init__(self, W):
        self.W = W

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW = self.x.T @ dout / len(dout)
        self.db = dout.sum(axis=1)
        return dout @ self.W.T
"""
    module = loaded(source)

    def at(seed):
        rng = np.random.default_rng(seed)
        x, W, dout = rng.normal(size=(4, 3)), rng.normal(size=(3, 4)), rng.normal(size=(4, 4))

        def call(backward):
            layer = module.Linear(W.copy())
            layer.forward(x.copy())
            dx = backward(layer, dout.copy())
            return np.concatenate([dx.ravel(), layer.dW.ravel(), layer.db])

        expected = np.concatenate([(dout @ W.T).ravel(), (x.T @ dout).ravel(), dout.sum(axis=0)])
        return repair.Entries(call, (0, 12, 24, 28), expected, np.full(28, 1e-12))

    found = repair.repairs(module.Linear.backward, [at(1), at(2)], [0, "dW", "db"])
    assert {(one.theirs, one.repaired) for one in found} == {
        ("self.dW = self.x.T @ dout / len(dout)", "self.dW = self.x.T @ dout"),
        ("self.db = dout.sum(axis=1)", "self.db = dout.sum(axis=0)"),
    }


def test_one_number_proves_no_repair():
    source = """
def inputs(rng):
    return 1.5

def f(x):
    return x**2

def gradient(x):
    return x
"""
    report = checked(source)
    assert (report.verdict, report.findings) == ("wrong", ())


def test_large_arrays_are_not_searched():
    source = (
        SOURCES["softmax"]
        .replace("np.array([0, 2, 1, 2, 0])", "np.zeros(3000, dtype=int)")
        .replace("arange(5)", "arange(3000)")
    )
    module = loaded(source.replace("    dx /= N\n", "").replace("size=(5, 3)", "size=(3000, 3)"))
    x = point(module, 3)
    known = repair.Entries(
        lambda g: g(x.copy()).ravel(), (0, x.size), module.gradient(x).ravel() / 3000, np.full(x.size, 1e-12)
    )
    assert repair.repairs(module.gradient, [known, known], [None]) == ()


def test_a_layers_backward_pass_is_searched_by_its_own_points():
    """The entry for layers: a backward function with a cache, its gradients known entry by entry at points of any size."""
    source = """
import numpy as np

def forward(x, W):
    return x @ W, (x, W)

def backward(dout, cache):
    x, W = cache
    return dout @ W.T, x.T @ dout / 4
"""
    module = loaded(source)

    def at(seed, count):
        rng = np.random.default_rng(seed)
        x, W, dout = rng.normal(size=(count, 3)), rng.normal(size=(3, 2)), rng.normal(size=(count, 2))

        def call(backward):
            return np.concatenate([part.ravel() for part in backward(dout.copy(), module.forward(x.copy(), W.copy())[1])])

        expected = np.concatenate([(dout @ W.T).ravel(), (x.T @ dout).ravel()])
        return repair.Entries(call, (0, x.size, expected.size), expected, np.full(expected.size, 1e-12))

    (found,) = repair.repairs(module.backward, [at(1, 4), at(2, 4), at(3, 7)], [0, 1], [module.forward])
    assert (found.parts, found.line) == ((1,), 9)
    assert found.repaired == "return dout @ W.T, x.T @ dout"
    # A number of examples in the place of the 4 is right at the first two points only.
    assert not any("shape" in other[2] for other in found.others)
