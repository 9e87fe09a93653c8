"""Attacks on the door: files that nobody would write on purpose, given to the whole program, in this process.

``python tests/fuzz.py --count 100000 --seed 1`` makes the attacks of the seeds 1 to 100000, or ``--seconds 120`` as many as
there is time for. It tells on the way how far it is and what failed, and at the end what came of each kind of attack, how many
there were in a second, and every kind of failure with its seeds. Two processes share the work where their seeds are
different ones: ``--seed 1 --count 50000`` and ``--seed 50001 --count 50000``. ``--only SEED`` writes one attack to a file and
shows what the program says of it. The exit code is 1 where anything failed. A failure is

- an exception, an "internal error", an exit code that no verdict has, output that is no JSON or too long, a message that
  came from below Python;
- more than `SECONDS` of the processor's time, or more than `MEMORY`;
- a verdict of "right" that an independent check does not confirm: the exact gradient of tests/reference.py, which shares
  nothing with fastgrad, at the numbers that NumPy reads from the file.

Most files have right gradients, the others some that have nothing to do with the network. A right file whose
attack left a form that the check does not read (other names, other items) is counted as "right, not held against anything".
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import re
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from click.testing import CliRunner
from mpmath import mp

from fastgrad_cli.main import main

import reference

SECONDS = 10.0
"""What one file may take of the processor, on all threads together: a busy machine does not make a failure."""
WAITS = 60.0
"""Times `SECONDS` that an attack may take by the clock, where it waits for something that never comes."""
TOLD = 1000
"""Attacks from one line about the progress to the next."""
DIAGNOSED, PLAIN = 0.25, "--no-diagnosis"
"""The share of checks in which what is wrong is looked for, which takes twenty times as long as the verdict; and how not."""
MEMORY = 2**30
"""Bytes that one file may make the program take."""
LONGEST = 2**16
"""Characters that the program may print of a small network."""
CODES = {"right": {0}, "wrong": {1}, "not judged": {3}, "error": {2}, "": {0}}
"""Exit codes that go with a verdict or an error; info has neither."""
MAGIC = (b"\x00", b"\xff", b"\x7f", b"\x80", b"'", b"(", b"9", b"<f8", b">f8", b"|O", b"True", b"PK\x03\x04", b"\x93NUMPY")
DEFLATED, STORED = zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED

Arrays = dict[str, np.ndarray]
Draw = np.random.Generator


class FaultError(AssertionError):
    """What the program must not do."""


class _TooLongError(BaseException):
    """What ends an attack that does not end: nothing that the program could take for an error of its own."""


# Models to attack: 3-4-2, five examples.

WIDTHS, EXAMPLES = (3, 4, 2), 5
SHAPES = {"W1": (4, 3), "b1": (4, 1), "W2": (2, 4), "b2": (2, 1)}
NETWORKS = (
    ("tanh", "identity", "squared_error"),
    ("relu", "sigmoid", "binary_crossentropy"),
    ("sigmoid", "softmax", "softmax_crossentropy"),
)


def wrong_model() -> Arrays:
    """Return a network of tanh whose gradients have nothing to do with it."""
    return dict(_model(0, False))


def right_model(network: int = 0) -> Arrays:
    """Return a network whose gradients are right."""
    return dict(_model(network, True))


@cache
def _model(network: int, right: bool) -> Arrays:
    """Return the arrays of a file whose gradients are right, or random."""
    draw = np.random.default_rng(5 + network)
    hidden, output, loss = NETWORKS[network]
    arrays = {name: draw.normal(size=shape) for name, shape in SHAPES.items()}
    X, Y = draw.normal(size=(3, EXAMPLES)), draw.normal(size=(2, EXAMPLES))
    if loss != "squared_error":
        Y = np.eye(2)[:, draw.integers(2, size=EXAMPLES)]
    claimed = {f"d{name}": draw.normal(size=shape) for name, shape in SHAPES.items()}
    items = {"hidden": np.array(hidden), "output": np.array(output), "loss": np.array(loss)}
    whole = arrays | claimed | {"X": X, "Y": Y} | items
    if right:
        exact, start = reference.gradient(_case(whole)), 0
        for name, shape in SHAPES.items():
            whole[f"d{name}"] = exact[start : start + np.prod(shape)].reshape(shape)
            start += np.prod(shape)
    return whole


def _case(arrays: Arrays) -> reference.Case:
    """Return the reference's form of a model of the shapes above."""
    hidden, output, loss = (str(arrays[item]) for item in ("hidden", "output", "loss"))
    theta = np.concatenate([arrays[name].ravel() for name in SHAPES]).astype(float)
    X, Y = (arrays[name].T.astype(float) for name in "XY")
    l2 = float(arrays["l2"]) if "l2" in arrays else 0.0
    reduction = str(arrays.get("reduction", "mean"))
    return reference.Case(WIDTHS, (hidden, output), loss, theta, X, Y, reduction, l2)


