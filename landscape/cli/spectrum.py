"""`landscape spectrum`: the eigenvalues with their multiplicities, as a table and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.network_points import RunSourcesFlag, analysed_network, is_network_point
from landscape.cli.options import NO_PROBLEM, DeviceText, JsonFlag, PointFiles, ProblemOptions, RootText, StartText
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, print_table, warn, write_table
from landscape.cli.progress import progress
from landscape.cli.sources import analysed
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.degeneracy.report import DegeneracyReport
    from landscape.network.report import NetworkReport

    _Report = DegeneracyReport | NetworkReport

SpectrumChoice = Literal["auto", "reduction", "dense", "lowrank", "slq", "pyhessian"]


def spectrum(
    *points: PointFiles,
    model: ProblemOptions = NO_PROBLEM,
    start: StartText = None,
    root: RootText = "large",
    method: Annotated[SpectrumChoice, Parameter(help="All eigenvalues, or an estimate: slq, pyhessian.")] = "auto",
    out: Annotated[Path | None, Parameter(help="Table of eigenvalue and multiplicity: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture of all points on the same scales: .png, .pdf or .svg.")] = None,
    run_sources: RunSourcesFlag = False,
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
        return print_estimates(points, model, start, root, method, device, json)
    if out is not None and len(points) > 1:
        raise InputError(f"expected one point with --out, got {len(points)}")
    check_output(out, TABLES)
    check_output(plot, PICTURES)
    reports: list[_Report] = []
    with progress("spectrum") as shown:
        for place, point in enumerate(points or (None,)):
            shown.update(place, len(points) or 1)
            if point is not None and is_network_point(point):
                reports.append(analysed_network(point, method, run_sources, device))
            else:
                reports.append(analysed(point, model, start, root, method, device))
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
            print(f"# {_title(report)}, {_model(report)}")
            rows = [(f"{value:.9e}", str(times)) for value, times in _atoms(report)]
            print_table([("eigenvalue", "multiplicity"), *rows], numbers=(0, 1))
    for report in reports:
        if not report.resolved:
            warn(report.reason)
    return DONE if all(report.resolved for report in reports) else NOT_AS_ASKED


def _refuse_files(method: str, *paths: Path | None) -> None:
    if any(paths):
        raise InputError(f"expected --method reduction, dense or lowrank with --out and --plot, got the estimate {method}")


def _structure(report: "_Report") -> str:
    return getattr(report, "structure", "network")


def _model(report: "_Report") -> str:
    from landscape.network.report import NetworkReport

    return f"{report.parameters} parameters" if isinstance(report, NetworkReport) else str(report.problem)


def _title(report: "_Report") -> str:
    return _structure(report) if report.verdict.critical else "Hessian at the point itself: not a critical point"


def _atoms(report: "_Report") -> list[tuple[float, int]]:
    return [] if report.spectrum is None else report.spectrum.atoms()


def _as_dict(report: "_Report") -> dict[str, object]:
    spectrum = None if report.spectrum is None else [list(atom) for atom in _atoms(report)]
    return {
        "structure": _structure(report),
        "critical": report.verdict.critical,
        "method": report.method,
        "resolved": report.resolved,
        "spectrum": spectrum,
    }


def _write(atoms: list[tuple[float, int]], path: Path) -> None:
    import pandas as pd

    write_table(pd.DataFrame(atoms, columns=["eigenvalue", "multiplicity"]), path)


def _draw(reports: list["_Report"], path: Path) -> None:
    from landscape.plot.spectrum import draw_spectra
    from landscape.plot.theme import COLUMN_WIDTH, new_figure, save_figure

    figure, axes = new_figure(columns=len(reports), width=COLUMN_WIDTH * len(reports))
    ranks = [getattr(report, "rank", None) for report in reports]
    names = [
        f"{_structure(report)} (rank {rank})" if report.verdict.critical and rank is not None else _title(report)
        for report, rank in zip(reports, ranks, strict=True)
    ]
    titles = [f"{name} #{place}" if names.count(name) > 1 else name for place, name in enumerate(names, 1)]
    spectra = {title: report.spectrum for title, report in zip(titles, reports, strict=True) if report.spectrum is not None}
    radii = {title: report.zeros.cutoff for title, report in zip(titles, reports, strict=True) if report.zeros is not None}
    decays = {float(decay) for report in reports for decay in report.problem.decays}
    draw_spectra(axes, spectra, radii, decays.pop() if len(decays) == 1 else None)
    save_figure(figure, path)
