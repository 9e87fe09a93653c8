"""Files other than .npz: each written by the library that people write it with, and read to the same problem."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fastgrad import InputError, machine
from fastgrad.reading import Description, modelfile
from fastgrad.reading.formats import FORMATS, hdf5, load_arrays
from fastgrad.teaching.demo import DEMOS
from fastgrad_cli.main import main

SAID = {"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
DRAW = np.random.default_rng(7)
SHAPES = {"W1": (4, 3), "b1": (4,), "W2": (2, 4), "b2": (2,), "X": (5, 3)}
MODEL = {name: DRAW.normal(size=shape) for name, shape in SHAPES.items()}
MODEL |= {"Y": DRAW.integers(2, size=(5, 2)), "dW1": DRAW.normal(size=(4, 3)), "db1": DRAW.normal(size=4)}
MODEL |= {"dW2": DRAW.normal(size=(2, 4)), "db2": DRAW.normal(size=2)}


def write_folder(path, arrays, said):
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    (path / "description.json").write_text(json.dumps(said), encoding="utf-8")


def write_json(path, arrays, said):
    path.write_text(json.dumps({**{name: array.tolist() for name, array in arrays.items()}, **said}), encoding="utf-8")


def write_safetensors(path, arrays, said):
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata=said)


def write_mat(path, arrays, said):
    from scipy.io import savemat

    savemat(path, {**arrays, **said})


def write_h5(path, arrays, said):
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update(said)
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip" if array.size > 4 else None)


WRITERS = [
    pytest.param("model", write_folder, id="folder"),
    pytest.param("model.json", write_json, id="json"),
    pytest.param("model.safetensors", write_safetensors, id="safetensors", marks=pytest.mark.extra("safetensors")),
    pytest.param("model.mat", write_mat, id="mat", marks=pytest.mark.extra("scipy")),
    pytest.param("model.h5", write_h5, id="h5", marks=pytest.mark.extra("h5py")),
]


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_the_same_problem_in_every_format(tmp_path, name, write):
    np.savez(tmp_path / "model.npz", **MODEL, **SAID)
    write(tmp_path / name, MODEL, SAID)
    expected, found = (modelfile.load(tmp_path / file) for file in ("model.npz", name))
    assert found.network == expected.network
    for part in ("theta", "X", "Y", "claimed"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


KNOWN_BY_BEGINNING = [writer for writer in WRITERS if writer.id not in ("folder", "safetensors")]
"""A folder has no beginning, and that of safetensors is a number."""


@pytest.mark.parametrize(("name", "write"), KNOWN_BY_BEGINNING)
def test_every_format_is_known_by_its_beginning_too(tmp_path, name, write):
    write(tmp_path / name, MODEL, SAID)
    (tmp_path / name).rename(tmp_path / "model.data")
    np.testing.assert_array_equal(np.ravel(load_arrays(tmp_path / "model.data")["b1"]), MODEL["b1"])


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_a_truncated_file_is_a_sentence(tmp_path, name, write):
    write(tmp_path / name, MODEL, SAID)
    file = tmp_path / name
    if file.is_dir():
        file = file / "W1.npy"
    whole = file.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.9, 0.999):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError) as complaint:
            modelfile.load(tmp_path / name)
        assert name in str(complaint.value)
        assert "internal" not in str(complaint.value)


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_any_damaged_byte_is_an_error_or_harmless(tmp_path, name, write):
    write(tmp_path / name, MODEL, SAID)
    file = tmp_path / name
    if file.is_dir():
        file = file / "W1.npy"
    whole, draw = file.read_bytes(), np.random.default_rng(3)
    for place in draw.integers(len(whole), size=10 if name.endswith(".h5") else 150).tolist():  # that starts a process each
        file.write_bytes(whole[:place] + bytes([int(draw.integers(256))]) + whole[place + 1 :])
        try:
            modelfile.load(tmp_path / name)
        except InputError:
            continue


@pytest.mark.parametrize(("name", "write"), [writer for writer in WRITERS if writer.id not in ("folder", "safetensors")])
def test_more_than_the_memory_is_refused(tmp_path, name, write, monkeypatch):
    write(tmp_path / name, MODEL | {"X": np.zeros((4000, 3))}, SAID)
    monkeypatch.setattr(machine, "available_memory", lambda: 100_000)
    with pytest.raises(InputError, match=r"of memory are free"):
        load_arrays(tmp_path / name)


def test_one_row_for_each_format():
    assert len({row.name for row in FORMATS}) == len(FORMATS)
    assert len({row.read for row in FORMATS}) == len(FORMATS)


@pytest.mark.extra("h5py")
def test_hdf5s_library_may_crash(tmp_path, monkeypatch):
    """A damaged byte ends the process that it runs in; here the process of the reader ends by itself."""
    write_h5(tmp_path / "model.h5", MODEL, SAID)
    (tmp_path / "h5py.py").write_text("import os\nos.abort()\n", encoding="utf-8")
    monkeypatch.setattr(hdf5, "library", lambda name, what: None)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(InputError, match=r"model\.h5: this HDF5 file is damaged: the library that reads it crashed"):
        load_arrays(tmp_path / "model.h5")


# JSON.


def read_json(tmp_path, text):
    (tmp_path / "model.json").write_text(text, encoding="utf-8")
    return load_arrays(tmp_path / "model.json")


def test_layers_in_json_are_taken_apart(tmp_path):
    layers = [{"W": MODEL["W1"].tolist(), "b": MODEL["b1"].tolist()}, {"W": MODEL["W2"].tolist(), "b": MODEL["b2"].tolist()}]
    claimed = [{"W": MODEL["dW1"].tolist(), "b": MODEL["db1"].tolist()}, {"W": MODEL["dW2"].tolist(), "b": None}]
    document = {"layers": layers, "grads": claimed, "X": MODEL["X"].tolist(), "Y": MODEL["Y"].tolist(), **SAID}
    (tmp_path / "model.json").write_text(json.dumps(document), encoding="utf-8")
    problem = modelfile.load(tmp_path / "model.json")
    assert problem.network.widths == (3, 4, 2)
    assert [tensor.gradient_name for tensor in problem.tensors] == ["grads.0.W", "grads.0.b", "grads.1.W", None]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "this is not JSON"),
        ("[1, 2]", "this is JSON of a list; expected an object"),
        ('{"W1": [[1, 2], [3]]}', "W1 is no array: its rows differ in length"),
        ('{"W1": [1, [2]]}', "W1 holds [2] where a number is expected"),
        ('{"W1": [[2], 1]}', "W1 is no array: its rows differ in length, or numbers stand beside lists"),
        ('{"W1": [1, "2"]}', "W1 holds '2' where a number is expected"),
        ('{"W1": [1, null]}', "W1 holds None where a number is expected"),
        ('{"W1": [1], "W1": [2]}', "it holds 'W1' twice"),
        ('{"W1": ' + "[" * 40 + "]" * 40 + "}", "W1 is no array"),
        ('{"W1": ' + "[" * 100_000 + "]" * 100_000 + "}", "this is not JSON (too many lists in one another)"),
        ("{" + '"a": {' * 40 + "}" * 41, "lies in more than 32 objects"),
        ('{"hidden": "' + "x" * 2000 + '"}', "hidden holds a text of 2,000 characters"),
        ('{"W1": ' + "9" * 5000 + "}", "this is not JSON"),
        ('{"W1": {}}', "there are no arrays in it"),
        (json.dumps({f"a{k}": 0 for k in range(10_001)}), "it holds 10,001 arrays"),
        (json.dumps({"params": ["W" * 250] * 3000}), "params takes 3,000,000 bytes"),
    ],
)
def test_what_is_refused_in_json(tmp_path, text, complaint):
    with pytest.raises(InputError) as error:
        read_json(tmp_path, text)
    assert complaint in str(error.value)
    assert len(str(error.value)) < 1000


def test_numbers_of_json(tmp_path):
    found = read_json(tmp_path, '{"a": [1, 2], "b": [1, 2.5], "c": [1e400, -Infinity, NaN], "d": 1%s, "e": true}' % ("0" * 400))
    assert found["a"].dtype == np.int64
    np.testing.assert_array_equal(found["b"], [1.0, 2.5])
    np.testing.assert_array_equal(found["c"], [np.inf, -np.inf, np.nan])
    assert found["d"] == np.inf
    assert found["e"].dtype == bool


# Folders.


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match=r"there are no \.npy files in this folder; each array is to be a file, W1\.npy"):
        load_arrays(tmp_path)
    np.save(tmp_path / "W1.npy", np.ones(3))
    np.save(tmp_path / "b1.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(InputError, match="b1 holds Python objects"):
        load_arrays(tmp_path)
    (tmp_path / "b1.npy").unlink()
    os.mkfifo(tmp_path / "b1.npy")
    with pytest.raises(InputError, match="this is a device, a pipe or a socket"):
        load_arrays(tmp_path)
    (tmp_path / "b1.npy").unlink()
    (tmp_path / "description.json").write_text('{"W1": 3}', encoding="utf-8")
    with pytest.raises(InputError, match=r"W1 stands in description\.json and is an array of its own as well"):
        load_arrays(tmp_path)
    (tmp_path / "description.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"description\.json: this is not JSON"):
        load_arrays(tmp_path)


# Pickles, and what is no file.


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin"])
def test_pickles_are_told_to_become_safetensors(tmp_path, suffix):
    (tmp_path / f"model{suffix}").write_bytes(b"\x80\x04anything")
    with pytest.raises(InputError, match="are pickles, which run code when they are loaded; write the tensors"):
        load_arrays(tmp_path / f"model{suffix}")


def test_a_keras_archive_is_told_to_become_weights(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"save_weights\('model\.weights\.h5'\)"):
        load_arrays(tmp_path / "model.keras")


@pytest.mark.parametrize(("suffix", "module"), [(".h5", "h5py"), (".safetensors", "safetensors")])
def test_a_library_that_is_missing_is_named(tmp_path, suffix, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    (tmp_path / f"model{suffix}").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(InputError, match=r"pip install 'fastgrad\[files\]'"):
        load_arrays(tmp_path / f"model{suffix}")


# The command.


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Stand in a folder; return the arrays and the description of a demo with two wrong gradients."""
    monkeypatch.chdir(tmp_path)
    return DEMOS[0].build()