# The bytes of files.


def members(arrays: Arrays) -> dict[str, bytes]:
    """Return the .npy bytes of each array."""
    found = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, allow_pickle=False)
        found[f"{name}.npy"] = stream.getvalue()
    return found


def npy(descr: str, shape: str, data: bytes = b"", fortran: bool = False) -> bytes:
    """Return .npy bytes whose header says anything at all."""
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode("latin-1")
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def spaced(length: int, there: int) -> bytes:
    """Return a header of version 2 that declares a length and holds that many spaces, or fewer."""
    return b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little") + b" " * there


def zipped(contents: dict[str, bytes], compression: int = STORED) -> bytes:
    """Return the bytes of an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return stream.getvalue()


def mutated(data: bytes, draw: Draw) -> bytes:
    """Change, insert, remove, repeat or exchange a few runs of bytes."""
    result = bytearray(data)
    for _ in range(int(draw.geometric(0.5))):
        place, length = int(draw.integers(len(result) + 1)), int(draw.geometric(0.2))
        piece = draw.bytes(length) if draw.random() < 0.5 else _one(MAGIC, draw)
        kind = int(draw.integers(5))
        if kind == 0:
            result[place : place + len(piece)] = piece
        elif kind == 1:
            result[place:place] = piece
        elif kind == 2:
            del result[place : place + length]
        elif kind == 3:
            result[place:place] = result[place : place + length]
        elif place < len(result):
            result[place] ^= 1 << int(draw.integers(8))
    return bytes(result)


def _one(choices: Any, draw: Draw) -> Any:
    return choices[int(draw.integers(len(choices)))]


# Kinds of attack: each gives the bytes of a file.


def _archive(model: Arrays, draw: Draw) -> bytes:
    return mutated(zipped(members(model), _one((STORED, DEFLATED), draw)), draw)


def _directory(model: Arrays, draw: Draw) -> bytes:
    data = zipped(members(model), _one((STORED, DEFLATED), draw))
    start = data.index(b"PK\x01\x02")
    return data[:start] + mutated(data[start:], draw)


def _names(model: Arrays, draw: Draw) -> bytes:
    contents, name = members(model), _one(list(model), draw)
    other = mutated(name.encode(), draw).decode("utf-8", "replace").replace("\0", "_")
    if draw.random() < 0.5:
        other = _one(NAMES, draw)
    if draw.random() < 0.2:
        del contents[f"{name}.npy"]
        return zipped(contents)
    return zipped({(f"{other}.npy" if key == f"{name}.npy" else key): data for key, data in contents.items()})


def _header(model: Arrays, draw: Draw) -> bytes:
    contents, name = members(model), f"{_one(list(model), draw)}.npy"
    data = contents[name]
    edge = 10 + int.from_bytes(data[8:10], "little")
    return zipped(contents | {name: mutated(data[:edge], draw) + data[edge:]})


def _bits(model: Arrays, draw: Draw) -> bytes:
    """Numbers of any bits, as many as before."""
    contents, name = members(model), f"{_one(list(model), draw)}.npy"
    data = contents[name]
    edge = 10 + int.from_bytes(data[8:10], "little")
    size = len(data) - edge
    return zipped(contents | {name: data[:edge] + mutated(data[edge:], draw)[:size].ljust(size, b"\xff")})


def _numbers(model: Arrays, draw: Draw) -> bytes:
    """Numbers that break things: infinities, the largest, the smallest, what np.empty leaves."""
    for name in _some(NUMERIC, draw):
        array, number = np.array(model[name]), _one(NUMBERS, draw)
        with np.errstate(all="ignore"):
            if draw.random() < 0.3:
                array *= number
            else:
                array[draw.random(array.shape) < _one((0.1, 0.5, 1.0), draw)] = number
        model[name] = array
    return zipped(members(model))


def _dtypes(model: Arrays, draw: Draw) -> bytes:
    for name in _some(NUMERIC, draw):
        with np.errstate(all="ignore"):
            model[name] = model[name].astype(_one(DTYPES, draw))
    return zipped(members(model))


def _layouts(model: Arrays, draw: Draw) -> bytes:
    for name in _some(NUMERIC, draw):
        model[name] = _one(TURNS, draw)(model[name])
    return zipped(members(model))


def _shapes(model: Arrays, draw: Draw) -> bytes:
    """A header with a strange shape, and as many bytes as it asks for where that is few."""
    contents, name, shape = members(model), _one(list(model), draw), _one(STRANGE_SHAPES, draw)
    descr = _one(("<f8", "<f8", "|i1", "|b1", "<U3", "|S0", "<U0", "|V0", "<c16", "<M8[s]", "|O"), draw)
    with contextlib.suppress(Exception):
        size = int(np.prod(ast.literal_eval(shape), dtype=object)) * np.dtype(descr).itemsize
        return zipped(contents | {f"{name}.npy": npy(descr, shape, bytes(size) if 0 <= size < 4096 else b"")})
    return zipped(contents | {f"{name}.npy": npy(descr, shape, bytes(96))})


def _empties(model: Arrays, draw: Draw) -> bytes:
    """Items of no size, a thousand million of them."""
    count = _one(("(1000000000,)", "(1000000000, 1)", "(1, 1000000000)", "(100000, 100000)", "(30000000,)", "(0,)"), draw)
    return zipped(members(model) | {f"{_one(ITEMS + NUMERIC, draw)}.npy": npy(_one(("|S0", "<U0", "|V0"), draw), count)})


def _texts(model: Arrays, draw: Draw) -> bytes:
    """Items of words that are long, or of letters that there are not."""
    kind = int(draw.integers(5))
    item = _one(WORDS, draw)
    if kind == 0:
        value = np.array(
            _one(("x", "tanh,", ",", "1,", "[bold]", "$\\alpha", "\n", "é", "𝔘"), draw) * int(10 ** draw.uniform(0, 5))
        )
    elif kind == 1:
        points = draw.integers(0, 2**32, size=int(draw.integers(1, 9)), dtype=np.uint32)
        return zipped(members(model) | {f"{item}.npy": npy(f"<U{len(points)}", "()", points.tobytes())})
    elif kind == 2:
        points = np.array([_one((0x110000, 0xD800, 0xDFFF, 0xFFFFFFFF, 0x7F, 0x1B, 0), draw)] * 3, dtype=np.uint32)
        return zipped(members(model) | {f"{item}.npy": npy("<U3", _one(("()", "(1,)"), draw), points.tobytes())})
    elif kind == 3:
        value = np.array(draw.bytes(int(draw.integers(1, 20))))
    else:
        value = np.array([_one(TEXT_VALUES, draw) for _ in range(int(10 ** draw.uniform(0, 4)))])
    return zipped(members(model | {item: value}))


def _items(model: Arrays, draw: Draw) -> bytes:
    """Items of strange values."""
    for _ in range(int(draw.integers(1, 4))):
        value = _one(TEXT_VALUES, draw)
        if draw.random() < 0.6:
            value = np.full(int(draw.integers(1, 6)), _one(NUMBERS, draw)) if draw.random() < 0.5 else _one(NUMBERS, draw)
        model[_one(ITEMS, draw)] = np.array(value)
    return zipped(members(model))


def _long_lists(model: Arrays, draw: Draw) -> bytes:
    """Lists of zeros that hardly take space where they are deflated."""
    descr, count = _one((("<f8", 20_000_000), ("|b1", 60_000_000), ("|i1", 300_000), ("<U1", 5_000_000)), draw)
    return _with_bomb(_one((*ITEMS, "D1", "X", "W1", "dW1"), draw), descr, count, _one(NETWORKS, draw))


@cache
def _with_bomb(name: str, descr: str, count: int, network: tuple[str, ...]) -> bytes:
    model = _model(NETWORKS.index(network), True)
    size = count * np.dtype(descr).itemsize
    return zipped(members(model) | {f"{name}.npy": npy(descr, f"({count},)", bytes(size))}, DEFLATED)


def _spaces(model: Arrays, draw: Draw) -> bytes:
    """A header of spaces, which NumPy's parser would read whole."""
    declared = _one((3 * 10**9, 2**32 - 1, 10**8, 10**5), draw)
    return _with_spaces(_one((*ITEMS, *NUMERIC), draw), declared, min(declared, _one((100, 10**8), draw)))


