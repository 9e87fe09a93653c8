"""What `fastgrad explain` prints: the table of mistakes, or one of them in full."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fastgrad.diagnosis.codes import CODES, Code
from fastgrad.diagnosis.pages import PAGES
from fastgrad.errors import InputError, quoted
from fastgrad.functions.relations import words as relations
from fastgrad.functions.repair import words as repair


@dataclass(frozen=True)
class Entry:
    """A code with its texts, general words in place of the names of a network."""

    code: str
    entry: Code

    def to_dict(self) -> dict[str, Any]:
        """Return the element of a JSON document."""
        texts = {key: self._general(getattr(self.entry, key)) for key in ("title", "sentence", "repair", "separate")}
        page = PAGES[self.code]
        return {"code": self.code, **texts, "why": page.why, "wrong": page.wrong, "right": page.right}

    def _general(self, text: str) -> str:
        """Return a text of the table without the names and numbers of a network."""
        words = _WORDS | _WORDS_OF.get(self.code, {})
        return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[1]), text)


@dataclass(frozen=True)
class OfFunction:
    """A code of what is wrong in any function, which has no line of a network's backward pass."""

    code: str

    def to_dict(self) -> dict[str, Any]:
        """Return the element of a JSON document."""
        title, sentence, repair = relations.CODES.get(self.code, _OF_REPAIRS)
        return {
            "code": self.code,
            "title": title,
            "sentence": sentence.format_map(_WORDS_OF_FUNCTIONS),
            "repair": repair,
            "separate": "another point",
            "why": "It is said of any function, once enough entries of an array prove it; the mistake itself may be anywhere.",
            "wrong": "",
            "right": "",
        }


def chosen(code: str | None) -> list[Entry | OfFunction]:
    """Return the entry of a code, those of a family such as "slope", or all.

    Raises
    ------
    InputError
        If there is none.
    """
    entries: list[Entry | OfFunction] = [Entry(key, entry) for key, entry in CODES.items()]
    known = {entry.code for entry in entries}
    entries += [OfFunction(key) for key in (*relations.CODES, repair.CODE) if key not in known]
    found = [entry for entry in entries if code is None or code in (entry.code, entry.code.partition(".")[0])]
    if not found:
        families = ", ".join(dict.fromkeys(entry.code.partition(".")[0] for entry in entries))
        raise InputError(f"there is no code {quoted(code)}; fastgrad explain lists all, or give a family: {families}")
    return found


def explanation(entries: list[Entry | OfFunction]) -> RenderableType:
    """Return one code in full, several as a table."""
    if len(entries) == 1:
        texts = entries[0].to_dict()
        lines = [f"{texts['code']}: {texts['title']}", "", texts["sentence"], texts["why"], ""]
        lines += [f"- {line}" for line in texts["wrong"].splitlines()]
        lines += [f"+ {line}" for line in texts["right"].splitlines()]
        lines += ["", texts["repair"], f"To tell it from others that look alike, use {texts['separate']}."]
        return Group(*map(Text, lines))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for entry in entries:
        table.add_row(entry.code, entry.to_dict()["title"])
    return table


_OF_REPAIRS = relations.Code(
    repair.TITLE, "One edit of the source makes the gradient right.", "Change the line that the report shows."
)
_WORDS_OF_FUNCTIONS = {
    "who": "The gradient of an array",
    "are": "is",
    "have": "has",
    "hold": "holds",
    "times": "c times ",
    "reading": "",
    "turned": "",
    "amount": "off by one number",
    "other": "another array",
    "plus": "plus",
    "axes": "some axes",
    "order": "transposed",
    "axes_order": "that they had before",
    "shift": "k",
    "axis": "i",
    "first": "i",
    "second": "j",
    "count": "n",
    "slices": "Each slice is off by one number, or by one factor",
    "place": "a part",
}
"""What stands in the place of the names and numbers of a function's arrays."""

_WORDS = {
    "grads": "The gradient",
    "grad": "dW",
    "parameter": "W",
    "named": "the parameter",
    "parameters": "parameter",
    "themselves": "itself",
    "factor": "c",
    "inverse": "c",
    "large": "too large, or too small",
    "times": "",
    "m": "m",
    "once": "the gradient",
    "wrong": "its formula",
    "have_Z": "has",
    "lack_Z": "lacks",
    "are_Z": "is",
    "were_Z": "was",
    "belong_Z": "belongs",
    "slopes": "f′(Z)",
    "slopes_at_A": "f′(A)",
    "step": "dZ = dA * f′(Z)",
    "hint": "",
    "Ws_above": "W",
    "axis": "axis=1 with examples in columns, axis=0 in rows",
    "are": "is",
    "have": "has",
    "hold": "holds",
    "lack": "lacks",
    "f": "the activation",
    "layer": "",
    "above": "(l+1)",
    "below": "(l-1)",
    "W_above": "W",
    "other_W": "another layer's W",
    "l2": "c",
    "of": "W",
    "term": "λ·W",
    "their_term": "the term that is there",
    "half_value": "½λ‖W‖²",
    "value_of_it": "λ‖W‖²",
    "value": "c",
    "made": "",
    "rate": "r",
    "right": "dW = dZ @ a.T",
    "place": "The report names the place and the entries that are wrong.",
}
"""What stands in the place of a network's own names; l counts the layers."""

_OUTPUT = {"right": "dZ = (a - y) / m", "f": "the sigmoid"}
_WORDS_OF = {
    "factor.batch": {"other": "B"},
    "elsewhere.before": {"other": "r"},
    "elsewhere.after": {"other": "r"},
    "elsewhere.examples": {"other": "i to k"},
    "tied.part": {"parameter": "W", "other": "another layer's W, which is the same array"},
    "slope.form": {"f": "tanh", "derivative": "1 - a²", "other": "1 - a, for example,"},
    "slope.other_activation": {"f": "tanh", "derivative": "1 - a²", "other": "relu, for example,"},
    "slope.other_layer": {"other": "(k)"},
    "output.extra_slope": _OUTPUT,
    "output.diagonal": _OUTPUT,
    "output.divided_by_p": _OUTPUT,
    "labels.class_shifted": {"other": "one"},
    "labels.example_shifted": {"other": "one"},
    "labels.order": {"other": "other examples"},
    "loss.other": {"other": "squared or absolute", "loss": "another one"},
    "loss.epsilon": {"other": "ε", "loss": "as you declared it"},
    "loss.clipped": {"other": "ε"},
    "way.other_delta": {"other": "(k)"},
    "way.other_arrived": {"other": "(k)"},
    "way.updated_weights": {"other": "c"},
    "order.other_tensor": {"other": "k"},
    "product.other_delta": {"other": "(k)"},
    "product.other_inputs": {"other": "(k)"},
    "examples.only": {"other": "i"},
    "examples.missing": {"other": "i"},
    "part.entry": {"other": "i, j"},
    "factor.update": {"factor": "-r"},
    "value.one_number": {"other": "the sum or the mean"},
    "part.row": {"other": "i"},
    "part.column": {"other": "j"},
}
"""Words of one code, where the general ones make no sentence."""
