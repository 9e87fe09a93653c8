"""A tile: many moves of one point, whose differences from it are carried together; and what is noted of each of them.

Called by everything in this folder.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray


class NotFollowedError(TypeError):
    """What a function does has no exact difference here; it is evaluated in another way."""


class Tile:
    """Moves that are followed through a function together.

    Attributes
    ----------
    count : int
        Moves.
    tied, doubted : ndarray of bool, shape (count,)
        Moves at a kink, whose differences to both sides may have different slopes; and those in which the function took another
        branch than at the point, whose differences must not be used.
    refusal : str or None
        Why the function cannot be followed. It stays, also where the function catches the exception.
    largest : int
        Numbers in the largest array so far.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.tied = np.zeros(count, dtype=bool)
        self.doubted = np.zeros(count, dtype=bool)
        self.refusal: str | None = None
        self.largest = 1

    def tie(self, where: Any) -> None:
        """Note the moves, along the first axis, with a kink."""
        self.tied |= self._moves(where)

    def doubt(self, where: Any) -> None:
        """Note the moves, along the first axis, in which another branch is taken."""
        self.doubted |= self._moves(where)

    def refuse(self, why: str) -> NoReturn:
        """Give up, with a reason that continues "exact differences end where ..."."""
        self.refusal = self.refusal or why
        raise NotFollowedError(why)

    def _moves(self, where: Any) -> NDArray[np.bool_]:
        return np.asarray(where.reshape(self.count, -1).any(axis=1))
