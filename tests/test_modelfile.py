"""The file: what is read comes back as it was written, and what cannot be read safely is refused by name."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest

import fastgrad
from fastgrad import machine
from fastgrad.errors import InputError
from fastgrad.reading import Description, QuestionError, interpret_parts, modelfile
from fastgrad.reading.description import ask
from fastgrad.reading.formats import load_arrays
from fastgrad.reading.modelfile import load, save, save_arrays

SAID = {"hidden": "tanh", "output": "identity", "loss": "squared_error"}


def network(seed=0):
    """Return parameters, gradients, X and Y of a 3-4-2 network, examples in columns."""
    rng = np.random.default_rng(seed)
    shapes = {"W1": (4, 3), "b1": (4, 1), "W2": (2, 4), "b2": (2, 1)}
    parameters, gradients = (
        {f"{mark}{name}": rng.standard_normal(shape) for name, shape in shapes.items()} for mark in ("", "d")
    )
    return parameters, gradients, rng.standard_normal((3, 5)), rng.standard_normal((2, 5))


def model(**changes):
    parameters, gradients, X, Y = network()
    return {**parameters, **gradients, "X": X, "Y": Y, **SAID, **changes}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def assert_same(problem, other):
    assert problem.network == other.network
    assert [tensor.name for tensor in problem.tensors] == [tensor.name for tensor in other.tensors]
    for name in ("theta", "X", "Y", "claimed"):
        np.testing.assert_array_equal(getattr(problem, name), getattr(other, name))


# What is taken.


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed, lambda path, **arrays: save_arrays(path, arrays)])
def test_numpys_files_and_fastgrads_own(path, write):
    write(path, **model())
    assert_same(load(path), interpret_parts(*network(), Description(**SAID)))
    assert_same(load(str(path)), load(path))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(24, dtype=">i2").reshape(2, 3, 4)),
        np.float32(0.1),
        np.empty((0, 3)),
        np.array("tanh"),
        np.array(["a", "bc"]),
        np.array([True, False]),
        np.arange(10.0)[::3],
        np.array(""),
    ],
)
def test_arrays_come_back_as_they_were(path, array):
    for write in (np.savez, np.savez_compressed, lambda path, **arrays: save_arrays(path, arrays)):
        write(path, array=array)
        found = load_arrays(path)["array"]
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)


def test_arrays_of_several_pieces(path, monkeypatch):
    monkeypatch.setattr("fastgrad.reading.formats.npy.CHUNK", 64)
    save_arrays(path, {"x": np.arange(1000.0)})
    np.testing.assert_array_equal(load_arrays(path)["x"], np.arange(1000.0))


def test_the_file_describes_itself_and_options_override_it(path):
    save_arrays(path, model(l2=0.25, penalize_biases=True, reduction="sum", loss_value=3.0))
    problem = load(path)
    assert (problem.network.l2, problem.network.reduction) == ((0.25,) * 4, "sum")
    assert problem.claimed_loss == 3.0
    problem = load(path, Description(l2=0.0, hidden="relu", penalize_biases=False, loss_value=4.0))
    assert (problem.network.l2, problem.claimed_loss) == ((), 4.0)
    assert problem.network.activations == ("relu", "identity")


def test_an_items_name_may_be_that_of_data(path):
    parameters, gradients, X, Y = network()
    contents = {**parameters, **gradients, "inputs": X, "labels": Y, "loss": 2.5, "output": Y, "activations": Y}
    save_arrays(path, {**contents, "params": parameters["W1"], "hidden": X})
    problem = load(path, Description(**SAID))
    assert problem.claimed_loss == 2.5
    np.testing.assert_array_equal(problem.Y, Y.T)


def test_names_may_stand_in_the_file(path):
    parameters, gradients, X, Y = network()
    named = dict(zip("pqrs", parameters.values(), strict=True)) | dict(zip("PQRS", gradients.values(), strict=True))
    items = {"params": "p,q,r,s", "grads": np.array(["P", "Q", "R", "S"]), "inputs": "i", "labels": "o"}
    save_arrays(path, {**named, "i": X, "o": Y, **items, **SAID})
    problem = load(path)
    assert [tensor.gradient_name for tensor in problem.tensors] == ["P", "Q", "R", "S"]


# Saving.


@pytest.mark.parametrize("listed", [False, True])
def test_save_reads_back_as_the_same_problem(path, listed):
    parameters, gradients, X, Y = network()
    if listed:
        parameters, gradients = list(parameters.values()), list(gradients.values())
    save(path, parameters, gradients, X=X, Y=Y, **SAID, l2=0.5)
    assert_same(load(path), interpret_parts(parameters, gradients, X, Y, Description(**SAID, l2=0.5)))
    assert os.listdir(path.parent) == ["model.npz"]


def test_save_keeps_the_users_own_names_shapes_and_types(path):
    parameters, gradients, X, Y = network()
    gradients["dW1"] = gradients["dW1"].astype("f4")
    fastgrad.save(path, parameters, gradients, X, Y, **SAID)
    found = load_arrays(path)
    for name, array in {**parameters, **gradients, "X": X, "Y": Y}.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


def test_save_without_gradients_and_with_the_parameters_own_keys(path):
    parameters, gradients, X, Y = network()
    save(path, parameters, X=X, Y=Y, **SAID)
    assert load(path).claimed is None
    own = dict(zip(parameters, gradients.values(), strict=True))
    save(path, parameters, own, X=X, Y=Y, **SAID)
    assert [tensor.gradient_name for tensor in load(path).tensors][:2] == ["grad_W1", "grad_b1"]
    np.testing.assert_array_equal(load(path).claimed, interpret_parts(*network(), Description(**SAID)).claimed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": "rleu"}, "did you mean relu"),
        ({"hiden": "relu"}, "did you mean hidden"),
        ({"X": None}, "needs the inputs X and the labels Y"),
        ({"X": np.ones((7, 7))}, "W1 .* does not fit X"),
        ({"Y": np.full((2, 5), np.nan)}, "is nan"),
    ],
)
def test_save_writes_nothing_that_cannot_be_checked(path, changes, message):
    parameters, gradients, X, Y = network()
    path.write_text("mine")
    with pytest.raises(InputError, match=message):
        save(path, parameters, gradients, **({"X": X, "Y": Y} | SAID | changes))
    assert path.read_text() == "mine"
    assert os.listdir(path.parent) == ["model.npz"]


def test_writing_is_whole_or_not_at_all(path, monkeypatch):
    path.write_text("mine")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(InputError, match=r"model\.npz: cannot be written: No space left"):
        save_arrays(path, {"x": np.ones(3)})
    monkeypatch.setattr(np.lib.format, "write_array", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_arrays(path, {"x": np.ones(3)})
    assert path.read_text() == "mine"
    assert os.listdir(path.parent) == ["model.npz"]


def test_a_link_stays_a_link(tmp_path, path):
    save_arrays(path, {"x": 1.0})
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    save_arrays(link, {"x": 2.0}, follow=True)
    assert link.is_symlink()
    assert load_arrays(path)["x"] == 2.0


@pytest.mark.parametrize(
    ("where", "contents", "message"),
    [
        ("no/such/folder.npz", {"x": 1.0}, "folder.npz: cannot be written: No such file"),
        ("", {"x": 1.0}, "this is a folder; give the name of a file"),
        ("x.npz", {"cache": np.array([{}])}, "cache holds Python objects"),
        ("x.npz", {"rows": [[1.0], [1.0, 2.0]]}, "rows is no array"),
    ],
)
def test_what_cannot_be_written(tmp_path, where, contents, message):
    with pytest.raises(InputError, match=message):
        save_arrays(tmp_path / where, contents)
    assert os.listdir(tmp_path) == []


# What is refused.


def npy(array=None, header=None, data=None, version=b"\x01\x00"):
    """Return the bytes of an .npy, with another header or other data."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ones(3) if array is None else array, allow_pickle=True)
    if header is None:
        return stream.getvalue()
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + (data or b"")


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as stream:
        for name, contents in members:
            stream.writestr(name, contents)
    return path


