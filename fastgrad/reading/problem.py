"""From the readings of the shapes to the one Problem: the numbers are copied into place and judged.

Two readings that come to the same numbers are one; two that do not are an error that asks for what decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.machine import fits, share_pieces
from fastgrad.model.deferred import LEAST_DEFERRED, Given
from fastgrad.model.network import Array, Network, Problem, Tensor, part_of
from fastgrad.model.stored import Stored, mapped_from
from fastgrad.reading.arrays import Raw, precision, require_finite
from fastgrad.reading.description import (
    COLUMNS,
    LAYOUT_WORDS,
    Description,
    QuestionError,
    ask,
    layout_words,
    nearest,
    network,
    together,
    zero_penalties,
)
from fastgrad.reading.labels import read_labels
from fastgrad.reading.layout import Data, Reading, Role, is_vector, misfit_of_inputs, readings
from fastgrad.reading.libraries import translated
from fastgrad.reading.masks import placed
from fastgrad.reading.names import Mask, Part, listed
from fastgrad.reading.remarks import absence_notes, is_single, shape_notes
from fastgrad.reading.settling import settled
from fastgrad.reading.unrolled import Arrangement

STRIP = 512
"""Columns copied at a time; 128 take twice as long where the second cache is large, 4096 a third more."""
COPIED, SHARED = 2**18, 2**20
"""Numbers copied at a time otherwise, and those from which a second thread is worth waking: a millisecond on one."""
COMPANION = {"rows": "in_out", "in_out": "rows", "columns": "out_in", "out_in": "columns"}
"""z = X·W with examples in rows, z = W·X with examples in columns: what one half of a layout says of the other."""


def solve(parts: Sequence[Part], X: Data, Y: Data, description: Description, masks: Sequence[Mask]) -> tuple[Problem, Reading]:
    """Return the one problem that the arrays can mean, and the reading that makes it."""
    _require_numbers(parts, X, Y)
    fitting, misfits = readings(parts, X, Y)
    if not fitting and len(parts) > 2 and all(part.array.size == 1 for part in parts):
        raise InputError(
            f"{listed(map(str, parts), limit=4)} are one number each: give each layer's weights as an array, or say the sizes "
            "of the layers, as in --sizes 2,2,1 (in Python sizes=)"
        )
    if not fitting:
        raise InputError(
            misfit_of_inputs(parts, X, Y) or max(misfits, key=lambda misfit: (misfit.likely, misfit.progress)).message
        )
    found: list[tuple[Problem, Reading]] = []
    errors: list[InputError] = []
    for reading in _meant(fitting, description):
        try:
            problem = _problem(reading, X, Y, description, masks)
        except InputError as error:  # numbers may rule out what shapes allow, as labels that are no classes
            errors.append(error)
            continue
        if not any(_same(problem, other) for other, _ in found):
            found.append((problem, reading))
    if not found:
        raise _with_layout(errors[0], parts, X, Y, description, masks)
    if len(found) == 1:
        return found[0]
    chosen = settled([problem for problem, _ in found], by_gradient=False)
    if chosen is None:
        raise _ambiguous([reading for _, reading in found], X)
    problem, reading = found[chosen[0]]
    return replace(problem, notes=(*problem.notes, _settled_by(chosen[1], len(found), str(reading)))), reading


def _with_layout(
    error: InputError, parts: Sequence[Part], X: Data, Y: Data, description: Description, masks: Sequence[Mask]
) -> InputError:
    """Return the question for what the network computes with that for the layout, which would be asked next."""
    if not isinstance(error, QuestionError) or error.examples.keys().isdisjoint({"hidden", "output", "loss"}):
        return error
    any_network = replace(description, hidden="identity", output="identity", loss="squared_error", activations=None)
    try:
        solve(parts, X, Y, any_network, masks)
    except QuestionError as question:
        return together([error, question])
    except InputError:
        pass
    return error


def solve_vector(
    make: Callable[[Arrangement], Sequence[Part]],
    ways: Sequence[Arrangement],
    X: Data,
    Y: Data,
    description: Description,
    masks: Sequence[Mask],
) -> tuple[Problem, Reading]:
    """Return the one problem that arrays in one vector can mean, whichever way they lie in it."""
    found: list[tuple[Problem, Reading, Arrangement]] = []
    errors: list[InputError] = []
    lie = ",".join(sorted(layout_words(description) & {"rows", "columns"}))
    for way in ways:
        layout = f"{lie},{way.weights}" if lie else way.weights
        said = replace(description, layout=layout, bias_column=way.settles["bias_column"], sizes=None, unrolled=None)
        try:
            problem, reading = solve(make(way), X, Y, said, masks)
        except InputError as error:
            errors.append(error)
            continue
        if not any(_same(problem, other) for other, *_ in found):
            found.append((problem, reading._replace(unrolled=way.settles["unrolled"]), way))
    if not found:
        raise errors[0] if errors else InputError("nothing that was said of the vector of parameters fits together")
    chosen = (0, "") if len(found) == 1 else settled([problem for problem, *_ in found], by_gradient=True)
    if chosen is None:
        raise _unsettled([way for *_, way in found])
    problem, reading, way = found[chosen[0]]
    note = (_settled_by(chosen[1], len(found), _options(way)),) if chosen[1] else ()
    return replace(problem, notes=problem.notes + note), reading


def _settled_by(word: str, count: int, reading: str) -> str:
    return f"the arrays can be read in {count} ways; the one that fits your {word} was taken: {reading}"


def _options(way: Arrangement) -> str:
    """Return the options that ask for a way, as they are typed."""
    items = {**way.settles, "layout": way.weights}
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in items.items() if value is not None)


def _unsettled(ways: Sequence[Arrangement]) -> InputError:
    """Return the error that asks how arrays lie in a vector."""
    return InputError(
        f"one vector of parameters can be read in {len(ways)} ways, and neither your loss value nor your gradient fits just "
        f"one of them: say {' or '.join(map(_options, ways))} (in Python unrolled=, layout=, bias_column=), or give a "
        "loss_value"
    )


def _require_numbers(parts: Sequence[Part], X: Data, Y: Data) -> None:
    if not parts:
        raise InputError("there are no parameters")
    for data in (X, Y):
        if data.array.size == 0:
            raise InputError(f"{data} holds zero examples; at least one is needed")
    for part in parts:
        if part.array.size == 0:
            raise InputError(f"{part} holds no numbers")


def _meant(fitting: list[Reading], description: Description) -> list[Reading]:
    """Return the readings that agree with what the person said; half a layout stands for its usual other half too."""
    words, column = layout_words(description), description.bias_column
    meant = [
        reading
        for reading in fitting
        if words <= {reading.weights, *([reading.examples] if reading.examples else LAYOUT_WORDS[:2])}
        and (column is None or reading.column == COLUMNS[column])
    ]
    if not meant:
        said = [f"{key} {value}" for key, value in description.said().items() if key in {"layout", "bias_column"}]
        raise InputError(f"the shapes do not fit {' and '.join(said)}; they fit {' or '.join(map(str, fitting))}")
    usual = words | {COMPANION[word] for word in words}
    return [reading for reading in meant if {reading.examples or reading.weights, reading.weights} <= usual] or meant


def _same(first: Problem, second: Problem) -> bool:
    """Whether two readings come to the same numbers."""
    if first.network != second.network:
        return False
    pairs = [(first.X, second.X), (first.Y, second.Y)]
    vectors: list[tuple[Any, Any]] = [(first.theta, second.theta), (first.claimed, second.claimed)]
    for a, b in vectors:
        if isinstance(a, Stored) and isinstance(b, Stored):
            if not a.same(b):
                return False
        elif a is not None and b is not None:
            pairs.append((a, b))
    for layer in range(first.network.depth):
        masks = (first.mask(layer), second.mask(layer))
        pairs += [(a, b) for a, b in [masks] if a is not None and b is not None]
        if (masks[0] is None) != (masks[1] is None):
            return False
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _ambiguous(found: list[Reading], X: Data) -> InputError:
    """Return the error that asks for what the shapes cannot tell."""
    arrays = listed([str(X), *(str(role.part) for role in found[0].chain.roles)], limit=6)
    layouts = list(dict.fromkeys(reading.layout for reading in found))
    if len(layouts) > 1:
        options = " or ".join(f"--layout {layout}" for layout in layouts)
        question = f"the shapes {arrays} can be read in {len(layouts)} ways: say {options} (rows or columns is where the "
        question += "examples lie, in_out or out_in the axes of the weights"
        text = f"{question}; in Python layout=, in the file the same key)"
        return QuestionError(f"{question})", {"layout": layouts[0]}, text)
    if len({reading.column for reading in found}) > 1:
        return ask(f"{arrays} hold weights and bias in one array: is the bias first or last in it?", "bias_column")
    return InputError(f"the shapes {arrays} can be read in more than one order: give dicts, with the names W1, b1, …")


# One reading.


def _problem(reading: Reading, X: Data, Y: Data, description: Description, masks: Sequence[Mask]) -> Problem:
    """Copy the numbers into place."""
    chain, column = reading.chain, reading.column
    biased = {role.layer for role in chain.roles if role.kind == "b" or column is not None}
    described = network(
        translated(description, chain.widths[-1]),
        chain.widths,
        tuple(layer in biased for layer in range(len(chain.widths) - 1)),
    )
    roles = [part for role in chain.roles for part in ((role,) if column is None else (role, role._replace(kind="b")))]
    # All later layers take in what the first product rounded, in whatever precision they are themselves.
    forward = _forward_precision(X.array, roles[0].part.array)
    frozen = frozenset(name for name in description.frozen or () if name)
    tensors = tuple(_tensor(role, reading, described, forward, frozen) for role in roles)
    _require_frozen(frozen, roles, tensors)
    theta, claimed = (_copied_into_place if _fit(roles, X, Y) else _left_in_place)(roles, tensors)
    labels = read_labels(Y, reading, described, description)
    return Problem(
        network=described,
        theta=theta,
        X=_inputs(X, reading),
        Y=described.targets(labels.targets),
        tensors=tensors,
        claimed=claimed if any(tensor.gradient_name is not None for tensor in tensors) else None,
        claimed_loss=description.loss_value,
        masks=placed(masks, reading, description),
        notes=labels.notes + tuple(shape_notes(roles, tensors)) + tuple(absence_notes(roles, tensors)),
        classes=labels.classes,
        labels=labels.targets if described.class_weights or described.label_smoothing else None,
        example_weights=_example_weights(description.example_weights, reading.samples),
        zero_penalties=zero_penalties(description),
    )


def _fit(roles: Sequence[Role], X: Data, Y: Data) -> bool:
    """Tell whether the numbers fit into memory as doubles, and as they are where they are not there yet."""
    parts = {id(role.part): role.part for role in roles}.values()
    given = [X.array, Y.array, *(a for part in parts for a in (part.array, part.gradient) if a is not None)]
    if fits(sum(16 * a.size + (a.nbytes if mapped_from(a) is not None else 0) for a in given)):
        return True
    if not fits(16 * (X.array.size + Y.array.size)):
        raise InputError(f"{X} and {Y} do not fit into memory: check fewer examples")
    return False


def _copied_into_place(roles: Sequence[Role], tensors: Sequence[Tensor]) -> tuple[Array, Array]:
    """Return theta and the claimed gradient, nan where there is none."""
    theta = np.empty(tensors[-1].stop)
    for role, tensor in zip(roles, tensors, strict=True):
        _copy(_oriented(tensor, role.part.array), theta[tensor.start : tensor.stop].reshape(tensor.canonical_shape))
        require_finite(theta[tensor.start : tensor.stop], role.part.label, role.part.array)
    return theta, _claimed(roles, tensors, theta.size)


def _claimed(roles: Sequence[Role], tensors: Sequence[Tensor], size: int) -> Array:
    """Return the claimed gradient, nan where there is none: a large one stays where it is, in the precision given."""
    parts = zip(roles, tensors, strict=True)
    arrays = [
        None if role.part.gradient is None or t.frozen else _oriented(t, _aligned(role.part, role.part.gradient, t))
        for role, t in parts
    ]
    given = Given(tensors, arrays, size)
    return cast(Array, given) if size >= LEAST_DEFERRED else given.whole


def _copy(source: Raw, out: Array) -> None:
    """Copy a matrix or a vector, a transpose in strips of columns, whose rows stay in cache: 2.6 ms for 8.3.

    Large ones are shared out among threads: most of the time the system takes to give memory that nobody has touched.
    """
    turned = source.ndim == 2 and not source.flags.c_contiguous
    source, out = (source.T, out.T) if turned else (source, out)
    length = STRIP if turned else max(1, COPIED * len(out) // max(1, out.size))

    def copy(k: int) -> None:
        out[k * length : (k + 1) * length] = source[k * length : (k + 1) * length]

    share_pieces(-(-len(out) // length), copy, None if out.size >= SHARED else 1)


def _left_in_place(roles: Sequence[Role], tensors: Sequence[Tensor]) -> tuple[Array, Array]:
    """Return the same without a copy; whether all weights are finite is found out where they are first read."""
    parameters: list[Raw] = []
    gradients: list[Raw | None] = []
    for role, tensor in zip(roles, tensors, strict=True):
        part, gradient = role.part, None if tensor.frozen else role.part.gradient
        if tensor.kind == "b":
            require_finite(np.asarray(_oriented(tensor, part.array), dtype=np.float64), part.label, part.array)
        parameters.append(_oriented(tensor, part.array))
        gradients.append(None if gradient is None else _oriented(tensor, _aligned(part, gradient, tensor)))
    starts, shapes = [tensor.start for tensor in tensors], [tensor.canonical_shape for tensor in tensors]
    theta, claimed = Stored(starts, parameters, shapes), Stored(starts, gradients, shapes)
    return cast(Array, theta), cast(Array, claimed)


def _forward_precision(*arrays: Raw) -> str:
    """Return the precision of the product of inputs and weights, the finer one of theirs."""
    marked = [precision(array.dtype) for array in arrays]
    return "bfloat16" if "bfloat16" in marked else precision(np.result_type(*arrays))


def _example_weights(weights: tuple[float, ...] | None, samples: int) -> Array | None:
    """Return a weight for each example."""
    if weights is None:
        return None
    values = np.array(weights)
    if values.size != samples:
        raise InputError(f"{samples} examples need as many example_weights, found {values.size}")
    if not (np.all(values >= 0.0) and np.all(values < np.inf) and values.any()):
        raise InputError("example_weights must be finite numbers of at least 0, and not all 0")
    return values


def _require_frozen(frozen: frozenset[str], roles: Sequence[Role], tensors: Sequence[Tensor]) -> None:
    """Complain of a name to be left out that is none of the parameters'."""
    known = [name for t in tensors for name in (t.name, t.array_name, f"{t.array_name} (bias)")]
    known += [role.part.label for role in roles]
    for name in sorted(frozen.difference(known)):
        found = listed(dict.fromkeys(tensor.name for tensor in tensors))
        raise InputError(f"frozen names {quoted(name)}, but no parameter has that name{nearest(name, known)} (found: {found})")


