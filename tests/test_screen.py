"""What a person sees in a terminal: no number is broken, right reports are short, and help is in groups."""

import re

import numpy as np
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from rich.console import Console
from rich.text import Text

import fastgrad
from fastgrad.report.table import columns
from fastgrad.teaching import demo
from fastgrad_cli.main import main
from fastgrad_cli.options import GROUPS

DRAW = np.random.default_rng(5)
SAID = {"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[+-]\d+)?")


def rendered(renderable, width):
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def report_of(name, depth=2):
    arrays, description = demo.find(name).build()
    parameters = {key: value for key, value in arrays.items() if key[0] in "Wb"}
    gradients = {key: value for key, value in arrays.items() if key[0] == "d"}
    return fastgrad.check(parameters, gradients, arrays["X"], arrays["Y"], **description)


@pytest.fixture(scope="module")
def planted():
    return report_of("planted")


@pytest.fixture(scope="module")
def repaired():
    return report_of("repaired")


def numbers(text):
    """Return the numbers of a text in their order, whatever broke its lines."""
    return sorted(NUMBER.findall(text))


@pytest.mark.parametrize("width", [120, 80, 77, 60, 40])
def test_no_number_is_broken_at_any_width(planted, width):
    assert numbers(rendered(planted, width)) == numbers(rendered(planted, 200))
    assert all(len(line.rstrip()) <= width for line in rendered(planted, width).splitlines())


@pytest.mark.parametrize("width", [80, 60, 48])
def test_a_table_in_lines_breaks_between_its_cells(width):
    table = columns("parameter", "numpy_gradients.npz", "cpp.npz", "apart, in roundings", "rel. difference")
    table.add_row("W1", "✓ right", "✓ right", "0.51", "1.2e-16")
    table.add_row("W2", "right " * 20)
    lines = rendered(table, width).splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    assert len([line for line in lines if "apart, in roundings 0.51" in line or width == 80]) >= 1
    assert all(line.startswith("    ") for line in lines if line.split()[0] not in ("W1", "W2", "parameter"))


def test_the_table_becomes_lines_where_it_does_not_fit(planted):
    wide, narrow = rendered(planted, 80), rendered(planted, 60)
    assert re.search(r"^ +gradient +verdict +difference", wide, re.M)
    assert not re.search(r"^ +gradient +verdict", narrow, re.M)
    assert re.search(r"^ +db1 +✗ wrong +difference 6\.0e-01 +4 of 5", narrow, re.M)
    assert re.search(r"^ +worst entry db1\[1, 0\]; claimed 0\.1490056;", narrow, re.M)


def test_large_counts_and_long_numbers_fit_into_lines():
    table = columns("gradient", "off", "claimed", right=("claimed",))
    table.add_row("dW1", Text("1 of 100,352"), "-0.0018356412345678")
    assert numbers(rendered(table, 24)) == ["-0.0018356412345678", "1", "1", "100,352"]


@pytest.mark.parametrize("width", [80, 100])
def test_a_right_report_takes_twelve_lines_at_most(repaired, width):
    lines = rendered(repaired.shortly("-v shows more"), width).splitlines()
    assert len(lines) <= 12
    assert lines[0].startswith("✓ RIGHT")
    assert lines[-1] == "-v shows more"


def test_findings_stand_apart_from_notes(planted):
    blocks = rendered(planted, 100).split("\n\n")
    assert [block.split()[0] for block in blocks[2:]] == ["dW2", "db1", "The"]
    assert all("[factor." in block for block in blocks[2:4])


@pytest.mark.parametrize("name", ["planted", "repaired"])
def test_quiet_is_one_line_and_verbose_everything(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    code = run(main, ["demo", name]).exit_code
    assert code == 0
    quiet, usual, verbose = (run(main, ["check", f"{name}.npz", *options]).output for options in (["-q"], [], ["--verbose"]))
    assert quiet.count("\n") == 1
    assert usual.startswith(quiet)
    assert "The tolerance is 32 roundings" in verbose
    assert "Audit: 22 random parameters (seed 0)" in verbose
    assert len(usual.splitlines()) < len(verbose.splitlines()) or name == "planted"


def test_every_option_of_check_stands_in_one_group():
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))
    text = CliRunner().invoke(main, ["check", "--help"]).output
    places = [text.index(f"\n{heading}:") for heading in GROUPS]
    assert places == sorted(places)
    assert text.index("--hidden") < text.index("--params") < text.index("--method") < text.index("--quiet")


@pytest.mark.parametrize(
    ("words", "begun", "expected"),
    [
        (["check"], "--lo", "--loss"),
        (["check", "--hidden"], "leaky", "leaky_relu"),
        (["check", "--loss"], "binary", "binary_crossentropy"),
        (["check", "--method"], "pre", "preactivation"),
        (["explain"], "", None),
    ],
)
def test_the_shell_completes(words, begun, expected):
    found = BashComplete(main, {}, "fastgrad", "_FASTGRAD_COMPLETE").get_completions(words, begun)
    assert expected is None or expected in {item.value for item in found}
