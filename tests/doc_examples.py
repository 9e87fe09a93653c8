"""The examples in Markdown pages, run as they stand, page by page in a folder of its own.

A block ``python`` is run, all blocks of a page in one namespace; where its first line is a comment with a file's name, the file
is written as well. A block ``text`` right after it is what it prints. In a block ``console`` every line after ``$`` is a
command, what follows is what it prints. A block ``c`` or ``javascript`` begins with a comment that names its file. In expected
output ``…`` stands for anything; times, threads and what rounding leaves are not compared. ``python tests/doc_examples.py
PAGE...`` writes today's output into pages.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from fastgrad_cli.main import main

FENCE = re.compile(r"^```(?P<language>.*)\n(?P<text>(?s:.*?))^```$", re.M)
WRITTEN = {"c", "javascript"}
RUN = {"python", "text", "console", *WRITTEN}
SHOWN = {"sh", "toml", "yaml", "json", "diff"}
"""Languages of blocks that are read and not run: installation, settings of other programs, parts of a document."""
DRIFTING = (
    (r"(✓ right +)\S+( +0 of [\d,]+) .*", r"\1\2"),  # which entry of a right gradient is worst is a matter of rounding
    (r"Audit: \d+ random", "Audit: SOME random"),  # as many as the time allows
    (r"\d[\d.,]* ?(ms|µs|s|minutes|hours)\b", "TIME"),
    (r"\bup to \d+ threads|\b\d+ threads?\b", "THREADS"),
    (r"\b0\.0e\+00|\b\d(\.\d+)?e-(1[2-9]|[2-9]\d)\b", "ROUNDING"),
    (r"\s+", " "),
)


class Block(NamedTuple):
    """A fenced block: its language, its text, and where the text begins and ends in the page."""

    language: str
    text: str
    start: int
    end: int


class Outcome(NamedTuple):
    """What a block should print and what it printed; `place` is that of the expected text in the page."""

    what: str
    expected: str
    printed: str
    place: tuple[int, int]

    @property
    def agrees(self):
        pattern = ".*".join(map(re.escape, map(settled, self.expected.split("…"))))
        return re.fullmatch(pattern, settled(self.printed), re.S) is not None


def settled(text):
    """Return a text without what differs from run to run or machine to machine."""
    for drifting, word in DRIFTING:
        text = re.sub(drifting, word, text)
    return text.strip()


def blocks(page):
    """Return the fenced blocks of a page; those of Sphinx's own directives, in braces, are none."""
    found = [Block(fence["language"], fence["text"], *fence.span("text")) for fence in FENCE.finditer(page)]
    return [block for block in found if not block.language.startswith("{")]


def run_page(page, folder):
    """Run the examples of a page in a folder and return what they printed beside what they should have."""
    namespace, outcomes = {"__name__": "example"}, []
    with contextlib.chdir(folder):
        found = blocks(page)
        for block, following in zip(found, [*found, None][1:], strict=True):
            if block.language == "python":
                printed = run_python(block.text, namespace)
                if following is not None and following.language == "text" and is_next(page, block, following):
                    outcomes.append(Outcome(block.text, following.text, printed, (following.start, following.end)))
                elif printed:
                    raise AssertionError(f"a block printed something and no block text follows:\n{block.text}\n{printed}")
            elif block.language in WRITTEN:
                Path(block.text.split()[1]).write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                outcomes += run_console(block)
    return outcomes


def is_next(page, block, following):
    """Whether nothing but a short remark stands between two blocks."""
    return page[block.end : following.start].count("\n\n") <= 2


def run_python(text, namespace):
    """Run a block of Python and return what it printed."""
    named = re.match(r"# (\S+\.py)\n", text)
    if named:
        Path(named[1]).write_text(text, encoding="utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "<example>", "exec"), namespace)
    return printed.getvalue()


def run_console(block):
    """Run the commands of a block; yield what each printed."""
    for found in re.finditer(r"^\$ (?P<command>.*)\n(?P<output>(?:(?!\$ ).*\n)*)", block.text, re.M):
        place = (block.start + found.start("output"), block.start + found.end("output"))
        yield Outcome(found["command"], found["output"], run_command(found["command"]), place)


def run_command(command):
    """Run one command: fastgrad in this process, anything else in a shell."""
    words = shlex.split(command, comments=True)
    if words[0] == "fastgrad" and not {"|", "&&", ">"} & set(words):
        result = CliRunner().invoke(main, words[1:], prog_name="fastgrad")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output
    if words[0] == "python":
        command = shlex.join([sys.executable, *words[1:]])
    places = {"PYTHONPATH": map(os.path.abspath, sys.path), "PATH": (str(Path(sys.executable).parent), os.environ["PATH"])}
    environment = os.environ | {name: os.pathsep.join(folders) for name, folders in places.items()}
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True, env=environment).stdout


def rewritten(page, folder):
    """Return a page with today's output in the place of the one that disagrees."""
    for outcome in sorted(run_page(page, folder), key=lambda outcome: -outcome.place[0]):
        if not outcome.agrees:
            start, end = outcome.place
            page = page[:start] + outcome.printed.strip("\n") + "\n" + page[end:]
    return page


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        with tempfile.TemporaryDirectory() as scratch:
            path.write_text(rewritten(path.read_text(encoding="utf-8"), scratch), encoding="utf-8")
