"""Everybody who checks the backward pass of a layer, called alike; whose library is missing is left out.

Each is used as its documentation says, with its own tolerances. Where it gives a number and no verdict, the bound is the one
that its documentation's examples or the courses' notes call good enough.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from fastgrad.errors import InputError

import layer_mutations
from layer_cases import Layer, Point, real

COURSE_STEP, COURSE_BOUND = 1e-5, 1e-4
"""The step of the course's loop, and the relative error above which its notes call a gradient probably wrong."""
SCIPY_BOUND = 1e-6
"""Share of the gradient's norm that check_grad's number may have; its step leaves some 1e-8."""


class Counted:
    """A forward function and the number of its calls."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward, self.calls = forward, 0

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Count and call."""
        self.calls += 1
        return self.forward(*args, **named)


@dataclass(frozen=True)
class Rival:
    """A check of a backward function.

    Attributes
    ----------
    name, library : str
        What the table calls it, and the package that it needs.
    passes : callable
        From a layer, a counted forward function, a backward function and a point to whether it is called right; None for
        neither.
    largest : int
        Real inputs up to which it is tried.
    """

    name: str
    library: str
    passes: Callable[[Layer, Counted, Callable[..., Any], Point], bool | None]
    largest: int = 10_000

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return find_spec(self.library) is not None

    def verdict(self, layer: Layer, space: dict[str, Any], point: Point, counted: Counted | None = None) -> str:
        """Return right, wrong or neither."""
        counted = counted or Counted(space["forward"])
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            passed = self.passes(layer, counted, space["backward"], point)
        return "neither" if passed is None else "right" if passed else "wrong"


def claim(layer: Layer, forward: Callable[..., Any], backward: Callable[..., Any], point: Point) -> dict[str, Any]:
    """Return the gradients that backward claims, by name."""
    copies = {name: value.copy() for name, value in point.named.items()}
    found = layer.by_name(backward(_copied(point.dout), layer.call(forward, copies)[1]))
    return {name: np.asarray(found[name]) for name in real(point.named)}


def _copied(dout: Any) -> Any:
    return tuple(each.copy() for each in dout) if isinstance(dout, tuple) else dout.copy()


def fastgrad_passes(layer: Layer, forward: Counted, backward: Callable[..., Any], point: Point) -> bool | None:
    """Ask fastgrad."""
    try:
        report = layer_mutations.checked(layer, {"forward": forward, "backward": backward}, point)
    except InputError:
        return False  # refused with a reason: what cannot be a gradient is not called right
    return {"right": True, "wrong": False}.get(report.verdict)


def gradcheck(layer: Layer, forward: Counted, backward: Callable[..., Any], point: Point) -> bool:
    """Ask PyTorch's gradcheck, the layer wrapped in an autograd.Function."""
    import torch

    names = real(point.named)

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            arrays = {name: tensor.detach().numpy().copy() for name, tensor in zip(names, tensors, strict=True)}
            out, ctx.rest = layer.call(forward, {**point.named, **arrays})
            found = tuple(torch.as_tensor(each) for each in (out if isinstance(out, tuple) else (out,)))
            return found if isinstance(out, tuple) else found[0]

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            arrays = tuple(each.numpy() for each in upstream)
            found = layer.by_name(backward(arrays if len(arrays) > 1 else arrays[0], ctx.rest))
            return tuple(torch.as_tensor(np.asarray(found[name])) for name in names)

    tensors = [torch.from_numpy(point.named[name].copy()).requires_grad_() for name in names]
    return bool(torch.autograd.gradcheck(Wrapped.apply, tensors, raise_exception=False))


def check_grads(layer: Layer, forward: Counted, backward: Callable[..., Any], point: Point) -> bool:
    """Ask JAX's check_grads, the layer wrapped in custom_vjp around pure_callback."""
    import jax
    from jax.test_util import check_grads

    names = real(point.named)
    was = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)

    def numbers(args: Any) -> dict[str, Any]:
        return {**point.named, **{name: np.array(value) for name, value in zip(names, args, strict=True)}}

    def out_of(*args: Any) -> Any:
        out = layer.call(forward, numbers(args))[0]
        return tuple(map(np.asarray, out)) if isinstance(out, tuple) else np.asarray(out)

    def down(args: Any, dout: Any) -> Any:
        dout = tuple(map(np.array, dout)) if isinstance(dout, tuple) else np.array(dout)
        found = layer.by_name(backward(dout, layer.call(forward, numbers(args))[1]))
        return tuple(np.asarray(found[name], dtype=point.named[name].dtype) for name in names)

    def shapes(values: Any) -> Any:
        return jax.tree.map(lambda value: jax.ShapeDtypeStruct(np.shape(value), np.asarray(value).dtype), values)

    args = tuple(point.named[name] for name in names)
    above = shapes(out_of(*args))

    @jax.custom_vjp
    def f(*args: Any) -> Any:
        return jax.pure_callback(out_of, above, *args)

    f.defvjp(
        lambda *args: (f(*args), args),
        lambda args, dout: jax.pure_callback(down, shapes(args), args, dout),
    )
    try:
        check_grads(f, args, order=1, modes=["rev"])
    except AssertionError:
        return False
    finally:
        jax.config.update("jax_enable_x64", was)
    return True