def _tensor(role: Role, reading: Reading, described: Network, forward: str, frozen: frozenset[str]) -> Tensor:
    n_in, n_out = described.widths[role.layer : role.layer + 2]
    part, is_weight, folded = role.part, role.kind == "W", reading.column is not None
    place = described.weight_slice(role.layer) if is_weight else described.bias_slice(role.layer)
    array_name = part.name or f"{'W' if is_weight or folded else 'b'}{role.layer + 1}"
    judged = part.array if part.gradient is None else part.gradient
    transposed = len(part.array.shape) == 2 and reading.weights == "in_out" and (is_weight or folded)
    place_in_array = part_of(part.array.shape, transposed, reading.column, role.kind)
    name, words = f"{array_name}{place_in_array}", {f"{array_name} (bias)"} if folded and not is_weight else set()
    gradient_name = f"{part.gradient_name or f'd{array_name}'}{place_in_array}"
    is_frozen = not frozen.isdisjoint({name, array_name, part.label, *words})
    return Tensor(
        name=name,
        layer=role.layer,
        kind=role.kind,
        start=place.start,
        stop=place.stop,
        canonical_shape=(n_out, n_in) if is_weight else (n_out,),
        shape=part.array.shape,
        transposed=transposed,
        gradient_name=None if part.gradient is None or is_frozen else gradient_name,
        # Double precision labels make double precision gradients out of a forward pass in single precision.
        precision=min(precision(judged.dtype), forward, key=PRECISIONS.index),
        column=reading.column,
        frozen=is_frozen,
        single=part.gradient is not None and is_single(part),
    )


