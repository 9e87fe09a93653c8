"""How a user's forward and backward are called: by name or by place, with a cache or with the inputs again.

What their signatures and what forward returned do not tell is asked for: an InputError with the whole call to type.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastgrad.errors import FailedError, InputError, told
from fastgrad.layers.arguments import Inputs, Outputs, described, is_array, read_inputs, read_outputs
from fastgrad.report.formatting import listed

Result = TypeVar("Result")

CACHES = ("cache", "ctx", "context", "saved", "memo", "tape", "stash", "residual")
"""Beginnings of the names that people give to what forward keeps for backward."""


class Signature(NamedTuple):
    """Parameters of a function: those that must be given, those that may, and whether it takes any number by place or name."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    any_place: bool
    any_name: bool

    @property
    def places(self) -> tuple[str, ...]:
        """All parameters with a name."""
        return self.required + self.optional


def signature_of(function: Callable[..., Any]) -> Signature:
    """Return a function's signature; one that takes anything where Python does not know it."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Signature((), (), True, True)
    named = [parameter for parameter in parameters if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]
    return Signature(
        tuple(parameter.name for parameter in named if parameter.default is parameter.empty),
        tuple(parameter.name for parameter in named if parameter.default is not parameter.empty),
        any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters),
        any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters),
    )


class Pair:
    """A layer that is made of two functions.

    Attributes
    ----------
    inputs : Inputs
        What forward is given.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        inputs: Any,
        returns_cache: Any,
        frozen: Any = (),
        must_move: bool = True,
    ) -> None:
        for name, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise InputError(f"{name} is of type {type(function).__name__}; expected a function")
        self._forward, self._backward = forward, backward
        signature = signature_of(forward)
        self.inputs = read_inputs(inputs, signature.places, must_move=must_move)
        self._style = _style(self.inputs, signature)
        self._backward_signature = signature_of(backward)
        self._with_cache, self._frozen = returns_cache, frozen
        self._slots: list[tuple[str, int | str]] | None = None

    @property
    def forward(self) -> Callable[..., Any]:
        """The user's function."""
        return self._forward

    @property
    def backward(self) -> Callable[..., Any]:
        """The user's function."""
        return self._backward

    @property
    def takes_upstream(self) -> bool:
        """Whether backward is given an upstream gradient; known once it was called."""
        return any(slot in ("upstream", "one upstream") for slot, _ in self._slots or ())

    def calling(self, backward: Callable[..., Any]) -> Pair:
        """Return the same layer with another backward function, called as the user's own is."""
        same = copy.copy(self)
        same._backward = backward
        return same

    def run(self, values: Sequence[Any]) -> Outputs:
        """Call forward."""
        returned = self._called_forward(values)
        if self._with_cache is None:
            self._with_cache = _has_cache(returned, self._backward_signature, self.inputs)
        return read_outputs(returned, self._with_cache)

    def gradients(self, values: Sequence[Any], outputs: Outputs, upstream: Sequence[Any]) -> dict[str, Any]:
        """Call backward after a forward call that gave these outputs; return gradients by the names of the inputs."""
        if self._slots is None:
            slots = _Slots(self._backward_signature, self.inputs, outputs, self._with_cache, self._style == "in one")
            self._slots = slots.found()
        places, keywords = [], {}
        for slot, which in self._slots:
            if slot == "keyword":
                keywords[str(which)] = values[self.inputs.names.index(str(which))]
            elif slot == "all inputs":
                places.append(self._in_one(values))
            else:
                places.append(_filled(slot, int(which), values, outputs, upstream))
        returned = guarded("backward", lambda: self._backward(*places, **keywords))
        return gradients_by_name(returned, self.inputs, self._frozen)

    def _called_forward(self, values: Sequence[Any]) -> Any:
        if self._style == "by name":
            return self._forward(**dict(zip(self.inputs.names, values, strict=True)))
        if self._style == "by place":
            return self._forward(*values)
        return self._forward(self._in_one(values))

    def _in_one(self, values: Sequence[Any]) -> Any:
        """Return all inputs in the form in which they were given."""
        if self.inputs.kind == "dict":
            return dict(zip(self.inputs.names, values, strict=True))
        return (list if self.inputs.kind == "list" else tuple)(values)


