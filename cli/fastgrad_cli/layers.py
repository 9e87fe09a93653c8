"""The layer that `fastgrad layer` names: two functions in a process of their own, where the whole check runs.

What forward keeps for backward may be anything, and stays there; what comes back is the report, or why there is none.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from fastgrad.errors import FunctionError, InputError
from fastgrad_cli.functions import UserFunction, allowed, named

PATIENCE = 600.0
"""Seconds for the whole check, if nobody says otherwise."""


class UserLayer(UserFunction):
    """Two functions in one process; a context that ends it.

    Parameters
    ----------
    forward, backward : str
        Their names: module:function or file.py:function.
    timeout : float, optional
        Seconds for the whole check; 0 for no limit.
    """

    def __init__(self, forward: str, backward: str, timeout: float | None = None) -> None:
        self._names = [named(forward), named(backward)]
        self._seconds = PATIENCE if timeout is None else timeout
        super().__init__(forward, timeout)

    def check(self, inputs: dict[str, Any], options: dict[str, Any]) -> Any:
        """Check the layer there, and return the report, not judged where the process ended or a function failed.

        Raises
        ------
        InputError
            If there are no such functions, or it cannot be told how they are called.
        """
        from fastgrad.layers.report import LayerReport, unjudged

        self.start()
        request = {"layer": [list(map(list, self._names)), inputs, options]}
        try:
            answer = self._exchange(request, self._seconds, f"the check took longer than {allowed(self._seconds)}")
        except FunctionError as error:
            return unjudged(f"The check came to no end: {error}.")
        if answer["outcome"] == "refused":
            raise InputError(answer["text"])
        return unjudged(f"{answer['text']}.") if answer["outcome"] == "failed" else rebuilt(LayerReport, answer["report"])


def rebuilt(kind: Any, value: Any) -> Any:
    """Return an object of nested dataclasses and tuples from the dicts and lists that it was sent as."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: rebuilt(hints[field.name], value[field.name]) for field in dataclasses.fields(kind)})  # type: ignore[operator]
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        return tuple(rebuilt(parts[0], part) for part in value)
    return value
