"""What every report has in common: whether it passed, that it is true only then, and the error for whoever asserts it."""

from __future__ import annotations

from abc import ABC, abstractmethod


class GradientError(AssertionError):
    """A gradient that was checked and is not right; the message is the short report."""


class BaseReport(ABC):
    """A report with a verdict; it is true where it passed, so that ``assert fastgrad.check(...)`` holds its promise."""

    @property
    def passed(self) -> bool:
        """Whether everything that was to be judged was judged, and is right."""
        return self.verdict == "right"  # type: ignore[attr-defined, no-any-return]

    def __bool__(self) -> bool:
        """Return whether it passed."""
        return self.passed

    def raise_if_wrong(self) -> None:
        """Do nothing if the check passed, for use in a test.

        Raises
        ------
        GradientError
            If something is wrong or could not be judged; the message says what.
        """
        if not self.passed:
            raise GradientError(self.complaint())

    @abstractmethod
    def complaint(self) -> str:
        """Return what a failed assertion shows."""
