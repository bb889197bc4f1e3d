"""What commands print: JSON or aligned lines on stdout, warnings on stderr; and the files that they write."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

LONGEST, HEAD = 300, 160  # characters of a message, and of its part before a cut
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # first characters of a cell that a spreadsheet runs
TABLES, PICTURES = (".csv", ".parquet"), (".png", ".pdf", ".svg")


def print_json(value: Any) -> None:
    """Prints one JSON object and nothing else."""
    print(json.dumps(value, allow_nan=False))


def print_lines(rows: list[tuple[str, str]]) -> None:
    """Prints name and value in two columns."""
    print_columns([rows])


def print_columns(tables: list[list[tuple[str, str]]]) -> None:
    """Prints tables of the same kind side by side, a row wherever one of them has it."""
    names = list(dict.fromkeys(name for table in tables for name, _ in table))
    if len(tables) == 1:
        cells = [[name, value] for name, value in tables[0]]  # a name may stand more than once
    else:
        cells = [[name, *(dict(table).get(name, "-") for table in tables)] for name in names]
    print_table(cells)


def print_table(rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> None:
    """Prints rows of cells, each column as wide as its widest cell.

    Args:
        rows: The cells, the heading first where there is one.
        numbers: The columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def check_output(path: Path | None, suffixes: tuple[str, ...]) -> None:
    """Refuses a file that cannot be written, before the work.

    Raises:
        InputError: If the suffix is another one, or the place cannot be written.
    """
    from landscape.atomic_files import check_writable

    if path is None:
        return
    if path.suffix not in suffixes:
        raise InputError(f"expected a file name ending in {' or '.join(suffixes)}, got {path.name}")
    check_writable(path)


def write_table(table: "DataFrame", path: Path) -> None:
    """Writes CSV or Parquet by the suffix of the name, whole or not at all."""
    from landscape.atomic_files import atomic_write

    with atomic_write(path) as temporary:
        if path.suffix == ".csv":
            harmless(table).to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)


def harmless(table: "DataFrame") -> "DataFrame":
    """Returns the table with texts that a spreadsheet would run as a formula put behind an apostrophe; numbers stay numbers."""
    import pandas as pd

    changed = table.copy()
    for place, column in enumerate(table.columns):
        values = table.iloc[:, place]
        if not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            changed[column] = [f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value for value in values]
    return changed.rename(columns=lambda name: f"'{name}" if str(name).startswith(_FORMULAS) else name)


def short(message: str) -> str:
    """Returns a message on one line of at most 300 characters; the middle goes, since the remedy is at the end."""
    line = " ".join(message.split())
    return line if len(line) <= LONGEST else f"{line[:HEAD]} .. {line[HEAD + 4 - LONGEST :]}"


def warn(message: str) -> None:
    """Says something about the result that is not the result, in one line."""
    print(short(f"landscape: {message}"), file=sys.stderr)