PRECISIONS = ("bfloat16", "float16", "float32", "float64")
"""From the coarsest."""


def _oriented(tensor: Tensor, array: Raw) -> Raw:
    """Return an array of the user's in the tensor's own shape, (n_out, n_in) or (n_out,): a view where the array allows it."""
    if tensor.kind == "b" and tensor.column is None:
        return np.broadcast_to(array.reshape(-1), tensor.canonical_shape)
    matrix = array.T if tensor.transposed else array.reshape(tensor.canonical_shape[0], -1)
    if tensor.column is None:
        return matrix
    if tensor.kind == "b":
        return matrix[:, tensor.column]
    return matrix[:, 1:] if tensor.column == 0 else matrix[:, :-1]


def place_entries(tensor: Tensor, entries: Array, array: Raw) -> None:
    """Write entries in theta's order where an array of the user's shape has them.

    Of a bias that is one number for a whole layer it is the mean.
    """
    if tensor.column is None and array.size == 1:
        array[...] = entries.mean()
        return
    values = entries.reshape(tensor.canonical_shape)
    if tensor.column is None:
        array[...] = (values.T if tensor.transposed else values).reshape(array.shape)
        return
    rows = array.T if tensor.transposed else array.reshape(tensor.canonical_shape[0], -1)  # of a vector, theta, one row
    if tensor.kind == "b":
        rows[:, tensor.column] = values
    else:
        rows[:, slice(1, None) if tensor.column == 0 else slice(-1)] = values


