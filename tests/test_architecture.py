"""The one-way street: which room may import which, held by reading the source."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = (
    {"errors", "_version"},
    {"foreign", "machine", "writing"},
    {"kernels"},
    {"report", "model"},
    {"functions", "reading", "numerical"},
    {"judging", "layers"},
    {"diagnosis", "trials"},
    {"walk"},
    {"teaching", "torch", "jax"},
    {"questions"},
    {"pytest_plugin", "sklearn"},
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


MOST_ARGUMENTS = 10
"""Of a kernel: tables that all of them take travel as records."""


def test_kernels_take_ten_arguments_at_most():
    many = {}
    for path in (ROOT / "fastgrad" / "kernels").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                names = {argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
                # numba hands its own to what writes LLVM code for a call; the call has none of it.
                if len(names - {"typing_context"}) > MOST_ARGUMENTS:
                    many[f"{path.stem}.{node.name}"] = len(names)
    assert many == {}


def test_only_the_table_and_the_methods_own_modules_know_a_method():
    """Others take a method from the table, or ask it what it can do; comparing with one would be a second table."""
    methods = {"PARAMETER", "PREACTIVATION", "TEXTBOOK", "DIRECTIONAL"}
    # The sweep is about these two.
    allowed = {"fastgrad.numerical.methods": methods, "fastgrad.teaching.sweep": {"PARAMETER", "TEXTBOOK"}}
    for path in LIBRARY:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert imported & methods <= allowed.get(module_name(path), set()), module_name(path)
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.Compare)):
            values = {value.value for value in (node.left, *node.comparators) if isinstance(value, ast.Constant)}
            assert values.isdisjoint(name.lower() for name in methods), f"{module_name(path)}, line {node.lineno}"


def test_every_list_of_methods_is_that_of_the_table():
    from fastgrad.numerical.methods import METHODS
    from fastgrad_cli.main import main

    schema = json.loads((ROOT / "fastgrad" / "report" / "schema.json").read_text(encoding="utf-8"))
    assert set(schema["$defs"]["checked"]["properties"]["method"]["enum"]) == set(METHODS)
    for command in ("check", "gradient"):
        option = next(option for option in main.commands[command].params if option.name == "method")
        assert list(option.type.choices) == ["auto", *METHODS]


def test_functions_and_layers_know_nothing_of_networks():
    for path in (ROOT / "fastgrad" / "functions").rglob("*.py"):
        assert imported_rooms(path) <= {"errors", "foreign", "machine", "report", "functions"}
    for path in (ROOT / "fastgrad" / "layers").glob("*.py"):
        assert imported_rooms(path) <= {"errors", "foreign", "machine", "report", "functions", "layers"}


@pytest.mark.parametrize("module", ["fastgrad", "fastgrad_cli.main"])
def test_import_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted({{'numba', 'numpy', 'rich'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [], "the help text must not wait for it"


def test_repairs_are_asked_for_points_and_know_nothing_of_functions():
    """Layers use them as functions do: what differentiates stands outside."""
    for path in (ROOT / "fastgrad" / "functions" / "repair").glob("*.py"):
        within = {module for module in imported_modules(path) if module.startswith("fastgrad.functions.")}
        allowed = ("fastgrad.functions.repair", "fastgrad.functions.arguments")
        assert all(module.startswith(allowed) for module in within), path


def test_reference_is_independent():
    packages = {module.split(".")[0] for module in imported_modules(ROOT / "tests" / "reference.py")}
    assert "fastgrad" not in packages


# The first floor, and what is public.

DOORS = {"__main__", "torch", "jax", "sklearn", "pytest_plugin"}
"""Files and folders by which other programs come in: no rooms."""
MOST_ROOMS = 13


def first_floor() -> dict[str, Path]:
    """Name what lies on the first floor: folders with code, and single files."""
    places = [path for path in (ROOT / "fastgrad").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    return {path.stem: path for path in places if path.stem != "__init__"}


def is_tool(path: Path) -> bool:
    """Tell whether a place is a single file that asks no room anything."""
    return path.is_file() and all(first_floor()[room].is_file() for room in imported_rooms(path))


def test_the_first_floor_has_few_rooms():
    rooms = {name for name, path in first_floor().items() if name not in DOORS and not is_tool(path)}
    assert "walk" in rooms, "it asks all the others"
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)


def test_every_place_on_the_first_floor_is_in_the_list_and_no_other():
    assert first_floor().keys() == FLOOR.keys()


def bound_names(path: Path) -> tuple[set[str], set[str]]:
    """List the names that a module imports at its top, and those that it makes itself."""
    imported, made = set(), set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            made |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return imported, made


def exported(path: Path) -> set[str] | None:
    """List a module's `__all__`; None where it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return None