class Bomb:
    """What a pickle must never be allowed to do."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (npy(np.array([Bomb()], dtype=object)), r"cache holds Python objects \(a pickle\), which are never loaded"),
        (npy(header=HUGE, data=b"\0" * 80), r"cache is damaged: its header declares 8,000,000,000,000 bytes .* 80 are"),
        (npy(header=HUGE.replace("1000000000000", "-1")), "cache is not a plain array"),
        (npy(np.zeros(3, dtype="f8,i4")), "cache is not a plain array"),
        (npy(header="{'descr': '<f8', 'shape': ("), "cache is truncated or damaged"),
        (npy(header=HUGE, version=b"\x09\x00"), "cache is in a version of the .npy format"),
        (npy()[:-1], "cache is damaged: its header declares 24 bytes"),
        (npy() + b"\0", "cache is damaged: its header declares 24 bytes"),
        (npy()[:40], "cache is truncated or damaged"),
        (b"", "cache is truncated or damaged"),
        (b"text", "cache is truncated or damaged"),
    ],
)
def test_members_that_are_refused(path, contents, message, monkeypatch):
    monkeypatch.chdir(path.parent)
    archive(path, [("cache.npy", contents)])
    with pytest.raises(InputError, match=rf"model\.npz: {message}"):
        load_arrays(path)
    assert os.listdir() == ["model.npz"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "compression", "message"),
    [
        ([], zipfile.ZIP_STORED, "there are no arrays in it"),
        ([("notes.txt", b"mine")], zipfile.ZIP_STORED, "there are no arrays in it"),
        ([("W1.npy", npy()), ("W1.npy", npy())], zipfile.ZIP_STORED, "it holds W1 twice"),
        ([("W1.npy", npy())], zipfile.ZIP_BZIP2, "W1 is compressed in a way"),
    ],
)
def test_archives_that_are_refused(path, members, compression, message):
    archive(path, members, compression)
    with pytest.raises(InputError, match=message):
        load_arrays(path)


def patched(path, places):
    """Change bytes of the entry in the central directory, by offset."""
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\x01\x02")
    for offset, value in places.items():
        data[start + offset : start + offset + len(value)] = value
    path.write_bytes(data)


def test_encrypted(path):
    archive(path, [("W1.npy", npy())])
    patched(path, {8: b"\x01"})
    with pytest.raises(InputError, match="W1 is encrypted"):
        load_arrays(path)


def test_a_directory_that_claims_more_than_the_file_can_hold(path):
    size = 2**31
    header = HUGE.replace("1000000000000", str((size - 80) // 8)).ljust(69)
    archive(path, [("W1.npy", npy(header=header, data=b"\0" * 100))], zipfile.ZIP_DEFLATED)
    patched(path, {24: struct.pack("<I", size)})
    with pytest.raises(InputError, match="W1 is damaged: .* bytes cannot hold 2,147,483,648"):
        load_arrays(path)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_more_than_the_memory_is_refused_before_it_is_taken(path, write, monkeypatch):
    write(path, W1=np.zeros((1000, 1000)), b1=np.zeros(3))
    monkeypatch.setattr(machine, "available_memory", lambda: 1_000_000)
    monkeypatch.setattr(np, "empty", None)
    with pytest.raises(InputError, match=r"the largest is W1 \(1000, 1000\)"):
        load_arrays(path)


def test_memory_is_known():
    assert machine.available_memory() > 2**20


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated(path, write, share):
    write(path, **model())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"model\.npz: this (is not an .npz file|\.npz is truncated)"):
        load_arrays(path)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_any_damaged_byte_is_an_error_or_harmless(path, write):
    write(path, W1=np.arange(30.0))
    data = path.read_bytes()
    for i in range(len(data)):
        path.write_bytes(data[:i] + bytes([data[i] ^ 0x41]) + data[i + 1 :])
        try:
            found = load_arrays(path)
        except InputError:
            continue
        for array in found.values():
            np.testing.assert_array_equal(array, np.arange(30.0))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "this is not an .npz file"),
        (b"hello there, this is text", "this is not an .npz file"),
        (npy(), r"this is a single array \(\.npy\)"),
        (b"\x80\x04\x95\x00\x00", "this looks like a pickle, which is never loaded"),
    ],
)
def test_other_files(path, contents, message):
    path.write_bytes(contents)
    with pytest.raises(InputError, match=message):
        load(path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"no\.npz: there is no such file"):
        load(tmp_path / "no.npz")
    with pytest.raises(InputError, match=r"there are no \.npy files in this folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W2": np.ones((2, 5))}, r"model\.npz: W2 \(2, 5\) does not follow W1"),
        ({"hidden": "rleu"}, r"model\.npz: unknown activation 'rleu'"),
        ({"l2": "much"}, r"model\.npz: l2 must be a number"),
        ({"W1": np.array([["a"]])}, r"model\.npz: W1 must hold real numbers, found text"),
    ],
)
def test_every_complaint_names_the_file(path, changes, message):
    save_arrays(path, model(**changes))
    with pytest.raises(InputError, match=message):
        load(path)


def test_everything_is_asked_at_once(tmp_path):
    """Square arrays under odd names, and nothing said of the network: one question, and its answer is all that it takes."""
    rng = np.random.default_rng(3)
    arrays = {"W1": rng.normal(size=(4, 4)), "b1": rng.normal(size=4), "W2": rng.normal(size=(4, 4)), "b2": rng.normal(size=4)}
    arrays |= {f"d{name}": array for name, array in arrays.items()}
    path = tmp_path / "my model.npz"
    np.savez(path, **arrays, foo=rng.normal(size=(4, 7)), bar=np.resize([0.0, 1.0], (4, 7)))
    with pytest.raises(QuestionError) as caught:
        modelfile.load(path, Description(l2=0.5))
    assert caught.value.examples.keys() == {"inputs", "labels", "hidden", "output", "loss"}
    said = {**caught.value.examples, "inputs": "foo", "labels": "bar"}
    with pytest.raises(QuestionError) as caught:
        modelfile.load(path, Description(**{**said, "hidden": None}))
    assert caught.value.examples == {"hidden": "tanh", "layout": "columns,out_in"}
    assert modelfile.load(path, Description(**said, layout="columns,out_in")).samples == 7


def test_a_default_holds_where_the_file_says_nothing_itself(path):
    """In whichever of two forms an item is said, the file's stands; what is said for this one file stands before it."""
    labels = {"Y": np.array([1, 2, 1, 1, 2]), "output": "softmax", "loss": "softmax_crossentropy"}
    save_arrays(path, model(hidden="tanh", first_label=1, **labels))
    network = modelfile.load(path, None, None, Description(activations="relu,sigmoid", l2=0.5, classes="2,3")).network
    assert network.activations[0] == "tanh"
    assert any(network.l2)
    network = modelfile.load(path, Description(hidden="gelu"), None, Description(hidden="relu")).network
    assert network.activations[0] == "gelu"


