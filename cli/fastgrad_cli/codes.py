"""What `fastgrad explain` prints: the table of mistakes, or one of them in full."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fastgrad.diagnosis.codes import CODES, Code
from fastgrad.errors import InputError, quoted


@dataclass(frozen=True)
class Entry:
    """A code with its texts, general words in place of the names of a network."""

    code: str
    entry: Code

    def to_dict(self) -> dict[str, Any]:
        """Return the element of a JSON document."""
        texts = {key: _general(getattr(self.entry, key)) for key in ("title", "sentence", "repair", "separate")}
        return {"code": self.code, **texts}


def chosen(code: str | None) -> list[Entry]:
    """Return the entry of a code, those of a family such as "slope", or all.

    Raises
    ------
    InputError
        If there is none.
    """
    found = [Entry(key, entry) for key, entry in CODES.items() if code is None or code in (key, key.partition(".")[0])]
    if not found:
        families = ", ".join(dict.fromkeys(key.partition(".")[0] for key in CODES))
        raise InputError(f"there is no code {quoted(code)}; fastgrad explain lists all, or give a family: {families}")
    return found


def explanation(entries: list[Entry]) -> RenderableType:
    """Return one code in full, several as a table."""
    if len(entries) == 1:
        texts = entries[0].to_dict()
        lines = [f"{texts['code']}: {texts['title']}", "", texts["sentence"], texts["repair"]]
        return Group(*map(Text, [*lines, f"What tells it from others that look alike: {texts['separate']}."]))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for entry in entries:
        table.add_row(entry.code, entry.entry.title)
    return table


_WORDS = {
    "grads": "The gradient",
    "grad": "the gradient",
    "parameter": "the parameter",
    "factor": "c",
    "inverse": "c",
    "large": "too large, or too small",
    "other": "another",
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
    "step": "dZ = dA ⊙ f′(Z)",
    "hint": "",
    "Ws_above": "W",
    "axis": "axis=1 with examples in columns, axis=0 in rows",
    "are": "is",
    "have": "has",
    "hold": "holds",
    "lack": "lacks",
    "f": "the activation",
    "derivative": "its own",
    "layer": "",
    "above": " above",
    "below": " below",
    "W_above": "W",
    "other_W": "another layer's W",
    "loss": "another one",
    "l2": "c",
    "right": "dW = dZ·aᵀ",
    "place": "The place is named, and which entries are wrong.",
}


def _general(text: str) -> str:
    """Return a text of the table without the names of a network."""
    return re.sub(r"\{(\w+)\}", lambda match: _WORDS.get(match[1], match[1]), text)