def _aligned(part: Part, gradient: Raw, tensor: Tensor) -> Raw:
    """Return a claimed gradient in the shape of its parameter: turned, or one number spread over all entries.

    A bias that is one number for a whole layer may have a gradient for each unit.
    """
    shape, vectors = part.array.shape, is_vector(part.array.shape) and is_vector(gradient.shape)
    if part.array.size == 1 and tensor.size > 1:
        if not vectors or gradient.size != tensor.size:
            raise InputError(
                f"{part} is one number for {tensor.size} units: its gradient {part.gradient_label} {gradient.shape} "
                "cannot be judged unit by unit; give the bias as an array, or leave it out with --frozen (in Python frozen=)"
            )
        return gradient.reshape(-1)
    if gradient.shape == shape:
        return gradient
    if gradient.shape[::-1] == shape:
        return gradient.T
    if gradient.size == 1:
        return np.broadcast_to(gradient.reshape(()), shape)
    if vectors and gradient.size == part.array.size:
        return gradient.reshape(shape)
    raise InputError(f"the gradient {part.gradient_label} {gradient.shape} does not have the shape of {part}")


def _inputs(X: Data, reading: Reading) -> Array:
    """Return X as float64, shape (m, n_0); not copied where it is so already."""
    turned = X.array.T if reading.examples == "columns" else X.array.reshape(reading.samples, -1)
    inputs = turned if turned.dtype == np.float64 and turned.flags.c_contiguous else _copied(turned)
    require_finite(inputs, X.name, X.array)
    return inputs


def _copied(turned: Raw) -> Array:
    """Copy to float64."""
    inputs = np.empty(turned.shape)
    _copy(turned, inputs)
    return inputs
