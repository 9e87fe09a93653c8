"""Writes the pages and tables that come from the code, before Sphinx reads the folder: nothing in them is copied by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import fastgrad
from fastgrad import GradientError
from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.pages import PAGES
from fastgrad.model import activations, losses
from fastgrad.numerical.methods import METHODS
from fastgrad.reading.description import Description
from fastgrad.reading.libraries import LIBRARIES, translated
from fastgrad_cli.codes import Entry
from fastgrad_cli.main import main

from example import report_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FAMILIES = {
    "factor": "The whole gradient is a multiple of the right one",
    "slope": "The derivative of an activation",
    "dropout": "Dropout on the way back",
    "output": "The output layer with its loss",
    "labels": "The labels",
    "loss": "The gradient of another loss",
    "way": "The way down from layer to layer",
    "penalty": "Penalties",
    "value": "Not a gradient, or not in full precision",
    "order": "The right numbers in the wrong places",
    "product": "The product that makes dW",
    "bias": "The sum that makes db",
    "examples": "Some of the examples only",
    "part": "A part of one tensor",
    "edit": "A line that is another one, by no mistake in the table",
    "elsewhere": "The right gradient of another point",
    "tied": "Weights under several names",
    "unknown": "What no mistake in the table explains",
    "declaration": "The right gradient of another network than the declared one",
}
"""In words what the codes of a family have in common."""

Row = tuple[str, ...]

K = 7
"""A number of outputs that shows in a factor."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call `write` before it looks for pages."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    return {"parallel_read_safe": True}


def write(folder: Path) -> None:
    """Write everything anew into folders of its own, which git ignores."""
    mistakes, tables = folder / "mistakes", folder / "generated"
    for place in (mistakes, tables):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    _write(mistakes / "index.md", index_of_mistakes())
    for code in CODES:
        _write(mistakes / f"{code}.md", page_of(code))
    _write(tables / "commands.inc", "\n".join(commands()))
    _write(tables / "api.inc", "\n".join(public_names()))
    _write(tables / "keys.inc", table(("keyword and key", "option", "what it says"), keys()))
    _write(tables / "methods.inc", table(("method", "what it perturbs", "what it is for"), method_rows()))
    _write(tables / "activations.inc", table(("name", "f(z)", "parameter", "also called"), activation_rows()))
    _write(tables / "losses.inc", table(("name", "loss of one example", "after", "parameter", "also called"), loss_rows()))
    columns = ("name", "from", "here, with reduction mean", "with reduction sum")
    _write(tables / "libraries.inc", table(columns, libraries()))
    for kind, text in documents():
        _write(tables / f"{kind}.inc", text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def table(headings: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def index_of_mistakes() -> str:
    """Return the page that lists all codes, family by family."""
    parts = [
        "# Codes of mistakes\n",
        "A finding of a report has one of these codes. A code keeps its meaning for good, and new ones may come. Each page "
        "says what the mistake is, why it is wrong, how a report shows it, and how the line should read; "
        "`fastgrad explain CODE` says the same in the terminal.\n",
        "The lines of code on these pages belong to one small network of three layers, 4-5-5-5, with tanh in the hidden layers "
        "and the examples in columns. `slope(Z)` is the derivative of the activation at the pre-activations `Z`, `m` is the "
        "number of examples and `K` the number of outputs. Each wrong line has been run in that network, and the report below "
        "it is what fastgrad said of the result. In the sentences, what has no number belongs to layer l, and c is a factor.\n",
    ]
    for family, heading in FAMILIES.items():
        rows = [(f"[`{code}`]({code}.md)", CODES[code].title) for code in CODES if code.partition(".")[0] == family]
        parts.append(f"## {heading}\n\n{table(('code', 'what was done'), rows)}")
    names = "\n".join(f"{code} <{code}>" for code in CODES)
    return "\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"])


def page_of(code: str) -> str:
    """Return the page of one code."""
    texts, page = Entry(code, CODES[code]).to_dict(), PAGES[code]
    report = report_of(page.network, page.right, page.wrong)
    try:
        report.raise_if_wrong()
    except GradientError as error:
        shown = str(error)
    else:
        raise ValueError(f"the wrong line of {code} was not found wrong")
    wrong = "\n".join(f"- {line}" for line in page.wrong.splitlines())
    right = "\n".join(f"+ {line}" for line in page.right.splitlines())
    apart = f"Other mistakes can give the same numbers at one point. To tell this one apart, use {texts['separate']}.\n"
    if code.startswith("unknown"):
        apart = ""
    return f"""# {code}: {texts["title"]}

{texts["sentence"]}

## Why it is wrong

{page.why}

## The right line

```diff
{wrong}
{right}
```

{texts["repair"]}

## How it shows

```text
{shown.strip()}
```

{apart}"""


def commands() -> Iterator[str]:
    """Yield the reference of every command, from the objects that parse it."""
    context = click.Context(main, info_name="fastgrad")
    yield from _command("fastgrad", main, context)
    yield from _of_group("fastgrad", main)


