"""Changes the code one place at a time and says which changes no test hears: a measure of the tests of numerics and archive.

    OMP_NUM_THREADS=1 python scripts/mutants.py [--each 11] [--seed 0] [--only deflation,zeros] [--out tests/mutants.tsv]

Works on a copy of the tree. For each file of `TARGETS` it draws so many changes (a comparison, an operator, a number, a word of
logic, a statement that is dropped) and runs the file's fast tests on each. A change that no test hears survives. Those of
tests/mutants.tsv are argued in docs/mutants.md. With --only the rows of all other files stay as they are in the table.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 150  # seconds of the tests of one change; one that hangs has been heard
TARGETS = {
    "atomic_files": ["test_atomic_files.py"],
    "memory": ["test_memory.py"],
    "plain_file": ["test_plain_file.py"],
    "seal": ["test_seal.py", "archive/test_records.py", "test_tensor_file.py"],
    "tensor_file": ["test_tensor_file.py", "archive/test_records.py"],
    "archive/lease": ["archive/test_lease.py"],
    "archive/records": ["archive/test_records.py", "sweep/test_results.py"],
    "model/objective": ["model/test_objective.py"],
    "model/thin_product": ["model/test_objective.py"],
    "structures/scale_equation": ["structures/test_scale_equation.py", "structures/test_analytic.py"],
    "curvature/counting/zeros": [
        "curvature/counting/test_edges.py",
        "curvature/counting/test_zeros.py",
        "curvature/counting/test_counting.py",
    ],
    "curvature/counting/deflation": [
        "curvature/counting/test_edges.py",
        "curvature/counting/test_lies.py::test_the_certificate_has_a_floor_of_rounding",
        "curvature/counting/test_counting.py",
        "curvature/counting/test_deflation.py",
    ],
    "curvature/counting/dense_and_inertia": ["curvature/counting/test_edges.py", "curvature/counting/test_counting.py"],
    "curvature/counting/quotient": [
        "curvature/counting/test_edges.py",
        "curvature/counting/test_counting.py",
        "curvature/counting/test_deflation.py",
    ],
    "degeneracy/judgement": ["degeneracy/test_judgement.py"],
}
COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
COMPARED |= {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
REVERSED = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr}
COMPUTED |= {ast.MatMult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd}


def skipped(tree: ast.Module) -> set[int]:
    """Returns the nodes that say nothing at run time: annotations, texts of errors, doctests, settings of dataclasses."""
    quiet: set[int] = set()
    for node in ast.walk(tree):
        hidden: list[ast.AST | None] = []
        if isinstance(node, ast.FunctionDef):
            hidden = [*node.decorator_list, node.returns, *(each.annotation for each in [*node.args.args, *node.args.kwonlyargs])]
        elif isinstance(node, ast.ClassDef):
            hidden = [*node.decorator_list]
        elif isinstance(node, ast.AnnAssign):
            hidden = [node.annotation]
        elif isinstance(node, ast.Raise | ast.JoinedStr):
            hidden = [node]
        quiet |= {id(inner) for part in hidden if part is not None for inner in ast.walk(part)}
    return quiet


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yields what a node may be changed into, each with its name."""
    match node:
        case ast.Compare(left, [how, *more], [right, *others]):
            for table in (COMPARED, REVERSED):
                if type(how) in table:
                    other = table[type(how)]
                    yield f"{type(how).__name__} -> {other.__name__}", ast.Compare(left, [other(), *more], [right, *others])
        case ast.BinOp(left, how, right) if type(how) in COMPUTED:
            yield f"{type(how).__name__} -> {COMPUTED[type(how)].__name__}", ast.BinOp(left, COMPUTED[type(how)](), right)
        case ast.BoolOp(how, values):
            word = ast.Or if isinstance(how, ast.And) else ast.And
            yield f"{type(how).__name__} -> {word.__name__}", ast.BoolOp(word(), values)
            yield f"without {ast.unparse(values[-1])[:40]}", values[0] if len(values) == 2 else ast.BoolOp(how, values[:-1])
        case ast.UnaryOp(ast.Not() | ast.USub() as how, operand):
            yield f"without {type(how).__name__}", operand
        case ast.Constant(bool(value)):
            yield f"{value} -> {not value}", ast.Constant(not value)
        case ast.Constant(int(value)):
            yield f"{value} -> {value + 1}", ast.Constant(value + 1)
        case ast.Constant(float(value)):
            yield f"{value} -> {2 * value + 1}", ast.Constant(2 * value + 1)
        case ast.Expr(ast.Call() as call):
            yield f"dropped {ast.unparse(call)[:50]}", ast.Pass()
        case ast.Call():
            yield from other_calls(node)
        case _:
            pass


