"""Attacks on the door: bytes of a valid model file changed at random, and given to the whole program.

``python tests/fuzz.py --seconds 120 --seed 1`` prints what came of each kind of attack and stops at the first failure, with
its seed. The file's gradients are wrong, whatever else is changed: a verdict of right is a failure, as is any exception that
is no complaint, more than some seconds, and more than some memory.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from fastgrad_cli.main import main

SECONDS = 20.0
MEMORY = 2**28
"""Bytes that a file of some kilobytes may make the program take."""
MAGIC = (b"\x00", b"\xff", b"\x7f", b"\x80", b"'", b"(", b"9", b"<f8", b">f8", b"|O", b"True", b"PK\x03\x04", b"\x93NUMPY")


def wrong_model() -> dict[str, np.ndarray]:
    """Return a 3-4-2 network of tanh whose gradients have nothing to do with it."""
    draw = np.random.default_rng(5)
    shapes = {"W1": (4, 3), "b1": (4, 1), "W2": (2, 4), "b2": (2, 1)}
    arrays = {mark + name: draw.normal(size=shape) for name, shape in shapes.items() for mark in ("", "d")}
    data = {"X": draw.normal(size=(3, 5)), "Y": draw.normal(size=(2, 5))}
    said = {"hidden": np.array("tanh"), "output": np.array("identity"), "loss": np.array("squared_error")}
    return arrays | data | said


def members(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    """Return the .npy bytes of each array."""
    found = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, allow_pickle=False)
        found[f"{name}.npy"] = stream.getvalue()
    return found


def zipped(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return the bytes of an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return stream.getvalue()


def mutated(data: bytes, draw: np.random.Generator) -> bytes:
    """Change, insert, remove, repeat or exchange a few runs of bytes."""
    result = bytearray(data)
    for _ in range(int(draw.geometric(0.5))):
        place, length = int(draw.integers(len(result) + 1)), int(draw.geometric(0.2))
        piece = (
            bytes(draw.integers(0, 256, length, dtype=np.uint8)) if draw.random() < 0.5 else MAGIC[draw.integers(len(MAGIC))]
        )
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


def attack(seed: int) -> tuple[str, bytes]:
    """Return the kind and the bytes of an attack: on the archive, on its directory, or on arrays in a sound archive."""
    draw = np.random.default_rng(seed)
    contents = members(wrong_model())
    compression = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[int(draw.integers(2))]
    kind = ("archive", "directory", "header", "data", "names")[int(draw.integers(5))]
    name = list(contents)[int(draw.integers(len(contents)))]
    if kind == "archive":
        return kind, mutated(zipped(contents, compression), draw)
    if kind == "directory":
        data = zipped(contents, compression)
        start = data.index(b"PK\x01\x02")
        return kind, data[:start] + mutated(data[start:], draw)
    if kind == "names":
        other = mutated(name.removesuffix(".npy").encode(), draw).decode("utf-8", "replace").replace("\0", "_")
        return kind, zipped({(f"{other}.npy" if key == name else key): data for key, data in contents.items()}, compression)
    data = contents[name]
    edge = 10 + int.from_bytes(data[8:10], "little")
    parts = (mutated(data[:edge], draw), data[edge:]) if kind == "header" else (data[:edge], mutated(data[edge:], draw))
    if kind == "data":  # as long as before: numbers of any bits
        parts = (parts[0], parts[1][: len(data) - edge].ljust(len(data) - edge, b"\xff"))
    contents[name] = b"".join(parts)
    return kind, zipped(contents, compression)


def most_memory() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def outcome(path: Path) -> str:
    """Check a file by the command line and return the verdict, or "refused".

    Raises
    ------
    AssertionError
        If the program fails in any way, or calls wrong gradients right.
    """
    began, before = time.perf_counter(), most_memory()
    result = CliRunner().invoke(main, ["check", str(path), "--json"])
    grown = most_memory() - before
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    said = json.loads(result.stdout)
    assert said["verdict"] in {"wrong", "not judged"}, said
    assert result.exit_code == (2 if "error" in said else {"wrong": 1, "not judged": 3}[said["verdict"]]), said
    assert grown < MEMORY, f"{grown:,} bytes"
    assert time.perf_counter() - began < SECONDS
    return "refused" if "error" in said else str(said["verdict"])


def fuzz(seconds: float, seed: int, folder: Path) -> Counter[tuple[str, str]]:
    """Attack for some seconds, from a seed on; return the number of attacks by kind and outcome."""
    counts: Counter[tuple[str, str]] = Counter()
    path, end = folder / "attack.npz", time.perf_counter() + seconds
    while time.perf_counter() < end:
        kind, data = attack(seed)
        path.write_bytes(data)
        try:
            counts[kind, outcome(path)] += 1
        except AssertionError as error:
            raise AssertionError(f"attack {seed} on {kind}: {error}") from error
        seed += 1
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for (what, said), number in sorted(fuzz(chosen.seconds, chosen.seed, Path(temporary)).items()):
            print(f"{what:12}{said:12}{number:8,}")
