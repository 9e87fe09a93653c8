"""gradcheck with torch's signature: what is given is obeyed, and the rest judged by what noise and rounding explain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from torch.autograd.gradcheck import GradcheckError as TheirError

from fastgrad.errors import InputError
from fastgrad.functions.arguments import real_number
from fastgrad.functions.program import Options, UnsteadyError, judge
from fastgrad.functions.report import FunctionReport
from fastgrad.report import GradientError
from fastgrad.torch import demands
from fastgrad.torch.forward import Forward
from fastgrad.torch.jacobian import MOST_ROWS, Allowance, beyond
from fastgrad.torch.layer import BackwardError, Layer, arguments_of
from fastgrad.torch.state import Undisturbed


class GradcheckError(GradientError, TheirError):  # type: ignore[misc]
    """A gradient that is not right; caught by whoever catches torch's error of that name, or fastgrad's."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float | None = None,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check the gradients that autograd makes of a function of tensors; takes the place of `torch.autograd.gradcheck`.

    Parameters
    ----------
    func : callable
        From tensors to a tensor, or several; a module, whose parameters are checked as well, or ``Function.apply``.
    inputs : Tensor or sequence
        Its arguments. Those that require a gradient are checked, or all of real and complex numbers where none does.
    eps : float, optional
        One step for the first look at each number; by default it follows from noise and derivatives.
    atol, rtol : float, optional
        How far an entry of the Jacobian may be off, ``atol + rtol·|numerical|``, beside what noise and rounding explain; by
        default no more than these.
    raise_exception : bool
        Whether what is wrong is raised; otherwise False is returned.
    nondet_tol : float, optional
        By how much two gradients at the same point may differ; by default by rounding.
    check_undefined_grad : bool
        Whether to try an upstream gradient for one output alone, where there are several.
    check_grad_dtypes : bool
        Whether each gradient must have the type of its tensor.
    check_batched_grad, check_batched_forward_grad : bool
        Whether to try several upstream gradients, or tangents, at once.
    check_forward_ad, check_backward_ad : bool
        Whether to check what forward mode, and backward, make.
    fast_mode : bool
        Whether to move all numbers at once, along random directions.
    masked : bool, optional
        For sparse tensors, which are refused.

    Returns
    -------
    bool
        True where everything is right.

    Raises
    ------
    GradcheckError
        Where something is wrong, or cannot be judged; an AssertionError, and torch's error of that name too.
    InputError
        If the function fails or modifies its inputs, or something is asked for that is not supported.

    Examples
    --------
    >>> import torch, fastgrad.torch
    >>> x = torch.tensor([0.5, -1.0], requires_grad=True)
    >>> fastgrad.torch.gradcheck(torch.sin, x)
    True
    """
    if masked:
        raise InputError("masked=True is for sparse tensors, which fastgrad does not check; give dense ones and leave it out")
    if not check_backward_ad and not check_forward_ad:
        raise InputError("neither check_backward_ad nor check_forward_ad is True; there is nothing to check")
    if check_batched_forward_grad and not check_forward_ad:
        raise InputError("check_batched_forward_grad needs check_forward_ad=True")
    allowance = Allowance.of(atol, rtol)
    if fast_mode and allowance.atol:
        raise InputError(
            "atol is for entries of the Jacobian, and fast_mode=True moves all numbers at once; give rtol, or no fast_mode"
        )
    how = Options(
        method="directions" if fast_mode else "auto",
        step=None if eps is None else real_number(eps, "eps", positive=True),
        tolerance=allowance.rtol if fast_mode else 0.0,
        wobble=None if nondet_tol is None else real_number(nondet_tol, "nondet_tol"),
    )
    wanted = [
        demand
        for demand, is_asked in (
            (demands.takes_any_layout, check_backward_ad),
            (demands.takes_undefined, check_backward_ad and check_undefined_grad),
            (demands.keeps_types, check_grad_dtypes),
            (demands.batches_backward, check_backward_ad and check_batched_grad),
            (demands.batches_forward, check_batched_forward_grad),
        )
        if is_asked
    ]
    args, _ = arguments_of(inputs)
    with Undisturbed(func, args) as state:
        layer = Layer(func, tuple(args), state)
        # What is not the same in a second call is told first: it may be all that is wrong.
        unsteady = demands.unmet(layer, [partial(demands.repeats, most=how.wobble)] if check_backward_ad else [])
        wrong = _complaints(layer, how, allowance, (check_backward_ad, check_forward_ad))
        text = next(chain(unsteady, wrong, demands.unmet(layer, wanted)), None)
    if text is not None and raise_exception:
        raise GradcheckError(text)
    return text is None


def _complaints(layer: Layer, how: Options, allowance: Allowance, modes: tuple[bool, bool]) -> Iterator[str]:
    """Yield what is wrong with the gradients of backward, and of forward mode, where these are asked for."""
    backward, forward = modes
    if backward:
        yield from _complaint(layer, layer, how, allowance)
    if forward:
        yield from (f"In forward mode: {text}" for text in _complaint(layer, Forward(layer), how, allowance))


def _complaint(layer: Layer, program: Layer | Forward, how: Options, allowance: Allowance) -> Iterator[str]:
    """Yield what is wrong with the gradient of a program that runs a layer."""
    try:
        report = judge(program, how)
    except (UnsteadyError, BackwardError) as error:
        yield f"{str(error)[:1].upper()}{str(error)[1:]}."
        return
    if not report.passed:
        yield from _told(layer, program, report, how, allowance)


def _told(layer: Layer, program: Layer | Forward, report: FunctionReport, how: Options, allowance: Allowance) -> Iterator[str]:
    """Yield the report, with the entries of the Jacobian that are off; nothing where all are within what is allowed."""
    if report.method == "directions" or layer.outputs_size > MOST_ROWS:
        if allowance and report.method != "directions":
            raise InputError(
                f"atol and rtol are for entries of the Jacobian, and this one has more than {MOST_ROWS:,} rows; leave both "
                "out, or give fewer outputs"
            )
        yield str(report)
        return
    numbers = [layer.place_of(entry.name) for entry in report.entries if entry.verdict != "right"]
    found = beyond(layer, program.rows(), numbers if allowance else numbers[:1], how.step, allowance)
    if found or not allowance:
        yield "\n".join([str(report), *found])
