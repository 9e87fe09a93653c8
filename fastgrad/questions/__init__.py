"""The other questions that one can ask of a network, each a function from arrays to a result.

What is its numerical gradient, what was it read as, how much does a step cost, would mistakes in it be named, and which of two
claimed gradients is right?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from fastgrad.diagnosis.selftest import SelfTest
from fastgrad.diagnosis.selftest import selftest as plant_and_look
from fastgrad.model.forward import UNIT_ROUNDOFF
from fastgrad.model.network import Array, Problem
from fastgrad.model.rounding import TOLERANCE, UNDERFLOW, rounding_of_entries
from fastgrad.numerical.differences import Differences, differences
from fastgrad.numerical.how import How
from fastgrad.numerical.tracking import Progress
from fastgrad.questions.comparison import Comparison, compared
from fastgrad.questions.understood import Understood
from fastgrad.reading import Description, completed, interpret_parts, place_entries
from fastgrad.reading.description import Items
from fastgrad.teaching.sweep import LARGEST, SMALLEST, Sweep, sweep_steps
from fastgrad.writing import PathLike

if TYPE_CHECKING:
    from concurrent.futures import Executor

Parameters = Mapping[str, Any] | Sequence[Any]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, repr=False)
class NetworkGradient:
    """The numerical gradient of a network.

    Attributes
    ----------
    value : dict of str to ndarray
        Under the names of the gradients, or the parameters' with a d before them, in the parameters' shapes; nan where a
        sample left an entry out.
    error : dict of str to ndarray
        The same of how far off each entry may be: the rounding that a check allows, and what a fixed step costs.
    loss : float
        The loss at this point.
    method : str
        The method that made it.
    """

    value: Arrays
    error: Arrays
    loss: float
    method: str

    def __repr__(self) -> str:
        """Return the names and shapes in one line."""
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.value.items())
        return f"<NetworkGradient: {shapes}; loss {self.loss:.7g}, by method {self.method}>"


def gradient(
    parameters: Parameters,
    X: Any,
    Y: Any,
    *,
    masks: Parameters | None = None,
    method: str = "auto",
    step: float | None = None,
    scheme: str = "central",
    sample: int | float | str | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
    store: PathLike | None = None,
    **description: Unpack[Items],
) -> NetworkGradient:
    """Compute the numerical gradient of a network's loss, in your names and shapes.

    Parameters
    ----------
    parameters, X, Y, masks, method, step, scheme, sample, seed, threads, progress, executor, store, **description
        As in `check`; a method that gives a value for each entry.

    Returns
    -------
    NetworkGradient
        Values and errors by name.

    Raises
    ------
    InputError
        If the arrays and the description do not make a network.
    Interrupted
        On Ctrl-C.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> W, X = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> fastgrad.gradient({"W1": W}, X, np.zeros((3, 1)), output="identity", loss="squared_error").value["dW1"]
    array([[ -8.83333333, -11.33333333]])
    """
    how = How(method, step, scheme, sample, seed, threads=threads, progress=progress, executor=executor, store=store)
    problem = _problem(parameters, X, Y, masks, description)
    with np.errstate(all="ignore"):
        found = differences(problem, how)
        if found.interrupted:
            raise KeyboardInterrupt
        error = _uncertainty(problem, found)
    error[np.isnan(found.numerical.values)] = np.nan
    numerical = found.numerical
    return NetworkGradient(
        as_arrays(problem, numerical.values), as_arrays(problem, error), numerical.base.loss, numerical.method
    )


def info(
    parameters: Parameters,
    gradients: Parameters | None = None,
    X: Any = None,
    Y: Any = None,
    *,
    masks: Parameters | None = None,
    **description: Unpack[Items],
) -> Understood:
    """Say what a network was read as, what its loss is, how long a check takes, and what is missing.

    Parameters
    ----------
    parameters, gradients, X, Y, masks, **description
        As in `check`; the gradients may be missing, and what is not said of the network is named.

    Returns
    -------
    Understood
        Prints as the command ``fastgrad info`` does.

    Raises
    ------
    InputError
        If the arrays do not make a network.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> print(fastgrad.info({"W1": np.ones((1, 2))}, X=np.ones((3, 2)), Y=np.zeros((3, 1)), output="identity").missing)
    ('loss',)
    """
    described = Description.of(description, ["masks", "gradients"])
    return Understood.of(*completed(lambda said: interpret_parts(parameters, gradients, X, Y, said, masks), described))


def sweep(
    parameters: Parameters,
    X: Any,
    Y: Any,
    *,
    masks: Parameters | None = None,
    largest: float = LARGEST,
    smallest: float = SMALLEST,
    sample: int | float | str | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    **description: Unpack[Items],
) -> Sweep:
    """Measure how the step decides the error of a numerical gradient.

    Parameters
    ----------
    parameters, X, Y, masks, **description
        As in `check`.
    largest, smallest, sample, seed, threads, progress
        As in `fastgrad.teaching.sweep.sweep_steps`: the range of steps, and which parameters are drawn.

    Returns
    -------
    Sweep
        Curves of the textbook's differences and of the propagated one; prints as ``fastgrad sweep`` does.

    Raises
    ------
    InputError
        If the arrays and the description do not make a network.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> W, X = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> found = fastgrad.sweep({"W1": W}, X, np.zeros((3, 1)), output="identity", loss="squared_error")
    >>> len(found.steps)
    37
    """
    problem = _problem(parameters, X, Y, masks, description)
    return sweep_steps(
        problem, largest=largest, smallest=smallest, sample=sample, seed=seed, threads=threads, progress=progress
    )


def selftest(
    parameters: Parameters,
    X: Any,
    Y: Any,
    *,
    masks: Parameters | None = None,
    progress: Progress | None = None,
    **description: Unpack[Items],
) -> SelfTest:
    """Plant every known mistake into a network's right gradient, and see whether it is named.

    Parameters
    ----------
    parameters, X, Y, masks, **description
        As in `check`.
    progress : callable, optional
        Called with (mistakes done, mistakes in all).

    Returns
    -------
    SelfTest
        A report, true where every mistake that shows is named.

    Raises
    ------
    InputError
        If the arrays and the description do not make a network.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> W, X = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> fastgrad.selftest({"W1": W}, X, np.zeros((3, 1)), output="identity", loss="squared_error").passed
    True
    """
    return plant_and_look(_problem(parameters, X, Y, masks, description), progress)


def compare(
    parameters: Parameters,
    first: Parameters,
    second: Parameters,
    X: Any,
    Y: Any,
    *,
    names: tuple[str, str] = ("first", "second"),
    masks: Parameters | None = None,
    method: str = "auto",
    sample: int | float | str | None = None,
    seed: int = 0,
    tolerance: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    diagnosis: bool = True,
    **description: Unpack[Items],
) -> Comparison:
    """Hold two claimed gradients, of two backends or languages, against each other and against the numerical one.

    Parameters
    ----------
    parameters, X, Y, masks, method, sample, seed, tolerance, threads, progress, diagnosis, **description
        As in `check`.
    first, second : mapping or sequence of array_like
        The two, each as the gradients of `check`.
    names : tuple of str
        What the report calls them.

    Returns
    -------
    Comparison
        A report, true where both are right: who is right, and how far apart they are in units of rounding.

    Raises
    ------
    InputError
        If the arrays and the description do not make a network that can be checked.
    Interrupted
        On Ctrl-C.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> W, X = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> dW = (X @ W.T).T @ X / 3
    >>> said = {"output": "identity", "loss": "squared_error"}
    >>> print(fastgrad.compare([W], [dW], [3 * dW], X, np.zeros((3, 1)), **said).verdict)
    wrong
    """
    how = How(method, None, "central", sample, seed, None, tolerance, threads, progress, diagnosis)
    described = Description.of(description, ["masks", "names"])
    problems = [interpret_parts(parameters, claim, X, Y, described, masks) for claim in (first, second)]
    problems[0].require_in_memory("a comparison of two gradients")
    return compared(names, (problems[0], problems[1]), how)


def as_arrays(problem: Problem, values: Array) -> Arrays:
    """Return a flat gradient as the user's own arrays, under the names of the user's gradients."""
    arrays: Arrays = {}
    for tensor in problem.tensors:
        # W and b of one array have one name between them.
        array = arrays.setdefault(tensor.gradient_array, np.full(tensor.shape, np.nan))
        place_entries(tensor, values[tensor.start : tensor.stop], array)
    return arrays


def _uncertainty(problem: Problem, found: Differences) -> Array:
    """Return how far off the entries may be: as a check allows, and by what a fixed step costs."""
    rounding = rounding_of_entries(problem, found.numerical.base, found.numerical.values)
    allowed = TOLERANCE * (UNIT_ROUNDOFF["float64"] * rounding + UNDERFLOW["float64"])
    return allowed if found.extra is None else allowed + found.extra


def _problem(parameters: Parameters, X: Any, Y: Any, masks: Parameters | None, description: Items) -> Problem:
    problem = interpret_parts(parameters, None, X, Y, Description.of(description, ["masks"]), masks)
    problem.require_in_memory("this")
    return problem