def _of_group(path: str, group: click.Group) -> Iterator[str]:
    for name, command in group.commands.items():
        yield from _command(f"{path} {name}", command, click.Context(command, info_name=name))
        if isinstance(command, click.Group):
            yield from _of_group(f"{path} {name}", command)


def _command(path: str, command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"## {path}\n"
    yield f"```text\n{usage}\n```\n"
    yield "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n")) + "\n"
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    if options:
        yield table(("option", "meaning"), [_option(option, context) for option in options])
    if command.epilog:
        lines = [
            line.strip() for line in command.epilog.replace("\b", "").splitlines() if line.strip() and ":" not in line[-1:]
        ]
        yield "```text\n" + "\n".join(lines) + "\n```\n"


def _option(option: click.Option, context: click.Context) -> Row:
    """Return an option as it is typed, and its help with the default."""
    record: Any = option.get_help_record(context)
    typed, meaning = record
    return f"`{typed}`", meaning


def public_names() -> Iterator[str]:
    """Yield what autodoc makes of every public name: functions, then classes, then errors."""
    public = {name: getattr(fastgrad, name) for name in fastgrad.__all__ if not name.startswith("__")}
    classes = {name for name, value in public.items() if isinstance(value, type)}
    errors = {name for name in classes if issubclass(public[name], BaseException)}
    members = "\n   :members:\n   :inherited-members:"
    for heading, directive, names in (
        ("Functions", "autofunction", public.keys() - classes),
        ("Reports", "autoclass", classes - errors),
        ("Errors", "autoexception", errors),
    ):
        entries = [f".. {directive}:: fastgrad.{name}{members if names == classes - errors else ''}" for name in sorted(names)]
        yield f"## {heading}\n\n```{{eval-rst}}\n" + "\n\n".join(entries) + "\n```\n"


def keys() -> Iterator[Row]:
    """Yield a row for each item of a description, in the words of the option that gives it."""
    options = {option.name: option for option in main.commands["check"].params if isinstance(option, click.Option)}
    for item in fields(Description):
        option = options[item.name]
        yield f"`{item.name}`", f"`{option.opts[0]}`", option.help or ""


def documents() -> Iterator[tuple[str, str]]:
    """Yield the name of each part of the JSON Schema and a table of its keys."""
    schema = json.loads((Path(fastgrad.__file__).parent / "report" / "schema.json").read_text(encoding="utf-8"))
    for kind, part in schema["$defs"].items():
        if "properties" in part:
            yield kind, table(("key", "value", "meaning"), _described(part))


def _described(part: dict[str, Any], prefix: str = "") -> Iterator[Row]:
    """Yield a row for each key of an object; keys of an object inside it follow with its name in front."""
    for key, value in part["properties"].items():
        yield f"`{prefix}{key}`", _kind(value), value.get("description", "")
        inner = value.get("items", value)
        if "properties" in inner:
            yield from _described(inner, f"{prefix}{key}{'[].' if inner is not value else '.'}")


def _kind(value: dict[str, Any]) -> str:
    """Return in words what a value may be."""
    if "$ref" in value:
        return value["$ref"].rpartition("/")[2]
    if "anyOf" in value:
        return " or ".join(map(_kind, value["anyOf"]))
    if "enum" in value:
        return ", ".join(f'"{choice}"' for choice in value["enum"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if value["type"] == "array":
        return f"array of {_kind(value['items'])}"
    return value["type"] if isinstance(value["type"], str) else " or ".join(value["type"])


def method_rows() -> list[Row]:
    """Return a row for each method."""
    return [(f"`{method.name}`", method.perturbs, method.serves) for method in METHODS.values()]


def activation_rows() -> list[Row]:
    """Return a row for each activation."""
    return [(f"`{row.name}`", row.formula, _default(row.parameter), _code(row.synonyms)) for row in activations.ROWS]


def loss_rows() -> list[Row]:
    """Return a row for each loss."""
    return [(f"`{row.name}`", row.formula, row.after, _default(row.parameter), _code(row.synonyms)) for row in losses.ROWS]


def libraries() -> list[Row]:
    """Return a row for each loss of a library, with what it is here by either reduction."""
    return [
        (f"`{name}`", library, _here(name, "mean", known.single), _here(name, "sum", known.single))
        for library, names in LIBRARIES.items()
        for name, known in names.items()
    ]


def _here(name: str, reduction: str, single: bool) -> str:
    """Return fastgrad's name of a loss with its factor, of K outputs."""
    outputs = 1 if single else K
    said = translated(Description(loss=name, reduction=reduction), outputs)
    factor = {1.0: "", 1.0 / K: "1/K times ", float(K): "K times "}[said.scale or 1.0]
    return f"{factor}`{said.loss}`{' of a single output' if single else ''}"


def _default(parameter: activations.Parameter | None) -> str:
    """Return what a parameter is, and its value where none is said."""
    return "" if parameter is None else f"{parameter.words}, {parameter.default:.3g}"


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
