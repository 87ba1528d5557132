"""The house: which room may know which, and how large a room may be."""

import ast
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from places import ROOT

# From the ground up: a room imports from its own floor or from below.
FLOORS = {
    "serving": (
        "errors browser",
        "artifact",
        "model",
        "drawing",
        "face process",
        "answers",
        "protocols pyfunc",
        "web",
        "service frozen",
    ),
    "exporter": (
        "text errors config progress smoothing",
        "decompose graph",
        "chain",
        "head",
        "surgery",
        "source",
        "images",
        "writing editing evaluate",
        "report verification inspection hub packaging",
        "comparing site",
        "quantising",
        "pipelines",
        "commands",
        "cli",
    ),
}
# What the exporter may know of the server: the shared core, never the web.
CORE = {"errors", "artifact", "model", "drawing", "browser"}
SERVER_VERBS = {"exporter.commands.serve", "exporter.commands.targets.page"}


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of this repository that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found.update(name if name in known else node.module for name in names)
    return {name for name in found if name in known}


def wing(module: str) -> str:
    """The room right below the package; none of the package's own face."""
    return module.partition(".")[2].partition(".")[0]


ALL = modules("exporter") | modules("serving")
GRAPH = {name: imports(path, ALL) - {name} for name, path in ALL.items()}


@pytest.mark.parametrize("package", FLOORS)
def test_no_arrow_runs_upwards(package):
    floor = {room: level for level, rooms in enumerate(FLOORS[package]) for room in rooms.split()}
    for name, found in GRAPH.items():
        if name.split(".")[0] != package or not wing(name):
            continue
        for other in found:
            if other.split(".")[0] == package and wing(other):
                upwards = floor[wing(other)] > floor[wing(name)]
                assert not upwards, f"{name} imports {other}, which stands above it"


def test_no_circle_between_packages():
    rooms = {name.rpartition(".")[0]: set() for name in ALL if name.count(".") > 1}
    for name, found in GRAPH.items():
        own = name.rpartition(".")[0]
        if own in rooms:
            others = {other.rpartition(".")[0] for other in found} - {own}
            rooms[own] |= {other for other in others if other in rooms}
    TopologicalSorter(rooms).prepare()  # raises CycleError


def test_no_circle_between_files():
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_exporter_knows_the_shared_core_of_serving_alone():
    for name, found in GRAPH.items():
        if name.startswith("exporter") and name not in SERVER_VERBS:
            others = {wing(other) for other in found if other.startswith("serving")} - {""}
            assert others <= CORE, name


def test_a_folder_has_at_most_twelve_siblings_and_a_file_350_lines():
    for folder in {path.parent for path in ALL.values()}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 12, folder
    long = {path: len(path.read_text().splitlines()) for path in ALL.values()}
    assert {path: lines for path, lines in long.items() if lines > 350} == {}


def test_every_package_is_installed_and_says_what_it_is():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in ALL.values()}
    assert sorted(listed) == sorted(".".join(f.relative_to(ROOT).parts) for f in folders)
    for folder in folders:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder
