"""What a gradient that is exactly that of another network is at another point: that network's gradient there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.diagnosis.constants import factors_at
from fastgrad.diagnosis.declared import problem_of
from fastgrad.diagnosis.meant import Fit
from fastgrad.diagnosis.predict import arrays_of, is_same
from fastgrad.errors import InputError
from fastgrad.model.forward import base_point
from fastgrad.model.network import Array, Problem
from fastgrad.model.rounding import gradient, penalty_gradient
from fastgrad.report import Prediction


@dataclass(frozen=True, eq=False)
class Foretold:
    """The other networks of which a claim is the gradient, ready to be evaluated at other points.

    Attributes
    ----------
    problem : Problem
        With the claim.
    fits : tuple of Fit
        What it is the gradient of.
    mistakes : Prediction or None
        The mistakes in the backward pass that come to the same at the given point; None where there are none for certain.
    """

    problem: Problem
    fits: tuple[Fit, ...]
    mistakes: Prediction | None

    def __call__(self, problem: Problem) -> dict[str, Array]:
        """Return the gradients under the user's names; `values` says when there are none."""
        return arrays_of(self.problem, self.values(problem))

    def values(self, problem: Problem) -> Array:
        """Return the gradient in theta's order.

        Raises
        ------
        InputError
            If there is no one such network, or if what else comes to the same at the given point gives something else here.
        """
        if len(self.fits) > 1:
            raise InputError("the gradient is exactly that of several other networks: there is no one prediction")
        if problem.samples != self.problem.samples and self._penalty_is_fitted():
            raise InputError("whether the penalty is divided by the number of examples is not known: give as many as before")
        if problem.samples != self.problem.samples:
            self._check_factor(problem)
        found = [_gradient(self.fits[0], problem)]
        if self.mistakes is not None:
            with suppress(InputError):  # they may mean different numbers among themselves
                found.append(self.mistakes.values(problem))
        if not all(is_same(self.problem, found[0], other) for other in found):
            raise InputError(
                "the gradient is that of another network, or one with a mistake in it, and these differ here; "
                "check with your own value of the loss, as loss_value"
            )
        return np.where(_claimed(self.problem), found[0], 0.0)

    def _check_factor(self, problem: Problem) -> None:
        """Refuse a loss that differs by a factor which can be made of the number of examples in several ways."""
        own = replace(self.problem, network=replace(self.problem.network, l2=(), l1=()))
        declared, meant = gradient(own, base_point(own)), _gradient(replace(self.fits[0], l2=(), l1=()), own)
        k = int(np.argmax(np.abs(declared)))
        c = float(meant[k] / declared[k]) if declared[k] else np.nan
        if not np.isfinite(c) or not is_same(self.problem, c * declared, meant):
            return
        network = self.problem.network
        c = float(f"{c:.12g}")
        if len(set(factors_at(c, self.problem.samples, problem.samples, (*network.widths, network.depth)))) > 1:
            raise InputError(
                f"whether the factor {c:.6g} is made of the number of examples is not known: give as many as before"
            )

    def _penalty_is_fitted(self) -> bool:
        """Whether the penalty is another than the declared one: a number of the given point, perhaps made of its examples."""
        network, fit = self.problem.network, self.fits[0]
        none = (0.0,) * len(network.tensor_slices)
        return (fit.l2 or none, fit.l1 or none) != (network.l2 or none, network.l1 or none)


def _gradient(fit: Fit, problem: Problem) -> Array:
    """Return the gradient of the network of a fit, with its penalty."""
    meant = problem_of(problem, fit.form)
    if meant is None or fit.without or not all(shape.declarable for shape in fit.form.hidden):
        raise InputError("the network of which this is the gradient cannot be declared: there is nothing to predict from")
    penalized = replace(problem, network=replace(problem.network, l2=fit.l2, l1=fit.l1))
    values: Array = gradient(meant, base_point(meant)) + penalty_gradient(penalized)
    return values


def _claimed(problem: Problem) -> Array:
    """Return which entries of theta have a gradient."""
    places: Array = np.zeros(problem.network.size, dtype=bool)
    for tensor in problem.tensors:
        places[tensor.start : tensor.stop] = tensor.gradient_name is not None
    return places