def _filled(slot: str, which: int, values: Sequence[Any], outputs: Outputs, upstream: Sequence[Any]) -> Any:
    """Return what backward is given at one place."""
    if slot == "input":
        return values[which]
    if slot == "cache":
        return outputs.cache
    return outputs.build(upstream) if slot == "upstream" else upstream[which]


def _style(inputs: Inputs, signature: Signature) -> str:
    """Return how forward takes its inputs: by name, by place, or all in one argument."""
    count, names = len(inputs.names), set(inputs.names)
    takes = f"forward takes ({', '.join(signature.places)})"
    if inputs.kind == "dict":
        if names >= set(signature.required) and (signature.any_name or names <= set(signature.places)):
            return "by name"
        if len(signature.required) == 1:
            return "in one"
        raise InputError(
            f"{takes}, and inputs have the keys {listed(list(inputs.names))}; forward(**inputs) is called, so that each "
            "parameter without a default needs a key of its name, and each key a parameter"
        )
    if len(signature.required) <= count and (signature.any_place or count <= len(signature.places)):
        return "by place"
    if len(signature.required) == 1 and inputs.kind != "single":
        return "in one"
    raise InputError(
        f"{takes}, and inputs hold {count}; forward(*inputs) is called. Give all of them, by name: "
        f"inputs={{{', '.join(f'{name!r}: {name}' for name in signature.required)}}}"
    )


def _is_cache(name: str) -> bool:
    return name.lower().lstrip("_").startswith(CACHES)


def _has_cache(returned: Any, backward: Signature, inputs: Inputs) -> bool:
    """Tell whether the last of what forward returned is what backward needs, and no output.

    Raises
    ------
    InputError
        If that cannot be told: a question with both answers.
    """
    if not isinstance(returned, list | tuple) or len(returned) < 2:
        return False
    if isinstance(returned, list) and not any(is_array(part) for part in returned):
        return False
    last = returned[-1]
    if any(_is_cache(name) for name in backward.places):
        return True
    others = [name for name in backward.required if name not in inputs.names]
    if len(others) < len(backward.required) and len(others) in (1, len(returned)) and not backward.any_place:
        return False  # all that it takes beside the upstream gradients are the inputs
    if not (isinstance(last, float) or (is_array(last) and np.asarray(last).dtype.kind == "f")):
        return True
    raise InputError(
        f"forward returns {len(returned)} things of numbers, the last {described(last)}, and it cannot be told whether that is "
        "an output or what backward needs. Which is it? "
        "fastgrad.check_layer(forward, backward, inputs, returns_cache=True) if backward(dout, cache) gets it as its cache, "
        "fastgrad.check_layer(forward, backward, inputs, returns_cache=False) if it is an output"
    )


class _Slots:
    """What backward is given at each of its places, and by keyword."""

    def __init__(self, backward: Signature, inputs: Inputs, outputs: Outputs, with_cache: bool, in_one: bool) -> None:
        self._backward, self._inputs, self._outputs = backward, inputs, outputs
        self._with_cache, self._in_one = with_cache, in_one
        self._fixed: dict[str, tuple[str, int | str]] = {
            name: ("input", inputs.names.index(name)) for name in backward.required if name in inputs.names
        }
        self._fixed |= {name: ("cache", 0) for name in backward.required if with_cache and _is_cache(name)}
        self._others = [name for name in backward.required if name not in self._fixed]

    def found(self) -> list[tuple[str, int | str]]:
        """Return them.

        Raises
        ------
        InputError
            If they cannot be told: a question with the call to type.
        """
        count, kept = len(self._outputs.arrays), self._kept()
        rest = kept if self._backward.any_place and not self._fixed else []
        if not rest and len(self._others) in {1 + len(kept), count + len(kept)} and not self._has_all():
            for slot in reversed(kept):
                self._fixed[self._others.pop()] = slot
        if not self._backward.required and rest:
            return [("upstream", 0), *rest]
        if len(self._others) == 1:
            self._fixed[self._others[0]] = ("upstream", 0)
        elif len(self._others) == count:
            self._fixed |= {name: ("one upstream", place) for place, name in enumerate(self._others)}
        elif self._others or not self._outputs.is_one_number:
            raise _question(self._backward, self._inputs, self._outputs, self._with_cache)
        by_name: list[tuple[str, int | str]] = [
            ("keyword", name) for name in self._backward.optional if name in self._inputs.names
        ]
        return [self._fixed[name] for name in self._backward.required] + rest + by_name

    def _kept(self) -> list[tuple[str, int | str]]:
        """Return what backward gets beside the upstream gradient where its parameters have names of their own."""
        if self._with_cache:
            return [("cache", 0)]
        return [("all inputs", 0)] if self._in_one else [("input", place) for place in range(len(self._inputs.names))]

    def _has_all(self) -> bool:
        """Whether the cache, or inputs, are known by their names, or one parameter alone is left, for the upstream gradient."""
        named = ("cache", 0) in self._fixed.values() if self._with_cache else bool(self._fixed)
        return named or len(self._others) == 1