def run(*arguments, given=None):
    return CliRunner().invoke(main, [*arguments], input=given)


@pytest.mark.parametrize("form", ["npz", "json"])
def test_the_standard_input(planted, form):
    arrays, description = planted
    stream = io.BytesIO()
    if form == "npz":
        np.savez(stream, **arrays, **description)
    else:
        plain = {name: np.asarray(value).tolist() for name, value in {**arrays, **description}.items()}
        stream.write(json.dumps(plain).encode())
    result = run("check", "-", given=stream.getvalue())
    assert result.exit_code == 1, result.output
    assert "2 of" in result.output.splitlines()[0]


@pytest.mark.parametrize("names", [("-", "planted.npz"), ("planted.npz", "-")])
def test_compare_reads_the_standard_input(planted, names):
    arrays, description = planted
    np.savez("planted.npz", **arrays, **description)
    result = run("compare", *names, given=Path("planted.npz").read_bytes())
    assert result.exit_code == 1, result.output
    assert "are both wrong, and the same to rounding" in " ".join(result.output.split())


def test_sizes_that_fit_no_array_are_said_so(planted):
    arrays, description = planted
    np.savez("planted.npz", **arrays, **description)
    told = run("check", "planted.npz", "--sizes", "4,7").output.replace("\n", " ")
    assert "no array has the size of the vector of all parameters" in told


