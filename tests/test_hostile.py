"""Files that nobody would write on purpose, and some that somebody would: an answer or a complaint, never a wrong "right"."""

import contextlib
import errno
import io
import json
import os
import signal
import stat
import subprocess
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

import fastgrad
from fastgrad import machine
from fastgrad.errors import InputError
from fastgrad.reading import modelfile
from fastgrad.reading.formats import npy
from fastgrad.walk import check_problem
from fastgrad_cli.main import main

import fuzz
import problems

EXAMPLES = 9 if problems.JIT else 6
quick = settings(  # no deadline, which is by the clock: fuzz.outcome counts the processor's time
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
    # Where a factor is subnormal, or a product is, what a right gradient may be is not what fractions say. Of labels below
    # 1e-150 the difference of the losses is: a step small against them, times them.
    factors = np.abs(np.concatenate([W.ravel(), X.ravel(), Y.ravel(), size.ravel()]))
    if np.isfinite(size).all() and (factors[factors > 0.0] > 1e-290).all():
        assert not (report.passed and wrong.any())
        assert factor != 1.0 or report.verdict != "wrong" or (factors[factors > 0.0] < 1e-150).any()


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
    monkeypatch.setattr(machine, "available_memory", lambda: 2**30)
    complaint, peak = refused(path)
    assert "its arrays need 4.3 GiB, 1.0 GiB of memory are free; the largest is W1 (268435456, 1)" in complaint
    assert peak < 2**24


def test_examples_times_units_are_refused_before_they_are_tabulated(path, monkeypatch):
    """Files of some kilobytes that ask for gigabytes."""
    monkeypatch.setattr(machine, "available_memory", lambda: 2**28)
    wide, many = np.ones((3000, 1)), np.ones((1, 3001))
    contents = {"W1": wide, "dW1": wide, "W2": wide.T, "dW2": wide.T, "X": many, "Y": many, "hidden": "tanh", **LINEAR}
    complaint, peak = refused(path, contents)
    assert "3,001 examples of 3,002 units need about 1.1 GiB, 0.2 GiB of memory are free; check fewer examples" in complaint
    assert peak < 2**24


def test_more_arrays_than_a_network_has_are_refused(path, monkeypatch):
    monkeypatch.setattr(npy, "MOST_ARRAYS", 10)
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
    found = fuzz.fuzz(tmp_path, count=ATTACKS.get(kind, 8), kinds=(kind,))
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
    if what in {"slow", "busy"}:
        end = time.process_time() + {"slow": 0.2, "busy": 20.0}[what]
        while time.process_time() < end:
            pass
    if what == "waiting":
        time.sleep(20.0)
    if what == "greedy":
        np.ones(2**24)  # more than any allocator keeps for later
    if what == "long":
        click.echo("x" * 100_000)
    if what == "no_number":
        click.echo('{"verdict": "wrong", "difference": NaN}')
    if what == "idle":
        time.sleep(0.3)
    if what in {"right", "wrong", "missing", "idle"}:
        click.echo('{"verdict": "right"}')
    if what == "code":
        click.echo('{"verdict": "right"}')
        click.get_current_context().exit(1)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("exception", "ValueError: of our own"),
        ("internal", "internal error"),
        ("slow", "0 s of the processor"),
        ("busy", "no end after 0 s of the processor"),
        ("waiting", "or 1 s by the clock"),
        ("greedy", "memory"),
        ("long", "long output"),
        ("no_number", "NaN is no number of JSON"),
        ("code", "exit code 1 with right"),
        ("wrong", "right, and dW1 is off by"),
        ("missing", "right, and there is no db2"),
    ],
)
def test_an_attack_sees_the_failure(what, said, tmp_path, monkeypatch):
    if what in {"busy", "waiting"} and not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timer to end it")
    monkeypatch.setattr(fuzz, "main", failing)
    if what == "greedy" and sys.platform != "linux":
        pytest.skip("elsewhere a peak that was higher before hides it")
    if what in {"slow", "busy", "waiting"}:
        monkeypatch.setattr(fuzz, "SECONDS", 0.1)
        monkeypatch.setattr(fuzz, "WAITS", 10.0)
    monkeypatch.setattr(fuzz, "MEMORY", 2**24)
    path = tmp_path / f"{what}.npz"
    model = fuzz.wrong_model() if what == "wrong" else fuzz.right_model()
    write(path, {name: array for name, array in model.items() if (what, name) != ("missing", "db2")})
    with pytest.raises(fuzz.FaultError, match=said):
        fuzz.outcome(path)


