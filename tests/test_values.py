"""Structures, doubts and outcomes are values: no code reads the sentences and names that are made from them for people."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
READERS = {"landscape/structures/names.py", "landscape/structures/old_names.py"}  # the inverses of what is printed
PROSE = {"structure", "reason", "detail", "unproved", "rival", "statement", "lead", "structure_name"}
PARSING = {
    "startswith", "endswith", "replace", "removeprefix", "removesuffix", "partition", "rpartition", "split", "rsplit", "find",
    "index", "strip", "lstrip", "rstrip", "match", "fullmatch", "search", "sub", "findall", "finditer",
}  # fmt: skip


def subject(node: ast.AST) -> str:
    """Returns the last name of an expression: `structure` of `row.structure`, of `row["structure"]` and of `structure`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.id if isinstance(node, ast.Name) else ""


def parsed_prose(source: str) -> Iterator[int]:
    """Yields the lines in which a name or a sentence for people is taken apart, or searched for a word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PARSING:
            blanks = node.func.attr == "split" and not node.args  # to put a text on one line
            if (subject(node.func.value) in PROSE and not blanks) or any(subject(argument) in PROSE for argument in node.args):
                yield node.lineno
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            searched = any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)
            if searched and any(subject(other) in PROSE for other in node.comparators):
                yield node.lineno


def test_nothing_parses_prose() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in ("landscape", "figures", "scripts", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in READERS
        for line in parsed_prose(path.read_text())
    ]
    assert not broken, f"parse the value, not the words made from it: {broken}"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("if row.structure.startswith('unnamed'): pass", True),
        ("name = entry.structure.replace('partition ', '')", True),
        ("found = re.match('partition (.*)', structure)", True),
        ("if 'kink' in report.reason: pass", True),
        ("sizes = row['structure'].split(',')", True),
        ("kind = parse(row.structure)", False),
        ("if isinstance(row.kind, Unnamed): pass", False),
        ("if row.structure == other.structure: pass", False),
        ("if structure in (label, name): pass", False),
        ("words = text.split(',')", False),
    ],
)
def test_the_sight_of_parsed_prose(source: str, seen: bool) -> None:
    assert bool(list(parsed_prose(source))) is seen
