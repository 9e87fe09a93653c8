"""A store: what was finished is found again with the same bits, whatever ended the run, and nothing foreign is taken for it."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.errors import InputError, Interrupted
from fastgrad.numerical import blocks, numerical_gradient
from fastgrad.numerical.methods import BY_ENTRY, METHODS
from fastgrad.numerical.work import batches, parcel
from fastgrad.reading import modelfile
from fastgrad.teaching import demo
from fastgrad.walk import check_problem
from fastgrad_cli.main import main

from works import KINDS, bits, network, results

HERE = Path(__file__).parent


@pytest.fixture
def short_blocks(monkeypatch):
    """Cut work into blocks so short that a small network has many."""
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-12)


@pytest.fixture
def blocks_run(monkeypatch):
    """Give a list of the blocks that are worked on from now on."""
    seen = []
    for name in BY_ENTRY:
        plan = METHODS[name].plan

        def counted(self, block, threads, room, run=plan.run):
            seen.append(block)
            run(self, block, threads, room)

        monkeypatch.setattr(plan, "run", counted)
    return seen


HOW = [
    *({"method": method} for method in BY_ENTRY),
    {"method": "parameter", "sample": 20, "seed": 2},
    {"method": "preactivation", "sample": 20, "seed": 2},
    {"method": "parameter", "step": 1e-3},
    {"method": "textbook", "scheme": "five-point", "sample": 20},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", HOW, ids=lambda how: " ".join(map(str, how.values())))
def test_a_second_run_works_on_nothing_and_has_the_same_bits(tmp_path, short_blocks, blocks_run, kind, how):
    problem = network(kind)
    plain = numerical_gradient(problem, **how)
    first = numerical_gradient(problem, **how, store=tmp_path)
    assert len(results(tmp_path)) > 3
    blocks_run.clear()
    second = numerical_gradient(problem, **how, store=tmp_path)
    assert bits(plain) == bits(first) == bits(second)
    assert blocks_run == []
    parts = len(results(tmp_path))
    assert [(one.origin.kept, one.origin.parts, one.origin.damaged) for one in (first, second)] == [
        (0, parts, ()),
        (parts, parts, ()),
    ]


def test_batches_have_every_block_once_and_in_order(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-12)
    problem = network(widths=(30, 20, 10, 5), samples=40)
    for name in BY_ENTRY:
        plan = METHODS[name].plan(blocks.Task(problem, parcel_base(problem), step=METHODS[name].step))
        whole = tuple(plan.blocks())
        for most, numbers in ((1, 10**6), (7, 10**6), (10**6, 10**6), (7, 50)):
            monkeypatch.setattr(batches, "BATCHES", len(whole) // most or 1)
            monkeypatch.setattr(batches, "MOST_NUMBERS", numbers)
            found = list(batches.batches(plan))
            assert [batch.number for batch in found] == list(range(len(found)))
            assert tuple(block for batch in found for block in batch.blocks) == whole
            assert max(len(batch.blocks) for batch in found) <= batches.MOST_BLOCKS
            assert all(sum(batch.sizes) <= numbers or len(batch.blocks) == 1 for batch in found)
            covered = np.zeros(plan.size, dtype=int)
            for block in whole:
                covered[plan.place(block)] += 1
            assert (covered == 1).all()


def parcel_base(problem):
    from fastgrad.model.forward import base_point

    return base_point(problem)


# What ends a run.

SLOW = """\
import sys, time
from fastgrad.numerical import blocks, numerical_gradient, parameter
import works
blocks.BLOCK_SECONDS = 1e-12
run = parameter.ParameterPlan.run
def slowly(self, *arguments):
    time.sleep(0.02)
    run(self, *arguments)
parameter.ParameterPlan.run = slowly
numerical_gradient(works.network(widths=(30, 20, 5)), method="parameter", store=sys.argv[1])
"""


def started(store):
    """Start a process that works slowly on a network."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen([sys.executable, "-c", SLOW, str(store)], env={**os.environ, "PYTHONPATH": path})


