"""The options that several commands share, each family gathered into one dictionary."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from fastgrad import machine

Command = Callable[..., int]
Decorator = Callable[[Command], Command]

file_argument = click.argument("file", metavar="FILE", type=click.Path())
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


def loudness_options(command: Command) -> Command:
    """Add --quiet and --verbose; a command gets ``loudness``: "quiet", "verbose", or "" for what is usual."""

    @click.option("-q", "--quiet", is_flag=True, help="Print one line.")
    @click.option("-v", "--verbose", is_flag=True, help="Print the table and the fine print of right gradients, too.")
    @functools.wraps(command)
    def wrapper(quiet: bool, verbose: bool, **given: Any) -> int:
        if quiet and verbose:
            raise click.UsageError("--quiet prints one line, --verbose everything: leave out one of the two.")
        return command(**given, loudness="quiet" if quiet else "verbose" if verbose else "")

    return wrapper


tolerance_option = click.option(
    "--tolerance",
    type=float,
    metavar="K",
    help="How many times the rounding of an entry its gradient may be off; by default a derived number, stated in the report.",
)


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


class Size(click.ParamType[int]):
    """A size in bytes, such as 4GB or 500MiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?i?)b?", str(value).strip().lower())
        if found is None or found[2] not in _UNITS or not (size := int(float(found[1]) * _UNITS[found[2]])):
            self.fail(f"expected a size such as 4GB or 500MB, found {str(value)[:60]!r}.", param, ctx)
        return size


def memory_option(command: Command) -> Command:
    """Add --memory, within which a command then works."""

    @functools.wraps(command)
    def wrapper(memory: int | None, **given: Any) -> int:
        with machine.limited_memory(memory):
            return command(**given)

    return click.option(
        "--memory",
        type=Size(),
        metavar="SIZE",
        help="Memory that may be taken, such as 4GB; by default what is free. A folder of .npy, or a .safetensors, that needs "
        "more is read from disk, block by block.",
    )(wrapper)


def _names_of(table: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes the name of an activation or a loss in the shell."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
        rows = import_module(f"fastgrad.model.{table}").ROWS
        return [row.name for row in rows if row.name.startswith(begun)]

    return complete


_DESCRIPTION: dict[str, Decorator] = {
    "hidden": click.option(
        "--hidden",
        metavar="NAME",
        shell_complete=_names_of("activations"),
        help="Activation of all hidden layers: relu, tanh, gelu, leaky_relu:0.2, ...",
    ),
    "activations": click.option(
        "--activations",
        metavar="NAMES",
        help="One activation for each layer, in place of --hidden and --output: relu,tanh,softmax.",
    ),
    "output": click.option(
        "--output",
        metavar="NAME",
        shell_complete=_names_of("activations"),
        help="Activation of the last layer: sigmoid, softmax, identity, ...",
    ),
    "loss": click.option(
        "--loss",
        metavar="NAME",
        shell_complete=_names_of("losses"),
        help="binary_crossentropy, softmax_crossentropy, squared_error (half the sum over outputs), mse (mean), hinge, "
        "huber:0.7, absolute_error, log_cosh, poisson, kl_divergence, ...",
    ),
    "reduction": click.option(
        "--reduction",
        metavar="NAME",
        help="mean or sum over the examples; or weighted_mean, divided by the sum of their weights.",
    ),
    "label_smoothing": click.option(
        "--label-smoothing",
        type=float,
        metavar="S",
        help="Smooth the labels y of a cross-entropy with K classes to (1 - S)y + S/K.",
    ),
    "class_weights": click.option(
        "--class-weights",
        metavar="NUMBERS",
        help="Weight of each class of a cross-entropy, in order: 1,2,0.5.",
    ),
    "example_weights": click.option(
        "--example-weights",
        metavar="NUMBERS",
        help="Weight of each example; or an array of that name, or sample_weight, in the file.",
    ),
    "scale": click.option(
        "--scale",
        type=float,
        metavar="C",
        help="What multiplies the loss once more, however the examples are put together; penalties stay as they are.",
    ),
    "first_label": click.option(
        "--first-label",
        type=int,
        metavar="N",
        help="The number of the first class, where labels are class numbers: 0 if not said, 1 for labels 1 to K.",
    ),
    "classes": click.option(
        "--classes",
        metavar="NUMBERS",
        help="Instead, the label of each class in order: --classes=-1,1.",
    ),
    "sizes": click.option(
        "--sizes",
        metavar="NUMBERS",
        help="Units of each layer, the inputs first, where the parameters are one vector, or one number each: 4,5,3,1.",
    ),
    "unrolled": click.option(
        "--unrolled",
        metavar="NAMES",
        help="How they lie in that vector: rows (NumPy) or columns (Octave), layers (W and b of each) or weights_first.",
    ),
    "l2": click.option(
        "--l2",
        metavar="C",
        help="Penalty C/2 times the sum of the squared weights, whatever the reduction; or a C for each layer: 0.1,0.2.",
    ),
    "l1": click.option(
        "--l1",
        metavar="C",
        help="Penalty C times the sum of the absolute weights, likewise.",
    ),
    "penalize_biases": click.option(
        "--penalize-biases/--no-penalize-biases",
        default=None,
        help="Whether the penalties include the biases.",
    ),
    "keep_prob": click.option(
        "--keep-prob",
        metavar="P",
        help="Dropout with the masks in the file (D1, D2, ...): the share of units kept; or one for each hidden layer.",
    ),
    "inverted": click.option(
        "--inverted/--no-inverted",
        default=None,
        help="Whether the units that dropout keeps are divided by P (the default) or not.",
    ),
    "layout": click.option(
        "--layout",
        metavar="NAME",
        help="Needed where shapes cannot tell: rows or columns is where the examples lie, in_out or out_in the axes of W; or "
        "both: rows,in_out.",
    ),
    "loss_value": click.option(
        "--loss-value",
        type=float,
        metavar="J",
        help="Your own value of the loss, to be compared with fastgrad's.",
    ),
    "learning_rate": click.option(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="That of one step of plain gradient descent, after which the parameters stand in the place of the gradients.",
    ),
    "params": click.option(
        "--params",
        metavar="NAMES",
        help="Names of the parameter arrays, in order: W1,b1,W2,b2.",
    ),
    "grads": click.option(
        "--grads",
        metavar="NAMES",
        help="Names of the gradient arrays, in the same order.",
    ),
    "frozen": click.option(
        "--frozen",
        metavar="NAMES",
        help="Parameters that are not trained, whose gradients are neither judged nor missed: b1,b2.",
    ),
    "inputs": click.option(
        "--inputs",
        metavar="NAME",
        help="Name of the array of inputs.",
    ),
    "labels": click.option(
        "--labels",
        metavar="NAME",
        help="Name of the array of labels.",
    ),
    "bias_column": click.option(
        "--bias-column",
        metavar="NAME",
        help="first or last: which column is the bias, where W and b share an array.",
    ),
}

_DRAW: dict[str, Decorator] = {
    "sample": click.option(
        "--sample",
        metavar="N",
        help="Take only so many parameters, drawn at random: 500 or 5%.",
    ),
    "seed": click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        show_default=True,
        help="Seed of the draw, and of random directions.",
    ),
    "threads": click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads to use; by default one for each core.",
    ),
}

