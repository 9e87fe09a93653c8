"""The ways to end without an answer: input that cannot be checked, and Ctrl-C."""

import math
import traceback
from collections.abc import Callable
from numbers import Integral, Real
from pathlib import Path
from typing import Any


class InputError(ValueError):
    """Something that cannot be checked; the message says what was expected, what was found, where, and what to do."""


class FailedError(InputError):
    """A user's function that raised or ended something, so that nothing could be judged."""


class FunctionError(Exception):
    """A user's function gave no gradient that can be judged; the message says why."""


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


LONGEST = 500
"""Characters of somebody else's message that are worth repeating."""
_OURS = {"fastgrad", "fastgrad_cli", "importlib"}


def told(error: BaseException) -> str:
    """Say what a stranger's code raised, and where in its own files."""
    try:
        first = next(iter(str(error).splitlines()), "")[:LONGEST]
    except Exception:  # an error that cannot even be printed
        first = ""
    what = f"{type(error).__name__}: {first}" if first else type(error).__name__
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_strangers(frame.f_globals)]
    places = traceback.StackSummary.extract(iter(frames))
    own = [place for place in places if "site-packages" not in place.filename and not place.filename.startswith("<frozen")]
    if not own:
        return what
    line = f": {own[-1].line}" if own[-1].line else ""
    return f"{what} ({Path(own[-1].filename).name}, line {own[-1].lineno}{line})"


def _is_strangers(variables: dict[str, Any]) -> bool:
    """Tell whether a module, by its variables, is neither ours nor the machinery of import."""
    return str(variables.get("__name__")).partition(".")[0] not in _OURS


LONGEST_QUOTE = 200
"""Characters of somebody's text that a message repeats."""


def shortened(text: str) -> str:
    """Return a text as a message repeats it: of a long one the beginning, and how long it is."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}… ({len(text):,} characters)"


def quoted(value: object) -> str:
    """Return what somebody gave in Python's notation, as a message repeats it."""
    if isinstance(value, str) and len(value) > LONGEST_QUOTE:  # cut first, so that the quotation mark at its end stays
        return f"{value[:LONGEST_QUOTE]!r}… ({len(value):,} characters)"
    return shortened(repr(value))


def is_finite(value: Any) -> bool:
    """Whether a number is finite in double precision; Python has whole numbers and fractions that are not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def require(name: str, value: object, kind: type, meaning: str, holds: Callable[[Any], bool]) -> None:
    """Raise InputError for an argument that is not of its kind; a whole number is a number, a truth value is none."""
    kinds = Integral if kind is int else Real
    if isinstance(value, bool) or not isinstance(value, kinds) or not is_finite(value) or not holds(value):
        raise InputError(f"{name} must be {meaning}, found {quoted(value)}")
