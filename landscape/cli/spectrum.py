"""`landscape spectrum`: the eigenvalues with their multiplicities, as a table and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, warn, write_table
from landscape.cli.sources import (
    DeviceText,
    JsonFlag,
    PointFiles,
    ProblemText,
    RootText,
    StartText,
    analysed,
)
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.degeneracy_report import DegeneracyReport

SpectrumChoice = Literal["auto", "reduction", "dense", "lowrank", "slq", "pyhessian"]


def spectrum(
    *points: PointFiles,
    problem: ProblemText = None,
    start: StartText = None,
    root: RootText = "large",
    method: SpectrumChoice = "auto",
    out: Annotated[Path | None, Parameter(help="Table of eigenvalue and multiplicity: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture of all points on the same scales: .png, .pdf or .svg.")] = None,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Write or draw the Hessian spectrum of critical points; without --out and --plot, print it.

    reduction, dense and lowrank give all eigenvalues. slq is an estimate with error bars by stochastic Lanczos quadrature;
    pyhessian prints what PyHessian 0.1 (repaired) says beside all eigenvalues. Of a point that is not critical enough, what is
    shown is the Hessian at the point itself, if the model is small or with --method dense (exit code 1).
    """
    if method == "slq" or method == "pyhessian":
        from landscape.cli.spectrum_estimates import print_estimates

        _refuse_files(method, out, plot)
        return print_estimates(points, problem, start, root, method, device, json)
    if out is not None and len(points) > 1:
        raise InputError(f"expected one point with --out, got {len(points)}")
    check_output(out, TABLES)
    check_output(plot, PICTURES)
    reports = [analysed(point, problem, start, root, method, device) for point in points or (None,)]
    known = [report for report in reports if report.spectrum is not None]
    if out is not None and known:
        _write(_atoms(known[0]), out)
    if plot is not None and known:
        _draw(known, plot)
    if json:
        objects = [_as_dict(report) for report in reports]
        print_json(objects[0] if len(objects) == 1 else {"reports": objects})
    elif out is None and plot is None:
        for report in known:
            print(f"# {_title(report)}, {report.problem}")
            print(f"{'eigenvalue':>16}  {'multiplicity':>12}")
            for value, times in _atoms(report):
                print(f"{value:>16.9e}  {times:>12}")
    for report in reports:
        if not report.resolved:
            warn(report.reason)
    return DONE if all(report.resolved for report in reports) else NOT_AS_ASKED


def _refuse_files(method: str, *paths: Path | None) -> None:
    if any(paths):
        raise InputError(f"expected --method reduction, dense or lowrank with --out and --plot, got the estimate {method}")


def _title(report: "DegeneracyReport") -> str:
    return report.structure if report.critical else "Hessian at the point itself: not a critical point"


def _atoms(report: "DegeneracyReport") -> list[tuple[float, int]]:
    return [] if report.spectrum is None else report.spectrum.atoms()


def _as_dict(report: "DegeneracyReport") -> dict[str, object]:
    spectrum = None if report.spectrum is None else [list(atom) for atom in _atoms(report)]
    return {
        "structure": report.structure,
        "critical": report.critical,
        "method": report.method,
        "resolved": report.resolved,
        "spectrum": spectrum,
    }


def _write(atoms: list[tuple[float, int]], path: Path) -> None:
    import pandas as pd

    write_table(pd.DataFrame(atoms, columns=["eigenvalue", "multiplicity"]), path)


def _draw(reports: list["DegeneracyReport"], path: Path) -> None:
    from landscape.plot import COLUMN_WIDTH, draw_spectra, new_figure, save_figure

    figure, axes = new_figure(columns=len(reports), width=COLUMN_WIDTH * len(reports))
    names = [f"{report.structure} (rank {report.rank})" if report.critical else _title(report) for report in reports]
    titles = [f"{name} #{place}" if names.count(name) > 1 else name for place, name in enumerate(names, 1)]
    spectra = {title: report.spectrum for title, report in zip(titles, reports, strict=True) if report.spectrum is not None}
    radii = {title: report.zeros.cutoff for title, report in zip(titles, reports, strict=True) if report.zeros is not None}
    decays = {decay for report in reports for decay in report.problem.decays}
    draw_spectra(axes, spectra, radii, decays.pop() if len(decays) == 1 else None)
    save_figure(figure, path)