@cache
def _with_spaces(name: str, declared: int, there: int) -> bytes:
    return zipped(members(_model(0, True)) | {f"{name}.npy": spaced(declared, there)}, DEFLATED)


def _some(choices: Any, draw: Draw) -> list[Any]:
    return list(draw.choice(choices, size=int(draw.integers(1, 4)), replace=False))


NUMERIC = ("W1", "b1", "W2", "b2", "X", "Y", "dW1", "db1", "dW2", "db2")
WORDS = ("hidden", "activations", "output", "loss", "reduction", "layout", "params", "grads", "inputs", "labels", "bias_column")
ITEMS = (
    *WORDS,
    *("l2", "l1", "penalize_biases", "keep_prob", "inverted", "label_smoothing", "class_weights", "example_weights"),
    *("loss_value", "sample_weight", "frozen"),
)
NAMES = (
    "",
    "W0",
    "W3",
    "b9",
    "dW1 ",
    "δW1",
    "../W1",
    "W1/W2",
    "theta",
    "grad",
    "D1",
    "loss",
    "l2",
    "params",
    "$x_",
    "W1[bold]",
)
NUMBERS = (
    *(np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 1.7976931348623157e308, 6.9e-310, 5e-324, 2.0**-1022, 1e154, -1e154),
    *(1e-154, 1e200, 1e-200, 2.0**53 + 2, -1.0, 0.5, 1.0, 2.0, 1e10, 1e-10),
)
TEXT_VALUES = (
    *("", " ", "tanh", "relu", "softmax", "sigmoid,softmax", "leaky_relu:nan", "elu:inf", "elu:1e400", "huber:0", "huber:-1"),
    *("hinge", "mse", "poisson", "kl_divergence", "sum", "weighted_mean", "0,0", "inf", "nan", "1e400", "-1", "true", "maybe"),
    *(
        "rows",
        "columns,in_out",
        "first",
        "last",
        "W1,b1",
        "dW1",
        "W1,b1,W2,b2,W1",
        ",,,",
        "X",
        "Y",
        "1,2,3,4,5",
        "tanh:0.5",
        "０",
    ),
)
DTYPES = ("f8", ">f8", "f4", ">f4", "f2", "i1", ">i8", "u2", "?", "c16", "g", "M8[s]", "m8[s]", "S3", "U3")
TURNS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    *(np.asfortranarray, np.transpose, np.ravel, lambda a: a[..., np.newaxis], lambda a: a[:0], lambda a: a[..., :0]),
    *(lambda a: a.ravel()[0], lambda a: a.ravel()[:1], lambda a: a[::-1], lambda a: np.stack([a, a]), lambda a: a[:, :1]),
    *(lambda a: a.reshape(1, -1), lambda a: a.reshape(-1, 1), lambda a: np.broadcast_to(a.ravel()[0], (40, 30)) * 1.0),
)
STRANGE_SHAPES = (
    *("(100000000000000000000000000, 0)", "(True, 4)", "(4, True)", "(False,)", "()", "(0,)", "(0, 0)", "(4, 0)", "(0, 3)"),
    *("(-1,)", "(-1, -3)", "(9223372036854775807,)", "(9223372036854775808, 0)", "(2, 9223372036854775807)", "(4.0, 3)"),
    *("(4, 3, 1)", "(1, 4, 3)", "(12,)", "(None,)", "('4', 3)", "[4, 3]", "12", "((4, 3),)", "(1,) * 40", f"({'1, ' * 40})"),
    *(f"({'1, ' * 5000})", "(4294967296, 4294967296, 0)", "(3, 4)", "(5, 3)", "(4, 1)", "(1, 1)"),
)
KINDS: dict[str, tuple[Callable[[Arrays, Draw], bytes], float]] = {
    "archive": (_archive, 6),
    "directory": (_directory, 6),
    "names": (_names, 8),
    "header": (_header, 6),
    "bits": (_bits, 8),
    "numbers": (_numbers, 20),
    "dtypes": (_dtypes, 8),
    "layouts": (_layouts, 10),
    "shapes": (_shapes, 10),
    "empties": (_empties, 1),
    "texts": (_texts, 8),
    "items": (_items, 12),
    "long lists": (_long_lists, 0.1),
    "spaces": (_spaces, 0.1),
    "options": (lambda model, draw: zipped(members(model)), 10),
}
"""What is attacked, and how often."""

COMMANDS = (
    *(("check",),) * 14,
    *(("check", "--method", method) for method in ("parameter", "preactivation", "textbook", "directional")),
    ("check", "--method", "textbook", "--scheme", "five-point"),
    *(("info",),) * 2,
)
OPTIONS = (
    *(
        "--class-weights=0,0",
        "--class-weights=inf,1",
        "--class-weights=1e308,1e308",
        "--class-weights=",
        "--l2=inf",
        "--l2=nan",
    ),
    *(
        "--l2=nan",
        "--l2=1e308",
        "--l1=-1",
        "--l2=,",
        "--label-smoothing=2",
        "--label-smoothing=nan",
        "--keep-prob=0",
        "--keep-prob=nan",
    ),
    *(
        "--sample=101%",
        "--sample=0",
        "--sample=0%",
        "--sample=1e99",
        "--sample=nan%",
        "--sample=1",
        "--seed=-1",
        f"--seed={2**70}",
    ),
    *("--tolerance=inf", "--tolerance=1e-320", "--tolerance=nan", "--step=1e-320", "--step=inf", "--step=0", "--step=1e308"),
    *("--directions=0", "--loss-value=inf", "--loss-value=1e308", "--threads=1000000", f"--hidden={'x' * 100_000}"),
    *(f"--params={'W1,' * 30_000}", "--params=W1,W1,W1,W1", "--grads=dW1", "--inputs=Y", "--labels=X", "--bias-column=first"),
    *("--reduction=weighted_mean", "--activations=,", "--layout=rows", "--hidden=elu:nan", "--loss=huber:1e308"),
    *("--method=directional", "--directions=1000000000"),
)


class Attack(NamedTuple):
    """One attack: of which kind, the file, and the arguments beside it."""

    kind: str
    data: bytes
    arguments: tuple[str, ...]


def attack(seed: int, kinds: Sequence[str] = tuple(KINDS)) -> Attack:
    """Return the attack of a seed, of one of some kinds."""
    draw = np.random.default_rng(seed)
    shares = np.array([KINDS[kind][1] for kind in kinds])
    kind = kinds[int(draw.choice(len(kinds), p=shares / shares.sum()))]
    model = dict(_model(int(draw.integers(len(NETWORKS))), draw.random() < 0.7))
    arguments = _one(COMMANDS, draw)
    if kind == "options":
        arguments = ("check", *(_one(OPTIONS, draw) for _ in range(int(draw.integers(1, 3)))))
    data = KINDS[kind][0](model, draw)
    if arguments[0] == "check" and draw.random() > DIAGNOSED:
        arguments = (*arguments, PLAIN)
    return Attack(kind, data, arguments)


# What the program makes of it.


def outcome(path: Path, arguments: tuple[str, ...] = ("check",)) -> str:
    """Give a file to the command line and return the verdict, "refused", or "shown" where there is none.

    Raises
    ------
    FaultError
        If the program fails in any way, or calls right what the independent check does not.
    """
    command, *options = arguments
    began, memory = time.process_time(), _Memory()
    with _ended_after(3 * SECONDS, WAITS * SECONDS):
        result = CliRunner().invoke(main, [command, str(path), "--json", *options])
    took, grown = time.process_time() - began, memory.grown()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise FaultError(f"exception {type(result.exception).__name__}: {result.exception}")
    for words in ("internal error", "Traceback", "enough memory"):  # of a file this small
        if words in result.output:
            raise FaultError(f"{words}: {result.output.partition(words)[2].splitlines()[0][:150]}")
    if took > SECONDS:
        raise FaultError(f"{took:.0f} s of the processor")
    if grown > MEMORY:
        raise FaultError(f"memory: {grown / 2**30:.1f} GiB")
    if len(result.output) > LONGEST:
        raise FaultError(f"long output: {len(result.output):,} characters")
    said = _document(result.stdout)
    verdict = "error" if "error" in said else str(said.get("verdict", ""))
    if result.exit_code not in CODES.get(verdict, set()):
        raise FaultError(f"exit code {result.exit_code} with {verdict or 'no verdict'}")
    if verdict == "error":
        return "refused"
    if verdict == "right" and {*options} <= {PLAIN}:
        return confirmed(path)
    return verdict or "shown"