def wait_for(condition, process):
    """Wait until something holds, while a process runs."""
    end = time.monotonic() + 60.0
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_run_that_is_killed_goes_on_from_there_with_the_same_bits(tmp_path, short_blocks, blocks_run):
    problem = network(widths=(30, 20, 5))
    with started(tmp_path) as process:
        wait_for(lambda: len(results(tmp_path)) >= 3, process)
        process.kill()
    left = {path: path.read_bytes() for path in results(tmp_path)}
    plain = numerical_gradient(problem, method="parameter")
    whole = len(blocks_run)
    blocks_run.clear()
    found = numerical_gradient(problem, method="parameter", store=tmp_path)
    assert bits(found) == bits(plain)
    assert len(blocks_run) == whole - len(left)
    assert 0 < len(left) < whole
    assert all(path.read_bytes() == content for path, content in left.items())


def test_what_was_finished_of_a_batch_is_kept_after_ctrl_c(tmp_path, short_blocks, blocks_run, monkeypatch):
    problem = network()
    plain = numerical_gradient(problem, method="parameter")
    whole = len(blocks_run)
    monkeypatch.setattr(batches, "BATCHES", 1)
    monkeypatch.setattr(batches, "MOST_BLOCKS", 10**6)
    blocks_run.clear()

    def pressed(done, total):
        if len(blocks_run) == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        numerical_gradient(problem, method="parameter", store=tmp_path, progress=pressed)
    assert len(results(tmp_path)) == 1
    assert len(blocks_run) == 2 < whole
    blocks_run.clear()
    told = []
    found = numerical_gradient(problem, method="parameter", store=tmp_path, progress=lambda *now: told.append(now))
    assert bits(found) == bits(plain)
    assert len(blocks_run) == whole - 2
    assert told[-1] == (problem.network.size, problem.network.size)


def test_two_runs_on_one_folder_do_no_harm(tmp_path, short_blocks):
    problem = network(widths=(30, 20, 5))
    plain, found = numerical_gradient(problem), []
    runs = [threading.Thread(target=lambda: found.append(numerical_gradient(problem, store=tmp_path))) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [bits(one) for one in found] == [bits(plain)] * 3
    assert numerical_gradient(problem, store=tmp_path).origin.damaged == ()


def test_what_was_never_finished_is_removed_once_it_is_old(tmp_path, short_blocks):
    problem = network()
    numerical_gradient(problem, store=tmp_path)
    folder = results(tmp_path)[0].parent
    for name, age in ((".fastgrad-young", 10.0), (".fastgrad-old", 1e5)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    numerical_gradient(problem, store=tmp_path)
    assert {path.name for path in folder.iterdir() if path.suffix != ".npy"} == {".fastgrad-young"}


# Files that are not what their names say.


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another_work(path):
    numerical_gradient(network(seed=1), store=path.parents[2])
    other = next(file for file in results(path.parents[2]) if file.name == path.name and file.parent != path.parent)
    shutil.copyfile(other, path)


def of_another_place(path):
    shutil.copyfile(path.with_name("000001.npy"), path)


def an_array(values):
    def write(path):
        with path.open("wb") as stream:
            np.save(stream, values, allow_pickle=True)

    return write


DAMAGES = {
    "a bit": flip,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "more behind it": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "text": lambda path: path.write_text("results"),
    "a plain array": an_array(np.ones(3)),
    "a pickle in an array": an_array(np.array([print], dtype=object)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(print)),
    "of another work": of_another_work,
    "of another place": of_another_place,
    "very long": lambda path: os.truncate(path, 2**33),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_noticed_and_made_anew(tmp_path, short_blocks, blocks_run, damage):
    problem = network()
    plain = numerical_gradient(problem, store=tmp_path)
    path = results(tmp_path)[0]
    whole = path.read_bytes()
    DAMAGES[damage](path)
    blocks_run.clear()
    found = numerical_gradient(problem, store=tmp_path)
    assert bits(found) == bits(plain)
    assert len(blocks_run) == 1
    assert path.read_bytes() == whole
    assert found.origin.damaged == ("000000.npy",)
    flip(path)
    told = check_problem(problem, method="parameter", store=tmp_path, diagnosis=False).notes
    assert "1 file in the store, 000000.npy first, held something else than their names say" in told[-1]


def test_a_folder_in_the_place_of_a_file_is_refused_in_words(tmp_path, short_blocks):
    problem = network()
    numerical_gradient(problem, store=tmp_path)
    path = results(tmp_path)[0]
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="this is a folder; give the name of a file"):
        numerical_gradient(problem, store=tmp_path)


# Under which key.


def folders(store):
    return {path.name for path in Path(store).iterdir()}


def test_another_claim_finds_the_same_numerical_gradient(tmp_path, blocks_run):
    problem = network()
    wrong = check_problem(problem, store=tmp_path, diagnosis=False)
    assert wrong.verdict == "wrong"
    blocks_run.clear()
    numerical = numerical_gradient(problem).values
    blocks_run.clear()
    assert check_problem(replace(problem, claimed=numerical), store=tmp_path, diagnosis=False).passed
    assert blocks_run == []
    assert len(folders(tmp_path)) == 1


def changed(problem, **fields):
    return replace(problem, **{name: getattr(problem, name) * factor for name, factor in fields.items()})


OTHERS = {
    "theta": lambda p: (changed(p, theta=1.5), {}),
    "X": lambda p: (changed(p, X=1.5), {}),
    "Y": lambda p: (changed(p, Y=1.5), {}),
    "factor": lambda p: (replace(p, network=replace(p.network, reduction="sum")), {}),
    "method": lambda p: (p, {"method": "preactivation"}),
    "step": lambda p: (p, {"step": 1e-3}),
    "sample": lambda p: (p, {"sample": 5}),
    "seed": lambda p: (p, {"sample": 5, "seed": 1}),
}


def test_whatever_changes_a_bit_has_a_key_of_its_own(tmp_path):
    problem, seen = network(), set()
    for number, other in enumerate([lambda p: (p, {}), *OTHERS.values()], start=1):
        changed_problem, how = other(problem)
        found = numerical_gradient(changed_problem, **how, store=tmp_path)
        assert bits(found) == bits(numerical_gradient(changed_problem, **how))
        seen |= folders(tmp_path)
        assert len(seen) == number


def test_other_code_has_another_key(tmp_path, monkeypatch):
    numerical_gradient(network(), store=tmp_path)
    monkeypatch.setattr(parcel, "key_of_kernels", lambda: "another")
    numerical_gradient(network(), store=tmp_path)
    assert len(folders(tmp_path)) == 2


# At the door.


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"store": 3}, "store must be the name of a folder, found 3"),
        ({"store": ""}, "store must be the name of a folder, found ''"),
        ({"store": b"parts"}, "store must be the name of a folder, found b'parts'"),
        ({"store": "a\0b"}, r"store must be the name of a folder, found 'a\\x00b'"),
        ({"store": __file__}, r"store must be a folder, and .*test_store.py is a file"),
        ({"store": "parts", "method": "directional"}, "method directional has no blocks .*: leave out store"),
    ],
)
def test_what_is_no_store_is_refused(said, complaint):
    with pytest.raises(InputError, match=complaint):
        fastgrad.check([np.ones((1, 2))], [np.ones((1, 2))], np.ones((3, 2)), np.ones((3, 1)), **said)


