"""What is compiled: each kernel once whatever the network, anew when a kernel's source has changed, and said aloud."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgrad
from fastgrad import numerical
from fastgrad.errors import InputError
from fastgrad.judging import directional
from fastgrad.kernels import launch, native, sharing
from fastgrad.kernels.records import Activation
from fastgrad.machine import most_threads
from fastgrad.numerical import propagated
from fastgrad.numerical.methods import METHODS

import problems
import reference

PACKAGE = Path(fastgrad.__file__).parent
KERNELS = [one for one in vars(launch).values() if isinstance(one, native.Kernel)]
PREPARATION = "import sys\nimport numpy as np\nfrom fastgrad.kernels import codes, launch, native, records\n"
TABULATE = (
    "z, filled, units = np.full((1, 1), 3.0), [np.empty((1, 1)) for _ in range(3)], np.empty((5, 1, 1))\n"
    "identity = records.Activation(codes.IDENTITY, 0.0, codes.EXACT, codes.EXACT, np.empty(0))\n"
    "launch.tabulate_layer(identity, z, *filled, units, 0)\n"
)


def run(script, **environment):
    """Run a script in a process of its own; return the words it prints."""
    command = [sys.executable, "-P", "-c", PREPARATION + script]  # -P: of this folder nothing
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.compiled
def test_no_network_and_no_option_makes_a_kernel_compile_twice(problem_of, monkeypatch):
    loaded = []
    load = native._load
    monkeypatch.setattr(native, "_load", lambda code: loaded.append(code.symbol) or load(code))
    for kernel in KERNELS:
        kernel.__dict__.pop("_loaded", None)
    for seed in range(6):
        case = reference.random_case(seed, loss="squared_hinge" if seed == 5 else None)
        problem = problem_of(case)
        for method in METHODS:
            numerical.numerical_gradient(problem, method=method, threads=1 + seed % 2)
            numerical.numerical_gradient(problem, method=method, step=1e-4, sample=3, seed=seed)
        directional.check_directions(problems.problem(case, np.ones(case.theta.size)), threads=1)
    assert len(loaded) == len(set(loaded)) <= len(KERNELS) == 13


@pytest.mark.compiled
def test_what_an_earlier_process_compiled_is_loaded_without_numba(tmp_path):
    script = f"said = []\nwith native.announcing(lambda: said.append(1)):\n    {TABULATE.replace(chr(10), chr(10) + '    ')}\n"
    script += "print(len(said), 'numba' in sys.modules, filled[0][0, 0])\n"
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path)) == ["1", "True", "3.0"]
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path)) == ["0", "False", "3.0"]


@pytest.mark.compiled
@pytest.mark.parametrize(("executable", "compiled_here"), [("sys.executable", False), ("'/bin/false'", True), ("None", True)])
def test_a_second_process_compiles_for_who_waits_and_need_not(tmp_path, executable, compiled_here):
    script = (
        f"sys.executable, here, load = {executable}, [], native.Kernel._worker.fget\n"
        "native.Kernel._worker = property(lambda kernel: here.append(kernel.name) or load(kernel))\n"
        "with native.announcing(lambda: print('waits')):\n"
        "    native.load_together(launch.tabulate_layer, launch.fill_squares)\n"
        "print('fill_squares' in here, len(here), launch.fill_squares.is_kept())\n"
    )
    words = ["waits", str(compiled_here), str(1 + compiled_here), "True"]
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2") == words
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2") == ["False", "0", "True"]


@pytest.mark.compiled
def test_a_damaged_file_is_compiled_again(tmp_path):
    script = TABULATE + "print(filled[0][0, 0])\n"
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path)) == ["3.0"]
    (file,) = tmp_path.rglob("tabulate.layer")
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b"", b"[]\n", whole[:40] + b"x" + whole[41:]):
        file.write_bytes(damaged)
        assert run(script, NUMBA_CACHE_DIR=str(tmp_path)) == ["3.0"]
        assert native.MachineCode.from_bytes(file.read_bytes()) is not None


@pytest.mark.compiled
def test_a_kernel_that_cannot_be_kept_still_runs(tmp_path):
    script = (
        "from pathlib import Path\n"
        "def full(file, content):\n    raise OSError(28, 'No space left on device')\n"
        "Path.write_bytes = full\n"
    )
    assert run(script + TABULATE + "print(filled[0][0, 0])\n", NUMBA_CACHE_DIR=str(tmp_path)) == ["3.0"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.compiled
def test_a_changed_helper_is_never_served_from_the_cache(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "fastgrad", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    script = TABULATE + "print(filled[0][0, 0])\n"
    assert run(script, **environment) == ["3.0"]
    source = tmp_path / "fastgrad" / "kernels" / "activations.py"
    text = source.read_text(encoding="utf-8")
    before = os.stat(source)
    changed = text.replace("IDENTITY: compiled(lambda p, z: z,", "IDENTITY: compiled(lambda p, z: -z,")
    assert changed != text
    source.write_text(changed, encoding="utf-8")
    # Even a file that claims to be as old as it was.
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(script, **environment) == ["-3.0"]


@pytest.mark.compiled
@pytest.mark.parametrize(
    "values",
    [
        np.zeros(4, dtype=np.float32),
        np.zeros((2, 2)),
        np.zeros(8)[::2],
        np.frombuffer(bytes(33), dtype=np.uint8)[1:].view(np.float64),
        np.zeros(4, dtype=">f8"),
    ],
)
def test_an_array_of_another_type_is_refused(values):
    with pytest.raises(TypeError, match="a kernel takes"):
        launch.fill_squares(values, 1.0, 0.0, np.empty(4))


@pytest.mark.compiled
def test_numbers_and_arrays_arrive_as_they_are():
    out = np.empty(3)
    launch.fill_squares(np.array([1.0, -2.0, 1e-200]), 0.5, 2.0**-500, out)
    np.testing.assert_array_equal(out, [0.25, 1.0, 2.0**-500])
    with pytest.raises(TypeError):
        launch.tabulate_layer(Activation(0.5, 0.0, 0, 0, out), *(np.empty((1, 1)) for _ in range(4)), np.empty((5, 1, 1)), 0)
    with pytest.raises(ValueError, match="zip"):
        launch.fill_squares(out, 1.0, 0.0)


def test_signatures_are_read():
    kinds = native.Parameter.all_of("void(i8, f8, u8[::1], f8[:,::1], b1[::1], f8[:,:,::1])")
    assert [(kind.kind, kind.dimensions) for kind in kinds] == [
        ("i8", None), ("f8", None), ("u8", 1), ("f8", 2), ("b1", 1), ("f8", 3),
    ]  # fmt: skip


def squares_of(values, threads):
    """Square numbers by a crew that has just come, in as many pieces as it likes; return the squares and the pieces."""
    out, pieces, crew = np.zeros(values.size), [], sharing.Crew()

    def prepare(piece, number):
        pieces.append(number)
        some = slice(piece * values.size // number, (piece + 1) * values.size // number)
        return launch.fill_squares.prepare(values[some], 1.0, 2.0**-500, out[some])

    return lambda: crew.share_out(threads, prepare), crew, out, pieces


@pytest.mark.compiled
def test_one_thread_goes_on_alone_until_the_others_pay():
    values = np.arange(1.0, 1001.0)
    share_out, crew, out, pieces = squares_of(values, 2)
    share_out()
    assert pieces == [1]
    np.testing.assert_array_equal(out, np.square(values))
    assert 0.0 < crew.alone < sharing.WAKING
    out[:], crew.alone = 0.0, sharing.WAKING
    share_out()
    assert pieces == [1, 2, 2]
    np.testing.assert_array_equal(out, np.square(values))


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_piece_of_work_is_done_once(threads):
    share_out, crew, out, pieces = squares_of(np.full(100, 3.0), threads)
    crew.wake()
    share_out()
    assert pieces == [threads] * threads
    np.testing.assert_array_equal(out, 9.0)


@pytest.mark.parametrize("said", ["0", "two", "-1", "2.0"])
def test_a_variable_that_is_no_number_of_threads(monkeypatch, said):
    monkeypatch.setenv("NUMBA_NUM_THREADS", said)
    with pytest.raises(InputError, match="NUMBA_NUM_THREADS must be a whole number of at least 1"):
        most_threads()


def test_threads_as_the_variable_has_them(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert most_threads() == 3
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert most_threads() >= 1


@pytest.mark.compiled
def test_after_a_fork_the_child_works_alone(problem_of, monkeypatch):
    monkeypatch.setattr(propagated, "PARALLEL_SECONDS", 0.0)  # however little work it is
    case = reference.random_case(0)
    problem = problem_of(case)
    expected = numerical.numerical_gradient(problem, threads=2).values
    child = os.fork()
    if not child:
        same = sharing.crew.ready(2) == 1 and np.array_equal(numerical.numerical_gradient(problem, threads=2).values, expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert sharing.crew.ready(2) == 2


def test_a_folder_of_somebody_else_holds_no_code(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    (tmp_path / "fastgrad").mkdir()
    assert native.cache_folder.__wrapped__().parent == tmp_path / "fastgrad"
    (tmp_path / "fastgrad").chmod(0o777)
    folder = native.cache_folder.__wrapped__()
    assert folder is None or folder.parent != tmp_path / "fastgrad"


def test_who_has_no_home_keeps_code_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert native.cache_folder.__wrapped__() is not None
    assert list(tmp_path.iterdir()) == []
