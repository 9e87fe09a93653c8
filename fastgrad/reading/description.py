"""What people say about their network, in their words: every item, its aliases, and what follows from what.

A `Description` holds it; `network` puts it together with the widths that the arrays gave.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from fastgrad.errors import LONGEST_QUOTE, InputError, quoted, shortened
from fastgrad.foreign import as_numpy
from fastgrad.model import activations, losses
from fastgrad.model.activations import ACTIVATIONS
from fastgrad.model.losses import LOGIT_OUTPUT, LOSSES
from fastgrad.model.network import REDUCTIONS, Network

SYNONYMS: dict[str, dict[str, str]] = {
    "activation": {word: row.name for row in activations.ROWS for word in row.synonyms},
    "loss": {word: row.name for row in losses.ROWS for word in row.synonyms},
    "reduction": {"average": "mean", "avg": "mean", "total": "sum"},
}
"""Other names of activations, losses and reductions."""

CROSS_ENTROPY = frozenset({"cross_entropy", "crossentropy", "ce", "xent"})
"""Names of two losses at once: the output activation tells which."""

OF_ANY_OUTPUT = frozenset({"softmax_crossentropy", "softmax_cross_entropy"})
"""Names of the loss that takes the softmax of any output; under the others libraries take the outputs for probabilities."""

LAYOUT_WORDS = ("rows", "columns", "in_out", "out_in")
UNROLLED_WORDS = ("rows", "columns", "layers", "weights_first")
COLUMNS = {"first": 0, "last": -1}
EXAMPLES = {
    "hidden": "tanh",
    "output": "sigmoid",
    "loss": "binary_crossentropy",
    "inputs": "X",
    "labels": "Y",
    "params": "W1,b1,W2,b2",
    "grads": "dW1,db1,dW2,db2",
    "bias_column": "first",
    "keep_prob": "0.8",
    "frozen": "b1,b2",
    "sizes": "4,5,3",
    "unrolled": "columns,layers",
    "classes": "-1,1",
}


def _text(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if not isinstance(value, str):
        raise TypeError
    return value.strip()


def _words(value: Any) -> tuple[str, ...]:
    """Take "a,b" or ["a", "b"]; an empty word or None stays as an empty word."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    words = value.split(",") if isinstance(value, str) else ["" if word is None else word for word in value]
    return tuple(_text(word) for word in words)


def _number(value: Any) -> float:
    return float(value if isinstance(value, str) else np.asarray(as_numpy(value)).item())


def _numbers(value: Any) -> float | tuple[float, ...]:
    """Take one number, or several as "0.1,0.2" or in a list."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    numbers = tuple(float(part) for part in parts)
    return numbers[0] if len(numbers) == 1 else numbers


def _row(value: Any) -> tuple[float, ...]:
    """Take a number for each example, in a list, a vector, or as text."""
    array = np.asarray(value.split(",") if isinstance(value, str) else value, dtype=np.float64)
    if array.size != max(array.shape, default=1):
        raise ValueError
    return tuple(array.ravel().tolist())


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _widths(value: Any) -> tuple[int, ...]:
    widths = tuple(map(_whole, _row(value)))
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError
    return widths


def _truth(value: Any) -> bool:
    value = value.item() if isinstance(value, np.ndarray) else value
    return {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}[
        str(value).strip().lower()
    ]


MOST_NUMBERS = 2**22
"""Numbers of one item, of which Python makes objects of 32 bytes: more than anybody's examples."""
_CONVERTERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "hidden": (_text, "a name"),
    "activations": (_words, "names, one for each layer"),
    "output": (_text, "a name"),
    "loss": (_text, "a name"),
    "reduction": (_text, "a name"),
    "l2": (_numbers, "a number, or numbers as in 0.1,0.2"),
    "l1": (_numbers, "a number, or numbers as in 0.1,0.2"),
    "penalize_biases": (_truth, "true or false"),
    "keep_prob": (_numbers, "a number, or numbers as in 0.8,0.5"),
    "inverted": (_truth, "true or false"),
    "layout": (_text, "a word"),
    "label_smoothing": (_number, "a number"),
    "class_weights": (_row, "numbers, one for each class"),
    "example_weights": (_row, "numbers, one for each example"),
    "scale": (_number, "a number"),
    "first_label": (_whole, "a whole number"),
    "classes": (_row, "the labels of the classes, in order"),
    "sizes": (_widths, "the units of each layer, the inputs first, as in 4,5,3"),
    "unrolled": (_text, "a word"),
    "loss_value": (_number, "a number"),
    "learning_rate": (_number, "a number"),
    "params": (_words, "names, in order"),
    "grads": (_words, "names, in the order of the parameters"),
    "frozen": (_words, "names of parameters"),
    "inputs": (_text, "the name of an array"),
    "labels": (_text, "the name of an array"),
    "bias_column": (_text, "first or last"),
}

