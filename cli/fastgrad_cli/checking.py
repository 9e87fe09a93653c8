"""Checking files for the command: what was asked of them, one after the other, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from fastgrad_cli import terminal

if TYPE_CHECKING:
    from fastgrad.model.network import Problem
    from fastgrad.report import Report
    from fastgrad.report.base import BaseReport
    from fastgrad.trials import BackwardReport
    from fastgrad_cli.outputs import Result


class Asked(NamedTuple):
    """What was asked: files, the second file of gradients or the function, and how the network is described and checked."""

    files: Sequence[str]
    gradients: str | None
    backward: str | None
    timeout: float | None
    infer: bool
    description: dict[str, Any]
    how: dict[str, Any]


DEFAULTS = frozenset({"method", "step", "scheme", "sample", "seed", "threads", "directions", "tolerance"})
"""What settings may say of how a network is checked."""


def with_settings(asked: Asked, context: click.Context, network: str | None) -> Asked:
    """Return what was asked with what pyproject.toml says where nothing was typed; of a network, with its file and function.

    Raises
    ------
    click.UsageError
        If there is no such network, or no file.
    """
    from fastgrad_cli import settings

    found = settings.find(frozenset(asked.description) | DEFAULTS)
    said: dict[str, Any] = {} if found is None else dict(found.defaults)
    if network is not None:
        networks = {} if found is None else found.networks
        if network not in networks:
            there = f"; there are {', '.join(networks)}" if networks else ""
            name = network[:60]
            raise click.UsageError(f"--network: there is no [tool.fastgrad.networks.{name}] in pyproject.toml{there}.")
        said |= networks[network]
        asked = _of_network(asked, said)
    if not asked.files:
        raise click.UsageError("Missing argument 'FILE'.")
    options = {key: value for key, value in said.items() if key not in settings.OF_A_NETWORK}
    taken = {key: value for key, value in options.items() if _unsaid(context, key)}
    if taken and found is not None:
        table = "[tool.fastgrad]" if network is None else f"[tool.fastgrad] and its table {network}"
        terminal.note(f"Note: {', '.join(taken)} from {table} of {found.path}.")
    description = {key: taken.get(key, value) for key, value in asked.description.items()}
    return asked._replace(description=description, how={key: taken.get(key, value) for key, value in asked.how.items()})


def _of_network(asked: Asked, said: dict[str, Any]) -> Asked:
    """Return what was asked with the files and the function of a network, where none were typed."""
    given = said.get("file", ())
    return asked._replace(
        files=asked.files or ([given] if isinstance(given, str) else list(given)),
        gradients=asked.gradients or said.get("gradients"),
        backward=asked.backward or said.get("backward"),
    )


def _unsaid(context: click.Context, name: str) -> bool:
    """Whether an option was left out on the command line."""
    source = context.get_parameter_source(name)
    return source is None or source == click.core.ParameterSource.DEFAULT


def require_usable(asked: Asked, names: Sequence[str], picture: str | None) -> None:
    """Raise UsageError for options that do not go together."""
    if asked.timeout is not None and asked.backward is None:
        raise click.UsageError("--timeout goes with --backward: it is the time for each call of that function.")
    if asked.gradients is not None and asked.backward is not None:
        raise click.UsageError("--gradients has no meaning with --backward, which computes them.")
    if len(names) > 1 and (picture or asked.gradients):
        raise click.UsageError(f"{'--plot' if picture else '--gradients'} goes with one FILE; {len(names)} are given.")


def checked(names: Sequence[str], asked: Asked) -> tuple[list[Result], bool]:
    """Check files one after the other; return what became of each, and whether Ctrl-C ended it.

    What is wrong with one of several files is that file's result and does not keep the others from being checked.
    """
    from fastgrad.errors import InputError, Interrupted
    from fastgrad_cli.outputs import Result

    results: list[Result] = []
    for name in names:
        try:
            results.append(Result(name, _one(name, asked)))
        except Interrupted as stop:
            return [*results, Result(name, stop.finished)], True
        except InputError as error:
            if len(names) == 1:
                raise
            results.append(Result(name, str(error).removeprefix(f"{name}: ")))
    return results, False


def _one(file: str, asked: Asked) -> BaseReport:
    """Check one file."""
    if asked.backward is None:
        return (_infer if asked.infer else _check_file)(file, asked.gradients, asked.description, asked.how)
    return _try(asked.backward, asked.timeout, file, asked.description, {**asked.how, "infer": asked.infer})


def load(file: str, description: dict[str, Any], gradients: str | None = None) -> Problem:
    """Read a file with the items of the description that were given."""
    from fastgrad.reading import Description, modelfile

    return modelfile.load(file, Description(**description), gradients)


def require_gradients(problem: Problem, file: str) -> None:
    """Raise InputError where a file holds no gradient at all."""
    from fastgrad.errors import InputError

    if problem.claimed is None and not any(tensor.frozen for tensor in problem.tensors):
        raise InputError(
            f"there is nothing to check: {file} holds no gradients (dW1, db1, ...). "
            f"Write the numerical ones to compare with:\n  fastgrad gradient {file}"
        )


def check(problem: Problem, method: dict[str, Any]) -> Report:
    """Check a problem, and show a person who waits how far it is."""
    from fastgrad.walk import check_problem

    with terminal.working() as progress:
        return check_problem(problem, **method, progress=progress)


def _check_file(file: str, gradients: str | None, description: dict[str, Any], how: dict[str, Any]) -> Report:
    """Check the gradients in a file, or in a second one."""
    problem = load(file, description, gradients)
    require_gradients(problem, file)
    return check(problem, how)


def _infer(file: str, gradients: str | None, description: dict[str, Any], how: dict[str, Any]) -> Report:
    """Check the gradients in a file under the network that they tell."""
    from fastgrad.numerical.how import How
    from fastgrad.reading import Description, modelfile
    from fastgrad.walk import check_inferred

    problem, said, _ = modelfile.load_completed(file, Description(**description), gradients)
    require_gradients(problem, file)
    with terminal.working() as progress:
        return check_inferred(problem, said, How(**how, progress=progress))


def _try(
    backward: str, timeout: float | None, file: str, description: dict[str, Any], method: dict[str, Any]
) -> BackwardReport:
    """Try a function on what a file holds."""
    from fastgrad.errors import require
    from fastgrad_cli.functions import UserFunction

    if timeout is not None:
        require("timeout", timeout, float, "a finite number of seconds, 0 for no limit", lambda s: 0.0 <= s < float("inf"))
    with UserFunction(backward, timeout) as function:  # its process starts while this one imports and reads
        from fastgrad import walk
        from fastgrad.reading import Description, modelfile

        parameters, X, Y, masks, described = modelfile.load_parts(file, Description(**description))
        function.load()
        with terminal.working() as progress:
            tried: BackwardReport = walk.check(
                parameters, backward=function, X=X, Y=Y, masks=masks, **described.said(), **method, progress=progress
            )
    return tried