def other_calls(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    """Yields what a call may be changed into: the other extremum, or a copy in place of a rename."""
    match node:
        case ast.Call(ast.Name("min" | "max" as name), arguments, []):
            other = "max" if name == "min" else "min"
            yield f"{name} -> {other}", ast.Call(ast.Name(other, ast.Load()), arguments, [])
        case ast.Call(ast.Attribute(ast.Name("os"), "replace"), arguments, []):
            copied = ast.Attribute(ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant("shutil")], []), "copy", ast.Load())
            yield "os.replace -> shutil.copy", ast.Call(copied, arguments, [])
        case _:
            pass


def mutants(text: str) -> list[tuple[int, str, str]]:
    """Returns line, name and source of every change of a source."""
    tree = ast.parse(text)
    quiet = skipped(tree)
    found = []
    for place, node in enumerate(ast.walk(tree)):
        for number, (name, _) in enumerate(changes(node) if id(node) not in quiet else ()):
            other = copy.deepcopy(tree)
            target = next(each for index, each in enumerate(ast.walk(other)) if index == place)
            _, replacement = list(changes(target))[number]
            for parent in ast.walk(other):
                for field, value in ast.iter_fields(parent):
                    if value is target:
                        setattr(parent, field, replacement)
                    elif isinstance(value, list):
                        setattr(parent, field, [replacement if each is target else each for each in value])
            found.append((getattr(node, "lineno", 0), name, ast.unparse(ast.fix_missing_locations(other))))
    return found


def tested(tree: Path, tests: list[str]) -> str:
    """Returns whether the tests of a copy hear something, in a fork of this process, which has loaded what takes long."""
    child = os.fork()
    if child == 0:
        os.chdir(tree)
        os.setsid()
        sys.path.insert(0, str(tree))
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        import pytest

        given = [str(tree / "tests" / name) for name in tests]
        os._exit(int(pytest.main(["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-n", "0", *given])) and 1)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if status == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed by time"


def main() -> int:
    """Writes the table; exit code 1 where the unchanged code fails its own tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=11)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="files whose names have one of these in them")
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "mutants.tsv")
    options = parser.parse_args()
    import mpmath  # noqa: F401
    import pandas  # noqa: F401
    import scipy.optimize  # noqa: F401
    import torch

    torch.set_num_threads(1)
    kept = options.out.read_text().splitlines()[1:] if options.only and options.out.exists() else []
    before, rows = [tuple(line.split("\t")) for line in kept], list[tuple[str, ...]]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        tree = Path(name) / "tree"
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.png", "*.pdf", "shared")
        shutil.copytree(ROOT, tree, ignore=ignored, symlinks=True)
        for module, tests in TARGETS.items():
            path = tree / "landscape" / f"{module}.py"
            if not any(part in module for part in options.only.split(",")):
                rows += [row for row in before if row[0] == module]
                continue
            text = path.read_text()
            if tested(tree, tests) != "survived":
                print(f"{module}: its tests fail without a change", file=sys.stderr)
                return 1
            drawn = mutants(text)
            random.Random(f"{options.seed} {module}").shuffle(drawn)
            for line, change, source in sorted(drawn[: options.each], key=lambda each: each[:2]):
                path.write_text(source)
                rows.append((module, str(line), change, tested(tree, tests)))
                print(*rows[-1], sep="\t", flush=True)
            path.write_text(text)
    options.out.write_text("\n".join("\t".join(row) for row in [("module", "line", "change", "verdict"), *rows]) + "\n")
    print(f"{sum(row[-1] != 'survived' for row in rows)} of {len(rows)} heard", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