TEXT_ITEMS = frozenset(key for key, (converter, _) in _CONVERTERS.items() if converter in {_text, _words})
"""Items that are words: an array of numbers under such a name is data."""

LIST_ITEMS = frozenset(key for key, (converter, _) in _CONVERTERS.items() if converter in {_numbers, _row, _widths})
"""Items that are one number or several in a row."""

NUMBER_ITEMS = frozenset(key for key, (converter, _) in _CONVERTERS.items() if converter in {_number, _whole, _truth})
"""Items that are one number."""


class Items(TypedDict, total=False):
    """The items of a `Description` as keywords of a function, for type checkers: what each may come as."""

    hidden: str | None
    activations: npt.ArrayLike | None
    output: str | None
    loss: str | None
    reduction: str | None
    l2: npt.ArrayLike | None
    l1: npt.ArrayLike | None
    penalize_biases: bool | str | None
    keep_prob: npt.ArrayLike | None
    inverted: bool | str | None
    label_smoothing: float | str | None
    class_weights: npt.ArrayLike | None
    example_weights: npt.ArrayLike | None
    scale: float | str | None
    first_label: int | str | None
    classes: npt.ArrayLike | None
    sizes: npt.ArrayLike | None
    unrolled: str | None
    layout: str | None
    loss_value: float | str | None
    params: npt.ArrayLike | None
    grads: Sequence[str | None] | npt.ArrayLike | None
    inputs: str | None
    labels: str | None
    bias_column: str | None
    frozen: npt.ArrayLike | None
    learning_rate: float | str | None


