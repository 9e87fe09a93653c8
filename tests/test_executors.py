"""Workers in other processes: the bits of a local run in any order of completion, and sentences for whatever ends them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_store import HOW

import fastgrad
from fastgrad.errors import InputError, Interrupted
from fastgrad.numerical import blocks, numerical_gradient, parameter
from fastgrad.numerical.work import batches, executors, parcel
from fastgrad.walk import check_problem
from fastgrad_cli.main import main

from works import KINDS, Backwards, bits, network, results

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def pool():
    """Give two processes that were started anew."""
    with ProcessPoolExecutor(2, mp_context=SPAWN) as two:
        yield two


@pytest.fixture
def backwards():
    """Give an executor that does the latest first."""
    with Backwards() as executor:
        yield executor


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """Cut work into blocks so short that a small network has many."""
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-12)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Give the folder in which temporary ones are made, alone for this test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", HOW, ids=lambda how: " ".join(map(str, how.values())))
def test_other_processes_give_the_bits_of_this_one(pool, scratch, kind, how):
    problem = network(kind)
    found = numerical_gradient(problem, **how, executor=pool)
    assert bits(found) == bits(numerical_gradient(problem, **how))
    assert found.origin.executor == "ProcessPoolExecutor"
    assert found.origin.parts > 3
    assert list(scratch.iterdir()) == [], "what was written for the workers is gone"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["parameter", "preactivation"])
def test_any_order_of_completion_gives_the_same_bits(backwards, kind, method):
    problem = network(kind)
    found = numerical_gradient(problem, method=method, executor=backwards)
    assert bits(found) == bits(numerical_gradient(problem, method=method))
    assert backwards.order != sorted(backwards.order)


def test_a_report_is_the_same_but_for_its_note_and_its_time(pool):
    problem = network()
    plain, found = (check_problem(problem, executor=executor, diagnosis=False).to_dict() for executor in (None, pool))
    added = [note for note in found["notes"] if note not in plain["notes"]]
    assert added == ["The numerical gradient was made by the workers of a ProcessPoolExecutor, with 1 thread for each task"]
    assert {**found, "notes": plain["notes"], "seconds": plain["seconds"]} == plain


def test_threads_are_an_executor_too():
    problem = network()
    with ThreadPoolExecutor(3) as threads:
        found = numerical_gradient(problem, executor=threads)
    assert bits(found) == bits(numerical_gradient(problem))


def test_arrays_give_the_same_gradient_through_the_public_functions(pool):
    W, X, Y = np.ones((2, 3)), np.arange(15.0).reshape(5, 3), np.ones((5, 2))
    said = {"output": "tanh", "loss": "squared_error", "layout": "rows,out_in"}
    plain, found = (fastgrad.gradient([W], X, Y, executor=executor, **said) for executor in (None, pool))
    (name,) = plain.value
    assert found.value[name].tobytes() == plain.value[name].tobytes()
    assert fastgrad.check([W], [plain.value[name]], X, Y, executor=pool, progress=lambda done, total: None, **said).passed


def test_the_network_travels_in_no_task(backwards):
    """A task carries names and numbers of blocks: it stays small, however large the network is."""
    import pickle

    sizes = []
    submit = backwards.submit
    backwards.submit = lambda *task: sizes.append(len(pickle.dumps(task))) or submit(*task)
    numerical_gradient(network(widths=(300, 40, 3)), method="preactivation", executor=backwards)
    assert 0 < max(sizes) < 2000 < 8 * 300 * 40


def test_parcels_and_results_hold_no_pickles(tmp_path, backwards):
    numerical_gradient(network("dropout"), sample=20, step=1e-3, executor=backwards, store=tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".npy", ".json"}
    for path in files:
        if path.suffix == ".npy":
            np.load(path, allow_pickle=False)


# What workers put into a store.


def test_workers_write_to_the_store_and_go_on_from_it(tmp_path, pool):
    problem = network()
    plain = numerical_gradient(problem, method="parameter")
    assert bits(numerical_gradient(problem, method="parameter", executor=pool, store=tmp_path)) == bits(plain)
    whole = len(results(tmp_path))
    for path in results(tmp_path)[::2]:
        path.unlink()
    left = len(results(tmp_path))
    found = numerical_gradient(problem, method="parameter", executor=pool, store=tmp_path)
    assert bits(found) == bits(plain)
    assert (found.origin.kept, found.origin.parts) == (left, whole)
    alone = numerical_gradient(problem, method="parameter", store=tmp_path)
    assert bits(alone) == bits(plain)
    assert alone.origin.kept == whole


def test_a_store_by_a_relative_name_is_the_same_for_workers_elsewhere(tmp_path, pool, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numerical_gradient(network(), executor=pool, store="parts")
    assert len(results("parts")) > 3


def test_a_store_that_workers_cannot_write_to_is_written_here(tmp_path, backwards, monkeypatch):
    problem = network()
    write, here = executors.Shelf.write, []

    def from_here_only(self, batch, values):
        if sys._getframe(1).f_code.co_name == "_deliver":
            raise InputError("a worker may not")
        here.append(batch)
        write(self, batch, values)

    monkeypatch.setattr(executors.Shelf, "write", from_here_only)
    found = numerical_gradient(problem, executor=backwards, store=tmp_path)
    assert bits(found) == bits(numerical_gradient(problem))
    assert len(here) == len(results(tmp_path)) == found.origin.parts


def test_a_parcel_that_was_damaged_in_the_store_is_written_anew(tmp_path, backwards, monkeypatch):
    problem = network()
    numerical_gradient(problem, method="parameter", executor=backwards, store=tmp_path)
    for path in results(tmp_path):
        path.unlink()
    (theta,) = tmp_path.rglob("theta.npy")
    theta.write_bytes(theta.read_bytes()[:-8])
    monkeypatch.setattr(parcel, "_latest", None)
    found = numerical_gradient(problem, method="parameter", executor=backwards, store=tmp_path)
    assert bits(found) == bits(numerical_gradient(problem, method="parameter"))


# Ctrl-C.


def test_ctrl_c_keeps_what_was_finished_and_ends_the_workers(tmp_path, pool):
    problem = network(widths=(12, 8, 3))

    once = [signal.SIGINT]

    def pressed(done, total):
        if once and 3 * done >= total:
            signal.raise_signal(once.pop())

    began = time.monotonic()
    with pytest.raises(Interrupted) as stopped:
        numerical_gradient(problem, method="textbook", executor=pool, store=tmp_path, progress=pressed)
    plain = numerical_gradient(problem, method="textbook")
    found = stopped.value.finished
    assert 0 < found.selected.size < problem.network.size
    assert np.array_equal(found.values[found.selected], plain.values[found.selected])
    assert list(tmp_path.rglob("wanted-*")) == []
    assert time.monotonic() - began < 20.0
    again = numerical_gradient(problem, method="textbook", executor=pool, store=tmp_path)
    assert again.origin.kept > 0
    assert bits(again) == bits(plain)


def test_a_worker_ends_after_the_block_at_hand_where_nobody_wants_it_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "BATCHES", 1)
    problem = network()
    with Backwards() as executor:
        numerical_gradient(problem, method="parameter", executor=executor, store=tmp_path)
    (batch,) = results(tmp_path)
    whole = np.load(batch).size
    batch.unlink()
    order = seen_order(problem, tmp_path)._replace(flag=str(tmp_path / "wanted"))
    assert executors.deliver(order).values.size == 0
    Path(order.flag).touch()
    run = parameter.ParameterPlan.run

    def lowered(self, *arguments):
        Path(order.flag).unlink(missing_ok=True)
        run(self, *arguments)

    monkeypatch.setattr(parameter.ParameterPlan, "run", lowered)
    found = executors.deliver(order)
    assert 0 < found.values.size < whole
    assert found.stored
    assert np.load(batch).size == found.values.size


def seen_order(problem, store):
    """Return the only order that a run gives."""
    orders = []

    class Listening(Backwards):
        def submit(self, function, *arguments):
            orders.append(arguments[-1])
            return super().submit(function, *arguments)

    with Listening() as executor:
        numerical_gradient(problem, method="parameter", executor=executor, store=store)
    for path in results(store):
        path.unlink()
    (order,) = orders
    return order


# What goes wrong.


def test_what_is_given_back_as_cancelled_is_handed_out_again():
    problem = network()
    with Backwards(cancelled=7) as executor:
        found = numerical_gradient(problem, executor=executor)
    assert bits(found) == bits(numerical_gradient(problem))


def test_what_is_always_given_back_ends_in_a_sentence():
    with Backwards(cancelled=10**6) as executor, pytest.raises(InputError, match="gave the same work back 5 times"):
        numerical_gradient(network(), executor=executor)


def test_a_worker_that_is_killed_ends_in_a_sentence_and_what_is_stored_is_kept(tmp_path):
    problem = network(widths=(12, 8, 3))
    with ProcessPoolExecutor(1, mp_context=SPAWN) as one:
        (worker,) = [one.submit(os.getpid).result()]

        def kill(done, total):
            if worker_is_to_die and 3 * done >= total:
                os.kill(worker_is_to_die.pop(), signal.SIGKILL)

        worker_is_to_die = [worker]
        with pytest.raises(InputError, match="the executor's processes ended before their work was done: one was killed"):
            numerical_gradient(problem, method="textbook", executor=one, store=tmp_path, progress=kill)
    assert len(results(tmp_path)) > 0
    again = numerical_gradient(problem, method="textbook", store=tmp_path)
    assert again.origin.kept > 0
    assert bits(again) == bits(numerical_gradient(problem, method="textbook"))


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (MemoryError(), "a worker has not enough memory"),
        (BrokenExecutor(), "the executor's processes ended before their work was done"),
        (ModuleNotFoundError("No module named 'fastgrad'"), "the workers of the executor failed: ModuleNotFoundError: No mod"),
        (type("KilledWorker", (Exception,), {})(), "several workers of the cluster died over the same work"),
        (type("ClosedClientError", (Exception,), {})(), "the scheduler of the cluster is gone"),
    ],
)
def test_what_a_worker_raises_is_told_in_words(error, complaint, scratch):
    class Failing(Executor):
        def submit(self, *_):
            future = Future()
            future.set_exception(error)
            return future

    with pytest.raises(InputError, match=complaint):
        numerical_gradient(network(), executor=Failing())
    assert list(scratch.iterdir()) == []


def test_a_cluster_that_was_given_up_is_not_waited_for():
    class Silent(Executor):
        _client = type("Client", (), {"__module__": "distributed.client", "status": "closing"})()

        def submit(self, *_):
            return Future()

    with pytest.raises(InputError, match="the scheduler of the cluster is gone"):
        numerical_gradient(network(), executor=Silent())


def test_what_a_cluster_has_lost_is_handed_out_again():
    """A scheduler that goes while a result is on its way leaves a future that never ends."""
    problem, lost = network(), []

    class Forgetful(Backwards):
        _client = type("Client", (), {"__module__": "distributed.client", "status": "running", "futures": {}})()

        def submit(self, function, *arguments):
            if len(lost) < 2:
                lost.append(Future())
                return lost[-1]
            return super().submit(function, *arguments)

    with Forgetful() as executor:
        found = numerical_gradient(problem, executor=executor)
    assert bits(found) == bits(numerical_gradient(problem))
    assert len(lost) == 2


def test_workers_with_other_code_are_refused(backwards, monkeypatch):
    said = parcel.Parcel.said.func

    def of_others(self):
        return {**said(self), "version": "another"}

    monkeypatch.setattr(parcel.Parcel, "said", property(of_others))
    with pytest.raises(InputError, match="a worker has other kernels than this process"):
        numerical_gradient(network(), executor=backwards)


def test_workers_that_do_not_see_the_folder_are_told_what_they_need(backwards, monkeypatch):
    monkeypatch.setattr(parcel.Parcel, "write", lambda self, folder: None)
    with pytest.raises(InputError, match=r"a worker sees no folder .* name it with store= \(--store\)"):
        numerical_gradient(network(), executor=backwards)


def test_an_executor_that_was_shut_down_is_told(pool):
    with ProcessPoolExecutor(1, mp_context=SPAWN) as closed:
        pass
    with pytest.raises(InputError, match="the workers of the executor failed: RuntimeError: cannot schedule new futures"):
        numerical_gradient(network(), executor=closed)


SCRIPT = """\
from concurrent.futures import ProcessPoolExecutor
import multiprocessing, sys
import numpy as np
import fastgrad

pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
try:
    fastgrad.check([np.ones((1, 2))], [np.ones((1, 2))], np.ones((3, 2)), np.ones((3, 1)), output="identity", loss="mse",
                   layout="rows,out_in", executor=pool)
except fastgrad.InputError as error:
    print(error)
"""


def test_a_script_without_a_guard_is_told_of_it(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    ended = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert 'must do so below the line if __name__ == "__main__":' in ended.stdout


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (3, r"executor must be a concurrent.futures.Executor \(.*\), found builtins.int"),
        (ProcessPoolExecutor, r"found the class concurrent.futures.process.ProcessPoolExecutor itself: write Process.*\(\)"),
        (type("Client", (), {"get_executor": None})(), r"found test_executors.Client: give its get_executor\(\)"),
        (multiprocessing, r"found builtins.module"),
    ],
)
def test_what_is_no_executor_is_refused(given, complaint):
    with pytest.raises(InputError, match=complaint):
        check_problem(network(), executor=given)


def test_random_directions_are_for_this_process(pool):
    with pytest.raises(InputError, match="method directional has no blocks that others could work on: leave out executor"):
        check_problem(network(), method="directional", executor=pool)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--dask", "local:x"], "write local:4 for four processes of this machine, found local:x"),
        (["--dask", "local:0"], "write local:4 for four processes of this machine, found local:0"),
        (["--dask", "local:"], "write local:4 for four processes of this machine, found local:."),
        (
            ["--dask", "local", "--method", "directional"],
            "preactivation, textbook: method directional has no blocks",
        ),
        (["--dask", "scheduler:8786"], "--dask needs Dask: pip install 'fastgrad[dask]'"),
    ],
)
def test_the_command_refuses_clusters_before_it_reads_anything(options, complaint, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    ended = CliRunner().invoke(main, ["check", "not-there.npz", *options])
    assert ended.exit_code == 2
    assert complaint in ended.output


@pytest.mark.extra("loky")
def test_the_executor_of_loky_gives_the_same_bits():
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=2)
    found = numerical_gradient(network(), executor=executor)
    executor.shutdown()
    assert bits(found) == bits(numerical_gradient(network()))