def test_an_attack_that_only_waits_its_turn_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "main", failing)
    monkeypatch.setattr(fuzz, "SECONDS", 0.1)
    path = tmp_path / "idle.npz"
    write(path, fuzz.right_model())
    assert fuzz.outcome(path) == "right"


def test_the_fuzzer_tells_its_failures_and_its_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "main", failing)
    monkeypatch.setattr(fuzz, "TOLD", 2)
    told = []
    found = fuzz.fuzz(tmp_path, 7, count=4, kinds=("options",), tell=told.append)
    assert found.total == 4
    assert found.failures == {("options", "no JSON document: Expecting value: line # column # (char #)"): [7, 8, 9, 10]}
    assert told[0] == "FAILED options: no JSON document: Expecting value: line 1 column 1 (char 0); seed 7"
    assert told[2::3] == ["2 attacks, to seed 8: 2 failed", "4 attacks, to seed 10: 4 failed"]


@pytest.mark.parametrize("network", range(len(fuzz.NETWORKS)))
def test_right_gradients_are_confirmed(network, path):
    write(path, fuzz.right_model(network))
    assert fuzz.outcome(path) == "right"
    write(path, {**fuzz.right_model(network), "hidden": np.array("sin")})
    assert fuzz.confirmed(path) == "right, not held against anything"


# What Python would make of a file, judged before it is made.


def raw(shape, descr, body=b"", *, spaces=0):
    """Return the bytes of an .npy whose header says what it likes; with spaces its length is that of version 2."""
    header = (
        b"{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr.encode(), shape.encode()) + b" " * spaces + b"\n"
    )
    version, length = (b"\2\0", len(header).to_bytes(4, "little")) if spaces else (b"\1\0", len(header).to_bytes(2, "little"))
    return b"\x93NUMPY" + version + length + header + body


