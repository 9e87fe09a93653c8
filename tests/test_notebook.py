"""Notebooks, run by a real kernel: reports as HTML, progress of long work, pictures."""

from pathlib import Path

import pytest

from fastgrad.numerical.tracking import Tracker
from fastgrad.report.notebook import progress_here

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


def executed(notebook):
    from nbclient import NotebookClient

    return NotebookClient(notebook, timeout=120, kernel_name="python3").execute()


def outputs(cell, kind):
    return ["".join(one["data"][kind]) for one in cell.outputs if kind in one.get("data", {})]


@pytest.fixture(scope="module")
def cells():
    """What a few cells showed."""
    import nbformat

    sources = [
        "import sys\nimport fastgrad, fastgrad.report.notebook as notebook\nfrom fastgrad.numerical.tracking import Tracker\n"
        "notebook.PATIENCE = notebook.PULSE = 0.0",
        "tracker = Tracker(None, 10)\ntracker.advance(4)",
        "with Tracker(None, 10) as tracker:\n    tracker.advance(4)\n    tracker.advance(6)",
        "with Tracker(lambda done, total: print(done, total), 10) as tracker:\n    tracker.advance(4)",
        "report = fastgrad.check([[[1.0, 2.0]]], [[[1.0, 2.0]]], [[1.0, 2.0]], [1.0], output='identity', loss='mse')\nreport",
        "figure = fastgrad.draw_errors(report)\nassert 'matplotlib.pyplot' not in sys.modules\nfigure",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    return executed(book).cells


@pytest.mark.compiled
@pytest.mark.extra("nbclient", "ipykernel")
def test_the_tutorial_shows_reports_as_html():
    import nbformat

    book = executed(nbformat.read(TUTORIAL, as_version=4))
    shown = [html for cell in book.cells if cell.cell_type == "code" for html in outputs(cell, "text/html")]
    assert [html.count('<div class="fastgrad"') for html in shown] == [1] * 4
    assert "slope.missing" in shown[0]
    assert "RIGHT" in shown[1]


@pytest.mark.compiled
@pytest.mark.extra("nbclient", "ipykernel", "matplotlib")
def test_long_work_shows_a_bar_by_itself_which_goes_when_it_is_done(cells):
    assert outputs(cells[1], "text/html") == ['<progress value="4" max="10"></progress> 40%, 0 s left']
    assert outputs(cells[1], "text/plain") == ["40%, 0 s left"]
    assert outputs(cells[2], "text/html") == [""]
    assert [one.get("text") for one in cells[3].outputs] == ["4 10\n"], "a callable of one's own takes its place"


@pytest.mark.compiled
@pytest.mark.extra("nbclient", "ipykernel", "matplotlib")
def test_reports_and_pictures_are_shown(cells):
    assert "WRONG" in outputs(cells[4], "text/html")[-1]
    assert outputs(cells[4], "text/plain")[-1].startswith("<Report: wrong.")
    assert len(outputs(cells[5], "image/png")) == 1


def test_no_bar_outside_a_notebook():
    assert progress_here() is None
    assert Tracker(None, 1).progress is None