@dataclass(frozen=True)
class Description:
    """Everything a person can tell about a network; None for what was not said.

    Every item may come as plain text ("relu,tanh,softmax", "0.01", "true"), as a file or a command line gives it.

    Attributes
    ----------
    hidden : str
        Activation of all hidden layers.
    activations : tuple of str
        Instead, one for each layer; without the last one where `output` is said.
    output : str
        Activation of the last layer.
    loss, reduction : str
        The loss of a sample, and how samples are put together: "mean" if nothing is said, "sum", or "weighted_mean", which
        divides by the sum of the weights.
    l2, l1 : float or tuple of float
        c of the penalties ½·c·Σ‖W‖² and c·Σ|W|; 0 if nothing is said. One number for all weights, one for each layer's, or
        one for each tensor in the order W1, b1, W2, b2, ….
    penalize_biases : bool
        Whether the penalties include the biases, each with the number of its layer; False if nothing is said. Where there is
        a number for each tensor, that of the biases stands.
    keep_prob : float or tuple of float
        Dropout with recorded masks: the share of units that are kept. One number, or one for each hidden layer, for each
        layer, or for the input and each layer; 1 where nothing is dropped.
    inverted : bool
        Whether the units that are kept are divided by keep_prob, a·D/keep_prob, or stay as they are, a·D; True if nothing
        is said.
    label_smoothing : float
        s of the targets (1 − s)·y + s/K; 0 if nothing is said. A binary cross-entropy has two classes.
    class_weights : tuple of float
        What multiplies the loss of each class, in their order; of a binary cross-entropy that of the labels 0 and 1.
    example_weights : tuple of float
        What multiplies the loss of each example. In a file also sample_weight or sample_weights.
    scale : float
        What multiplies the loss, however the examples are put together; the penalties stay as they are. 1 if nothing is said.
    first_label : int
        The number of the first class in labels that are class numbers: 0 if nothing is said, 1 where they count from 1.
    classes : tuple of float
        Instead, the label of each class, in order, as in "-1,1" or "2,4".
    sizes : tuple of int
        The units of each layer, the inputs first: of parameters that are one vector, or one number each.
    unrolled : str
        How they lie in that vector: "rows" or "columns" (NumPy's ravel, or the (:) of Octave and MATLAB), "layers" (the W and
        then the b of each layer) or "weights_first" (every W and then every b), or one of each. Where each W holds its bias,
        say `bias_column`.
    layout : str
        "rows" or "columns" (where the examples lie), "in_out" or "out_in" (the axes of the weights), or one of each:
        "rows,out_in". Needed only where the shapes allow more than one reading.
    loss_value : float
        The user's own value of the loss.
    learning_rate : float
        That of one step of plain gradient descent: the parameters after it then may stand in the place of the gradients.
    params, grads : tuple of str
        Names of the parameter arrays and their gradients, in order; an empty name where there is no gradient.
    frozen : tuple of str
        Names of the parameters that are not trained: their gradients are left out, and none of them is missing. Of a list
        of parameters W1, b1, … or their places, as in "parameters[1]".
    inputs, labels : str
        Names of X and Y.
    bias_column : {"first", "last"}
        Where each W and its b share one array: which of its columns (or rows) is the bias.

    Raises
    ------
    InputError
        If an item is not of its kind.
    """

    hidden: str | None = None
    activations: tuple[str, ...] | None = None
    output: str | None = None
    loss: str | None = None
    reduction: str | None = None
    l2: float | tuple[float, ...] | None = None
    l1: float | tuple[float, ...] | None = None
    penalize_biases: bool | None = None
    keep_prob: float | tuple[float, ...] | None = None
    inverted: bool | None = None
    label_smoothing: float | None = None
    class_weights: tuple[float, ...] | None = None
    example_weights: tuple[float, ...] | None = None
    scale: float | None = None
    first_label: int | None = None
    classes: tuple[float, ...] | None = None
    sizes: tuple[int, ...] | None = None
    unrolled: str | None = None
    layout: str | None = None
    loss_value: float | None = None
    learning_rate: float | None = None
    params: tuple[str, ...] | None = None
    grads: tuple[str, ...] | None = None
    frozen: tuple[str, ...] | None = None
    inputs: str | None = None
    labels: str | None = None
    bias_column: str | None = None

    def __post_init__(self) -> None:
        for key, (convert, meaning) in _CONVERTERS.items():
            value = getattr(self, key)
            if value is None:
                continue
            if isinstance(value, np.ndarray) and value.size > MOST_NUMBERS:
                raise InputError(f"{key} must be {meaning}; found {value.size:,}, and {MOST_NUMBERS:,} are the most")
            try:
                object.__setattr__(self, key, convert(value))
            except (TypeError, ValueError, KeyError, OverflowError):
                raise InputError(f"{key} must be {meaning}{';' if ',' in meaning else ','} found {quoted(value)}") from None
        if self.bias_column is not None and self.bias_column not in COLUMNS:
            raise InputError(f"bias_column must be first or last, found {quoted(self.bias_column)}")
        for keep in as_tuple(self.keep_prob):
            if not 0.0 < keep <= 1.0:
                raise InputError(f"keep_prob is the share of units that are kept, above 0 and at most 1, found {keep:g}")
        if self.scale is not None and not 0.0 < self.scale < math.inf:
            raise InputError(f"scale must be a finite number above 0, found {self.scale:g}")
        if self.classes is not None and self.first_label is not None:
            raise InputError("classes and first_label both say what the labels are: leave one of them out")
        if self.classes is not None and len(set(self.classes)) < max(2, len(self.classes)):
            raise InputError(f"classes must be at least two different labels, found {quoted(self.classes)}")
        if self.loss_value is not None and not math.isfinite(self.loss_value):
            raise InputError(f"loss_value must be a finite number, found {self.loss_value}; leave it out if there is none")
        self._check_layout()
        words = unrolled_words(self)
        if not words <= set(UNROLLED_WORDS) or words >= {"rows", "columns"} or words >= {"layers", "weights_first"}:
            raise InputError(
                "unrolled must be rows or columns, layers (the W and b of each layer) or weights_first (every W, then every "
                f"b), or one of each, as in columns,layers; found {quoted(self.unrolled)}"
            )

    def _check_layout(self) -> None:
        words = layout_words(self)
        if not words <= set(LAYOUT_WORDS) or words >= {"rows", "columns"} or words >= {"in_out", "out_in"}:
            raise InputError(
                "layout must be rows or columns (where the examples lie), in_out or out_in (the axes of the weights), "
                f"or one of each, as in rows,out_in; found {quoted(self.layout)}"
            )

    @property
    def has_dropout(self) -> bool:
        """Whether the person spoke of dropout."""
        return self.keep_prob is not None or self.inverted is not None

    @property
    def drops(self) -> bool:
        """Whether the person said that something is dropped; with a keep_prob of 1 nothing is."""
        return self.has_dropout and set(as_tuple(self.keep_prob)) != {1.0}

    def overlaid(self, top: Description) -> Description:
        """Return this description with what another one says put over it.

        `hidden` or `activations` of the top replace the activations of this one, in whichever form they were said; so do
        `first_label` and `classes`.
        """
        base = self
        if top.first_label is not None or top.classes is not None:
            base = replace(base, first_label=None, classes=None)
        if top.activations is not None:
            base = replace(base, hidden=None, output=None)
        elif top.hidden is not None and base.activations is not None:
            output = base.output if base.output is not None else base.activations[-1]
            base = replace(base, activations=None, output=output)
        elif top.output is not None and base.activations is not None and base.output is None:
            base = replace(base, activations=base.activations[:-1])
        return replace(base, **top.said())

    def said(self) -> dict[str, Any]:
        """Return the items that were said."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}

    @classmethod
    def of(cls, items: Mapping[str, Any], beside: Iterable[str] = ()) -> Description:
        """Make a description of items by name, and refuse other names with the nearest known one.

        The keywords that a function has beside the items are known too: what nobody knows may be one of them, misspelt.
        """
        for key in items:
            if key not in _CONVERTERS:
                near = nearest(key, [*_CONVERTERS, *beside])
                raise InputError(f"there is no keyword {quoted(key)}, nor such an item of a description{near}")
        return cls(**items)


def as_tuple(numbers: float | tuple[float, ...] | None) -> tuple[float, ...]:
    """Return the numbers of an item, none where it was not said."""
    return () if numbers is None else numbers if isinstance(numbers, tuple) else (numbers,)


def zero_penalties(description: Description) -> tuple[str, ...]:
    """Return which of l2 and l1 were given, as 0."""
    given = {"l2": as_tuple(description.l2), "l1": as_tuple(description.l1)}
    return tuple(item for item, numbers in given.items() if numbers and not any(numbers))


def layout_words(description: Description) -> set[str]:
    """Return the words of a layout; none where nothing was said."""
    return _split(description.layout)


def unrolled_words(description: Description) -> set[str]:
    """Return the words of how a vector was unrolled; none where nothing was said."""
    return _split(description.unrolled)


def _split(text: str | None) -> set[str]:
    words = re.split(r"[,\s+]+", (text or "").lower().replace("-", "_"))
    return {word for word in words if word}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean x?" where something is near enough, else nothing."""
    from difflib import get_close_matches  # for words that are not known

    close = get_close_matches(word, list(known), n=1) if len(word) <= LONGEST_QUOTE else []
    return f"; did you mean {close[0]}?" if close else ""


