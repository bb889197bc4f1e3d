"""`landscape atlas`: every known kind of critical point of a problem in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.applies import Needs
from landscape.cli.options import (
    NO_PROBLEM,
    DeviceText,
    JsonFlag,
    ProblemOptions,
    ProveFlag,
    SeedNumber,
    checked_device,
    whole_number,
    within,
)
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, print_table, warn, write_table
from landscape.cli.pictures import AS_IT_IS, PictureOptions
from landscape.cli.progress import progress

if TYPE_CHECKING:
    from landscape.catalogue.row import AtlasRow
    from landscape.catalogue.table import Atlas

_COUNTS = ("index", "nullity", "excess", "proved", "orbit", "paper", "copies")
_COLUMNS = ("structure", "rank", "loss", *_COUNTS, "log volume", "log pdet", "found")


def atlas(
    *,
    model: ProblemOptions = NO_PROBLEM,
    groups: Annotated[
        list[str] | None, Parameter(negative="", help="Only this partition, such as 6,2,2; may be given again.")
    ] = None,
    roots: Annotated[Literal["large", "both"], Parameter(help="both: every group at its small root too (saddles).")] = "large",
    index: Annotated[
        int | None, Parameter(converter=whole_number, validator=within(0), help="Only points with this many negative eigenvalues.")
    ] = None,
    search: Annotated[
        int, Parameter(converter=whole_number, validator=within(0), help="Starts of a search for minima that no family holds.")
    ] = 0,
    seed: Annotated[SeedNumber, Needs(("--search",))] = 0,
    temperature: Annotated[str | None, Parameter(help="For the free energy of the minima.")] = None,
    out: Annotated[Path | None, Parameter(help="The whole table: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Loss against rank as .png, .pdf or .svg.")] = None,
    look: PictureOptions = AS_IT_IS,
    prove: ProveFlag = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """List the critical points of a linear cross-entropy problem by loss, each with its exact degeneracy.

    Partitions, polygons, prisms, codes, apex and zero; --search adds the minima that descent finds. Nothing is solved at width d.
    What no family and no start holds is not in the table. Counts that are not certain are undecided (exit code 1). The counts of
    partitions are proved in ball arithmetic, with --prove all of them.
    """
    from landscape.catalogue.table import AtlasOptions
    from landscape.catalogue.table import atlas as table
    from landscape.numbers import parse_number, parse_sizes

    check_output(out, TABLES)
    check_output(plot, PICTURES)
    look.inches(1.0, 1.0)
    problem = model.build(n="1")
    kelvin = None if temperature is None else parse_number(temperature, "a temperature such as 1e-5")
    chosen = tuple(parse_sizes(text) for text in groups or ())
    where = checked_device(device)
    with progress("atlas"):
        found = table(problem, AtlasOptions(roots, chosen, index, search, seed, kelvin, "any" if prove else "named", where))
    if out is not None:
        _write(found, out)
    if plot is not None and found.entries:
        _draw(found, plot, look)
    if json:
        print_json([entry.as_dict() for entry in found.entries])
    else:
        _print(found)
    for words in found.omitted:
        warn(f"left out: {words}")
    if found.lost:
        warn(f"{found.lost} of {found.starts} starts reached no critical point")
    if found.left:
        warn(f"interrupted: the search made {found.starts} of {found.starts + found.left} starts; the table has what they found")
    undecided = [entry for entry in found.entries if entry.reason]
    for entry in undecided:
        warn(f"{entry.structure}: {entry.reason}")
    return NOT_AS_ASKED if undecided or found.left else DONE


def _draw(found: "Atlas", path: Path, look: PictureOptions) -> None:
    from landscape.plot.atlas import draw_atlas
    from landscape.plot.theme import new_figure, save_figure

    width, height = look.inches(4.6, 3.6)
    figure, (axes,) = new_figure(width=width, height=height)
    own = f"$K = {found.problem.classes}$, $d = {found.problem.width}$, $L = {found.problem.depth}$"
    draw_atlas(axes, found.entries, own if look.title is None else look.title)
    save_figure(figure, path, look.dark)


def _print(found: "Atlas") -> None:
    rows = [list(_COLUMNS), *(_row(entry) for entry in found.entries)]
    energies = any(entry.free_energy is not None for entry in found.entries)
    if energies:
        rows[0].append("free energy")
        for row, entry in zip(rows[1:], found.entries, strict=True):
            row.append("-" if entry.free_energy is None else f"{entry.free_energy:.8f}")
    print_table(rows, numbers=range(1, len(rows[0])))


def _row(entry: "AtlasRow") -> list[str]:
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
