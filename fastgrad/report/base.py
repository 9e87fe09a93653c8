"""The protocol of all reports, of a check, of trials, of a function: what they can be asked and how they are rendered.

A report adds its own parts: `sentence`, `body` and `parts`. Every way to render one, in a terminal, as text or as a document,
is written here, once, and made of these three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from fastgrad._version import SCHEMA
from fastgrad.report.formatting import plain_text
from fastgrad.report.verdicts import verdict_line

if TYPE_CHECKING:
    from fastgrad.report.parts import Finding


class GradientError(AssertionError):
    """A gradient that was checked and is not right; the message is the short report."""


class Case(NamedTuple):
    """One thing that was judged, as a test of a CI: its name, its verdict, and what to say where it is not right."""

    name: str
    verdict: str
    message: str


class Shortly:
    """A report without its fine print."""

    def __init__(self, report: BaseReport, hint: str) -> None:
        self._report, self._hint = report, hint

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the headline and the short text for a terminal."""
        yield self._report.headline(options.ascii_only)
        yield from self._report.brief(options.ascii_only)
        if self._report.passed and type(self._report).brief is not BaseReport.brief:
            yield Text(self._hint, style="dim")


class BaseReport(ABC):
    """A report with a verdict; it is true where it passed, so that ``assert fastgrad.check(...)`` holds its promise."""

    if TYPE_CHECKING:  # a dataclass would take a property of its base for the default of its field

        @property
        def verdict(self) -> str:
            """The verdict on the whole: "right", "wrong", or a word for neither."""

        @property
        def findings(self) -> tuple[Finding, ...]:
            """The mistakes that explain what is wrong."""

        @property
        def notes(self) -> tuple[str, ...]:
            """Further remarks, each a sentence."""

    @property
    def passed(self) -> bool:
        """Whether everything that was to be judged was judged, and is right."""
        return self.verdict == "right"

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

    def complaint(self) -> str:
        """Return what a failed assertion shows: the report, or a shorter one."""
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON document.

        Returns
        -------
        dict
            Ready for `json.dumps`. Numbers that JSON does not know stand as the strings "nan", "inf" and "-inf", so
            that ``float()`` reads them back and no comparison takes one for a small difference.
        """
        return {"schema": SCHEMA, "passed": self.passed, "verdict": self.verdict, **self.parts()}

    def headline(self, ascii_only: bool = False) -> Text:
        """Return the verdict and what it is about, in one line."""
        return verdict_line(self.verdict, self.sentence(), ascii_only)

    def __str__(self) -> str:
        """Return the report as plain text, 100 columns wide."""
        return plain_text(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the report for a terminal."""
        yield self.headline(options.ascii_only)
        yield from self.body(options.ascii_only)

    def cases(self) -> Iterator[Case]:
        """Yield what was judged, one by one; here the report as a whole."""
        yield Case("gradient", self.verdict, self.complaint())

    def __repr__(self) -> str:
        """Return the verdict and the headline."""
        return f"<{type(self).__name__}: {self.verdict}. {self.sentence()}>"

    def to_html(self) -> str:
        """Return the report as a page of HTML that needs nothing else."""
        from fastgrad.report import html

        return html.page(self)

    def _repr_html_(self) -> str:
        """Return the report as notebooks show it."""
        from fastgrad.report import html

        return html.fragment(self)

    def shortly(self, hint: str) -> RenderableType:
        """Return what a person in a hurry reads: of what is right a dozen lines at most and a hint, of the rest everything."""
        return Shortly(self, hint)

    def brief(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield what stands below the headline in short."""
        return self.body(ascii_only)

    @abstractmethod
    def sentence(self) -> str:
        """Return the verdict as a sentence."""

    @abstractmethod
    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield what stands below the headline."""

    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