_METHOD: dict[str, Decorator] = {
    "method": click.option(
        "--method",
        type=click.Choice(["auto", "parameter", "preactivation", "textbook", "directional"]),
        default="auto",
        metavar="NAME",
        show_default=True,
        help="parameter and preactivation carry a difference through the network, from every parameter or from every "
        "pre-activation; textbook subtracts two full forward passes for every parameter; directional (check "
        "only) moves all parameters of a tensor by random signs, for the largest networks; auto takes the first while that "
        "is work for about a second on two cores, else the second.",
    ),
    "step": click.option(
        "--step",
        type=float,
        metavar="H",
        help="One step for all parameters, such as 1e-7; by default each has its own.",
    ),
    "scheme": click.option(
        "--scheme",
        type=click.Choice(["forward", "central", "five-point"]),
        default="central",
        metavar="NAME",
        show_default=True,
        help="The difference that method textbook forms: forward, central or five-point.",
    ),
    **_DRAW,
}

_WORKERS: dict[str, Decorator] = {
    "store": click.option(
        "--store",
        metavar="DIR",
        help="Keep what is finished of the numerical gradient in this folder; a run that was ended goes on from there.",
    ),
    "dask": click.option(
        "--dask",
        metavar="ADDRESS",
        help="Have the workers of a Dask cluster make it: the address of a scheduler, or local:4 for four processes of this "
        "machine.",
    ),
}

directions_option = click.option(
    "--directions",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many directions method directional takes, up to 1000; by default 8.",
)


class Grouped(click.Command):
    """A command whose help has its options in groups."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group under its heading, in the order of `GROUPS`, and what is in none of them first."""
        grouped: dict[str, list[tuple[str, str]]] = {"Options": [], **{heading: [] for heading in GROUPS}}
        for option in self.get_params(context):
            record = option.get_help_record(context)
            if record is not None and isinstance(option, click.Option):
                heading = next((heading for heading, names in GROUPS.items() if option.name in names), "Options")
                grouped[heading].append(record)
        for heading, records in grouped.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


GROUPS = {
    "What the network is": set(_DESCRIPTION) - {"params", "grads", "frozen", "inputs", "labels", "bias_column", "layout"},
    "Which array is which": {"params", "grads", "frozen", "inputs", "labels", "bias_column", "layout"},
    "How it is checked": {*_METHOD, "directions", "tolerance", "memory"},
    "Who does the work": set(_WORKERS),
    "What is printed": {"quiet", "verbose", "as_json", "picture", "no_diagnosis", "help"},
}
"""The headings of a command's help, each with the parameters below it."""


def _gathered(name: str, options: dict[str, Decorator]) -> Decorator:
    """Return a decorator that adds options to a command and hands their values over as one dictionary."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(**given: Any) -> int:
            values = {key: given.pop(key) for key in options}
            return command(**given, **{name: values})

        for option in reversed(options.values()):
            option(wrapper)
        return wrapper

    return decorate


description_options = _gathered("description", _DESCRIPTION)
"""What the network is; a command gets ``description``, with None for what was not given."""

method_options = _gathered("method", _METHOD)
"""How the numerical gradient is made; a command gets ``method``, keywords of `fastgrad.walk.check_problem`."""

worker_options = _gathered("workers", _WORKERS)
"""Who makes the numerical gradient, and where it is kept; a command gets ``workers``."""

draw_options = _gathered("draw", _DRAW)
"""Which parameters are drawn, and how many threads work on them; a command gets ``draw``."""
