"""Ctrl-C: what was finished is judged and told, nothing is written, and whoever else handles the signal still does."""

import signal

import numpy as np
import pytest
from click.testing import CliRunner

from fastgrad import numerical
from fastgrad.errors import Interrupted
from fastgrad.numerical import blocks
from fastgrad.numerical.methods import BY_ENTRY
from fastgrad.reading import modelfile
from fastgrad.teaching import demo
from fastgrad.walk import check_problem
from fastgrad_cli import terminal
from fastgrad_cli.main import main


@pytest.fixture
def short_pieces(monkeypatch):
    """Cut work into blocks so short that a small network has many."""
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)


@pytest.fixture
def problem(tmp_path):
    arrays, description = demo.find("planted").build()
    modelfile.save_arrays(tmp_path / "planted.npz", {**arrays, **description})
    return modelfile.load(tmp_path / "planted.npz")


def ctrl_c(done, total):
    """Press it once half of the parameters are done, a whole layer by any method."""
    if 2 * done >= total:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("method", BY_ENTRY)
def test_what_was_finished_comes_with_the_exception(problem, short_pieces, method):
    before = signal.getsignal(signal.SIGINT)
    whole = numerical.numerical_gradient(problem, method=method)
    with pytest.raises(Interrupted) as stopped:
        numerical.numerical_gradient(problem, method=method, progress=ctrl_c)
    found = stopped.value.finished
    assert 0 < found.selected.size < problem.network.size
    assert np.array_equal(found.values[found.selected], whole.values[found.selected])
    assert np.isnan(np.delete(found.values, found.selected)).all()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("method", BY_ENTRY)
def test_the_report_judges_what_was_finished(problem, short_pieces, method):
    with pytest.raises(Interrupted) as stopped:
        check_problem(problem, method=method, progress=ctrl_c)
    report = stopped.value.finished
    assert 0 < report.parameters_checked < report.parameters_total
    assert report.sample_seed is None
    assert f"Interrupted: {report.parameters_checked} of {report.parameters_total} parameters" in report.notes[-1]
    wrong = {tensor.name for tensor in report.tensors if tensor.verdict == "wrong"}
    assert wrong <= {"W2", "b1"}


def test_nothing_finished_is_an_ordinary_interrupt(problem, monkeypatch):
    def pressed_at_once(problem):
        signal.raise_signal(signal.SIGINT)
        return base_point(problem)

    base_point = numerical.base_point
    monkeypatch.setattr(numerical, "base_point", pressed_at_once)
    with pytest.raises(KeyboardInterrupt) as stopped:
        numerical.numerical_gradient(problem)
    assert not isinstance(stopped.value, Interrupted)


def test_a_second_one_stops_at_once(problem, short_pieces):
    def twice(done, total):
        ctrl_c(done, total)
        ctrl_c(done, total)

    with pytest.raises(KeyboardInterrupt) as stopped:
        numerical.numerical_gradient(problem, progress=twice)
    assert not isinstance(stopped.value, Interrupted)


def test_a_job_that_ignores_the_signal_goes_on_to_the_end(problem, short_pieces):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        found = numerical.numerical_gradient(problem, progress=ctrl_c)
    finally:
        signal.signal(signal.SIGINT, before)
    assert found.selected is None


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_prints_the_report_and_leaves_with_130(problem, short_pieces, tmp_path, monkeypatch, arguments):
    monkeypatch.setattr(terminal.ProgressBar, "__call__", lambda self, done, total: ctrl_c(done, total))
    result = CliRunner().invoke(main, ["check", str(tmp_path / "planted.npz"), *arguments], prog_name="fastgrad")
    assert result.exit_code == terminal.INTERRUPTED
    assert "of 47 parameters were finished" in result.stdout


def test_an_interrupted_gradient_leaves_no_file(problem, short_pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal.ProgressBar, "__call__", lambda self, done, total: ctrl_c(done, total))
    target = tmp_path / "out.npz"
    result = CliRunner().invoke(main, ["gradient", str(tmp_path / "planted.npz"), "-o", str(target)], prog_name="fastgrad")
    assert result.exit_code == terminal.INTERRUPTED
    assert not target.exists()


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_end_of_a_file_is_no_interrupt(problem, tmp_path, monkeypatch, arguments):
    def ended(*_, **__):
        raise EOFError("Ran out of input")

    monkeypatch.setattr(numerical, "base_point", ended)
    result = CliRunner().invoke(main, ["check", str(tmp_path / "planted.npz"), *arguments], prog_name="fastgrad")
    assert result.exit_code == terminal.FAILED
    assert "Interrupted" not in result.output
    assert "EOFError: Ran out of input" in result.output
