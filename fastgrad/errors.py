"""The ways to end without an answer: input that cannot be checked, and Ctrl-C."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any


class InputError(ValueError):
    """Something that cannot be checked; the message says what was expected, what was found, where, and what to do."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during long work.

    Attributes
    ----------
    finished : Numerical, Directional or Report
        What was done until then.
    """

    def __init__(self, finished: Any) -> None:
        super().__init__()
        self.finished = finished


def require(name: str, value: object, kind: type, meaning: str, holds: Callable[[Any], bool]) -> None:
    """Raise InputError for an argument that is not of its kind; a whole number is a number, a truth value is none."""
    kinds = Integral if kind is int else Real
    if isinstance(value, bool) or not isinstance(value, kinds) or not holds(value):
        raise InputError(f"{name} must be {meaning}, found {value!r}")