def _plain(word: str) -> str:
    return re.sub(r"[\s\-]+", "_", word.strip().lower())


def _known(word: str, known: Collection[str], what: str) -> str:
    """Return the proper name of an activation, a loss or a reduction; a parameter, as in "elu:0.5", stays with it."""
    stem, colon, parameter = word.partition(":")
    plain = _plain(stem)
    name = SYNONYMS[what].get(plain, plain)
    if name not in known or len(parameter) > LONGEST_QUOTE:
        near = nearest(plain, [*known, *SYNONYMS[what]])
        raise InputError(f"unknown {what} {quoted(word)}{near} (known: {', '.join(known)})")
    return f"{name}{colon}{parameter.strip()}"


class QuestionError(InputError):
    """What is not known, and what to say for example; several become one by `together`."""

    def __init__(self, question: str, examples: Mapping[str, str], text: str | None = None) -> None:
        self.question, self.examples = question, dict(examples)
        keywords = ", ".join(f"{item}={_in_python(item, example)}" for item, example in self.examples.items())
        mark = "" if question.endswith("?") else ";"
        said = f"{question}{mark} say it, for example {self.options} (in Python {keywords}; in the file the same keys)"
        super().__init__(said if text is None else text)

    def saying(self, text: str) -> QuestionError:
        """Return the same question in other words."""
        return type(self)(self.question, self.examples, text)

    @property
    def options(self) -> str:
        """The example as options of the command."""
        return " ".join(as_option(item, example) for item, example in self.examples.items())