def _document(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        document = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        raise FaultError(f"no JSON document: {error}") from None
    return dict(document)


def confirmed(path: Path) -> str:
    """Hold a verdict of right against the exact gradient of the numbers in the file.

    Raises
    ------
    FaultError
        If a gradient in the file is not the exact one, or is not there.
    """
    try:
        arrays = _plainly_read(path)
        if arrays is None:
            return "right, not held against anything"
        case = _case(arrays)
        exact = _exact(case)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, KeyError):
        return "right, not held against anything"
    if exact is None:
        return "right, not held against anything"
    start = 0
    for name, shape in SHAPES.items():
        claimed, size = arrays[f"d{name}"], int(np.prod(shape))
        _require_near(name, claimed, exact[0][start : start + size], exact[1][start : start + size])
        start += size
    return "right"


def _require_near(name: str, claimed: np.ndarray, exact: np.ndarray, noise: np.ndarray) -> None:
    """Refuse what is further from the exact gradient than any precision that it may be of could explain."""
    values = claimed.ravel().astype(float)
    if not np.isfinite(values).all():
        raise FaultError(f"right, with nan or infinity in d{name}")
    narrow = claimed.dtype.itemsize < 8 or bool((values == values.astype(np.float32)).all())
    share = 0.2 if claimed.dtype.itemsize < 4 else 2e-3 if narrow else 1e-6
    allowed = share * float(np.abs(exact).max()) + 1e3 * float(noise.max()) + 1e-290
    off = float(np.abs(values - exact).max())
    if off > allowed:
        raise FaultError(f"right, and d{name} is off by {off:.3g} of {np.abs(exact).max():.3g}")


def _plainly_read(path: Path) -> Arrays | None:
    """Read the shapes, names and items of `_model` with NumPy alone; None where the file is of another form."""
    known = {*SHAPES, *(f"d{name}" for name in SHAPES), "X", "Y", "hidden", "output", "loss"}
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    names = {info.filename.removesuffix(".npy") for info in infos}
    if sum(info.file_size for info in infos) > 2**16 or names - known - {"l2", "reduction", "loss_value"}:
        return None
    for name in SHAPES:
        if name in names and f"d{name}" not in names:
            raise FaultError(f"right, and there is no d{name}")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in names}
    forms = {**SHAPES, **{f"d{name}": shape for name, shape in SHAPES.items()}, "X": (3, EXAMPLES), "Y": (2, EXAMPLES)}
    for name, form in forms.items():
        array = arrays[name]
        if array.dtype.kind not in "fiub" or sorted(array.shape) != sorted(form):
            return None
        arrays[name] = array if array.shape == form else array.T
    for item in names & {"hidden", "output", "reduction"}:
        if arrays[item].dtype.kind not in "US":
            del arrays[item]  # numbers under the name of a word are data
    said = tuple(str(arrays.get(item)) for item in ("hidden", "output", "loss"))
    if said not in NETWORKS or str(arrays.get("reduction", "mean")) not in {"mean", "sum"}:
        return None
    return arrays


