"""The floor plan: setup.cfg owns the order, the pages follow it, and no public name hides behind a folder."""

import ast
import sys
from graphlib import TopologicalSorter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest

import landscape

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "landscape"
MOST_FLOORS = 10


@pytest.fixture(scope="module")
def plan() -> ModuleType:
    spec = spec_from_file_location("floor_plan", ROOT / "docs" / "floor_plan.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_plan_of_setup_cfg(plan: ModuleType) -> None:
    text = plan.PAGE.read_text()
    assert plan.filled(text) == text, f"run {Path(sys.executable).name} docs/floor_plan.py --write"
    assert plan.filled(text.replace("| `problem.py` |", "| `other.py` |")) == text


def test_there_are_few_floors_and_every_folder_has_its_own(plan: ModuleType) -> None:
    layers = plan.layers()
    assert len(layers["landscape"]) <= MOST_FLOORS
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")} - {"landscape.cli"}
    assert folders == set(layers)


def imported_folders(source: str) -> set[str]:
    """Returns what a module imports of the package, as folders or flat modules, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("landscape."):
            found.add(str(node.module).split(".")[1])
    return found


def test_no_circle_between_folders() -> None:
    """Also not between two that share a floor, nor by an import inside a function or for a type."""
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        home = path.relative_to(PACKAGE).with_suffix("").parts[0]
        graph.setdefault(home, set()).update(imported_folders(path.read_text()) - {home})
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("model") < order.index("degeneracy") < order.index("cli")
    assert imported_folders("def f():\n    from landscape.model.problem import Problem\nimport os") == {"model"}


def test_every_module_and_folder_says_what_it_answers(plan: ModuleType) -> None:
    silent = [
        name for folder in ["", *plan.folders()] for name in [folder, *plan.modules(folder)] if name and not plan.summary(name)
    ]
    assert not silent


def test_a_folder_is_its_modules() -> None:
    """Importing one module of a folder loads no other, and each name has one home."""
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent in (PACKAGE, PACKAGE / "cli"):
            continue
        assert all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body), f"{path}: expected a docstring only"


def test_no_public_name_is_that_of_a_top_level_module() -> None:
    """`landscape.name` would be the function once, and the folder after the next import (PEP 562)."""
    taken = {module.name for module in iter_modules(landscape.__path__)}
    assert "model" in taken
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "cli"):
            continue  # commands are called by no other name
        defined = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert not defined & taken, f"{path}: {defined & taken}"