def _in_python(item: str, example: str) -> str:
    """Return an example as a keyword takes it: one number as such."""
    one_number = item in NUMBER_ITEMS | LIST_ITEMS and "," not in example
    return example if one_number else repr(example)


class UndeclaredError(QuestionError):
    """A network of which something is not known."""

    @property
    def items(self) -> tuple[str, ...]:
        """The names of what is missing."""
        return tuple(self.examples)


STAND_INS = {"hidden": "tanh", "output": "identity", "loss": "squared_error"}
"""What can take the place of items that were not said; it goes with any labels."""


def as_option(item: str, value: str) -> str:
    """Return an item as it is typed; a value that begins with a minus is tied to its option."""
    typed = shlex.quote(value)
    return f"--{item.replace('_', '-')}{'=' if value.startswith('-') else ' '}{typed}"


def ask(question: str, *items: str) -> QuestionError:
    """Return the error that asks for items by name, each with an example."""
    return QuestionError(question, {item: EXAMPLES[item] for item in items})


def together(questions: Sequence[QuestionError]) -> QuestionError:
    """Return one question in place of several."""
    if len(questions) == 1:
        return questions[0]
    examples = {item: example for one in questions for item, example in one.examples.items()}
    return QuestionError("; ".join(one.question for one in questions), examples)


def missing(description: Description, depth: int) -> UndeclaredError | None:
    """Return the question for what a network of so many layers computes, as far as it was not said."""
    found = (_hidden(description, depth), *_output_and_loss(description, depth))
    items = [item for item, value in zip(("hidden", "output", "loss"), found, strict=True) if value is None]
    what = {"hidden": "the activation of the hidden layers", "output": "the activation of the last layer", "loss": "the loss"}
    words = ", ".join(what[item] for item in items)
    if not items:
        return None
    return UndeclaredError(f"it is not known what the network computes: {words}", {item: EXAMPLES[item] for item in items})


def _output_and_loss(description: Description, depth: int) -> tuple[str | None, str | None]:
    """Return the last activation and the loss, the one following from the other."""
    output = _output(description, depth)
    loss = _loss(description.loss, output) or _following_loss(output)
    return output or LOGIT_OUTPUT.get((loss or "").partition(":")[0]), loss