class Flat:
    """The weighed sum of a layer's outputs as a function of one vector of all its real inputs."""

    def __init__(self, layer: Layer, forward: Callable[..., Any], point: Point) -> None:
        self.layer, self.forward, self.point = layer, forward, point
        self.names = real(point.named)
        self.x = self.flat(point.named)

    def flat(self, named: dict[str, Any]) -> Any:
        """Return arrays by name as one vector in double precision."""
        return np.concatenate([np.asarray(named[name], dtype=np.float64).ravel() for name in self.names])

    def named(self, x: Any) -> dict[str, Any]:
        """Return the inputs of a vector."""
        found, start = dict(self.point.named), 0
        for name in self.names:
            like = self.point.named[name]
            found[name] = x[start : start + like.size].reshape(like.shape).astype(like.dtype)
            start += like.size
        return found

    def __call__(self, x: Any) -> float:
        """Return Σ outputs · upstream gradient."""
        weights = self.point.dout if isinstance(self.point.dout, tuple) else (self.point.dout,)
        outputs = self.layer.outputs(self.forward, self.named(x))
        return float(sum(np.sum(out * weight) for out, weight in zip(outputs, weights, strict=True)))


def scipy_check_grad(layer: Layer, forward: Counted, backward: Callable[..., Any], point: Point) -> bool:
    """Ask SciPy's check_grad, whose number is the norm of the difference."""
    from scipy.optimize import check_grad

    f = Flat(layer, forward, point)
    claimed = f.flat(claim(layer, forward.forward, backward, point))
    return bool(check_grad(f, lambda x: claimed, f.x) <= SCIPY_BOUND * max(1.0, np.linalg.norm(claimed)))


def with_numdifftools(layer: Layer, forward: Counted, backward: Callable[..., Any], point: Point) -> bool:
    """Compare with numdifftools' gradient by numpy.allclose."""
    numerical, calls = numdifftools_gradient(layer, point)
    forward.calls += calls
    return bool(np.allclose(numerical, Flat(layer, forward, point).flat(claim(layer, forward.forward, backward, point))))


@cache
def numdifftools_gradient(layer: Layer, point: Point) -> tuple[Any, int]:
    """Return the numerical gradient, which is that of all mutants of a backward pass, and the evaluations."""
    import numdifftools

    counted = Counted(layer.forward)
    f = Flat(layer, counted, point)
    return np.atleast_1d(numdifftools.Gradient(f)(f.x)), counted.calls


def course_loop(layer: Layer, forward: Counted, backward: Callable[..., Any], point: Point) -> bool:
    """Compare with a loop over entries of each input, central differences of the outputs against the upstream gradient."""
    claimed = claim(layer, forward.forward, backward, point)
    weights = point.dout if isinstance(point.dout, tuple) else (point.dout,)
    for name in claimed:
        x = point.named[name].copy()
        numerical = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            kept = x[index]
            sides = []
            for step in (COURSE_STEP, -COURSE_STEP):
                x[index] = kept + step
                sides.append([np.array(out) for out in layer.outputs(forward, {**point.named, name: x})])
            x[index] = kept
            terms = (np.sum((up - down) * weight) for up, down, weight in zip(*sides, weights, strict=True))
            numerical[index] = sum(terms) / (2.0 * COURSE_STEP)
        sizes = np.maximum(1e-8, np.abs(numerical) + np.abs(claimed[name]))
        if (np.abs(numerical - claimed[name]) / sizes).max() > COURSE_BOUND:
            return False
    return True


RIVALS = (
    Rival("fastgrad", "fastgrad", fastgrad_passes),
    Rival("torch gradcheck", "torch", gradcheck),
    Rival("jax check_grads", "jax", check_grads),
    Rival("scipy check_grad", "scipy", scipy_check_grad),
    Rival("numdifftools, allclose", "numdifftools", with_numdifftools),
    Rival("the course's loop", "numpy", course_loop),
)