def test_a_store_where_none_can_be_is_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/parts: cannot be used as a store: Not a directory"):
        numerical_gradient(network(), store=tmp_path / "file" / "parts")


def test_a_function_is_tried_with_a_store(tmp_path):
    W, X, Y = np.ones((1, 2)), np.arange(6.0).reshape(3, 2), np.ones((3, 1))

    def backward(p, x, y):
        return [(x @ p[0].T - y).T @ x / len(x)]

    said = {"output": "identity", "loss": "squared_error", "layout": "rows,out_in"}
    assert fastgrad.check([W], backward=backward, X=X, Y=Y, store=tmp_path, **said).passed
    assert len(folders(tmp_path)) >= 3, "a work for each point"


def test_the_command_goes_on_from_a_store(tmp_path, monkeypatch, blocks_run):
    monkeypatch.chdir(tmp_path)
    arrays, description = demo.find("planted").build()
    modelfile.save_arrays("planted.npz", {**arrays, **description})
    first = CliRunner().invoke(main, ["check", "planted.npz", "--store", "parts", "-v"])
    assert first.exit_code == 1
    blocks_run.clear()
    again = CliRunner().invoke(main, ["check", "planted.npz", "--store", "parts", "-v"])
    assert again.exit_code == 1
    assert blocks_run == []
    assert "of the numerical gradient were in the store already" in " ".join(again.output.split())
    written = CliRunner().invoke(main, ["gradient", "planted.npz", "--store", "parts"])
    assert written.exit_code == 0
    assert blocks_run == []