def _exact(case: reference.Case) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the exact gradient and how far plain float64 is from it; None where that takes too many digits."""
    numbers = np.concatenate([case.theta, case.X.ravel(), case.Y.ravel()]).astype(float)
    if not np.isfinite(numbers).all():
        raise FaultError("right, with nan or infinity in what the network is given")
    digits = 60 + int(4 * min(1e3, np.abs(numbers).max() ** 3))  # what a saturated exponential hides
    if case.loss != "squared_error" and digits > 500:
        return None
    if case.loss != "squared_error" and (case.l2 or not np.isin(case.Y, (0, 1)).all()):
        return None
    if any(0 in z for z in _pre_activations(case)):
        return None  # on a kink, where more than one gradient is right
    with mp.workdps(digits):
        exact = reference.gradient(case, lib=mp).astype(float)
    if not np.isfinite(exact).all():
        return None
    return exact, np.abs(reference.gradient(case) - exact)


def _pre_activations(case: reference.Case) -> Iterator[list[Any]]:
    layers = reference.unpack(case, [mp.mpf(float(value)) for value in case.theta])
    for x in case.X:
        yield reference.forward(case, layers, [mp.mpf(float(value)) for value in x], mp)[0][0]


class _Memory:
    """The most memory that this process has from now on, in bytes beyond what it has."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):  # Linux: the high-water mark begins anew
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._before = self._most()

    def grown(self) -> int:
        return self._most() - self._before

    @staticmethod
    def _most() -> int:
        with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as stream:
            return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM:"))
        try:
            import resource
        except ImportError:  # Windows
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextlib.contextmanager
def _ended_after(worked: float, waited: float) -> Iterator[None]:
    """Do not wait for ever: end what takes so many seconds of the processor or by the clock, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def end(*_: object) -> None:
        raise _TooLongError

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, worked), (signal.ITIMER_REAL, signal.SIGALRM, waited))
    before = [signal.signal(number, end) for _, number, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    except _TooLongError:
        raise FaultError(f"no end after {worked:.0f} s of the processor, or {waited:.0f} s by the clock") from None
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


@contextlib.contextmanager
def _heard() -> Iterator[Callable[[], str]]:
    """Catch what code below Python writes to the file descriptors 1 and 2; give a function that returns what is new."""
    with tempfile.TemporaryFile() as stream:
        kept = [(number, os.dup(number)) for number in (1, 2)]
        read = 0

        def new() -> str:
            nonlocal read
            end = stream.seek(0, os.SEEK_END)
            stream.seek(read)
            text, read = stream.read(end - read).decode("utf-8", "replace"), end
            stream.seek(0, os.SEEK_END)
            return text

        try:
            for number, _ in kept:
                os.dup2(stream.fileno(), number)
            yield new
        finally:
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)


@dataclass
class Results:
    """How many attacks of each kind had which outcome, the seeds of each failure, and what took longest, with its seed."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: defaultdict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    slowest: tuple[float, int] = (0.0, 0)

    def add(self, seed: int, kind: str, said: str, took: float) -> None:
        """Add what came of one attack, and how many seconds of the processor it and its check took."""
        self.counts[kind, said] += 1
        self.slowest = max(self.slowest, (took, seed))

    @property
    def total(self) -> int:
        """How many attacks there were."""
        return self.counts.total()


