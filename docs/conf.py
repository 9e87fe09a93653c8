"""How Sphinx builds these pages: `sphinx-build -W --keep-going -n docs docs/_build`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import fastgrad

project = "fastgrad"
author = "The fastgrad developers"
copyright = author
version = release = fastgrad.__version__

# `pages` writes what the code knows itself: a page for each mistake, the tables of options, activations and losses.
extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "pages"]
exclude_patterns = ["_build", "_ext"]

html_theme = "pydata_sphinx_theme"
html_title = f"fastgrad {release}"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": {pages: ["page-toc"] for pages in ["tutorial", "howto/**", "reference/**", "explanation/**"]},
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "tutorial": []}
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_extra_path = ["../fastgrad/report/schema.json"]
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have the types, in words
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # the tutorial, from its first cell to its last
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True

nitpick_ignore_regex = [
    # Docstrings write types in words, and classes of NumPy and the standard library are not looked up over the network.
    ("py:.*", r"(numpy|np|collections|typing)\..*"),
]
