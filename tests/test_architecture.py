"""The one-way street: which room may import which, held by reading the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = (
    {"errors", "_version"},
    {"machine", "writing"},
    {"kernels"},
    {"report", "model"},
    {"functions", "reading", "numerical"},
    {"judging"},
    {"diagnosis", "trials"},
    {"walk"},
    {"teaching"},
    {"__main__"},
)
"""From the ground up: a room imports only what stands in a line before its own; `report` holds the result's types."""

FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
LIBRARY = sorted((ROOT / "fastgrad").rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imported_modules(path: Path) -> set[str]:
    """List what a file imports anywhere in it; `from package import name` counts as package.name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}; write the package's name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(module: str) -> str | None:
    """Name the room of a module of fastgrad; None for one of another package, and for the package's own face."""
    parts = module.split(".")
    return parts[1] if parts[0] == "fastgrad" and len(parts) > 1 else None


def imported_rooms(path: Path) -> set[str]:
    return {room for module in imported_modules(path) if (room := room_of(module))}


@pytest.mark.parametrize("path", [path for path in LIBRARY if room_of(module_name(path))], ids=module_name)
def test_imports_run_one_way(path):
    here = room_of(module_name(path))
    assert here in FLOOR, f"fastgrad.{here} has no place in ROOMS yet"
    for room in imported_rooms(path) - {here}:
        assert room in FLOOR, f"{module_name(path)} imports {room}, which is no room"
        assert FLOOR[room] < FLOOR[here], f"{module_name(path)} imports {room}, which does not lie below it"


def test_demo_knows_nothing_of_the_librarys_mathematics():
    assert imported_rooms(ROOT / "fastgrad" / "teaching" / "demo.py") <= {"errors"}


@pytest.mark.parametrize("path", [path for path in LIBRARY if path.stem != "__main__"], ids=module_name)
def test_library_knows_nothing_of_the_command_line(path):
    packages = {module.split(".")[0] for module in imported_modules(path)}
    assert packages.isdisjoint({"click", "fastgrad_cli"})


def test_numba_stays_in_the_kernels():
    users = {path for path in LIBRARY if "numba" in {module.split(".")[0] for module in imported_modules(path)}}
    rooms = {room_of(module_name(path)) for path in users}
    # functions compiles loops around the user's own functions.
    assert rooms <= {"kernels", "functions"}


def test_functions_know_nothing_of_networks():
    for path in (ROOT / "fastgrad" / "functions").glob("*.py"):
        assert imported_rooms(path) <= {"errors", "machine", "report", "functions"}


@pytest.mark.parametrize("module", ["fastgrad", "fastgrad_cli.main"])
def test_import_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted({{'numba', 'numpy', 'rich'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [], "the help text must not wait for it"


def test_reference_is_independent():
    packages = {module.split(".")[0] for module in imported_modules(ROOT / "tests" / "reference.py")}
    assert "fastgrad" not in packages