def fuzz(
    folder: Path,
    seed: int = 0,
    *,
    seconds: float = float("inf"),
    count: int = sys.maxsize,
    kinds: Sequence[str] = tuple(KINDS),
    tell: Callable[[str], object] = lambda line: None,
) -> Results:
    """Attack from a seed on, for some seconds or a number of times; tell of failures and of the progress."""
    found = Results()
    path, end = folder / "attack.npz", time.perf_counter() + seconds
    sys.stdout.flush()
    with _heard() as heard:
        for current in range(seed, seed + count):
            if time.perf_counter() > end:
                break
            attacked, began = attack(current, kinds), time.process_time()
            path.write_bytes(attacked.data)
            try:
                said = outcome(path, attacked.arguments)
                if text := heard():
                    raise FaultError(f"from below Python: {text.strip()[:80]}")
            except FaultError as fault:
                heard()
                said = "FAILED"
                found.failures[attacked.kind, _likened(fault)].append(current)
                tell(f"FAILED {attacked.kind}: {_said(fault)}; seed {current}")
            found.add(current, attacked.kind, said, time.process_time() - began)
            if found.total % TOLD == 0:
                tell(f"{found.total:,} attacks, to seed {current}: {sum(map(len, found.failures.values())):,} failed")
    return found


def _likened(fault: FaultError) -> str:
    """Return what a fault says, numbers left out, so that faults of one kind are one."""
    said = _said(fault)
    return re.sub(r"0x[0-9a-f]{2}|\d+(\.\d+)?(e[+-]?\d+)?", "#", said)


def _said(fault: FaultError) -> str:
    return str(fault).partition("\\nSet FASTGRAD")[0]


def _show(seed: int) -> None:
    """Write one attack into this folder, and show what the program says of it."""
    kind, data, arguments = attack(seed)
    path = Path(f"attack-{seed}.npz")
    path.write_bytes(data)
    os.environ["FASTGRAD_TRACEBACK"] = "1"
    print(f"{kind}: fastgrad {arguments[0]} {path} {' '.join(word[:60] for word in arguments[1:])}")
    result = CliRunner().invoke(main, [arguments[0], str(path), *arguments[1:]])
    print(result.output[:5000], f"exit code {result.exit_code}", result.exception or "", sep="\n")


def _told() -> Callable[[str], object]:
    """Return what prints a line at once, to the output as it is now: `_heard` takes that of the program under attack."""
    copy = os.dup(1)
    return lambda line: os.write(copy, f"{line}\n".encode("utf-8", "backslashreplace"))


def _print(found: Results, seconds: float) -> None:
    """Print the outcomes as a table, and the failures with their seeds."""
    outcomes = sorted({said for _, said in found.counts})
    print(f"{'':12}" + "".join(f"{said[:16]:>18}" for said in outcomes))
    for kind in KINDS:
        print(f"{kind:12}" + "".join(f"{found.counts[kind, said]:18,}" for said in outcomes))
    took, seed = found.slowest
    rates = f"{found.total / seconds:.1f} a second, {found.total / time.process_time():.1f} a second of the processor"
    print(f"{found.total:,} attacks, {rates}; the longest took {took:.1f} s of it, seed {seed}")
    for (kind, what), seeds in sorted(found.failures.items(), key=lambda pair: -len(pair[1])):
        print(f"FAILED {len(seeds):6,} {kind}: {what}; seeds {', '.join(map(str, seeds[:3]))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="stop after so long; without --count and this, after 60")
    parser.add_argument("--count", type=int, help="stop after so many attacks")
    parser.add_argument("--seed", type=int, default=0, help="that of the first attack; each further one has the next seed")
    parser.add_argument("--only", type=int, metavar="SEED")
    chosen = parser.parse_args()
    if chosen.only is not None:
        _show(chosen.only)
        sys.exit()
    warnings.simplefilter("error")  # a person should see none
    with tempfile.TemporaryDirectory() as temporary:
        began = time.perf_counter()
        seconds = chosen.seconds or (float("inf") if chosen.count else 60.0)
        count = chosen.count or sys.maxsize
        results = fuzz(Path(temporary), chosen.seed, seconds=seconds, count=count, tell=_told())
        _print(results, time.perf_counter() - began)
    sys.exit(bool(results.failures))
