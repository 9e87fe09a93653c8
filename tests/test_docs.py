"""The documentation, held against the code: its examples run, every code has a page, every name has its formula."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.pages import PAGES
from fastgrad.model.network import ACTIVATIONS, LOSSES

from doc_examples import RUN, SHOWN, blocks, run_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_ext"))
import example  # noqa: E402
import formulas  # noqa: E402

WRITTEN_AT_BUILD = {"_build", "generated", "mistakes"}
WRITTEN = [path for path in sorted(DOCS.rglob("*.md")) if not WRITTEN_AT_BUILD & {*path.relative_to(DOCS).parts}]
WITH_EXAMPLES = [path for path in WRITTEN if RUN & {block.language for block in blocks(path.read_text(encoding="utf-8"))}]
NEEDS = {"languages.md": "cc"}
"""Pages whose examples call a program that a machine may lack."""


def name(path):
    return str(path.relative_to(DOCS))


@pytest.mark.compiled
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name)
def test_examples_of_a_page(path, tmp_path):
    program = NEEDS.get(path.name)
    if program and shutil.which(program) is None:
        pytest.skip(f"the examples of this page need the program {program}, which is not here")
    for outcome in run_page(path.read_text(encoding="utf-8"), tmp_path):
        assert outcome.agrees, f"{outcome.what}\nprinted\n{outcome.printed}\nand the page has\n{outcome.expected}"


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_every_block_says_what_it_is(path):
    for block in blocks(path.read_text(encoding="utf-8")):
        assert block.language in RUN | SHOWN, f"a block of {name(path)} has no language that says whether it runs: {block.text}"


def test_outputs_that_disagree_are_seen(tmp_path):
    outcomes = run_page("```python\nprint('two', 3.5e-17)\n```\n\n```text\nthree …\n```\n", tmp_path)
    assert [outcome.agrees for outcome in outcomes] == [False]
    outcomes = run_page("```python\nprint('two', 3.5e-17)\n```\n\n```text\ntwo 0.0e+00\n```\n", tmp_path)
    assert [outcome.agrees for outcome in outcomes] == [True]


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


def test_every_activation_and_loss_has_its_formula():
    assert tuple(formulas.ACTIVATIONS) == ACTIVATIONS
    assert set(formulas.LOSSES) == set(LOSSES)
