"""What is compiled: each kernel once whatever the network, anew when a kernel's source has changed, and said aloud."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgrad
from fastgrad import numerical
from fastgrad.errors import InputError
from fastgrad.judging import directional
from fastgrad.kernels import kernel, launch, native, parameters, sharing
from fastgrad.kernels.records import Activation
from fastgrad.machine import most_threads, run_together
from fastgrad.numerical import propagated
from fastgrad.numerical.methods import BY_ENTRY

import problems
import reference

PACKAGE = Path(fastgrad.__file__).parent
KERNELS = [one for one in vars(launch).values() if isinstance(one, kernel.Kernel)]
PREPARATION = "import sys\nimport numpy as np\nfrom fastgrad.kernels import codes, kernel, launch, native, records\n"
TABULATE = (
    "z, filled, units = np.full((1, 1), 3.0), [np.empty((1, 1)) for _ in range(3)], np.empty((5, 1, 1))\n"
    "identity = records.Activation(codes.IDENTITY, 0.0, codes.EXACT, codes.EXACT, np.empty(0))\n"
    "launch.tabulate_layer(identity, z, *filled, units, 0, 0, 1)\n"
)


def run(script, *arguments, **environment):
    """Run a script in a process of its own; return the words it prints."""
    return completed(script, *arguments, **environment).stdout.split()


def told(script, **environment):
    """Run a script in a process of its own; return the lines on stderr."""
    return completed(script, **environment).stderr.splitlines()


def completed(script, *arguments, **environment):
    command = [sys.executable, "-P", "-c", PREPARATION + script, *arguments]  # -P: of this folder nothing
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)


@pytest.mark.compiled
def test_no_network_and_no_option_makes_a_kernel_compile_twice(problem_of, monkeypatch):
    kernel._machine_code_works()  # loads a kernel that no network needs
    loaded = []
    load = native.load
    monkeypatch.setattr(native, "load", lambda code: loaded.append(code.symbol) or load(code))
    for one in KERNELS:
        one.__dict__.pop("_code", None)
    for seed in range(6):
        case = reference.random_case(seed, loss="squared_hinge" if seed == 5 else None)
        problem = problem_of(case)
        for method in BY_ENTRY:
            numerical.numerical_gradient(problem, method=method, threads=1 + seed % 2)
            numerical.numerical_gradient(problem, method=method, step=1e-4, sample=3, seed=seed)
        directional.check_directions(problems.problem(case, np.ones(case.theta.size)), threads=1)
    assert len(loaded) == len(set(loaded)) <= len(KERNELS) == 18


@pytest.mark.compiled
@pytest.mark.skipif(not native.is_proven(), reason="machine code is not loaded with these versions or here")
def test_what_an_earlier_process_compiled_is_loaded_without_numba(tmp_path):
    script = f"said = []\nwith kernel.announcing(lambda: said.append(1)):\n    {TABULATE.replace(chr(10), chr(10) + '    ')}\n"
    script += "print(len(said), 'numba' in sys.modules, filled[0][0, 0])\n"
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path)) == ["1", "True", "3.0"]
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path)) == ["0", "False", "3.0"]


@pytest.mark.compiled
@pytest.mark.parametrize("dispatched", [False, True])
def test_a_program_that_waits_for_compiling_is_told_once_and_one_that_does_not_is_not(tmp_path, dispatched):
    """The Python call was silent for ten seconds; the command says so at once, and then nobody says it again."""
    through_numba = "kernel._machine_code_works = lambda: False\n" if dispatched else ""
    script = through_numba + "kernel.UNTOLD = {}\nlaunch.sum_rows.address\nlaunch.fill_squares.address\n"
    waits = {"NUMBA_CACHE_DIR": str(tmp_path / "waits")}
    (line,) = told(script.format(0.0), **waits)
    assert line == "fastgrad compiles its kernels for this machine, which takes up to half a minute, and is remembered."
    assert told(script.format(0.0), **waits) == []
    assert told(script.format(1e3), NUMBA_CACHE_DIR=str(tmp_path / "patient")) == []


@pytest.mark.compiled
@pytest.mark.parametrize(("executable", "compiled_here"), [("sys.executable", False), ("'/bin/false'", True), ("None", True)])
def test_a_second_process_compiles_for_who_waits_and_need_not(tmp_path, executable, compiled_here):
    script = (
        f"sys.executable, here, load = {executable}, [], kernel.Kernel._worker.fget\n"
        "kernel.Kernel._worker = property(lambda kernel: here.append(kernel.name) or load(kernel))\n"
        "with kernel.announcing(lambda: print('waits')):\n"
        "    kernel.load_together(launch.tabulate_layer, launch.fill_squares)\n"
        "print('fill_squares' in here, len({*here} - {'probe'}), launch.fill_squares.is_kept())\n"
    )
    words = ["waits", str(compiled_here), str(1 + compiled_here), "True"]
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2") == words
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2") == ["False", "0", "True"]


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
        launch.tabulate_layer(
            Activation(0.5, 0.0, 0, 0, out), *(np.empty((1, 1)) for _ in range(4)), np.empty((5, 1, 1)), 0, 0, 1
        )
    with pytest.raises(ValueError, match="zip"):
        launch.fill_squares(out, 1.0, 0.0)


def test_signatures_are_read():
    kinds = parameters.Parameter.all_of("void(i8, f8, u8[::1], f8[:,::1], b1[::1], f8[:,:,::1])")
    assert [(kind.kind, kind.dimensions) for kind in kinds] == [
        ("i8", None), ("f8", None), ("u8", 1), ("f8", 2), ("b1", 1), ("f8", 3),
    ]  # fmt: skip


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_piece_of_work_is_done_once(threads):
    values, out, pieces = np.full(100, 3.0), np.zeros(100), []

    def prepare(piece, number):
        pieces.append((piece, number))
        some = slice(piece * values.size // number, (piece + 1) * values.size // number)
        return launch.fill_squares.prepare(values[some], 1.0, 2.0**-500, out[some])

    launch.share_out(threads, prepare)
    assert pieces == [(piece, threads) for piece in range(threads)]
    np.testing.assert_array_equal(out, 9.0)


def test_what_fails_beside_is_told_when_all_have_ended():
    ended = []

    def fail():
        raise RuntimeError("beside")

    with pytest.raises(RuntimeError, match="beside"):
        run_together([lambda: ended.append(1), fail, lambda: ended.append(3)])
    with pytest.raises(RuntimeError, match="beside"):
        run_together([fail, lambda: ended.append(4)])
    assert sorted(ended) == [1, 3, 4]


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
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_after_a_fork_the_child_has_threads_of_its_own(problem_of, monkeypatch):
    monkeypatch.setattr(propagated, "PARALLEL_SECONDS", 0.0)  # however little work it is
    problem = problem_of(reference.random_case(0))
    expected = numerical.numerical_gradient(problem, threads=2).values
    child = os.fork()
    if not child:
        signal.alarm(120)  # a child that waits for threads which are not there would wait for ever
        os._exit(0 if np.array_equal(numerical.numerical_gradient(problem, threads=2).values, expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.compiled
def test_long_work_goes_through_prange_with_the_same_bits(problem_of, monkeypatch):
    monkeypatch.setattr(propagated, "PARALLEL_SECONDS", 0.0)  # however little work it is
    problem = problem_of(reference.random_case(0))
    found = {}
    for worked in (-np.inf, sharing.WAKING):
        monkeypatch.setattr(sharing.crew, "worked", worked)
        found[worked] = numerical.numerical_gradient(problem, threads=2).values
    assert "fastgrad.kernels.parallel" in sys.modules
    np.testing.assert_array_equal(*found.values())


@pytest.mark.compiled
def test_where_prange_cannot_be_had_other_threads_do_the_work(problem_of, monkeypatch):
    monkeypatch.setattr(propagated, "PARALLEL_SECONDS", 0.0)
    problem = problem_of(reference.random_case(0))
    expected = numerical.numerical_gradient(problem, threads=1).values
    monkeypatch.setattr(sharing.crew, "worked", sharing.WAKING)
    monkeypatch.setattr(sharing, "import_module", lambda name: 1 / 0)
    np.testing.assert_array_equal(numerical.numerical_gradient(problem, threads=2).values, expected)
    assert sharing.crew.worked < 0.0