def test_what_cannot_come_in_by_the_standard_input(planted):
    result = run("check", "-", given=b"hello")
    assert result.exit_code == 2
    assert "the standard input: this is neither an .npz nor a JSON object" in result.output
    assert "nothing came in by the standard input" in run("check", "-", given=b"").output
    assert "the standard input has no name: say with --to" in run("gradient", "-", given=b"{}").output.replace("\n", " ")


def test_gradients_in_a_second_file(planted):
    arrays, description = planted
    parameters = {name: value for name, value in arrays.items() if not name.startswith("d")}
    claimed = {name.removeprefix("d"): value for name, value in arrays.items() if name.startswith("d")}
    np.savez("model.npz", **parameters, **description)
    np.savez("same.npz", **claimed)
    np.savez("own.npz", **{f"d{name}": value for name, value in claimed.items()})
    for file in ("same.npz", "own.npz"):
        result = run("check", "model.npz", "--gradients", file, "--json")
        document = json.loads(result.output)
        assert result.exit_code == 1, result.output
        assert [tensor["verdict"] for tensor in document["tensors"]].count("wrong") == len(DEMOS[0].wrong)
    missing = run("check", "model.npz", "--gradients", "none.npz")
    assert missing.exit_code == 2
    assert "none.npz: there is no such file" in missing.output
    np.savez("bare.npz", **parameters)
    asked = run("check", "bare.npz", "--gradients", "same.npz").output.replace("\n", " ")
    assert "fastgrad check bare.npz --gradients same.npz --" in asked


