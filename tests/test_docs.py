"""The documentation, held against the code: its examples run, every code has a page, every name has its formula."""

import contextlib
import doctest
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgrad
from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.pages import PAGES
from fastgrad.model.network import Network, Problem
from fastgrad.numerical.counted import work_above
from fastgrad.reading import Description
from fastgrad_cli import codes
from fastgrad_cli.main import main

from doc_examples import RUN, SHOWN, blocks, run_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_ext"))
import example  # noqa: E402
import pages  # noqa: E402

WRITTEN_AT_BUILD = {"_build", "generated", "mistakes"}
WRITTEN = [path for path in sorted(DOCS.rglob("*.md")) if not WRITTEN_AT_BUILD & {*path.relative_to(DOCS).parts}]
WITH_EXAMPLES = [path for path in WRITTEN if RUN & {block.language for block in blocks(path.read_text(encoding="utf-8"))}]
NEEDS = {"languages.md": "cc", "files.md": "node", "report.md": "matplotlib", "libraries.md": "sklearn"}
NEEDS |= {"torch.md": "torch", "jax.md": "jax"}
"""Pages whose examples need what a machine may lack: a program or a package."""


def name(path):
    return str(path.relative_to(DOCS))


def pages_to_run():
    """Return the pages with examples as parameters of a test, marked where they need something."""
    marks = {path: [pytest.mark.extra(NEEDS[path.name])] if path.name in NEEDS else [] for path in WITH_EXAMPLES}
    return [pytest.param(path, marks=marks[path], id=name(path)) for path in WITH_EXAMPLES]


@pytest.mark.compiled
@pytest.mark.parametrize("path", pages_to_run())
def test_examples_of_a_page(path, tmp_path):
    for outcome in run_page(path.read_text(encoding="utf-8"), tmp_path):
        assert outcome.agrees, f"{outcome.what}\nprinted\n{outcome.printed}\nand the page has\n{outcome.expected}"


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_every_block_says_what_it_is(path):
    for block in blocks(path.read_text(encoding="utf-8")):
        assert block.language in RUN | SHOWN, f"a block of {name(path)} has no language that says whether it runs: {block.text}"


def test_a_page_without_examples_has_nothing_to_run(tmp_path):
    assert run_page("# A heading\n\nWords.\n", tmp_path) == []


def test_outputs_that_disagree_are_seen(tmp_path):
    outcomes = run_page("```python\nprint('two', 3.5e-17)\n```\n\n```text\nthree …\n```\n", tmp_path)
    assert [outcome.agrees for outcome in outcomes] == [False]
    outcomes = run_page("```python\nprint('two', 3.5e-17)\n```\n\n```text\ntwo 0.0e+00\n```\n", tmp_path)
    assert [outcome.agrees for outcome in outcomes] == [True]


@pytest.mark.compiled
def test_the_tutorial_runs_from_its_first_cell_to_its_last():
    cells = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    namespace = {}
    with contextlib.redirect_stdout(None):
        for cell in cells:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), namespace)
    assert namespace["report"].passed
    assert not any(cell.get("outputs") for cell in cells), "outputs are made at the build; store the notebook without them"


@pytest.mark.parametrize("name", [name for name in fastgrad.__all__ if not name.startswith("__")])
def test_examples_in_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = getattr(fastgrad, name)
    (found,) = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    assert doctest.DocTestRunner().run(found).failed == 0
    assert found.examples or isinstance(value, type) or name == "draw_errors"


LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_pages_beside_the_documentation_lead_somewhere(page):
    links = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


# The pages of mistakes.


def test_every_code_has_a_page_in_the_order_of_the_table():
    assert list(PAGES) == list(CODES)


@pytest.mark.parametrize("code", PAGES)
def test_the_wrong_line_of_a_page_is_given_its_code(code):
    page = PAGES[code]
    report = example.report_of(page.network, page.right, page.wrong)
    assert [finding.code for finding in report.findings] == [code]


