"""`landscape spectrum`: the eigenvalues with their multiplicities, as a table and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import print_json, warn
from landscape.cli.sources import (
    DeviceText,
    JsonFlag,
    MethodChoice,
    PointFile,
    ProblemText,
    RootText,
    StartText,
    analysed,
)
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.degeneracy import DegeneracyReport


def spectrum(
    point: PointFile = None,
    *,
    problem: ProblemText = None,
    start: StartText = None,
    root: RootText = "large",
    method: MethodChoice = "auto",
    out: Annotated[Path | None, Parameter(help="Table of eigenvalue and multiplicity: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture: .png, .pdf or .svg.")] = None,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Write or draw the Hessian spectrum of a critical point; without --out and --plot, print it."""
    from landscape.store import check_writable

    for path, suffixes in ((out, (".csv", ".parquet")), (plot, (".png", ".pdf", ".svg"))):
        if path is not None:
            if path.suffix not in suffixes:
                raise InputError(f"expected a file name ending in {' or '.join(suffixes)}, got {path.name}")
            check_writable(path)
    report = analysed(point, problem, start, root, method, device)
    if report.spectrum is None:
        warn(report.reason)
        return NOT_AS_ASKED
    atoms = report.spectrum.atoms()
    if out is not None:
        _write(atoms, out)
    if plot is not None:
        _draw(report, plot)
    if json:
        print_json({"method": report.method, "resolved": report.resolved, "spectrum": [list(atom) for atom in atoms]})
    elif out is None and plot is None:
        print(f"{'eigenvalue':>16}  {'multiplicity':>12}")
        for value, times in atoms:
            print(f"{value:>16.9e}  {times:>12}")
    if report.resolved:
        return DONE
    warn(report.reason)
    return NOT_AS_ASKED


def _write(atoms: list[tuple[float, int]], path: Path) -> None:
    import pandas as pd

    from landscape.store import replacing

    table = pd.DataFrame(atoms, columns=["eigenvalue", "multiplicity"])
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)


def _draw(report: "DegeneracyReport", path: Path) -> None:
    from landscape.plot import draw_spectrum, new_figure, save_figure

    assert report.spectrum is not None
    figure, axes = new_figure()
    draw_spectrum(axes, report.spectrum, report.zeros.cutoff if report.zeros else None)
    save_figure(figure, path)