def test_gradients_in_a_second_file_under_given_names(tmp_path):
    odd = {"W1": "first", "b1": "second", "W2": "third", "b2": "fourth"}
    np.savez(tmp_path / "a.npz", **{new: MODEL[old] for old, new in odd.items()}, X=MODEL["X"], Y=MODEL["Y"], **SAID)
    np.savez(tmp_path / "b.npz", **{new: MODEL[f"d{old}"] for old, new in odd.items()})
    problem = modelfile.load(tmp_path / "a.npz", Description(params=tuple(odd.values())), tmp_path / "b.npz")
    np.testing.assert_array_equal(problem.claimed, np.concatenate([MODEL[f"d{name}"].ravel() for name in odd]))


# Files of other libraries.


@pytest.mark.extra("scipy")
def test_what_is_refused_in_a_mat_file(tmp_path):
    from scipy.io import savemat
    from scipy.sparse import csc_array

    for value, complaint in (
        ({"a": 1.0}, "W1 is a struct"),
        (np.array([1.0, "a"], dtype=object), "W1 is a cell array"),
        (csc_array(np.eye(3)), "W1 is a sparse matrix"),
    ):
        savemat(tmp_path / "model.mat", {"W1": value})
        with pytest.raises(InputError, match=complaint):
            load_arrays(tmp_path / "model.mat")


@pytest.mark.extra("h5py")
def test_a_mat_file_of_version_7_3_has_matlabs_axes(tmp_path):
    import h5py

    with h5py.File(tmp_path / "model.mat", "w", userblock_size=512) as file:
        file["W1"] = MODEL["W1"].T
    with open(tmp_path / "model.mat", "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(512))
    np.testing.assert_array_equal(load_arrays(tmp_path / "model.mat")["W1"], MODEL["W1"])


@pytest.mark.extra("h5py")
def test_links_and_filters_of_hdf5_are_not_followed(tmp_path):
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["W1"] = np.ones(3)
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "W1", shape=(3,))

    def external(file):
        file["W1"] = h5py.ExternalLink("other.h5", "W1")

    def virtual(file):
        file.create_virtual_dataset("W1", layout)

    def outside(file):
        file.create_dataset("W1", (3,), dtype="f8", external=[(str(tmp_path / "raw"), 0, 24)])

    def packed(file):
        file.create_dataset("W1", data=np.ones(3), compression="lzf")

    def unwritten(file):
        file.create_dataset("W1", (10_000, 10_000), dtype="f8", chunks=(100, 100))

    for write, complaint in (
        (external, "W1 is a link to somewhere else, which is not followed"),
        (virtual, "W1 lies in other files"),
        (outside, "W1 lies in other files"),
        (packed, "W1 is packed with a filter other than gzip"),
        (unwritten, "W1 is damaged, or was never written"),
    ):
        with h5py.File(tmp_path / "model.h5", "w") as file:
            write(file)
        with pytest.raises(InputError, match=complaint):
            load_arrays(tmp_path / "model.h5")


@pytest.mark.extra("h5py")
def test_keras_weights(tmp_path):
    """Keras 3 names them by layer and number, Keras 2 kernel:0 and bias:0."""
    import h5py

    with h5py.File(tmp_path / "old.h5", "w") as file:
        for layer in range(2, 12):
            file[f"dense_{layer}/dense_{layer}/kernel:0"] = np.full((2, 2), layer)
            file[f"dense_{layer}/dense_{layer}/bias:0"] = np.full(2, layer)
    names = list(load_arrays(tmp_path / "old.h5"))
    assert names[:2] == ["dense_2.dense_2.bias", "dense_2.dense_2.kernel"]
    assert names[-1] == "dense_11.dense_11.kernel"


@pytest.mark.extra("safetensors")
def test_bfloat16_of_safetensors(tmp_path):
    import ml_dtypes

    array = np.array([1.0, 2.5], dtype=ml_dtypes.bfloat16)
    header = json.dumps({"W1": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + array.tobytes())
    np.testing.assert_array_equal(load_arrays(tmp_path / "model.safetensors")["W1"].astype(float), [1.0, 2.5])