WITH_ALL = {module_name(path): path for path in LIBRARY if exported(path) is not None}


@pytest.mark.parametrize("module", [name for name in WITH_ALL if name != "fastgrad"])
def test_all_holds_what_is_public_in_a_module(module):
    path = WITH_ALL[module]
    imported, made = bound_names(path)
    public = {name for name in made if not name.startswith("_")}
    assert public <= exported(path), "made here, public by its name, and not in __all__"
    assert exported(path) <= public | imported, "in __all__, and not there"


@pytest.mark.parametrize("path", [*LIBRARY, *sorted((ROOT / "cli").rglob("*.py"))], ids=module_name)
def test_nobody_imports_what_another_module_keeps_to_itself(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not str(node.module).startswith("fastgrad"):
            continue
        for alias in node.names:
            private = alias.name.startswith("_") and not alias.name.startswith("__") and alias.name != "_version"
            assert not private, f"line {node.lineno}: {alias.name} is private to {node.module}"
            if node.module in WITH_ALL and not (ROOT / str(node.module).replace(".", "/") / f"{alias.name}.py").exists():
                within = module_name(path).startswith(f"{node.module}.")
                folder = (ROOT / str(node.module).replace(".", "/") / alias.name).is_dir()
                assert within or folder or alias.name in exported(WITH_ALL[node.module]), f"{alias.name} of {node.module}"


def test_the_page_on_the_house_shows_every_place_that_there_is_and_no_other():
    page = (ROOT / "docs" / "explanation" / "house.md").read_text(encoding="utf-8")
    tree = page.split("```")[1]
    shown = set(re.findall(r"[\w/]+\.py\b", tree)) | {f"{name}/" for name in re.findall(r"(\w+)/ ", tree)}
    files = {path for folder in ("fastgrad", "cli") for path in (ROOT / folder).rglob("*.py")}
    assert {name for name in shown if name.endswith(".py")} <= {path.name for path in files} | {"reference.py"}
    for place in first_floor().keys() - DOORS - {"_version"}:
        assert {f"{place}.py", f"{place}/"} & shown, f"{place} is not on the page"
    for named in re.findall(r"`([\w/]+\.py)`", page):
        assert any(path.as_posix().endswith(named) for path in {*files, *(ROOT / "tests").glob("*.py")}), named


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def documented_names() -> set[str]:
    """List every name that a page writes as fastgrad.NAME."""
    name = re.compile(r"(?<!tool\.)\bfastgrad\.([A-Za-z_]\w*)")
    return {found for page in PAGES for found in name.findall(page.read_text(encoding="utf-8"))}


def test_every_documented_name_is_public_and_every_public_name_documented():
    import fastgrad

    places = first_floor().keys() | {"__all__"}
    assert documented_names() - places <= set(fastgrad.__all__)
    prose = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    public = {name for name in fastgrad.__all__ if not name.startswith("__")}
    assert {name for name in public if not re.search(rf"\b{name}\b", prose)} == set()


def test_walk_is_the_order_of_steps_without_mathematics_or_wording_of_its_own():
    source = (ROOT / "fastgrad" / "walk.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        docstring = function.body[0].end_lineno - function.body[0].lineno + 1 if ast.get_docstring(function) else 0
        # `check` itself has a line for each of its keywords, which is a part of the library's face.
        parameters = len(function.args.args) + len(function.args.kwonlyargs)
        assert function.end_lineno - function.lineno + 1 - docstring - parameters < 20, function.name
        assert not any(isinstance(node, ast.JoinedStr) for node in ast.walk(function)), f"{function.name} has words of its own"
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    assert {node.attr for node in attributes if ast.unparse(node.value) == "np"} <= {"errstate"}
    assert len(source.splitlines()) <= 300
