"""A user's function, called with arrays that carry differences.

Called by `slopes`. What happens in such a call stays in it: no exception comes out but `NotFollowedError`, with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.exact import rules  # noqa: F401 - fills the table of functions
from fastgrad.functions.exact.buffers import Buffers
from fastgrad.functions.exact.moved import Delta, Moved, fresh, is_moved, of_tile
from fastgrad.functions.exact.rewritten import Rewriting
from fastgrad.functions.exact.tile import NotFollowedError, Tile

Build = Callable[[list[Moved]], Any]


class Output(NamedTuple):
    """One array that a function returned: at the point, and by how much it differs from that after each move; None for 0."""

    value: NDArray[Any]
    delta: Delta


class Followed:
    """A copy of a function, to be followed.

    Parameters
    ----------
    f : callable
        The function.
    build : callable
        From a list of arrays to the function's only argument.
    reset : callable
        Called before each call.
    """

    def __init__(self, f: Callable[[Any], Any], build: Build, reset: Callable[[], object]) -> None:
        self._buffers, self._build, self._reset = Buffers(), build, reset
        self._f = _rewritten(f, self._buffers)

    def __call__(self, values: list[NDArray[np.float64]], deltas: list[Delta], count: int) -> tuple[Tile, list[Output]]:
        """Return what the function returns, in the order in which it holds its arrays, and what was noted of the moves.

        Raises
        ------
        NotFollowedError
            If it cannot be followed.
        """
        tile = self._buffers.tile = Tile(count)
        parts = [fresh(tile, value.copy(), delta) for value, delta in zip(values, deltas, strict=True)]
        for part, value in zip(parts, values, strict=True):
            part.is_scalar = value.ndim == 0
        try:
            self._reset()
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                outputs = [_output(tile, leaf) for leaf in leaves(self._f(self._build(parts)))]
        except NotFollowedError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # exit() included, as for f itself
            raise NotFollowedError(tile.refusal or f"it does not take such arrays ({type(error).__name__}: {error})") from error
        if tile.refusal is not None:  # which the function has caught
            raise NotFollowedError(tile.refusal)
        return tile, outputs


def _rewritten(f: Any, buffers: Buffers) -> Any:
    try:
        return Rewriting(buffers.replacements()).of(f)
    except Exception as error:  # of objects that cannot be copied
        raise NotFollowedError(f"it cannot be rewritten: {error}") from error


def _output(tile: Tile, leaf: Any) -> Output:
    if is_moved(leaf):
        return Output(leaf.numbers, of_tile(tile, leaf).delta)
    value = np.asarray(leaf)
    if value.dtype.kind not in "fiub":
        tile.refuse(f"it returns {type(leaf).__name__}")
    return Output(value, None)


def leaves(returned: Any) -> Iterator[Any]:
    """Yield what nested tuples, lists and dicts hold."""
    if isinstance(returned, Mapping):
        returned = list(returned.values())
    if not isinstance(returned, (list, tuple)):
        yield returned
        return
    for part in returned:
        yield from leaves(part)
