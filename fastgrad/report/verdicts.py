"""Verdicts as they are printed: their signs, which tell them apart without colour, and their styles."""

from __future__ import annotations

from rich.text import Text

STYLES = {
    "right": "green",
    "right in float32": "green",
    "at a kink": "yellow",
    "wrong": "bold red",
    "not judged": "yellow",
    "inconclusive": "yellow",
    "left out": "dim",
}
SIGNS = {
    "right": "\N{CHECK MARK}",
    "right in float32": "\N{CHECK MARK}",
    "at a kink": "~",
    "wrong": "\N{BALLOT X}",
    "not judged": "?",
    "inconclusive": "?",
    "left out": "-",
}
ASCII_SIGNS = {"\N{CHECK MARK}": "+", "\N{BALLOT X}": "x"}


def sign_of(verdict: str, ascii_only: bool) -> str:
    """Return the sign of a verdict."""
    sign = SIGNS[verdict]
    return ASCII_SIGNS.get(sign, sign) if ascii_only else sign


def signed(verdict: str, ascii_only: bool) -> Text:
    """Return a verdict with its sign, as a cell of a table."""
    return Text(f"{sign_of(verdict, ascii_only)} {verdict}", style=STYLES[verdict])


def verdict_line(verdict: str, sentence: str, ascii_only: bool) -> Text:
    """Return a verdict and a sentence on it, as the first line of a report."""
    line = Text(f"{sign_of(verdict, ascii_only)} {verdict.upper()}", style=STYLES[verdict])
    return line.append(f"  {sentence}", style="default")