BOMBS = {
    "params": (raw("(10000000,)", "|S0"), "params holds 10,000,000 entries without a byte"),
    "cache": (raw("(10000000,)", "<U0"), "cache holds 10,000,000 entries without a byte"),
    "b1": (raw("(4,)", "<f8", bytes(32), spaces=2**25), "its header has 33,554,"),
    "hidden": (raw("()", "<U8000000", bytes(32_000_000)), "hidden takes 32,000,000 bytes"),
    "output": (raw("(0,)", "<U8000000"), "output takes 32,000,000 bytes"),
    "grads": (raw("(8000000,)", "|S4", bytes(32_000_000)), "grads takes 32,000,000 bytes"),
    "l2": (raw("(4000000,)", "<f8", bytes(32_000_000)), "l2 takes 32,000,000 bytes"),
    "class_weights": (raw("(4000000,)", "<i8", bytes(32_000_000)), "class_weights takes 32,000,000 bytes"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_become_many_objects_of_python_is_refused_by_its_header(path, name):
    """Files of some kilobytes that would take gigabytes, were they a hundred times larger than is quick to write here."""
    data, expected = BOMBS[name]
    path.write_bytes(fuzz.zipped(fuzz.members(fuzz.wrong_model()) | {f"{name}.npy": data}, zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 2**17
    complaint, peak = refused(path)
    assert expected in complaint
    assert peak < 2**23


def test_data_of_any_size_keep_the_name_of_an_item(path):
    """A matrix called l2 is the activations of the second layer, and 200,000 examples may have a weight each."""
    many = np.ones((200_000, 1))
    one = np.ones((1, 1))
    contents = {"W1": one, "dW1": one, "X": many, "Y": many, "l2": np.ones((200_000, 2)), "sample_weight": many[:, 0], **LINEAR}
    write(path, {**contents, "layout": "rows"})
    assert modelfile.load(path).example_weights.size == len(many)


def test_more_numbers_of_an_item_than_python_should_make_are_refused(path):
    one = np.ones((1, 1))
    write(path, {"W1": one, "dW1": one, "X": one, "Y": one, **LINEAR, "example_weights": np.ones(2**22 + 1)})
    with pytest.raises(InputError, match="found 4,194,305, and 4,194,304 are the most"):
        modelfile.load(path)


@pytest.mark.parametrize("shape", ["(100000000000000000000000000, 0)", "(True, 4)", f"({'1, ' * 40})"])
def test_shapes_that_no_array_has(path, shape):
    path.write_bytes(fuzz.zipped(fuzz.members(fuzz.wrong_model()) | {"b1.npy": raw(shape, "<f8", bytes(32))}))
    assert "b1 is not a plain array (dtype float64, shape (" in refused(path)[0]


@pytest.mark.parametrize("name", ["hidden", "loss", "params", "l2", "keep_prob", "inverted", "layout"])
def test_a_text_of_numbers_that_are_no_characters(path, name):
    body = (0x110000).to_bytes(4, "little") * 4
    path.write_bytes(fuzz.zipped(fuzz.members(fuzz.wrong_model()) | {f"{name}.npy": raw("()", "<U4", body)}))
    assert f"{name} is damaged: it holds numbers that are no characters" in refused(path)[0]


def test_text_of_bytes_that_are_no_text(path):
    assert (
        "hidden must be text; it holds bytes that are none" in refused(path, {**fuzz.wrong_model(), "hidden": b"\xfftanh"})[0]
    )


@pytest.mark.parametrize("name", ["W" + "1" * 5000, "a" * 60_000])
def test_a_name_longer_than_any_file_has(path, name):
    assert "is longer than the 255 characters that a name may have" in refused(path, {**fuzz.wrong_model(), name: 1.0})[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_only_a_regular_file_is_read(tmp_path, kind):
    """In a process of its own: to open a pipe that nobody writes into takes for ever."""
    if kind == "pipe":
        os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "fastgrad_cli", "check", str(tmp_path / kind), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, start_new_session=True)
    complaint = json.loads(done.stdout)["error"]
    assert "is a device, a pipe or a socket" in complaint


# What is written.


def _save(path, *, force):
    if force:
        return CliRunner().invoke(main, ["gradient", "model.npz", "--to", str(path), "--force"]).output
    with pytest.raises(InputError) as caught:
        fastgrad.save(path, [np.ones((1, 1))], X=np.ones((2, 1)), Y=np.ones((2, 1)), **LINEAR)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model in it, to work in."""
    monkeypatch.chdir(tmp_path)
    write("model.npz", fuzz.wrong_model())
    return tmp_path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
@pytest.mark.parametrize("force", [False, True])
def test_only_a_regular_file_is_replaced(folder, force):
    os.mkfifo("pipe.npz")
    Path("folder.npz").mkdir()
    assert "pipe.npz: this is a device, a pipe or a socket" in _save("pipe.npz", force=force)
    assert stat.S_ISFIFO(os.stat("pipe.npz").st_mode)
    assert "folder.npz: this is a folder" in _save("folder.npz", force=force)


def test_a_link_is_followed_only_by_force(folder):
    Path("mine").write_text("mine", encoding="utf-8")
    Path("link.npz").symlink_to("mine")
    assert "link.npz: this is a symbolic link, which is not followed" in _save("link.npz", force=False)
    assert Path("mine").read_text(encoding="utf-8") == "mine"
    assert "Wrote link.npz" in _save("link.npz", force=True)
    assert Path("link.npz").is_symlink()
    assert zipfile.is_zipfile("mine")
    Path("nowhere.npz").symlink_to("elsewhere")
    assert "symbolic link" in CliRunner().invoke(main, ["gradient", "model.npz", "--to", "nowhere.npz"]).output
    assert not Path("elsewhere").exists()


def test_a_demo_does_not_write_through_a_link(folder):
    Path("planted.npz").symlink_to("elsewhere")
    assert "planted.npz: this is a symbolic link" in CliRunner().invoke(main, ["demo", "planted"]).output
    assert not Path("elsewhere").exists()


def test_the_permissions_of_a_file_stay(folder):
    os.chmod("model.npz", 0o640)
    fastgrad.save("model.npz", [np.ones((1, 1))], X=np.ones((2, 1)), Y=np.ones((2, 1)), **LINEAR)
    assert stat.S_IMODE(os.stat("model.npz").st_mode) == 0o640


@pytest.mark.extra("matplotlib")
def test_a_picture_is_written_whole_or_not_at_all(folder, monkeypatch):
    from matplotlib.figure import Figure

    def full_disk(figure, target, **_):
        with open(target, "wb") if isinstance(target, str | Path) else contextlib.nullcontext(target) as stream:
            stream.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("errors.svg").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(Figure, "savefig", full_disk)
    result = CliRunner().invoke(main, ["check", "model.npz", "--plot", "errors.svg"])
    assert "No space left on device" in result.stderr
    assert Path("errors.svg").read_text(encoding="utf-8") == "mine"
    assert sorted(os.listdir()) == ["errors.svg", "model.npz"]


@pytest.mark.extra("matplotlib")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_a_picture_replaces_only_a_regular_file(folder):
    os.mkfifo("errors.svg")
    assert (
        "errors.svg: this is a device, a pipe or a socket"
        in CliRunner().invoke(main, ["check", "model.npz", "--plot", "errors.svg"]).output
    )


@pytest.mark.extra("matplotlib")
def test_a_name_may_hold_dollar_signs_in_a_picture(path, tmp_path):
    model = fuzz.wrong_model()
    names = {name: rf"$\frac{{{name}$" for name in ("W1", "dW1", "b1", "db1", "W2", "dW2", "b2", "db2")}
    model |= {names[name]: model.pop(name) for name in names}
    model["params"], model["grads"] = ([names[mark + name] for name in ("W1", "b1", "W2", "b2")] for mark in ("", "d"))
    write(path, model)
    result = CliRunner().invoke(main, ["check", str(path), "--plot", str(tmp_path / "errors.svg")])
    assert "Wrote" in result.output
    assert (tmp_path / "errors.svg").stat().st_size > 10_000


# An internal error is a fault, whoever is to blame.

TINY, HUGE = 6.9e-310, 1e308
STRANGE = {
    "gradients as np.empty leaves them": ({"dW1": np.full((4, 3), TINY)}, []),
    "gradients of the smallest number": ({"dW2": np.full((2, 4), 5e-324)}, []),
    "inputs near the largest number": ({"X": np.full((3, 5), HUGE)}, []),
    "inputs near the largest number, gradients too": ({"X": np.full((3, 5), HUGE), "dW1": np.full((4, 3), HUGE)}, []),
    "infinite gradients that are allowed to be": ({"Y": np.full((2, 5), 1e300), "dW1": np.full((4, 3), np.inf)}, []),
    "weights whose squares overflow, along directions": ({"W2": np.full((2, 4), 1e160)}, ["--method", "directional"]),
    "weights next to nothing before a kink": (
        {"W1": np.full((4, 3), 5e-324), "b1": np.zeros((4, 1)), "W2": np.full((2, 4), TINY), "hidden": "relu"},
        [],
    ),
    "an activation with the largest parameter": ({"hidden": "elu:1e308"}, ["--method", "directional"]),
    "everything next to nothing": (
        {name: np.full(np.shape(a), 5e-324) for name, a in fuzz.wrong_model().items() if a.ndim},
        [],
    ),
}


@pytest.mark.parametrize("what", STRANGE)
def test_numbers_that_nobody_would_write_are_no_internal_error(path, capfd, what):
    """Nor does LAPACK, which complains of them on stdout, where nothing but the document may stand."""
    changes, options = STRANGE[what]
    write(path, fuzz.wrong_model() | changes)
    for command in (["check", *options], ["check", *options, "--json"], ["info"], ["info", "--json"]):
        result = CliRunner().invoke(main, [command[0], str(path), *command[1:]])
        assert isinstance(result.exception, SystemExit | None)
        assert "internal error" not in result.output
        assert "please report" not in result.output
        if "--json" in command:
            json.loads(result.stdout, parse_constant=pytest.fail)
    assert capfd.readouterr().out == ""


def test_a_loss_that_is_infinite_is_text_in_the_document(path):
    write(path, fuzz.wrong_model() | {"Y": np.full((2, 5), 1e200)})
    result = CliRunner().invoke(main, ["info", str(path), "--json"])
    assert json.loads(result.stdout)["loss"] == "inf"


@pytest.mark.parametrize("output", ["softsign", "relu", "leaky_relu:0.2"])
@pytest.mark.parametrize("method", ["auto", "preactivation", "directional"])
def test_right_gradients_of_weights_next_to_nothing_stay_right(output, method):
    """Of z = 10⁻³¹⁰ it is known on which side of a kink it lies, but no step fits in between."""
    X, Y = np.array([[1.0, 2.0], [3.0, 1.0], [0.5, 0.25]]), np.array([[1.0], [2.0], [4.0]])
    report = fastgrad.check([np.full((1, 2), TINY)], [-Y.T @ X / 3], X, Y, output=output, loss="squared_error", method=method)
    assert report.verdict == "right"


# What is asked for, and what is repeated of it.


def test_weights_of_classes_that_are_all_zero(path):
    write(path, fuzz.wrong_model() | {"output": "softmax", "loss": "softmax_crossentropy", "Y": np.eye(2)[:, [0, 1, 1, 0, 1]]})
    result = CliRunner().invoke(main, ["check", str(path), "--class-weights", "0,0"])
    assert "class_weights must not all be 0" in result.output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--sample", "101%"], "sample is a share of all parameters, which is 100% at most; found '101%'"),
        (["--method", "directional", "--directions", "1001"], "directions must be a whole number from 1 to 1,000, found 1001"),
        (["--method", "directional", "--directions", "9" * 18], "directions must be a whole number from 1 to 1,000, found 999"),
    ],
)
def test_numbers_that_are_too_large(path, options, complaint):
    write(path, fuzz.wrong_model())
    assert complaint in CliRunner().invoke(main, ["check", str(path), *options]).output


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["check", "FILE", option, LONG]
            for option in (
                *("--hidden", "--activations", "--output", "--loss", "--reduction", "--l2", "--keep-prob", "--layout"),
                *("--params", "--inputs", "--labels", "--bias-column", "--class-weights", "--example-weights"),
                *("--sample", "--seed", "--method", "--scheme", "--step", "--backward", "--plot"),
            )
        ),
        ["check", "FILE", "--hidden", "leaky_relu:0.2" + "0" * 100_000],
        ["check", "FILE", "--backward", f"{LONG}:f"],
        ["check", "FILE", "--backward", f"{LONG}.py:f"],
        ["check", LONG],
        ["check", "FILE", f"--{LONG}"],
        ["gradient", "FILE", "--to", LONG],
        ["explain", LONG],
        ["demo", LONG],
        [LONG],
    ],
    ids=lambda arguments: " ".join(argument[:20] for argument in arguments),
)
def test_long_arguments_are_not_repeated_whole(folder, arguments):
    result = CliRunner().invoke(main, ["model.npz" if argument == "FILE" else argument for argument in arguments])
    assert result.exit_code != 0
    assert "internal error" not in result.output
    assert 0 < len(result.output) < 3000
