"""Counts the statement lines of the package, by folder: lines with code, so no blank ones, comments or docstrings.

    python scripts/statement_lines.py [FOLDER]

A statement that stands on three lines counts three; `ast` also gives the number of statements, however they are laid out.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(tree: ast.AST) -> set[int]:
    """Returns the lines on which docstrings stand."""
    firsts = [node.body[0] for node in ast.walk(tree) if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None]
    return {line for first in firsts for line in range(first.lineno, (first.end_lineno or first.lineno) + 1)}


def statement_lines(source: str) -> tuple[int, int]:
    """Returns the number of lines with code, and of statements."""
    tree = ast.parse(source)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in LAYOUT for line in range(token.start[0], token.end[0] + 1)}
    documented = [node for node in ast.walk(tree) if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None]
    return len(lines - docstrings(tree)), sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) - len(documented)


def main() -> None:
    """Prints one line a folder, largest first, and the sum."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "landscape")
    lines, statements = Counter[str](), Counter[str]()
    for path in root.rglob("*.py"):
        place = path.relative_to(root)
        folder = place.parts[0] if len(place.parts) > 1 else "(flat)"
        counted = statement_lines(path.read_text())
        lines[folder] += counted[0]
        statements[folder] += counted[1]
    for folder, number in lines.most_common():
        print(f"{folder:12} {number:6} lines {statements[folder]:6} statements")
    print(f"{'all':12} {lines.total():6} lines {statements.total():6} statements")


if __name__ == "__main__":
    main()
