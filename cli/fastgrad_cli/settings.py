"""What a project's pyproject.toml says under [tool.fastgrad]: defaults of options, and networks by name.

A default says what a network is or how it is checked. Files and functions stand only in the table of a network, which is read
when somebody asks for that network: a folder that one happens to stand in never names code to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

FILE = "pyproject.toml"
OF_A_NETWORK = ("file", "gradients", "backward")
"""Keys of a network's table beside those of the defaults."""


class Settings(NamedTuple):
    """The defaults and the networks of a file, and where it lies."""

    path: Path
    defaults: dict[str, Any]
    networks: dict[str, dict[str, Any]]


def find(allowed: frozenset[str]) -> Settings | None:
    """Return the settings of the nearest pyproject.toml that has some, from this folder up to the project's root.

    Raises
    ------
    click.UsageError
        If it cannot be read, or holds a key that is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / FILE
        if path.is_file():
            table = _table(path)
            if table is not None:
                return _settings(path, table, allowed)
        if (folder / ".git").exists():
            break
    return None


def _table(path: Path) -> Mapping[str, Any] | None:
    """Return the table of fastgrad, None where there is none."""
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from None
    tools = document.get("tool")
    table = tools.get("fastgrad") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise click.UsageError(f"{path}: tool.fastgrad must be a table.")
    return table


def _settings(path: Path, table: Mapping[str, Any], allowed: frozenset[str]) -> Settings:
    networks = table.get("networks", {})
    if not isinstance(networks, dict) or not all(isinstance(entry, dict) for entry in networks.values()):
        raise click.UsageError(f"{path}: tool.fastgrad.networks must hold a table for each network.")
    defaults = {key: value for key, value in table.items() if key != "networks"}
    return Settings(
        path,
        _options(path, "tool.fastgrad", defaults, allowed),
        {
            name: _options(path, f"tool.fastgrad.networks.{name}", entry, allowed | set(OF_A_NETWORK))
            for name, entry in networks.items()
        },
    )


def _options(path: Path, where: str, table: Mapping[str, Any], allowed: frozenset[str] | set[str]) -> dict[str, Any]:
    """Return a table with the keys of options; lists become what is typed after an option."""
    found = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in allowed:
            from difflib import get_close_matches

            near = get_close_matches(name, allowed, n=1)
            expected = f"did you mean {near[0]}?" if near else f"expected {', '.join(sorted(allowed))}."
            raise click.UsageError(f"{path}: {where} has the key {key}; {expected}")
        if name in OF_A_NETWORK:
            found[name] = _file_names(value, f"{path}: {where}.{key}", several=name == "file")
        else:
            found[name] = ",".join(map(str, value)) if isinstance(value, list) else value
    return found


def _file_names(value: Any, where: str, several: bool) -> Any:
    """Return the name of a file or a function, or a list of names where there may be several."""
    names = value if several and isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) for name in names):
        raise click.UsageError(f"{where} must be a name{' or a list of names' * several}, in quotes; found {value!r}.")
    return value