def test_one_number_is_suggested_as_a_number():
    assert "(in Python keep_prob=0.8;" in str(ask("what share", "keep_prob"))
    assert "(in Python layout='rows';" in str(QuestionError("which", {"layout": "rows"}))
    assert "(in Python classes='-1,1';" in str(ask("which", "classes"))


@pytest.mark.parametrize("beside", [(), ("X", "Y")])
def test_parameters_in_the_second_file_are_no_gradients(path, tmp_path, beside):
    arrays = model()
    save_arrays(path, arrays)
    names = [name for name in arrays if name[0] in "Wb"]
    second = tmp_path / "second.npz"
    np.savez(second, **{name: arrays[name] for name in (*names, *beside)})
    with pytest.raises(
        InputError, match=rf"second\.npz: there are no gradients in it: its {', '.join(names)} are the parameters"
    ):
        modelfile.load(path, None, second)
    np.savez(second, **{name: 2.0 * arrays[name] for name in names}, **{name: arrays[name] for name in beside})
    if beside:
        with pytest.raises(InputError, match=r"beside X, Y, .* are taken for parameters; if they are gradients, call them dW1"):
            modelfile.load(path, None, second)
    else:
        np.testing.assert_array_equal(modelfile.load(path, None, second).claimed[:2], 2.0 * arrays["W1"].ravel()[:2])


@pytest.mark.parametrize(("X", "Y"), [("batch_x", "batch_y"), ("img", "target_vector"), ("xb", "yb")])
def test_names_of_a_batch(tmp_path, X, Y):
    np.savez(tmp_path / "m.npz", W=np.ones((2, 3)), **{X: np.ones((5, 3)), Y: np.ones((5, 2))})
    assert modelfile.load(tmp_path / "m.npz", Description(output="identity", loss="MSELoss")).samples == 5
