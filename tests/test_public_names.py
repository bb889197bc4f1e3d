"""`import landscape as ls`: the public names are there, typed, shown by an example, light to import, and all that pages use."""

import ast
import doctest
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from types import ModuleType
from typing import Any

import pytest

import landscape as ls
from landscape.proof.statement import NoPoint, Proof, Unproved
from tests.test_readme import blocks

ROOT = Path(__file__).resolve().parent.parent
HOME_OF: dict[str, str] = vars(ls)["_HOME_OF"]  # the stub hides it
STUB = ROOT / "landscape" / "__init__.pyi"
HEAVY = ("numpy", "torch", "scipy", "pandas", "matplotlib", "flint", "cyclopts", "jaxtyping")
WANTED = """
Problem load import_weights solve place Random Collapse Pairs Partition Apex analyse prove check spectrum density extremes trace
nullity atlas prevalence read_grid run_sweep read_results slice_line slice_plane plot_spectrum plot_atlas plot_phase plot_slice
Hessian Matrix dense Dense Inertia Deflated QuotientCholesky LowRank BlockLanczos Quadrature Extremes HutchPlusPlus ModuleLoss
ModuleHessian ModuleGaussNewton eigenvalues InputError objective
"""


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = spec_from_file_location("public_names", ROOT / "docs" / "public_names.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


# ------------------------------------------------------------------------------------------------------------- the contract


def test_every_name_that_was_asked_for_is_there() -> None:
    assert set(ls.__all__) >= set(WANTED.split())
    assert len(ls.__all__) == len(set(ls.__all__)) == sum(map(len, vars(ls)["_HOMES"].values()))


@pytest.mark.parametrize("name", ls.__all__)
def test_a_name_is_what_its_module_defines_and_stays_it(name: str) -> None:
    """Defined where the table says, under the same name: no re-export of a re-export, no second name."""
    module = import_module(f"landscape.{HOME_OF[name]}")
    value = getattr(ls, name)
    assert callable(value)
    assert value is getattr(module, name) is getattr(ls, name)
    assert value.__name__ == name
    assert value.__module__ == module.__name__


@pytest.mark.slow
def test_names_mean_the_same_after_every_module_is_imported() -> None:
    """The import system binds submodules as attributes of the package, so a name like that of a folder would change its meaning."""
    code = """
import pkgutil, importlib
import landscape as ls
before = {name: getattr(ls, name) for name in ls.__all__}
for module in pkgutil.walk_packages(ls.__path__, "landscape."):
    if module.name != "landscape.sweep.preload":  # it changes how the process takes signals
        importlib.import_module(module.name)
for _ in range(2):
    assert all(getattr(ls, name) is value and callable(value) for name, value in before.items())
problem = ls.Problem.balanced(4, 2, 6, 2, 1e-2)
for _ in range(2):
    table, report = ls.atlas(problem, ls.AtlasOptions(groups=((4,),))), ls.analyse(ls.place(problem, ls.Collapse()))
    assert table.entries[0].nullity == report.nullity == 24
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_no_name_is_that_of_a_module_or_folder_directly_below() -> None:
    taken = {module.name for module in iter_modules(ls.__path__)}
    assert taken >= {"model", "curvature", "errors"}
    assert not taken & set(ls.__all__)


@pytest.mark.slow
def test_a_star_import_and_a_listing_have_the_contract() -> None:
    done = run("before = set(dir()); from landscape import *; print(*sorted(set(dir()) - before - {'before'}))")
    assert done.stdout.split() == ls.__all__, done.stderr
    assert set(dir(ls)) == {*ls.__all__, "__version__"}


def test_an_unknown_name_says_where_the_names_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'analyze'.*landscape\.__all__"):
        ls.analyze  # type: ignore[attr-defined]  # noqa: B018
    assert run("from landscape import analyze").returncode != 0


def test_the_import_alone_is_light() -> None:
    done = run(f"import sys, landscape; print([name for name in {HEAVY} if name in sys.modules], landscape.__version__)")
    assert done.stdout.split() == ["[]", ls.__version__], done.stderr


def test_the_import_loads_no_module_but_itself() -> None:
    done = run("import sys, importlib; before = set(sys.modules); import landscape; print(*sorted(set(sys.modules) - before))")
    assert done.stdout.split() == ["landscape"], done.stderr


def test_the_cost_of_the_import_can_be_measured() -> None:
    spec = spec_from_file_location("imports", ROOT / "benchmarks" / "imports.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert {"pass", "import landscape as ls"} < set(module.PROGRAMS.values())
    assert module.milliseconds("import time; time.sleep(0.3)", 1) > 300


def test_a_problem_needs_no_torch() -> None:
    done = run("import sys, landscape as ls; ls.Problem.balanced(2, 1, 2, 1, 0.1)._repr_html_(); print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_a_problem_shows_its_settings_in_a_notebook() -> None:
    html = ls.Problem((4, 1, 2), 5, 1, (1e-3, 2e-3), "mse")._repr_html_()
    for text in ("4,1,2", "0.001,0.002", "mse", "<th>parameters P</th><td>50</td>"):
        assert text in html


# --------------------------------------------------------------------------------------------------------- stub and wheel


def test_the_stub_is_made_from_the_table(maker: ModuleType) -> None:
    assert STUB.read_text() == maker.stub(), "run docs/public_names.py --write"


def test_the_stub_says_what_the_package_does() -> None:
    """Read as a type checker does, without the code that made it."""
    tree = ast.parse(STUB.read_text())
    found = {alias.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert found == HOME_OF
    (listed,) = [node for node in tree.body if isinstance(node, ast.Assign)]
    assert sorted(ast.literal_eval(listed.value)) == ls.__all__


@pytest.mark.slow
def test_the_wheel_brings_stub_and_types_and_works(tmp_path: Path) -> None:
    source = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and name.startswith(("landscape/", "setup.cfg", "pyproject", "README", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path), str(source)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {"landscape/__init__.pyi", "landscape/py.typed"} <= set(archive.namelist())
        archive.extractall(tmp_path / "site")
    user = tmp_path / "user.py"
    user.write_text(
        "import landscape as ls\n"
        "problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)\n"
        "report = ls.analyse(ls.place(problem, ls.Collapse()))\n"
        "nullity: int | None = report.nullity\n"
        "print(nullity, ls.__file__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "MYPYPATH": str(tmp_path / "site")}
    ran = subprocess.run([sys.executable, str(user)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.stdout.split() == ["24", str(tmp_path / "site" / "landscape" / "__init__.py")], ran.stderr
    for text, sound in ((user.read_text(), True), (user.read_text().replace("int | None", "str"), False)):
        user.write_text(text)
        checks = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--follow-imports=silent", str(user)]
        typed = subprocess.run(checks, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert (typed.returncode == 0) is sound, typed.stdout
        assert sound or "has type" in typed.stdout


# ------------------------------------------------------------------------------------------------ examples, pages, tutorials


def examples(name: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(getattr(ls, name).__doc__ or "")


@pytest.mark.parametrize("name", ls.__all__)
def test_a_name_has_an_example_that_shows_it(name: str) -> None:
    """The examples are run where they stand, by --doctest-modules."""
    found = examples(name)
    assert found[0].source == "import landscape as ls\n"
    assert any(re.search(rf"\bls\.{name}\b", example.source) for example in found)
    assert any(example.want for example in found), "an example without an answer cannot fail"


@pytest.mark.slow
def test_the_examples_are_collected() -> None:
    """With what tests/conftest.py does to the package: the finder of examples passes over functions that a decorator replaced."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/test_display.py", "landscape"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    missing = [name for name in ls.__all__ if f"::landscape.{HOME_OF[name]}.{name}\n" not in done.stdout]
    assert not missing, done.stdout[-2000:]


def used(code: str) -> tuple[set[str], set[str]]:
    """Returns what a program imports from the package, and which attributes of `ls` it reads."""
    tree = ast.parse(code)
    imports, names = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {f"import {a.name} as {a.asname}" for a in node.names if a.name.partition(".")[0] == "landscape"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "landscape":
            imports.add(f"from {node.module} import ..")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ls":
            names.add(node.attr)
    return imports, names


def programs() -> dict[str, str]:
    """Returns the Python of every page, whose blocks share a session, and every tutorial."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    found = {page.name: "\n".join(code for language, code in blocks(page.read_text()) if language == "python") for page in pages}
    found |= {path.name: path.read_text() for path in (ROOT / "docs" / "examples").glob("*.py")}
    return {name: code for name, code in found.items() if code}


@pytest.mark.parametrize("name", sorted(programs()))
def test_pages_and_tutorials_use_public_names_alone(name: str) -> None:
    imports, names = used(programs()[name])
    if name == "formats.md":  # how another program reads the files
        assert not imports
        return
    assert imports == {"import landscape as ls"}
    assert names
    assert names <= set(ls.__all__)


def test_the_sight_of_private_imports() -> None:
    assert used("from landscape.model.problem import Problem\nls.x") == ({"from landscape.model.problem import .."}, {"x"})
    assert used("import landscape.model as m, numpy") == ({"import landscape.model as m"}, set())
    assert len(programs()) >= 8


# ------------------------------------------------------------------------------------------------------ what the names add


def problem() -> ls.Problem:
    return ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)


def test_a_solve_starts_from_a_random_start_a_point_or_parameters() -> None:
    drawn = ls.solve(problem(), ls.Random(seed=0))
    assert drawn.origin.start == "random, c_W=1, c_H=1"
    assert drawn.origin.seed == 0
    again = ls.solve(problem(), drawn, [ls.Newton()])
    assert again.origin.start == drawn.origin.start
    assert len(again.origin.methods) == len(drawn.origin.methods) + 1
    given = ls.solve(problem(), drawn.theta, [ls.Newton()])
    assert given.origin.start == "given parameters"
    assert float((again.theta - drawn.theta).norm()) < 1e-12


def test_a_placed_point_is_critical_in_every_gauge_and_saved(tmp_path: Path) -> None:
    for structure in (ls.Collapse(), ls.Pairs(), ls.Partition((2, 1, 1))):
        aligned, turned = ls.place(problem(), structure), ls.place(problem(), structure, gauge=5)
        assert max(aligned.gradient_norm, turned.gradient_norm) < 1e-13
        assert abs(aligned.loss - turned.loss) < 1e-14
        assert float((aligned.theta - turned.theta).norm()) > 0.1
        turned.save(str(tmp_path / "point.safetensors"))
        assert ls.load(str(tmp_path / "point.safetensors")).theta.equal(turned.theta)


def proved(*of: Any) -> Proof:
    proof = ls.prove(*of)
    assert isinstance(proof, Proof)
    return proof


def test_a_proof_of_a_point_is_that_of_its_structure() -> None:
    by_name, by_box = proved(problem(), ls.Collapse()), proved(ls.place(problem(), ls.Collapse(), gauge=2))
    assert (by_name.nullity, by_name.index, by_name.rank) == (by_box.nullity, by_box.index, by_box.rank) == (24, 0, 3)
    assert proved(ls.place_reduced(problem(), ls.Collapse())).nullity == 24
    apex = ls.Problem.balanced(classes=5, samples=2, width=8, depth=2, decay=2e-3)
    assert proved(apex, ls.Apex()).nullity == ls.analyse(ls.place(apex, ls.Apex())).nullity
    absent = ls.prove(ls.Problem.balanced(4, 2, 6, 2, 0.5), ls.Collapse())
    assert isinstance(absent, NoPoint)
    assert "no root" in absent.reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda: (problem(),), "expected a point alone, or a problem together with a structure"),
        (lambda: (ls.place(problem(), ls.Pairs()), ls.Pairs()), "expected a point alone"),
        (lambda: (problem(), ls.Partition((4, 2))), "expected groups of at least 1 that sum to 4 classes, got 4,2"),
        (lambda: (ls.Problem.balanced(2, 1, 2, 2, 0.1, "ce", "relu"), ls.Collapse()), "no proof is known for a rectifier"),
    ],
)
def test_what_cannot_be_proved_is_refused(arguments, words: str) -> None:
    with pytest.raises(ls.InputError, match=words):
        ls.prove(*arguments())


def test_a_point_that_is_not_critical_has_no_proof() -> None:
    blurred = ls.place(problem(), ls.Pairs()).theta + 0.05
    refused = ls.prove(ls.CriticalPoint.at(problem(), blurred, ls.Origin("blurred")))
    assert isinstance(refused, Unproved)
    assert refused.reason


def test_a_proof_is_checked_as_value_text_and_file(tmp_path: Path) -> None:
    proof, path = proved(problem(), ls.Pairs()), tmp_path / "pairs.json"
    ls.save_proof(proof, path)
    text = path.read_text()
    assert ls.check(proof) == ls.check(text) == ls.check(path) == ls.check(str(path))
    for wrong in (text.replace('"index":0', '"index":1'), "{", "{}"):
        with pytest.raises(ls.InputError) as refused:
            ls.check(wrong)
        assert "\n" not in str(refused.value)
    with pytest.raises(ls.InputError, match="no such file"):
        ls.check(tmp_path / "other.json")
    with pytest.raises(ls.InputError, match="cannot be read as text"):
        ls.check(tmp_path)


def test_a_spectrum_is_that_of_the_point_or_of_the_operator() -> None:
    point = ls.place(problem(), ls.Collapse(), gauge=1)
    reduced, formed = ls.spectrum(point), ls.spectrum(ls.hessian(point))
    assert float((reduced.expanded() - formed.expanded()).abs().max()) < 1e-12
    assert ls.spectrum(point, "dense").size == ls.spectrum(ls.place_reduced(problem(), ls.Collapse())).size == 108
    with pytest.raises(ls.InputError, match="expected a point and a method with a spectrum"):
        ls.spectrum(point, "inertia")


def test_pictures_are_drawn_on_given_axes() -> None:
    figure, axes = ls.new_figure(columns=4, width=12.0)
    point = ls.place(problem(), ls.Collapse(), gauge=1)
    assert ls.plot_spectrum(ls.spectrum(point), axes[0], "left") is axes[0]
    assert ls.plot_logits(point, axes[1]) is axes[1]
    assert ls.plot_slice(ls.slice_plane(point, steps=5), axes[2]) is axes[2]
    ways = ls.slice_between(point, ls.place(problem(), ls.Pairs()), steps=5)
    assert ls.plot_slice(ways, axes[3]) is axes[3]
    assert axes[0].get_title() == "left"
    with pytest.raises(ls.InputError, match="expected 1 axes, one for each spectrum, got 2"):
        ls.plot_spectra({"one": ls.spectrum(point)}, axes[:2])
    with pytest.raises(ls.InputError, match="expected a report with a spectrum"):
        ls.plot_spectrum(ls.analyse(point, "inertia"))
    assert figure.axes[:4] == axes


def test_a_way_between_points_of_two_problems_is_refused() -> None:
    other = ls.Problem.balanced(classes=4, samples=2, width=7, depth=2, decay=1e-2)
    with pytest.raises(ls.InputError, match="expected two points of one problem"):
        ls.slice_between(ls.place(problem(), ls.Pairs()), ls.place(other, ls.Pairs()))


def test_every_module_can_be_walked() -> None:
    assert len(list(walk_packages(ls.__path__, "landscape."))) > 100