@pytest.mark.parametrize("network", sorted({(page.network, page.right) for page in PAGES.values()}))
def test_the_right_line_of_a_page_is_right(network):
    name, right = network
    assert example.report_of(name, right, right).passed


def test_an_unknown_line_is_refused():
    with pytest.raises(ValueError, match="has no line"):
        example.report_of("sigmoid", "dW2 = dZ2 @ X.T", "dW2 = 0")


# The tables.


def test_every_family_of_codes_has_a_heading():
    assert list(dict.fromkeys(code.partition(".")[0] for code in CODES)) == list(pages.FAMILIES)


def test_a_page_has_the_mistake_its_reason_both_lines_and_a_report():
    page = pages.page_of("slope.missing")
    for part in (PAGES["slope.missing"].why, "- dZ2 = dA2\n+ dZ2 = dA2 * slope(Z2)\n", "[slope.missing]", "✗ WRONG"):
        assert part in page
    assert all(f"]({code}.md)" in pages.index_of_mistakes() for code in CODES)


def test_the_page_of_the_command_has_every_command_and_option():
    text = "\n".join(pages.commands())
    for command in main.commands.values():
        assert f"## fastgrad {command.name}\n" in text
        for option in command.params:
            assert option.param_type_name == "argument" or option.opts[-1] in text


def test_every_item_of_a_description_is_explained():
    rows = list(pages.keys())
    assert [row[0].strip("`") for row in rows] == list(Description.__dataclass_fields__)
    assert all(row[2].endswith(".") or row[2].endswith("...") for row in rows)


@pytest.mark.parametrize("code", CODES)
def test_general_texts_have_every_word_filled_in(code):
    """A word of the table that has none in general would stand there by its own name, as in "Zother"."""
    entry, names = CODES[code], {"m", "dZ", "dA", "Z", "A"}
    for text in (entry.sentence, entry.repair, entry.separate):
        for word in re.findall(r"\{(\w+)\}", text):
            assert word in names or word in codes._WORDS | codes._WORDS_OF.get(code, {}), f"{code}: {word}"
    told = codes.Entry(code, entry).to_dict()
    assert all("  " not in told[key] and told[key].endswith((".", "!")) for key in ("sentence", "repair", "why"))


def test_the_table_of_what_large_networks_take_is_reckoned_as_it_says():
    page = (DOCS / "explanation" / "speed.md").read_text(encoding="utf-8")
    rate, examples, year, hour = 3.8e10, 8, 365.25 * 86400.0, 3600.0
    unit = {"core years": year, "core hours": hour, "core minutes": 60.0}
    rows = re.findall(r"^\| 10(⁹|¹⁰|¹¹) \| (.*) \|$", page, re.M)
    assert [power for power, _ in rows] == ["⁹", "¹⁰", "¹¹"]
    for exponent, (_, row) in zip((9, 10, 11), rows, strict=True):
        width, *times = row.split(" | ")
        n = int(width.replace(",", ""))
        assert abs(4 * n * n / 10**exponent - 1.0) < 1e-3
        problem = _of_four_layers(n, examples)
        above = [work_above(problem, layer) for layer in range(4)]
        every = 2 * examples * sum(n * (n + 1) * work for work in above) / rate
        seconds = [every, every / (4 * n * (n + 1)) * 1e5, 2 * examples * n * sum(above) / rate, 2 * n * above[0] / rate]
        for text, expected in zip(times, seconds, strict=False):
            number, _, words = text.partition(" ")
            assert float(number.replace(",", "")) * unit[words] == pytest.approx(expected, rel=0.03)


def _of_four_layers(width, examples):
    network = Network((width,) * 5, ("tanh",) * 3 + ("identity",), "squared_error", "mean", (True,) * 4)
    return Problem(network, np.empty(0), np.empty((examples, 0)), np.empty(0), (), None, None)