def network(description: Description, widths: tuple[int, ...], biases: tuple[bool, ...]) -> Network:
    """Put a description together with the widths that the arrays gave."""
    depth = len(widths) - 1
    hidden, (output, loss) = _hidden(description, depth), _output_and_loss(description, depth)
    if hidden is None or output is None or loss is None:
        raise missing(description, depth) or AssertionError
    return Network(
        widths=widths,
        activations=(*hidden, output),
        loss=loss,
        reduction=_known(description.reduction or "mean", REDUCTIONS, "reduction"),
        biases=biases,
        l2=_coefficients("l2", description.l2, description.penalize_biases, biases),
        l1=_coefficients("l1", description.l1, description.penalize_biases, biases),
        class_weights=description.class_weights or (),
        label_smoothing=description.label_smoothing or 0.0,
        scale=1.0 if description.scale is None else description.scale,
    )


def _coefficients(
    item: str, said: float | tuple[float, ...] | None, on_biases: bool | None, biases: tuple[bool, ...]
) -> tuple[float, ...]:
    """Return a penalty's coefficient for each tensor, W1, b1, W2, …; none where there is no penalty."""
    numbers, depth, tensors = as_tuple(said), len(biases), len(biases) + sum(biases)
    if not any(numbers):  # and so a list of zeros takes a penalty away, whatever its length
        return ()
    if len(numbers) == 1:
        numbers *= depth
    if len(numbers) == depth:
        pairs = zip(numbers, biases, strict=True)
        return tuple(c for number, has in pairs for c in (number, number if on_biases else 0.0)[: 1 + has])
    if len(numbers) != tensors:
        raise InputError(
            f"{item} gives {len(numbers)} numbers for {depth} layers: give one for all, {depth} for the weights of each "
            f"layer, or {tensors} for all tensors in the order W1, b1, W2, b2, …"
        )
    return numbers


def _hidden(description: Description, depth: int) -> tuple[str, ...] | None:
    """Return the activations below the output, or None where they were not said."""
    listed, hidden = description.activations, description.hidden
    if hidden is not None:
        hidden = _known(hidden, ACTIVATIONS, "activation")
    if listed is None:
        return (hidden,) * (depth - 1) if hidden is not None else () if depth == 1 else None
    names = tuple(_known(word, ACTIVATIONS, "activation") for word in listed)
    if len(names) not in {depth, depth - 1} or (len(names) < depth and description.output is None):
        raise InputError(f"{depth} layers need {depth} activations, found {len(names)}: {shortened(', '.join(names))}")
    if hidden is not None and not set(names[: depth - 1]) <= {hidden}:
        raise InputError(f"hidden says {hidden}, activations say {shortened(', '.join(names))}: leave one of them out")
    return names[: depth - 1]


def _output(description: Description, depth: int) -> str | None:
    """Return the activation of the last layer as far as it was said."""
    listed = description.activations
    words = [] if description.output is None else [description.output]
    words += listed[-1:] if listed is not None and len(listed) == depth else ()
    names = {_known(word, ACTIVATIONS, "activation") for word in words}
    if len(names) > 1:
        said = [shortened(word) for word in words]
        raise InputError(f"output says {said[0]}, activations end with {said[1]}: leave one of them out")
    return names.pop() if names else None


def _loss(word: str | None, output: str | None) -> str | None:
    """Return the loss that was said; a plain "cross_entropy" is told by the output."""
    if word is None:
        return None
    if _plain(word) not in CROSS_ENTROPY:
        loss = _known(word, LOSSES, "loss")
        if loss == "softmax_crossentropy" and _plain(word) not in OF_ANY_OUTPUT and output not in (None, "softmax"):
            raise InputError(
                f"{shortened(word)} goes with a softmax output, found {output}; where your loss takes the softmax of that "
                "itself, say softmax_crossentropy"
            )
        return loss
    containing = {activation: loss for loss, activation in LOGIT_OUTPUT.items()}
    if output not in containing:
        raise InputError(f"{shortened(word)} is either of {', '.join(LOGIT_OUTPUT)}: say which with --loss")
    return containing[output]


def _following_loss(output: str | None) -> str | None:
    """Return the loss that is meant where only an output is said: cross-entropy after a softmax, else it must be said."""
    return "softmax_crossentropy" if output == "softmax" else None