def _question(backward: Signature, inputs: Inputs, outputs: Outputs, with_cache: bool) -> InputError:
    given = "dout, cache" if with_cache else ", ".join(["dout", *inputs.names])
    others = "the cache" if with_cache else "inputs"
    return InputError(
        f"it cannot be told how backward({', '.join(backward.places)}) is called: of its parameters one is to be the upstream "
        f"gradient, or one for each of the {len(outputs.arrays)} outputs, and the others {others} by name. "
        f"What is which? fastgrad.check_layer(forward, lambda {given}: backward(...), inputs, "
        f"returns_cache={with_cache}) says so"
    )


def gradients_by_name(returned: Any, inputs: Inputs, frozen: Sequence[str]) -> dict[str, Any]:
    """Return what backward returned, by the names of the inputs; None for what it left out.

    Raises
    ------
    InputError
        If it cannot be told which gradient is whose.
    """
    wanted = [inputs.names[place] for place in inputs.moving]
    if returned is None and not wanted:
        return dict.fromkeys(inputs.names)
    if returned is None:
        raise InputError("backward returns None; is its return missing?")
    if isinstance(returned, Mapping):
        return _by_key(returned, inputs)
    if isinstance(returned, list | tuple) and (len(inputs.names) > 1 or len(returned) == 1):
        trained = [name for name in wanted if name not in frozen]
        for names in (list(inputs.names), wanted, trained):
            if len(returned) == len(names):
                return {**dict.fromkeys(inputs.names), **dict(zip(names, returned, strict=True))}
        raise InputError(
            f"backward returns {len(returned)} gradients, and forward takes {listed(list(inputs.names))}; one is needed for "
            f"each input of real numbers, {listed(wanted)}, in this order, or a dict of them"
        )
    alone = [name for name in wanted if len(wanted) == 1 or name not in frozen]
    if len(alone) == 1:
        return {**dict.fromkeys(inputs.names), alone[0]: returned}
    raise InputError(
        f"backward returns {described(returned)}, and there are {len(wanted)} inputs of real numbers, {listed(wanted)}; "
        "return a tuple with a gradient for each in this order, or a dict"
    )


def _by_key(returned: Mapping[Any, Any], inputs: Inputs) -> dict[str, Any]:
    """Return gradients of a dict by the names of inputs: W, dW, d_W, grad_W and W_grad are all that of W."""
    found: dict[str, Any] = dict.fromkeys(inputs.names)
    for key, value in returned.items():
        names = [name for name in inputs.names if str(key) in spellings(name)]
        if not names:
            raise InputError(
                f"backward returns a gradient by the name {key!r}, and the inputs are {listed(list(inputs.names))}; name each "
                f"gradient like its input, or with a d in front: d{inputs.names[0]}"
            )
        found[names[0]] = value
    return found


def spellings(name: str) -> tuple[str, ...]:
    """Return the names that the gradient of something may have."""
    return name, f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad", f"g{name}", f"D{name}"


def guarded(what: str, call: Callable[[], Result]) -> Result:
    """Call a user's function; what it raises becomes a FailedError that says so."""
    try:
        return call()
    except (KeyboardInterrupt, InputError):
        raise
    except BaseException as error:  # exit() included: a test that ends with code 0 would count as passed
        raise FailedError(f"{what} raises {told(error)}") from error
