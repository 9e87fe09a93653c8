"""Checking files for the command: what was asked of them, one after the other, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from fastgrad_cli import terminal

if TYPE_CHECKING:
    from fastgrad.model.network import Problem
    from fastgrad.reading import Description
    from fastgrad.report import Report
    from fastgrad.report.base import BaseReport
    from fastgrad.trials import BackwardReport
    from fastgrad_cli.outputs import Result


class Asked(NamedTuple):
    """What was asked: files, the second file of gradients or the function, and how the network is described and checked.

    Of what describes the network, `table` is said of it in pyproject.toml, and `defaults` hold where nothing else is said.
    """

    files: Sequence[str]
    gradients: str | None
    backward: str | None
    timeout: float | None
    infer: bool
    description: dict[str, Any]
    how: dict[str, Any]
    table: Mapping[str, Any] = MappingProxyType({})
    defaults: Mapping[str, Any] = MappingProxyType({})


DEFAULTS = frozenset({"method", "step", "scheme", "sample", "seed", "threads", "directions", "tolerance"})
"""What settings may say of how a network is checked."""


def with_settings(asked: Asked, context: click.Context, network: str | None) -> Asked:
    """Return what was asked with what pyproject.toml says where nothing was typed; of a network, with its file and function.

    The table of a network that was asked for describes that network and stands before what its file says; what the file says
    stands before the defaults of all.

    Raises
    ------
    click.UsageError
        If there is no such network, or no file.
    """
    from fastgrad_cli import settings

    found = settings.find(frozenset(asked.description) | DEFAULTS)
    own: dict[str, Any] = {}
    if network is not None:
        networks = {} if found is None else found.networks
        if network not in networks:
            there = f"; there are {', '.join(networks)}" if networks else ""
            name = network[:60]
            raise click.UsageError(f"--network: there is no [tool.fastgrad.networks.{name}] in pyproject.toml{there}.")
        own = networks[network]
        asked = _of_network(asked, own)
    if not asked.files:
        raise click.UsageError("Missing argument 'FILE'.")
    own = {key: value for key, value in own.items() if key not in settings.OF_A_NETWORK and _unsaid(context, key)}
    others = {} if found is None else found.defaults
    defaults = {key: value for key, value in others.items() if key not in own and _unsaid(context, key)}
    yielding = {key: value for key, value in defaults.items() if key in asked.description}
    if found is not None and (own or defaults):
        where = "[tool.fastgrad]" if network is None else f"[tool.fastgrad] and its table {network}"
        stands = f"; what a file itself says of {', '.join(yielding)} stands" if yielding else ""
        terminal.note(f"Note: {', '.join(defaults | own)} from {where} of {found.path}{stands}.")
    how = {key: (defaults | own).get(key, value) for key, value in asked.how.items()}
    table = {key: value for key, value in own.items() if key in asked.description}
    return asked._replace(how=how, table=table, defaults=yielding)


def _of_network(asked: Asked, said: dict[str, Any]) -> Asked:
    """Return what was asked with the files and the function of a network, where none were typed."""
    given = said.get("file", [])
    return asked._replace(
        files=asked.files or ([given] if isinstance(given, str) else given),
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
        return (_infer if asked.infer else _check_file)(file, asked)
    return _try(asked.backward, file, asked)


def load(file: str, description: dict[str, Any], gradients: str | None = None) -> Problem:
    """Read a file with the items of the description that were given, all of it into memory."""
    from fastgrad.reading import Description, modelfile

    problem = modelfile.load(file, Description(**description), gradients)
    problem.require_in_memory("this command")
    return problem


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


def _check_file(file: str, asked: Asked) -> Report:
    """Check the gradients in a file, or in a second one."""
    from fastgrad.reading import modelfile

    problem = modelfile.load(file, *_said(asked))
    require_gradients(problem, file)
    return check(problem, asked.how)


def _infer(file: str, asked: Asked) -> Report:
    """Check the gradients in a file under the network that they tell."""
    from fastgrad.numerical.how import How
    from fastgrad.reading import modelfile
    from fastgrad.walk import check_inferred

    problem, said, _ = modelfile.load_completed(file, *_said(asked))
    require_gradients(problem, file)
    with terminal.working() as progress:
        return check_inferred(problem, said, How(**asked.how, progress=progress))


def _said(asked: Asked) -> tuple[Description, str | None, Description]:
    """Return what was said of the network, the second file, and what holds where the first says nothing."""
    from fastgrad.reading import Description

    said = Description(**asked.table).overlaid(Description(**asked.description))
    return said, asked.gradients, Description(**asked.defaults)


def _try(backward: str, file: str, asked: Asked) -> BackwardReport:
    """Try a function on what a file holds."""
    from fastgrad.errors import require
    from fastgrad_cli.functions import UserFunction

    timeout = asked.timeout
    if timeout is not None:
        require("timeout", timeout, float, "a finite number of seconds, 0 for no limit", lambda s: 0.0 <= s < float("inf"))
    with UserFunction(backward, timeout) as function:  # its process starts while this one imports and reads
        from fastgrad import walk
        from fastgrad.reading import modelfile

        description, _, defaults = _said(asked)
        parameters, X, Y, masks, described = modelfile.load_parts(file, description, defaults)
        said = {**described.said(), **asked.how, "infer": asked.infer}
        function.load()
        with terminal.working() as progress:
            tried: BackwardReport = walk.check(parameters, backward=function, X=X, Y=Y, masks=masks, **said, progress=progress)
    return tried
