"""`landscape atlas`: every known kind of critical point of a problem in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, warn, write_table
from landscape.cli.sources import ClassesNumber, JsonFlag, ProveFlag, SizesText, given_sizes, whole_number
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.atlas import Atlas
    from landscape.entries import Entry

_COUNTS = ("index", "nullity", "excess", "proved", "orbit", "paper", "copies")
_COLUMNS = ("structure", "rank", "loss", *_COUNTS, "log volume", "log pdet", "found")


def atlas(
    *,
    width: Annotated[int, Parameter(help="d.")],
    depth: Annotated[int, Parameter(help="L, the number of weight matrices.")],
    decay: Annotated[str, Parameter(help="lambda: 2**-10, 1e-3, or one per factor H_1,W_1,..,W_L.")],
    classes: ClassesNumber = None,
    samples: Annotated[int | None, Parameter(converter=whole_number, help="n, per class (1 if not given).")] = None,
    class_sizes: SizesText = None,
    groups: Annotated[list[str] | None, Parameter(help="Only this partition, such as 6,2,2; may be given again.")] = None,
    roots: Annotated[Literal["large", "both"], Parameter(help="both: every group at its small root too (saddles).")] = "large",
    index: Annotated[int | None, Parameter(help="Only points with this many negative eigenvalues.")] = None,
    search: Annotated[int, Parameter(help="Starts of a search for minima that no family holds.")] = 0,
    seed: Annotated[int, Parameter(help="Of the first start.")] = 0,
    temperature: Annotated[str | None, Parameter(help="For the free energy of the minima.")] = None,
    out: Annotated[Path | None, Parameter(help="The whole table: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Loss against rank as .png, .pdf or .svg.")] = None,
    prove: ProveFlag = False,
    json: JsonFlag = False,
) -> int:
    """List the critical points of a linear cross-entropy problem by loss, each with its exact degeneracy.

    Partitions, polygons, codes, pairs+apex and zero; --search adds the minima that descent finds. Nothing is solved at width d.
    What no family and no start holds is not in the table. Counts that are not certain are undecided (exit code 1). The counts of
    partitions are proved in ball arithmetic, with --prove all of them.
    """
    from landscape.atlas import Survey
    from landscape.atlas import atlas as table
    from landscape.numerals import parse_decay, parse_number, parse_sizes
    from landscape.problem import Problem

    check_output(out, TABLES)
    check_output(plot, PICTURES)
    if classes is None and class_sizes is None:
        raise InputError("expected --classes (and --samples) or --class-sizes")
    sizes = given_sizes(classes, 1 if samples is None and class_sizes is None else samples, class_sizes)
    assert sizes is not None
    problem = Problem(sizes, width, depth, parse_decay(decay))
    kelvin = None if temperature is None else parse_number(temperature, "a temperature such as 1e-5")
    chosen = tuple(parse_sizes(text) for text in groups or ())
    found = table(problem, Survey(roots, chosen, index, search, seed, kelvin, "any" if prove else "named"))
    if out is not None:
        _write(found, out)
    if plot is not None and found.entries:
        _draw(found, plot)
    if json:
        print_json([entry.as_dict() for entry in found.entries])
    else:
        _print(found)
    for words in found.omitted:
        warn(f"left out: {words}")
    if found.lost:
        warn(f"{found.lost} of {found.starts} starts reached no critical point")
    undecided = [entry for entry in found.entries if entry.reason]
    for entry in undecided:
        warn(f"{entry.structure}: {entry.reason}")
    return NOT_AS_ASKED if undecided else DONE


def _draw(found: "Atlas", path: Path) -> None:
    from landscape.plot import new_figure, save_figure
    from landscape.plot.atlas import draw_atlas

    figure, (axes,) = new_figure(width=4.6, height=3.6)
    draw_atlas(axes, found.entries, f"$K = {found.problem.classes}$, $d = {found.problem.width}$, $L = {found.problem.depth}$")
    save_figure(figure, path)


def _print(found: "Atlas") -> None:
    rows = [list(_COLUMNS), *(_row(entry) for entry in found.entries)]
    energies = any(entry.free_energy is not None for entry in found.entries)
    if energies:
        rows[0].append("free energy")
        for row, entry in zip(rows[1:], found.entries, strict=True):
            row.append("-" if entry.free_energy is None else f"{entry.free_energy:.8f}")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())


def _row(entry: "Entry") -> list[str]:
    counts = ["undecided" if value is None else str(value) for value in (entry.index, entry.nullity, entry.excess)]
    return [
        entry.structure,
        str(entry.rank),
        f"{entry.loss:.10f}",
        *counts,
        "no" if entry.verdict.proof is None else f"{entry.verdict.proof.bits} bits",
        str(entry.orbit_dimension),
        "-" if entry.paper_dimension is None else str(entry.paper_dimension),
        "-" if entry.copies is None else f"{entry.copies}" if entry.copies < 10**9 else f"{float(entry.copies):.4e}",
        f"{entry.log_volume:.4f}",
        "-" if entry.log_pdet is None else f"{entry.log_pdet:.4f}",
        "-" if entry.found is None else str(entry.found),
    ]


def _write(found: "Atlas", path: Path) -> None:
    import pandas as pd

    # copies can exceed 64 bits (945 at K = 10, 5.8e28 at K = 50): as text they stay exact
    rows = [entry.as_dict() | {"copies": None if entry.copies is None else str(entry.copies)} for entry in found.entries]
    table = pd.DataFrame(rows)
    for column in ("index", "nullity", "paper_dimension", "excess", "found", "bits", "near_zero"):
        table[column] = table[column].astype("Int64")
    write_table(table, path)
