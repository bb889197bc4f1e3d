"""What commands print: JSON or aligned lines on stdout, progress and warnings on stderr."""

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

    from landscape.solver.state import State


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
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


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
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)


def warn(message: str) -> None:
    """Says something about the result that is not the result."""
    print(f"landscape: {message}", file=sys.stderr)


@contextmanager
def descent_progress(label: str) -> Iterator[Callable[["State"], None]]:
    """Yields a watcher that shows loss and gradient norm as they fall; silent when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda state: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=15.0, state="")  # decades of gradient norm from 10 to 1e-14

        def watch(state: "State") -> None:
            norm = max(state.gradient_norm, 1e-300)
            done = min(max(1 - math.log10(norm), 0.0), 15.0) if math.isfinite(norm) else 0.0
            text = f"step {state.steps}  loss {state.loss:.9f}  gradient {state.gradient_norm:.1e}"
            progress.update(task, completed=done, state=text)

        yield watch


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Shows that work of unknown length goes on, and for how long; silent when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(label, total=None)
        yield
