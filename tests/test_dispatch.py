"""Kernels through numba's own dispatcher, wherever machine code is not proven: slower to start, the same bits."""

import subprocess
import sys
from pathlib import Path

import llvmlite
import numpy as np
import pytest
from numba.core import config

from fastgrad import numerical
from fastgrad.kernels import kept, kernel, launch, native
from fastgrad.kernels.codes import LINE
from fastgrad.kernels.key import key
from fastgrad.kernels.records import Activation
from fastgrad.numerical import propagated
from fastgrad.numerical.methods import BY_ENTRY

import problems
import reference

pytestmark = pytest.mark.compiled
machine_code = pytest.mark.skipif(not native.is_proven(), reason="machine code is not loaded with these versions or here")
KERNELS = [one for one in vars(launch).values() if isinstance(one, kernel.Kernel)]


@pytest.fixture
def forget():
    """Give the function that makes kernels forget their code; afterwards they find it again as ever."""

    def forget():
        kernel._machine_code_works.cache_clear()
        for one in KERNELS:
            one.__dict__.pop("_code", None)

    yield forget
    forget()


@pytest.fixture
def unproven(forget, monkeypatch):
    """Let the versions here be unknown ones."""
    monkeypatch.setattr(native, "PROVEN", {})
    forget()


def bits():
    """Return what all methods find for some seeded networks, on one and on two threads."""
    found = []
    for seed in range(6):
        problem = problems.problem(reference.random_case(seed, loss="squared_hinge" if seed == 5 else None))
        for method in BY_ENTRY:
            found += [numerical.numerical_gradient(problem, method=method, threads=threads).values for threads in (1, 2)]
            found.append(numerical.numerical_gradient(problem, method=method, step=1e-2, sample=3, seed=seed).values)
    return [one.tobytes() for one in found]


@machine_code
def test_the_same_bits_come_through_numba(forget, monkeypatch):
    monkeypatch.setattr(propagated, "PARALLEL_SECONDS", 0.0)  # however little work it is
    expected = bits()
    assert {type(one._code).__name__ for one in KERNELS if "_code" in one.__dict__} == {"Loaded"}
    monkeypatch.setattr(native, "PROVEN", {})
    forget()
    assert bits() == expected
    assert {type(one._code).__name__ for one in KERNELS if "_code" in one.__dict__} == {"Dispatched"}


def test_the_core_of_the_suite_passes_through_numba():
    script = (
        "import sys, pytest\n"
        "from fastgrad.kernels import launch, native\n"
        "native.PROVEN.clear()\n"
        "quiet = ['-W', 'ignore::pytest.PytestAssertRewriteWarning']  # the plugin's package is imported already\n"
        "code = pytest.main(['-q', '-x', *quiet, '-p', 'no:cacheprovider', sys.argv[1]])\n"
        "sys.exit(code or type(launch.parameter_tiles._code).__name__ != 'Dispatched')\n"
    )
    file = Path(__file__).with_name("test_numerical.py")
    done = subprocess.run([sys.executable, "-c", script, file], cwd=file.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@machine_code
@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (llvmlite, "__version__", "0.43.0"),
        (native, "numba_version", lambda: "0.99.0"),
        (native.sys, "byteorder", "big"),
        (native.sys, "maxsize", 2**31 - 1),
        (native.sys, "platform", "sunos5"),
        (native.platform, "machine", lambda: "riscv64"),
    ],
)
def test_versions_and_platforms_it_was_not_proven_with(monkeypatch, owner, name, value):
    assert native.is_proven()
    monkeypatch.setattr(owner, name, value)
    assert not native.is_proven()


class Silent:
    """Stands for code that was loaded and does nothing."""

    address = 0

    @staticmethod
    def prepare(arguments):
        return lambda: None


def fail(code):
    raise RuntimeError("passes arguments otherwise")


@pytest.mark.parametrize("load", [lambda code: Silent, fail])
def test_a_probe_that_goes_wrong_sends_all_kernels_through_numba(forget, monkeypatch, load):
    monkeypatch.setattr(native, "load", load)
    forget()
    out = np.empty(1)
    launch.fill_squares(np.array([3.0]), 1.0, 0.0, out)
    assert out[0] == 9.0
    assert type(launch.fill_squares._code).__name__ == "Dispatched"


@machine_code
def test_a_kernel_that_cannot_be_loaded_goes_through_numba_alone(forget, monkeypatch):
    load = native.load
    monkeypatch.setattr(native, "load", lambda code: fail(code) if "fill_squares" in code.symbol else load(code))
    forget()
    out = np.empty(1)
    launch.fill_squares(np.array([3.0]), 1.0, 0.0, out)
    assert out[0] == 9.0
    assert [type(one._code).__name__ for one in (launch.fill_squares, launch.tabulate_layer)] == ["Dispatched", "Loaded"]


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
def test_an_array_of_another_type_is_refused_there_too(unproven, values):
    with pytest.raises(TypeError, match="a kernel takes"):
        launch.fill_squares(values, 1.0, 0.0, np.empty(4))


def test_numbers_and_arrays_arrive_there_as_they_are(unproven):
    values, out = np.array([1.0, -2.0]), np.empty(2)
    values.flags.writeable = False
    launch.fill_squares(values, np.float64(0.5), 0, out)
    assert out.tolist() == [0.25, 1.0]
    with pytest.raises(TypeError):
        launch.tabulate_layer(
            Activation(0.5, 0.0, 0, 0, np.empty(0)), *(np.empty((1, 1)) for _ in range(4)), np.empty((5, 1, 1)), 0, 0, 1
        )
    with pytest.raises(TypeError, match="arguments"):
        launch.fill_squares(out, 1.0, 0.0)
    sums = np.zeros((2, LINE))
    for large in (2**64 - 1, np.uint64(2**64 - 1)):
        launch.signed_products(large, 0, 1, 1, np.ones(16 * 16 * LINE), 1, sums)
    assert np.isfinite(sums).all()


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize(
    "damage", [b"", lambda whole: whole[:-1], lambda whole: whole[:-9] + b"x" + whole[-8:], b"\x80garbage"]
)
def test_a_damaged_file_is_compiled_again_and_replaced(tmp_path, monkeypatch, forget, proven, damage):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    if not proven:
        monkeypatch.setattr(native, "PROVEN", {})
    out = np.empty(1)
    for attempt in range(2):
        forget()
        launch.fill_squares(np.array([3.0]), 1.0, 0.0, out)
        assert out[0] == 9.0
        (file,) = tmp_path.rglob("squares.fill_squares*")
        assert kept.read(key(), file.name) is not None
        if not attempt:
            file.write_bytes(damage(file.read_bytes()) if callable(damage) else damage)
            assert kept.read(key(), file.name) is None


@pytest.mark.parametrize("proven", [True, False])
def test_nothing_is_kept_of_what_a_programs_own_settings_compiled(tmp_path, monkeypatch, forget, proven):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    config.reload_config()  # takes the variable in; when one has changed, numba forgets what a program assigned
    monkeypatch.setattr(config, "BOUNDSCHECK", 1)
    if not proven:
        monkeypatch.setattr(native, "PROVEN", {})
    forget()
    out = np.empty(1)
    launch.fill_squares(np.array([3.0]), 1.0, 0.0, out)
    assert out[0] == 9.0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
