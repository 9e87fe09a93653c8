"""How a gradient is to be checked: what a user may choose, as one value, and refused here where it cannot be used.

Made at the door, by `check` and by `numerical_gradient`, and handed on as it is: nothing behind it asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.errors import InputError, require
from fastgrad.model.network import Problem
from fastgrad.model.rounding import TOLERANCE
from fastgrad.numerical.blocks import Method
from fastgrad.numerical.directional import DIRECTIONS, MOST_DIRECTIONS
from fastgrad.numerical.methods import USUAL, choose_method, named
from fastgrad.numerical.selection import sample_size
from fastgrad.numerical.tracking import Progress, thread_count
from fastgrad.numerical.work import Workers
from fastgrad.numerical.work.given import require_executor, require_store
from fastgrad.writing import PathLike

if TYPE_CHECKING:
    from concurrent.futures import Executor


@dataclass(frozen=True, eq=False)
class How:
    """How a gradient is made and judged.

    Attributes
    ----------
    method : Method, or its name, or "auto"
        How the numerical gradient is made.
    step : float or None
        One step for all that is perturbed; None where each has its own.
    scheme : {"central", "forward", "five-point"}
        The difference that is formed.
    sample : int, float, str or None
        How many parameters are evaluated, as 500 or "5%"; None for all.
    seed : int
        Seed of all that is drawn.
    directions : int or None
        How many directions, by method directional; None for as many as are usual.
    tolerance : float or None
        How many times the rounding of an entry a gradient may be off; None for the derived number.
    threads : int or None
        Threads; None for all there are.
    progress : callable or None
        Called with (parameters done, parameters in all).
    diagnosis : bool
        Whether the mistake that makes a gradient wrong is looked for.
    executor : Executor or None
        Whose workers make the numerical gradient; None for this process.
    store : str, path or None
        A folder where what is finished is kept, and found again.

    Raises
    ------
    InputError
        If one of them cannot be used, or does not go with another.
    """

    method: str | Method = "auto"
    step: float | None = None
    scheme: str = "central"
    sample: int | float | str | None = None
    seed: int = 0
    directions: int | None = None
    tolerance: float | None = None
    threads: int | None = None
    progress: Progress | None = None
    diagnosis: bool = True
    executor: Executor | None = None
    store: PathLike | None = None

    def __post_init__(self) -> None:
        if self.method != "auto":
            self._require_what_goes_with(named(self.method))
        elif self.directions is not None:
            raise InputError("directions go with method directional, found method auto")
        require("tolerance", self.allowed, float, "a positive number", lambda multiple: multiple > 0)
        if self.allowed < 1.0:  # meant as a share of an entry, as check_function has it; no number can be right to less
            raise InputError(
                f"tolerance counts roundings of an entry and is at least 1, found {self.allowed}; usual is {TOLERANCE:g}"
            )
        if self.step is not None:
            require("step", self.step, float, "a positive number", lambda h: np.isfinite(h) and h > 0)
        if self.sample is not None:
            sample_size(self.sample, 1)
        require("seed", self.seed, int, "a whole number of at least 0", lambda number: number >= 0)
        most = f"a whole number from 1 to {MOST_DIRECTIONS:,}"
        require("directions", self.wanted_directions, int, most, lambda number: 1 <= number <= MOST_DIRECTIONS)
        thread_count(self.threads)
        require_executor(self.executor)
        require_store(self.store)

    def _require_what_goes_with(self, method: Method) -> None:
        """Refuse what the method chosen does not know."""
        if method.plan is not None:
            if self.directions is not None:
                raise InputError(f"directions go with method directional, found method {method.name}")
            return
        for name, given in (("executor", self.executor), ("store", self.store)):
            if given is not None:
                raise InputError(f"method {method.name} has no blocks that others could work on: leave out {name}")
        scheme = None if self.scheme == "central" else self.scheme
        for name, value in (("step", self.step), ("scheme", scheme), ("sample", self.sample)):
            if value is not None:
                raise InputError(f"method {method.name} moves all parameters and chooses its steps: leave out {name}")

    @property
    def allowed(self) -> float:
        """The tolerance that is meant."""
        return TOLERANCE if self.tolerance is None else self.tolerance

    @property
    def wanted_directions(self) -> int:
        """The number of directions that is meant."""
        return DIRECTIONS if self.directions is None else self.directions

    @property
    def workers(self) -> Workers:
        """Who works on blocks, and where these are kept."""
        return Workers(self.threads, self.executor, None if self.store is None else Path(self.store).absolute())

    def alike(self, method: Method) -> How:
        """Return how the same workers make the whole gradient by another method."""
        return How(method, threads=self.threads, executor=self.executor, store=self.store)

    def method_for(self, problem: Problem) -> Method:
        """Return the method that is meant; "auto" decides by the counted work."""
        return choose_method(problem, self.method, self.sample)

    def spares_time(self, method: Method) -> bool:
        """Return whether "auto" chose this method because the usual one has too much to do."""
        return self.method == "auto" and method is not USUAL
