"""The ways of ending without an answer: what cannot be checked, and Ctrl-C."""

from typing import Any


class InputError(ValueError):
    """Something that cannot be checked; the message says what was expected, what was found, where, and what to do."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during long work.

    Attributes
    ----------
    finished : Numerical or Report
        What was done until then.
    """

    def __init__(self, finished: Any) -> None:
        super().__init__()
        self.finished = finished
