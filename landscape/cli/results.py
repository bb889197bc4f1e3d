"""`landscape results`: the table of a sweep, filtered, sorted, counted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import JsonFlag
from landscape.cli.output import TABLES, check_output, harmless, print_json, print_table, warn, write_table
from landscape.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

Format = Literal["table", "csv", "parquet", "json"]
_SHORT = ("class_sizes", "width", "depth", "decay", "start", "seed", "structure", "rank", "loss", "outcome", "index", "nullity")
_MOST = 40  # rows of a printed table; the other formats have all


def results(
    folder: Annotated[Path, Parameter(help="Of landscape sweep --out.")],
    *,
    where: Annotated[str | None, Parameter(help="Rows: \"width > 40 and structure == 'DNC'\".")] = None,
    sort: Annotated[str | None, Parameter(help="Columns: loss or -loss,width.")] = None,
    by: Annotated[str | None, Parameter(help="Count structures by these columns: width or width,depth; all for one group.")] = None,
    structure: Annotated[str | None, Parameter(help="With --by: only this one, found or not.")] = None,
    format: Annotated[Format, Parameter(help="Of what is printed or written.")] = "table",
    out: Annotated[Path | None, Parameter(help="File of csv or parquet; all as parquet goes to FOLDER/results.parquet.")] = None,
    json: JsonFlag = False,
    provenance: Annotated[bool, Parameter(negative="", help="Also seconds, host and time of every job.")] = False,
) -> int:
    """Print or write the results of a sweep, one row per job, rebuilt from its records.

    Records that fail their checksum are left out and said, with exit code 1. Jobs that failed are said; with --by those of random
    starts count as not converged. Of jobs that never ran the folder knows nothing.
    """
    from landscape.sweep.filter import rows_where
    from landscape.sweep.results import FAILED, TABLE, frequencies, read_results, sorted_by

    format = _asked_format(format, json, out, by, structure, where)
    check_output(out, TABLES)
    table, damaged = read_results(folder, provenance, failures=True)
    if where is not None:
        table = rows_where(table, where)
    failed = table["outcome"] == FAILED
    if by is None:
        table = table[~failed]
    else:
        table = frequencies(table, [] if by == "all" else [name.strip() for name in by.split(",")], structure)
    table = sorted_by(table, [name.strip() for name in sort.split(",")] if sort else [])
    target = out or (folder / TABLE if format == "parquet" else None)
    if target is not None:
        write_table(table, target)
        print(target)
    elif format == "csv":
        harmless(table).to_csv(sys.stdout, index=False)
    elif format == "json":
        print_json(_objects(table))
    else:
        _print(table, _SHORT if by is None else tuple(table.columns), provenance)
    if failed.any():
        counted = "those of random starts count as not converged" if by else "they are not in the table"
        warn(f"{failed.sum()} jobs failed, {counted}: landscape sweep tries them again")
    if damaged:
        digest, fault = next(iter(damaged.items()))
        warn(f"left out {len(damaged)} damaged records, the first {digest[:12]} ({fault}): remove them and sweep again")
    return NOT_AS_ASKED if damaged else DONE


def _asked_format(format: Format, json: bool, out: Path | None, by: str | None, structure: str | None, where: str | None) -> Format:
    """Returns the format that the options name together, and refuses those that do not fit each other."""
    from landscape.sweep.results import TABLE

    if json and format not in ("table", "json"):
        raise InputError(f"expected --json alone, got it with --format {format}")
    if out is not None and (format not in ("csv", "parquet") or out.suffix != f".{format}"):
        raise InputError(f"expected --format csv or parquet and a file name of that ending, got --format {format} --out {out.name}")
    if structure is not None and by is None:
        raise InputError("expected --structure only with --by")
    if format == "parquet" and out is None and not (where is None and by is None):
        raise InputError(f"expected --out with --where or --by: {TABLE} in the folder is the whole table")
    return "json" if json else format


def _objects(table: "DataFrame") -> list[dict[str, object]]:
    """Returns a JSON object per row; what is not known is None."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _print(table: "DataFrame", columns: tuple[str, ...], provenance: bool) -> None:
    extra = [
        *(("seconds", "host") if provenance else ()),
        *(("file",) if table.get("file") is not None and table["file"].notna().any() else ()),
    ]
    names = [name for name in (*columns, *extra) if name in table.columns]
    cells = [names]
    cells += [[_text(value) for value in row.values()] for row in _objects(table[names].head(_MOST))]
    print_table(cells)
    if len(table) > _MOST:
        print(f".. {len(table) - _MOST} more rows: --format csv or parquet has all")


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
